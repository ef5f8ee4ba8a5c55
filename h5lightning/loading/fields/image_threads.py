"""The threads that decode images, in each process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import get_worker_info

from h5lightning.core.process_local import ProcessLocal, usable_cores
from h5lightning.storage.readers.decoded.decode_pool import DecodePool, Task

__all__ = ["ImageThreads"]

_MOST_THREADS = 16


class ImageThreads:
    """Decodes images in several threads of each process; copies, pickles and forks start threads of their own.

    Args:
        threads: how many; None or 0 for one on each core, which worker processes divide among them.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._local: ProcessLocal[DecodePool] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._threads,)

    @property
    def count(self) -> int:
        """Threads of this process."""
        return self._pool().threads

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks; none of them is still at work when this returns."""
        self._pool().run(tasks)

    def close(self) -> None:
        """End the threads; they start again when they are needed."""
        self._pool().close()

    def _pool(self) -> DecodePool:
        return self._local.get(lambda: DecodePool(0, self._threads or _chosen()))


def _chosen() -> int:
    worker = get_worker_info()
    processes = 1 if worker is None else worker.num_workers
    return max(1, min(_MOST_THREADS, usable_cores()) // processes)
