"""Finds where the values of datasets lie: the index says it, HDF5 is asked once, or it was found before."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TypeAlias

import h5py
import numpy as np
from h5py import h5i

from h5lightning.core.arrays import Int64Array
from h5lightning.core.monitor import Guard
from h5lightning.errors import BadFileError, FileChangedError, H5LightningError
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.one_piece import OnePiece, StoredPieces
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_dataset import chunk_problem, open_dataset
from h5lightning.storage.hdf5.open_file import hdf5_reason, opened_file
from h5lightning.storage.readers.checks import check_axes, name_of
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.batch_parts import FilePart
from h5lightning.storage.readers.direct.chunk_map import (
    ChunkMap,
    NeedsHDF5Error,
    chunk_map_of,
    map_chunks,
    with_leading,
)
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.records import TABLE, columns_of
from h5lightning.storage.readers.stored_table import hdf5_reasons

__all__ = ["ChunkMapCache"]

_MOST_BYTES = 64 * 1024 * 1024
_MOST_REASONS = 65_536
# A file, a source, and what the ``*`` in the path of the source matched; None if it has none.
_Key: TypeAlias = tuple[RawFile, DatasetColumn, str | None]
_NO_SLOTS = ChunkRowSlots(0, None)  # of a dataset whose chunks are not decoded


class ChunkMapCache:
    """What one process knows of the datasets of its files; any number of threads may use it.

    Args:
        pool: what was scanned of the files, and what may be read.
        decode_pool: caches decoded chunk rows.

    Attributes:
        separate: columns of tables that only HDF5 can read in some file, and so are not read with other columns.
    """

    def __init__(self, pool: HandlePool, decode_pool: DecodePool) -> None:
        self.separate: frozenset[DatasetColumn] = frozenset()
        self._pool = pool
        self._decode_pool = decode_pool
        self._known: OrderedDict[_Key, KnownSource] = OrderedDict()
        self._bytes = 0
        self._guard = Guard()
        self._asking = Guard()  # held while HDF5 is asked, so that it is asked once
        self._columns: dict[DatasetColumn, None] = {}  # all that were ever asked for
        self._reasons: dict[tuple[str, DatasetColumn, str | None], str] = {}
        self._one_piece: dict[DatasetColumn, OnePiece] = {}

    def reason(self, file: str, source: DatasetColumn, part: FilePart | None = None) -> str:
        """Why only HDF5 can read a dataset; empty if that is not known."""
        return self._reasons.get((file, source, _text(source, part)), "")

    def in_one_piece(self, source: DatasetColumn, files: Int64Array) -> StoredPieces:
        """Where the rows of a dataset lie in files in which the index says that they lie in one piece.

        Args:
            source: the dataset or column.
            files: the numbers of the files in the catalog, -1 where it does not describe a file, ``(files,)``.
        """
        scanned_files = self._pool.scanned_files
        return self.parts_in_one_piece(
            source, files if scanned_files is None else _first_units(scanned_files.catalog, files)
        )

    def parts_in_one_piece(self, source: DatasetColumn, units: Int64Array) -> StoredPieces:
        """As `in_one_piece`, of parts of files that are units of the catalog; see `OnePiece.of`."""
        self._columns.setdefault(source)
        one_piece = self._one_piece.get(source)
        if one_piece is None:
            scanned_files = self._pool.scanned_files
            if scanned_files is None or source.member is not None or source.dtype == TABLE:
                return StoredPieces.none()
            one_piece = OnePiece(
                scanned_files.catalog, source.path, source.dtype, source.row_shape, source.leading
            )
            self._one_piece[source] = one_piece
        return one_piece.of(units)

    def find(
        self, raw: RawFile, source: DatasetColumn, part: FilePart | None = None, *, keeps_plain: bool = True
    ) -> KnownSource | None:
        """Where the values of a dataset lie; None if only HDF5 can read it: `reason` says why.

        Args:
            raw: the file.
            source: the dataset or column.
            part: the part of the file that it lies in, if its path holds a ``*``.
            keeps_plain: whether to keep what was found also if the dataset is plain; see `KnownSource.is_plain`.

        Raises:
            BadFileError: the file is damaged.
            FileChangedError: the file or the dataset is not the one that was scanned.
        """
        key = raw, source, _text(source, part)
        return self._known.get(key) or self._asking.run(self._find, key, part, keeps_plain)

    def _find(self, key: _Key, part: FilePart | None, keeps_plain: bool) -> KnownSource | None:
        raw, source, text = key
        self._columns.setdefault(source)
        known = self._known.get(key)
        if known is not None:
            return known
        if text is not None and (raw.path, source, text) in self._reasons:
            return None  # no table of files remembers it
        try:
            known = self._scanned(key, part) or self._ask(key)
        except NeedsHDF5Error as error:
            if len(self._reasons) >= _MOST_REASONS:
                self._reasons = {}
            self._reasons[raw.path, source, text] = str(error)
            return None
        if keeps_plain or not known.is_plain:
            self._guard.run(self._keep, key, known)
        return known

    def _scanned(self, key: _Key, part: FilePart | None) -> KnownSource | None:
        """What the index says; None if it says nothing of this file and type."""
        raw, source, _ = key
        scanned_files = self._pool.scanned_files
        if scanned_files is None or raw.scan_number < 0:
            return None
        catalog = scanned_files.catalog
        unit = int(_first_units(catalog, np.asarray([raw.scan_number]))[0]) if part is None else part.number
        stored = catalog.stored(unit, source.path) if unit >= 0 else None
        if stored is None or stored.layout.read_type(source.member) != source.dtype:
            return None
        if stored.extents.reason:
            raise NeedsHDF5Error(stored.extents.reason)
        itemsize = stored.extents.itemsize(source.dtype)
        chunk_map = chunk_map_of(stored.extents, stored.shape, stored.layout.chunks, itemsize)
        check_axes(raw.path, _concrete(key), stored.shape)
        chunk_map = with_leading(chunk_map, source.leading)
        if chunk_map.pipeline is not None and chunk_problem(chunk_map.chunk_bytes, self._pool.access):
            return None  # opening it with HDF5 refuses it, and says why
        self._check_columns(key, chunk_map)
        return self._made(key, chunk_map)

    def _ask(self, key: _Key) -> KnownSource:
        """Ask HDF5 about all sources that were ever asked for, since opening a file takes 0.4 ms."""
        raw, source, text = key
        descriptor = raw.descriptor()
        self._pool.verify(raw.path, raw.stamp, descriptor.number, only_metadata=True)
        self._pool.check_sources(raw.path)
        with opened_file(raw.path, locking=self._pool.access.locking) as file:
            chunk_map = self._map(file, key)
            # Other sources in the same part; without a part, none that needs one.
            others = [
                (raw, other, text if "*" in other.path else None)
                for other in self._columns
                if other != source and (text is not None or "*" not in other.path)
            ]
            also = {other: self._map_or_none(file, other) for other in others if not self._knows(other)}
        if stamp(os.stat(raw.path)) != raw.stamp:
            raise FileChangedError(
                f"{raw.path} was replaced or written to while it was opened. Do not write to files that a run reads"
            )
        for other, other_map in also.items():
            if other_map is not None:
                self._guard.run(self._keep, other, self._made(other, other_map))
        return self._made(key, chunk_map)

    def _map(self, file: h5py.File, key: _Key) -> ChunkMap:
        access, raw, source = self._pool.access, key[0], _concrete(key)
        dataset = open_dataset(file, raw.path, source.path, access)
        if access.allow_external is not None and h5i.get_file_id(dataset.id) != file.id:
            raise NeedsHDF5Error("lies in another file")
        try:
            chunk_map = map_chunks(dataset.id, source, raw)
        except (OSError, RuntimeError) as error:
            if isinstance(error, H5LightningError):
                raise
            raise BadFileError(
                f"{name_of(raw.path, source)} cannot be looked up: {hdf5_reason(error)}. Copy the file again"
            ) from error
        self._check_columns(key, chunk_map)
        check_axes(raw.path, source, chunk_map.shape)
        return with_leading(chunk_map, source.leading)

    def _check_columns(self, key: _Key, chunk_map: ChunkMap) -> None:
        """Raise unless all columns of a source can be read without HDF5, and have the type that was scanned."""
        concrete = _concrete(key)
        reasons = hdf5_reasons(key[0].path, concrete, chunk_map.record)
        if reasons:
            columns = zip(columns_of(key[1]), columns_of(concrete), strict=True)
            self.separate = self.separate.union(column for column, found in columns if found in reasons)
        for reason in reasons.values():
            raise NeedsHDF5Error(reason)

    def _map_or_none(self, file: h5py.File, key: _Key) -> ChunkMap | None:
        """As `_map`; an error is raised again when the source is asked for."""
        try:
            return self._map(file, key)
        except (H5LightningError, NeedsHDF5Error):
            return None

    def _knows(self, key: _Key) -> bool:
        raw, source, text = key
        return key in self._known or (raw.path, source, text) in self._reasons

    def _made(self, key: _Key, chunk_map: ChunkMap) -> KnownSource:
        raw, source = key[0], _concrete(key)
        blocks = None if 0 in chunk_map.shape else self._pool.blocks(raw.path, raw.stamp)
        slots = _NO_SLOTS
        if chunk_map.pipeline is not None and chunk_map.shape[0]:
            identity = ("direct", raw.path, raw.stamp, source, chunk_map.shape, chunk_map.chunks)
            slots = ChunkRowSlots(chunk_map.rows_of_chunks, identity)
        return KnownSource(raw, source, chunk_map, slots, blocks=blocks, pool=self._decode_pool)

    def _keep(self, key: _Key, known: KnownSource) -> None:
        """Keep what was found; the oldest ones make room."""
        self._forget(key)
        self._known[key] = known
        self._bytes += known.nbytes
        while self._bytes > _MOST_BYTES and len(self._known) > 1:
            self._forget(next(iter(self._known)))

    def _forget(self, key: _Key) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._bytes -= known.nbytes


def _text(source: DatasetColumn, part: FilePart | None) -> str | None:
    """What the ``*`` in the path of a source matches; None if there is none."""
    return part.text if part is not None and "*" in source.path else None


def _concrete(key: _Key) -> DatasetColumn:
    """The source without a ``*``."""
    _, source, text = key
    return source if text is None else source.at(text)


def _first_units(catalog: Catalog, files: Int64Array) -> Int64Array:
    """The first unit of each of some files of a catalog, -1 for those that have none, ``(files,)``."""
    matches = catalog.matches
    if matches is None:
        return files
    has_any = (files >= 0) & (matches.counts[files] > 0 if len(matches.counts) else False)
    return np.where(has_any, matches.first_unit[files], -1)
