"""What one reader knows of the columns of the files of one process, as long as these files are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_files import FileBatch, KnownFiles
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.batch_parts import FilePart, PartBatch
from h5lightning.storage.readers.direct.box_group import OpenBoxGroup
from h5lightning.storage.readers.direct.chunk_map_cache import ChunkMapCache
from h5lightning.storage.readers.direct.column_table import ColumnFacts, ColumnTable
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.direct.source_group import OpenSourceGroup
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["KnownColumns"]

_MOST_ENTRIES = 4 * 1024 * 1024  # of all tables; 17 bytes each


class KnownColumns:
    """The columns that one reader has read; any number of threads may use it.

    Args:
        known: the files, whose numbers are used.
        pool: what was scanned of the files, and what may be read.
        decode_pool: caches decoded chunk rows.

    Attributes:
        maps: finds where the values lie.
    """

    def __init__(self, known: KnownFiles, pool: HandlePool, decode_pool: DecodePool) -> None:
        self.known = known
        self.maps = ChunkMapCache(pool, decode_pool)
        self._access = pool.access
        self._decode_pool = decode_pool
        self._tables: dict[DatasetColumn, ColumnTable] = {}
        scanned_files = pool.scanned_files
        self._catalog = None if scanned_files is None else scanned_files.catalog
        self._parts: dict[DatasetColumn, ColumnFacts] = {}
        self._last_parts: PartBatch | None = None
        self._last: tuple[FileBatch | PartBatch | None, dict[DatasetColumn, OpenSourceGroup]] = None, {}
        self._last_boxes: tuple[FileBatch | PartBatch | None, dict[DatasetColumn, OpenBoxGroup]] = None, {}

    def parts(self, batch: FileBatch, parts: SeriesParts) -> PartBatch:
        """The parts of the files of a batch, which are often those of the last one."""
        last = self._last_parts
        if last is not None and last.batch is batch and last.has(parts):
            return last
        last = self._last_parts = PartBatch(batch, parts, self._catalog)
        return last

    def part(self, batch: FileBatch, file: str | SeriesParts) -> FilePart | None:
        """One part of the only file of a batch; None if the whole file is meant."""
        return None if isinstance(file, str) else PartBatch(batch, file, self._catalog).part(0)

    def group(self, batch: FileBatch | PartBatch, column: DatasetColumn) -> OpenSourceGroup:
        """A column in the files of a batch, which are often those of the last one."""
        last, groups = self._last
        if last is not batch:
            groups = {}
            self._last = batch, groups
        group = groups.get(column)
        if group is None:
            find = _finder(self.maps, batch, column)
            facts = (
                self._facts_of_parts(batch, column, find)
                if isinstance(batch, PartBatch)
                else self._table(column).of(batch)
            )
            group = groups[column] = OpenSourceGroup(
                batch, column, facts, find, access=self._access, pool=self._decode_pool
            )
        return group

    def box_group(self, batch: FileBatch | PartBatch, column: DatasetColumn) -> OpenBoxGroup:
        """As `group`, of a column of which boxes are read."""
        last, groups = self._last_boxes
        if last is not batch:
            groups = {}
            self._last_boxes = batch, groups
        group = groups.get(column)
        if group is None:
            find = _finder(self.maps, batch, column)
            group = OpenBoxGroup(batch, column, find, access=self._access, pool=self._decode_pool)
            groups[column] = group
        return group

    def _facts_of_parts(
        self, batch: PartBatch, column: DatasetColumn, find: Callable[[int], KnownSource | None]
    ) -> ColumnFacts:
        """What is known of a column in parts of files."""
        scanned = self._scanned_parts(column)
        if scanned is not None and int(batch.numbers.min(initial=0)) >= 0:
            facts = scanned.of(batch.numbers)
            if facts.kinds.all():
                return facts
        else:
            facts = ColumnFacts.unknown(len(batch))
            facts.note_pieces(self.maps.parts_in_one_piece(column, batch.numbers))
        for place in np.flatnonzero(facts.kinds == 0).tolist():
            facts.note(place, find(place))
        return facts

    def _scanned_parts(self, column: DatasetColumn) -> ColumnFacts | None:
        """What the index says of a column in all parts; None if there are too many of them."""
        if self._catalog is None:
            return None
        facts = self._parts.get(column)
        if facts is None:
            if (len(self._parts) + 1) * self._catalog.unit_count > _MOST_ENTRIES:
                return None
            facts = ColumnFacts.unknown(self._catalog.unit_count)
            facts.note_pieces(self.maps.parts_in_one_piece(column, np.arange(self._catalog.unit_count)))
            self._parts[column] = facts
        return facts

    def _table(self, column: DatasetColumn) -> ColumnTable:
        table = self._tables.get(column)
        if table is None:
            if (len(self._tables) + 1) * len(self.known) > _MOST_ENTRIES:
                self._tables = {}
            find = partial(self.maps.find, source=column, keeps_plain=False)
            table = ColumnTable(partial(self.maps.in_one_piece, column), find)
            table = self._tables.setdefault(column, table)
        return table


def _finder(
    maps: ChunkMapCache, batch: FileBatch | PartBatch, column: DatasetColumn
) -> Callable[[int], KnownSource | None]:
    """What finds a column in each file of a batch."""
    # No method of `KnownColumns`: a cycle would keep closed files open until the next garbage collection.
    if isinstance(batch, PartBatch):
        return partial(_find_part, maps, batch, column)
    return partial(_find, maps, batch, column)


def _find(maps: ChunkMapCache, batch: FileBatch, column: DatasetColumn, place: int) -> KnownSource | None:
    return maps.find(batch.files[place], column)


def _find_part(
    maps: ChunkMapCache, batch: PartBatch, column: DatasetColumn, place: int
) -> KnownSource | None:
    return maps.find(batch.raw(place), column, batch.part(place))
