"""What one reader knows of the columns of the files of one process, as long as these files are known."""

from __future__ import annotations

from functools import partial

from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_files import FileBatch, KnownFiles
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map_cache import ChunkMapCache
from h5lightning.storage.readers.direct.column_table import ColumnTable
from h5lightning.storage.readers.direct.source_group import OpenSourceGroup
from h5lightning.storage.readers.protocol import DatasetColumn

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
        self._last: tuple[FileBatch | None, dict[DatasetColumn, OpenSourceGroup]] = None, {}

    def group(self, batch: FileBatch, column: DatasetColumn) -> OpenSourceGroup:
        """A column in the files of a batch, which are often those of the last one."""
        last, groups = self._last
        if last is not batch:
            groups = {}
            self._last = batch, groups
        group = groups.get(column)
        if group is None:
            facts = self._table(column).of(batch)
            find = partial(self.maps.find, source=column)
            group = groups[column] = OpenSourceGroup(
                batch, column, facts, find, access=self._access, pool=self._decode_pool
            )
        return group

    def _table(self, column: DatasetColumn) -> ColumnTable:
        table = self._tables.get(column)
        if table is None:
            if (len(self._tables) + 1) * len(self.known) > _MOST_ENTRIES:
                self._tables = {}
            find = partial(self.maps.find, source=column, keeps_plain=False)
            table = ColumnTable(partial(self.maps.in_one_piece, column), find)
            table = self._tables.setdefault(column, table)
        return table
