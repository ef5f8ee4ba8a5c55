"""The loader options that are compared: the defaults, and one change of them at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from h5lightning.core.formatting import counted

__all__ = ["LoaderConfig", "configs_to_try"]

_MODES = ("full", "block", "none")
_MOST_WORKERS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class LoaderConfig:
    """Options of `H5DataModule` that change how fast it loads, and not what it delivers.

    Args:
        reader: ``auto`` or ``h5py``.
        shuffle: ``auto``, ``full``, ``block`` or ``none``.
        threads: threads that read and decode; None for the default.
        num_workers: worker processes.
    """

    reader: str = "auto"
    shuffle: str = "auto"
    threads: int | None = None
    num_workers: int = 0

    def options(self) -> dict[str, Any]:
        """The options that differ from the defaults."""
        options = dataclasses.asdict(self)
        return {name: value for name, value in options.items() if value != getattr(_DEFAULTS, name)}

    def label(self, *, mode: str, direct: str, threads: int) -> str:
        """The name of this configuration in tables; the arguments are what ``auto`` or None stands for."""
        reader = direct if self.reader == "auto" else self.reader
        threads = threads if self.threads is None else self.threads
        loading = counted(self.num_workers, "worker") if self.num_workers else counted(threads, "thread")
        return f"{reader}, {mode if self.shuffle == 'auto' else self.shuffle}, {loading}"


_DEFAULTS = LoaderConfig()


def configs_to_try(
    base: LoaderConfig,
    *,
    mode: str,
    cores: int,
    auto_threads: int,
    has_direct: bool = True,
    has_blocks: bool = True,
    threads: Sequence[int] = (),
    workers: Sequence[int] = (),
) -> list[LoaderConfig]:
    """The base, and one change of it at a time.

    Args:
        base: the configuration that the others are compared with.
        mode: the shuffle mode of the base.
        cores: processor cores.
        auto_threads: the number that ``threads=None`` chooses.
        has_direct: whether any data are read without h5py.
        has_blocks: whether rows can be shuffled in blocks.
        threads: numbers of threads to try; empty to choose them.
        workers: numbers of worker processes to try; empty to choose them.
    """
    threads = threads or [number for number in (0, 1, cores) if number <= 2 * _MOST_WORKERS]
    workers = workers or [2, *([min(cores, _MOST_WORKERS)] if cores > 2 else [])]
    changes: list[dict[str, Any]] = [{"reader": "h5py"}] if has_direct else []
    changes += [{"shuffle": other} for other in _MODES if other != mode and (has_blocks or other != "block")]
    changes += [{"threads": number} for number in threads if number != auto_threads]
    changes += [{"num_workers": number} for number in workers if number]
    return list(dict.fromkeys([base, *(dataclasses.replace(base, **change) for change in changes)]))
