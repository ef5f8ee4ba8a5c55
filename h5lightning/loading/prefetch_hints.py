"""Asks the system to fetch samples before they are read, where they are not in memory.

A disk or a server is fastest with several requests at a time, and by itself the system fetches ahead only what is read
in order. With these hints, single 4 KiB rows came 3 times as fast from a file system that answers after 2 ms, and 3.5
times as fast from the cold disk of a virtual machine, where whole blocks made no difference. Single rows of data that
fit into memory are better left to a disk alone: the system fetches much around each of them.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import H5LightningError

__all__ = ["PrefetchAdvisor", "available_bytes", "fetched_by_thread"]

_PROBES = 4  # samples of a group; one while all are in memory
_OF_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)
# Groups in a row that are not probed, when all that were probed were in memory. Where the system counts what a thread
# had to fetch, that count shows at once that data are no longer in memory.
_MOST_SKIPPED = 7 if _OF_THREAD is None else 63


class PrefetchAdvisor:
    """Announces the samples of one epoch; any number of threads may use it.

    ``is_cold`` says whether the samples that were probed last had to be fetched.

    Args:
        prefetch: asks for samples, ``(N,)``; with ``is_probe``, only looks whether some are not in memory.
        block_samples: samples that lie side by side and are used together, in blocks counted from the first one.
        size: number of all samples.
    """

    def __init__(self, prefetch: Callable[..., bool], *, block_samples: int = 1, size: int) -> None:
        self._prefetch = prefetch
        self._block_samples = block_samples
        self._size = size
        self._requested: set[int] = set()  # blocks
        self._warm = 0  # groups in a row
        self._skipped = 0
        self.is_cold = False

    def prefetch(self, positions: Int64Array) -> None:
        """Ask for the samples of a group, ``(N,)``, or for whole blocks that hold some of them, each once."""
        # The read that follows raises the error again.
        with suppress(H5LightningError):
            if not self._probe(positions):
                return
            if self._block_samples > 1:
                positions = self._new_blocks(positions)
            if positions.size:
                self._prefetch(positions)

    def note(self, fetched: int) -> None:
        """Probe the next groups if a read had to fetch something; see `fetched_by_thread`."""
        if fetched:
            self._warm = 0

    def _probe(self, positions: Int64Array) -> bool:
        """Whether a few of the samples are not in memory; after warm groups, fewer and fewer groups are probed."""
        if self._skipped < min((1 << min(self._warm // 2, 6)) - 1, _MOST_SKIPPED):
            self._skipped += 1
            return False
        self._skipped = 0
        probes = 1 if self._warm else _PROBES
        is_cold = self._prefetch(positions[:: -(-len(positions) // probes)], is_probe=True)
        self._warm = 0 if is_cold else self._warm + 1
        self.is_cold = is_cold
        return is_cold

    def _new_blocks(self, positions: Int64Array) -> Int64Array:
        """All samples of the blocks that hold some, without blocks that were requested before."""
        length = self._block_samples
        new = set(np.unique(positions // length).tolist()) - self._requested
        self._requested |= new
        blocks = np.asarray(sorted(new), np.int64)
        samples = (blocks[:, None] * length + np.arange(length)).ravel()
        return samples[samples < self._size]


def fetched_by_thread() -> int:
    """How often this thread has waited for data that were not in memory; always 0 where the system does not say."""
    if _OF_THREAD is None:
        return 0
    usage = resource.getrusage(_OF_THREAD)
    return usage.ru_majflt + usage.ru_inblock


def available_bytes() -> int:
    """Memory that the system can give to the page cache; a huge number where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            values = dict(line.split(":", 1) for line in file)
        return int(values["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return 1 << 62
