"""The ways to load that are compared: the defaults, and what differs from them in one thing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from h5lightning.core.formatting import counted

__all__ = ["LoaderConfig", "ways_to_try"]

_MODES = ("full", "block", "none")
_MOST_WORKERS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class LoaderConfig:
    """Options of `H5DataModule` that change how fast it is, and not what is delivered.

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
        """Those that differ from the defaults."""
        own = dataclasses.asdict(self)
        return {name: value for name, value in own.items() if value != getattr(_DEFAULTS, name)}

    def words(self, *, mode: str, direct: str, threads: int) -> str:
        """The way as a line of a table.

        Args:
            mode: what ``shuffle="auto"`` comes to.
            direct: what ``reader="auto"`` comes to.
            threads: what ``threads=None`` comes to.
        """
        reader = direct if self.reader == "auto" else self.reader
        own = threads if self.threads is None else self.threads
        loading = counted(self.num_workers, "worker") if self.num_workers else counted(own, "thread")
        return f"{reader}, {mode if self.shuffle == 'auto' else self.shuffle}, {loading}"


_DEFAULTS = LoaderConfig()


def ways_to_try(
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
        base: what the others are compared with.
        mode: what its order comes to.
        cores: processors.
        auto_threads: what ``threads=None`` comes to.
        has_direct: whether anything is read without h5py.
        has_blocks: whether rows can be shuffled in blocks.
        threads: numbers of threads to try; empty for those that make sense.
        workers: numbers of worker processes, likewise.
    """
    few = threads or [number for number in (0, 1, cores) if number <= 2 * _MOST_WORKERS]
    processes = workers or [2, *([min(cores, _MOST_WORKERS)] if cores > 2 else [])]
    changes: list[dict[str, Any]] = [{"reader": "h5py"}] if has_direct else []
    changes += [{"shuffle": one} for one in _MODES if one != mode and (has_blocks or one != "block")]
    changes += [{"threads": number} for number in few if number != auto_threads]
    changes += [{"num_workers": number} for number in processes if number]
    return list(dict.fromkeys([base, *(dataclasses.replace(base, **change) for change in changes)]))
