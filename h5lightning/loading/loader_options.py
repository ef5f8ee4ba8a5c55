"""Options of loaders, checked when they are made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from h5lightning.core.process_local import usable_cores
from h5lightning.errors import OptionError
from h5lightning.loading.collate import Collate
from h5lightning.options.checks import check_bool, check_choice, check_int, check_seconds

__all__ = ["LoaderOptions"]

# A typing error should not fill the machine with processes, or its memory with batches.
_MOST_AT_ONCE = 4096
_MOST_PREFETCHED = 1_000_000
_MOST_THREADS = 4  # more seldom help: rows are copied at the speed of memory, and the model needs cores too


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """How batches travel from the dataset to the training loop.

    Args:
        num_workers: worker processes; 0 reads in the training process.
        threads: threads that read and decode in each loading process; without workers, they make batches ahead of the
            training step. 0 reads each batch when it is requested; None chooses.
        pin_memory: deliver batches in page-locked memory; without workers, they are read straight into it.
        persistent_workers: keep workers alive from epoch to epoch; no effect without workers.
        prefetch_factor: batches that each worker makes ahead; None for torch's default.
        multiprocessing_context: how workers are started; None for the system's default.
        timeout_s: seconds to wait for a worker's batch; 0 waits indefinitely.
        as_tuple: deliver batches as a tuple of these keys; None for a dict.
    """

    num_workers: int = 0
    threads: int | None = None
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: int | None = None
    multiprocessing_context: str | None = None
    timeout_s: float = 0
    as_tuple: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_int("num_workers", self.num_workers, at_least=0, at_most=_MOST_AT_ONCE)
        if self.threads is not None:
            check_int("threads", self.threads, at_least=0, at_most=_MOST_AT_ONCE)
        if self.prefetch_factor is not None:
            check_int("prefetch_factor", self.prefetch_factor, at_least=1, at_most=_MOST_PREFETCHED)
        check_bool("pin_memory", self.pin_memory)
        check_bool("persistent_workers", self.persistent_workers)
        if self.multiprocessing_context is not None:
            check_choice(
                "multiprocessing_context", self.multiprocessing_context, ("fork", "forkserver", "spawn")
            )
        check_seconds("timeout_s", self.timeout_s)
        keys: object = self.as_tuple
        is_list = isinstance(keys, (list, tuple)) and all(isinstance(key, str) for key in keys)
        if keys is not None and not (keys and is_list):
            raise OptionError(
                f"as_tuple must list keys of the batch, such as ['x', 'y']; found {self.as_tuple!r}"
            )

    def without(self, keys: Collection[str]) -> LoaderOptions:
        """The same options for batches without ``keys``: unlabelled data."""
        if self.as_tuple is None or not keys:
            return self
        return replace(self, as_tuple=[key for key in self.as_tuple if key not in keys])

    @property
    def reading_threads(self) -> int:
        """Threads that make batches ahead in the training process; 0 with workers."""
        if self.num_workers:
            return 0
        return min(_MOST_THREADS, usable_cores()) if self.threads is None else self.threads

    @property
    def decoding_threads(self) -> int:
        """Threads that decode one batch: more than one only in workers, which make one batch at a time."""
        return max(1, self.threads or 1) if self.num_workers else 1

    def for_loader(self) -> dict[str, Any]:
        """Arguments of `H5DataLoader`: torch refuses options of workers without workers."""
        common = {
            "threads": self.reading_threads,
            "num_workers": self.num_workers,
            "pin_memory": self.pin_memory,
            "collate_fn": Collate(self.as_tuple),
        }
        if not self.num_workers:
            return common
        return common | {
            "timeout": self.timeout_s,
            "persistent_workers": self.persistent_workers,
            "prefetch_factor": self.prefetch_factor,
            "multiprocessing_context": self.multiprocessing_context,
        }
