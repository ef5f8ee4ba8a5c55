"""Chooses the chunks that each group of batches decodes for the groups after it.

Block order mixes the chunks of a window completely. So a new window needs its chunks at once, and a batch that decodes
them all is a long wait. Instead, each group of batches decodes its part of what will be needed, at the slowest steady
pace at which each chunk is decoded before its first sample is read. This changes no order and no batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.sampling.chunk_needs import ChunkNeeds, NeededChunks

__all__ = ["DecodeAhead", "DecodeShare"]

_HASTE = 1.25  # of the slowest pace that is enough: so a reserve grows
_LEAST_BYTES = 1 << 21  # of a call that decodes: less would be mostly the call itself
# Of the cache: it drops what was used longest ago, which is not always what is no longer needed.
_USED_SHARE = 0.9
_MOST_SAMPLES = 1 << 22  # that are looked at before they are read


class DecodeShare(NamedTuple):
    """What one group of batches decodes for the groups after it.

    Args:
        ids: the samples whose chunks are decoded, ``(n,)``.
        groups: about how many groups are read before all of them are.
    """

    ids: Int64Array
    groups: int


class DecodeAhead:
    """What the groups of one epoch decode ahead; for one thread at a time.

    Args:
        ids_of: positions in the split → ids, ``(N,)``.
        needs: the chunks that samples need.
        cache_bytes: decoded bytes that the cache holds.
        early_groups: groups that are read at the same time: so many earlier, chunks must be decoded.
    """

    def __init__(
        self,
        ids_of: Callable[[Int64Array], Int64Array],
        needs: ChunkNeeds,
        cache_bytes: int,
        *,
        early_groups: int = 1,
    ) -> None:
        self._ids_of = ids_of
        self._needs = needs
        self._cache_bytes = cache_bytes
        self._early_groups = early_groups
        self._parts: Iterator[Int64Array] = iter(())
        self._seen: deque[Int64Array] = deque()  # parts that were looked at and not yet taken
        self._read = 0  # samples of the groups that were taken
        self._coming = NeededChunks.none()
        self._decoded = NeededChunks.none()  # and still needed
        self._credit_bytes = 0.0

    def watched(self, parts: Iterator[Int64Array]) -> Iterator[Int64Array]:
        """The same positions, in the same parts; some are looked at before they are taken."""
        self._parts = parts
        while self._seen or self._look_at_next():
            yield self._seen.popleft()

    def share(self, samples: int) -> DecodeShare | None:
        """What the next group of so many samples decodes after its own chunks; None for nothing."""
        begun = self._read - self._early_groups * samples  # groups before are certainly read
        self._read += samples
        self._move(int(np.searchsorted(self._coming.due, self._read)))  # the group itself decodes these
        self._decoded = self._needs.still_needed(self._decoded, begun)
        room = int(_USED_SHARE * self._cache_bytes) - int(self._decoded.sizes.sum())
        if self._coming.sizes.sum() < room and self._needs.looked - self._read < _MOST_SAMPLES:
            self._look_at_next()
        cumulated = np.cumsum(self._coming.sizes)
        return self._paced(cumulated[: np.searchsorted(cumulated, room, side="right")], samples)

    def _paced(self, cumulated: Int64Array, samples: int) -> DecodeShare | None:
        """The share of a group, from the bytes up to each chunk row that has room."""
        if not cumulated.size:
            self._credit_bytes = 0.0
            return None
        due = self._coming.due[: len(cumulated)] - self._read - self._early_groups * samples
        self._credit_bytes += _HASTE * samples * float((cumulated / np.maximum(due, samples)).max())
        most = max(self._credit_bytes, _LEAST_BYTES)
        count = int(np.searchsorted(cumulated, most, side="right")) if self._credit_bytes > 0 else 0
        if not count:
            return None
        self._credit_bytes -= int(cumulated[count - 1])
        taken = self._move(count)
        return DecodeShare(taken.ids, -(-(int(taken.due[-1]) - self._read) // samples))

    def _move(self, count: int) -> NeededChunks:
        """The first chunk rows to come, which count as decoded from now on."""
        moved, self._coming = self._coming[:count], self._coming[count:]
        self._decoded += moved
        return moved

    def _look_at_next(self) -> bool:
        """Look at the next part of the epoch; False if there is none."""
        part = next(self._parts, None)
        if part is None:
            return False
        self._coming += self._needs.look(self._ids_of(part))
        self._seen.append(part)
        return True
