"""Where the values of files lie, as far as a process knows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from h5lightning.core.monitor import Guard
from h5lightning.errors import FileChangedError
from h5lightning.planning.catalog.file_stamps import explain_change
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.decoded.chunk_cache import SlabPlaces
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.open_sources import OpenSourceGroup
from h5lightning.storage.readers.protocol import DatasetColumn

__all__ = ["ChunkMapCache", "ChunkMapEntry"]

_MOST_MAP_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class ChunkMapEntry:
    """Where the values of a dataset lie.

    Args:
        storage: the map.
        stamp: what the file looked like.
        places: where each slab lies in a cache of decoded ones, which outlives the open file.
    """

    storage: ChunkMap
    stamp: tuple[int, int, int, int]
    places: SlabPlaces


class ChunkMapCache:
    """The maps of one process, least recently used first; any number of threads."""

    def __init__(self) -> None:
        self.sources: dict[DatasetColumn, None] = {}
        self.reasons: dict[tuple[str, DatasetColumn], str] = {}
        self.together: dict[DatasetColumn, OpenSourceGroup] = {}
        self._found: OrderedDict[tuple[str, DatasetColumn], ChunkMapEntry] = OrderedDict()
        self._bytes = 0
        self._guard = Guard()

    def reason(self, file: str, source: DatasetColumn) -> str:
        """Why only HDF5 can read it; empty if that is not known."""
        return self.reasons.get((file, source), "")

    def has(self, file: str, source: DatasetColumn) -> bool:
        """Whether anything was found."""
        return (file, source) in self._found or (file, source) in self.reasons

    def recall(self, raw: RawFile, source: DatasetColumn) -> ChunkMapEntry | None:
        """What was found before, if the file is still the same."""
        found = self._found.get((raw.path, source))
        if found is None:
            return None
        if what := explain_change(raw.stamp, found.stamp):
            raise FileChangedError(
                f"{raw.path} {what} since it was first read. Do not write to files that a run reads"
            )
        # Only its inode or the time of its status differs: it was linked, renamed or copied.
        return found if found.stamp == raw.stamp else None

    def add(self, raw: RawFile, source: DatasetColumn, storage: ChunkMap) -> ChunkMapEntry:
        """Keep a map; the oldest goes when there is too much."""
        slabs = -(-storage.shape[0] // storage.chunk_rows) if storage.pipeline is not None else 0
        found = ChunkMapEntry(storage, raw.stamp, SlabPlaces(slabs))
        self._guard.run(self._add, (raw.path, source), found)
        return found

    def _add(self, key: tuple[str, DatasetColumn], found: ChunkMapEntry) -> None:
        old = self._found.pop(key, None)
        self._found[key] = found
        self._bytes += _nbytes(found.storage) - (_nbytes(old.storage) if old else 0)
        while self._bytes > _MOST_MAP_BYTES and len(self._found) > 1:
            self._bytes -= _nbytes(self._found.popitem(last=False)[1].storage)


def _nbytes(storage: ChunkMap) -> int:
    return 1024 + storage.nbytes  # an entry itself, with its key, takes about 1 KiB
