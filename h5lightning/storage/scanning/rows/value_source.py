"""Find what the values of a name are: text, numbers, names of codes, in a dataset, a column or a group of AnnData."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from h5py import h5f, h5g, h5i, h5t

from h5lightning.core.formatting import listed
from h5lightning.planning.catalog.annotations import Encoding, Number
from h5lightning.planning.catalog.declared_names import enumerated_names
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import Sources, encoded, object_at
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.filters import plugin_problem
from h5lightning.storage.hdf5.open_dataset import filter_problem
from h5lightning.storage.scanning.conventions.bookkeeping import bookkeeping_refusal, sparse_refusal
from h5lightning.storage.scanning.conventions.cells import holds_cells, holds_letters
from h5lightning.storage.scanning.conventions.encodings import (
    encoding_of,
    encoding_with_sources,
    is_of_netcdf,
)
from h5lightning.storage.scanning.conventions.flag_names import flag_names
from h5lightning.storage.scanning.conventions.letters import holds_words
from h5lightning.storage.scanning.conventions.missing_categories import mask_beside
from h5lightning.storage.scanning.conventions.vocabularies import NameTable, name_table
from h5lightning.storage.scanning.describe_dataset import check_size, find_dataset, missing_chunks
from h5lightning.storage.scanning.metadata_values import ValueReader, decoded_text
from h5lightning.storage.scanning.rows.value_blocks import StoredColumn
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset
from h5lightning.storage.scanning.stored_values import has_own_values

__all__ = ["NoValuesError", "ValueFile", "ValueSource", "column_of", "inner_dataset", "open_source"]

_COLUMN = re.compile(r"(?P<table>.+)\[(?P<column>[^\[\]]+)\]")
_MOST_BLOCK_BYTES = 256 * 1024 * 1024
_CODES, _VALUES = "codes", "values"
_MOST_LISTED = 12


class NoValuesError(Exception):
    """Why values are not read, as a sentence about a file without subject."""


@dataclass(frozen=True, slots=True)
class ValueSource:
    """Where the values of a name lie, and what turns what is stored into values.

    Args:
        name: its path, for messages: ``'/obs/cell'``.
        column: the stored values.
        numbers: stored numbers that have names; None if only a table names them, or nothing.
        names: the names of ``numbers``.
        table: the dataset with the name of each code; None if there is none.
        mask: marks missing rows; None if there is none.
        encoding: how numbers encode values; None if they are the values.
        is_group: whether the name is that of a group, whose datasets are read as one.
    """

    name: str
    column: StoredColumn
    numbers: tuple[Number, ...] | None = None
    names: tuple[str, ...] = ()
    table: NameTable | None = None
    mask: DatasetInfo | None = None
    encoding: Encoding | None = None
    is_group: bool = False

    @property
    def is_known_without_rows(self) -> bool:
        """Whether stored numbers mean what they mean without the scan reading the rows."""
        return not self.is_group and not self.column.is_text and self.table is None


@dataclass(frozen=True, slots=True)
class ValueFile:
    """An open file, and which other files its values may lie in.

    Args:
        fid: the open file.
        path: where it lies.
        reader: reads text.
        allow_external: the directory in which other files with its values may lie; None for no such files.
        sources: collects those files.
    """

    fid: h5f.FileID
    path: str
    reader: ValueReader
    allow_external: str | None = None
    sources: Sources = field(default_factory=Sources)


def open_source(file: ValueFile, name: str) -> ValueSource:
    """Find the values of a name: of a dataset, of a column ``table[column]``, or of a column of AnnData.

    The name has no leading slash, and no ``*``.

    Raises:
        NoValuesError: there is no such object, or its values are not read.
        ValueError: its size is impossible.
        NeedsProcessError: text must be read in a scanning process.
    """
    found, path, column = _found(file, name), name, None
    if found is None and (match := _COLUMN.fullmatch(name)):
        path, column = match["table"], match["column"]
        found = _found(file, path)
    if found is None:
        raise NoValuesError(f"holds no dataset '/{path}'")
    is_group = isinstance(found, DatasetSchema)
    if isinstance(found, DatasetSchema):
        path = _inner(file, path, found)
        inner = _found(file, path)
        if not isinstance(inner, DatasetInfo):
            raise NoValuesError(f"'/{path}' {'is missing' if inner is None else inner.refusal}")
        found = inner
    dataset = _scanned(file, path, found)
    if problem := _problem(dataset, file):
        raise NoValuesError(f"'/{path}' {problem}")
    return _source(dataset, column, file, is_group=is_group)


def column_of(
    info: DatasetInfo, column: str | None, reader: ValueReader, *, is_words: bool = False
) -> StoredColumn:
    """The stored values of a dataset, or of a column of a table.

    Raises:
        NoValuesError: they are neither text nor numbers; the message follows the name of the dataset.
    """
    tid = info.did.get_type()
    if column is None:
        if tid.get_class() == h5t.STRING:
            return StoredColumn(info, None, tid, is_words, reader)
        if info.element.dtype == "compound":
            raise NoValuesError(f"is a table: name one of its columns, {_listed(_column_names(tid))}")
        _check_numbers(info.element.dtype, info.element.refusal)
        return StoredColumn(info, None, None, is_words=False, reader=reader)
    names = _column_names(tid)
    if column not in names:
        columns = f"; it has {_listed(names)}" if names else ""
        raise NoValuesError(f"has no column {column!r}{columns}")
    own, shape = tid.get_member_type(names.index(column)), ()
    while own.get_class() == h5t.ARRAY:
        shape, own = shape + own.get_array_dims(), own.get_super()
    if own.get_class() == h5t.STRING:
        return StoredColumn(info, Member(column, "text", shape), own, is_words=False, reader=reader)
    member = next((one for one in info.element.members if one.name == column), None)
    if member is None:
        raise NoValuesError(f"has a column {column!r} that is neither text nor numbers")
    _check_numbers(member.dtype, member.refusal)
    return StoredColumn(info, member, None, is_words=False, reader=reader)


def _source(dataset: ScannedDataset, column: str | None, file: ValueFile, *, is_group: bool) -> ValueSource:
    path, info = dataset.path, dataset.info
    name = f"'/{path}'" if column is None else f"'/{path}[{column}]'"
    of_netcdf = is_of_netcdf(dataset)
    if column is None and holds_cells(dataset):
        return ValueSource(
            name, StoredColumn(info, None, None, is_words=False, reader=file.reader, is_cells=True)
        )
    if holds_letters(dataset):
        raise NoValuesError(
            f"{name} holds the numbers of letters (MATLAB, char), whose text is not read: store the labels as a cell "
            "array of text, cellstr(…), or as numbers"
        )
    try:
        stored = column_of(info, column, file.reader, is_words=column is None and holds_words(dataset))
    except NoValuesError as error:
        raise NoValuesError(f"'/{path}' {error}") from None
    found = mask_beside(dataset) if dataset.name == _VALUES and dataset.group else None
    mask = None if found is None else found[0]
    if stored.is_text:
        return ValueSource(name, stored, mask=mask, is_group=is_group)
    if (table := name_table(dataset, column or "")) is not None:
        beside = ScannedDataset(file.fid, "", DatasetInfo.of(table.did), file.reader)
        if problem := _problem(beside, file):
            raise NoValuesError(
                f"{name} holds numbers of categories, and the dataset of their names {problem}"
            )
        return ValueSource(name, stored, table=table, mask=mask, is_group=is_group)
    numbers, names = _declared(dataset, stored, name)
    encoding = None
    if column is None:
        encoding = encoding_of(dataset, of_netcdf=of_netcdf)
        if info.storage == "virtual":
            encoding = encoding_with_sources(dataset, encoding)
        if encoding is not None and encoding.problem:
            raise NoValuesError(f"{name} {encoding.problem}")
    return ValueSource(name, stored, numbers, names, mask=mask, encoding=encoding, is_group=is_group)


def _declared(
    dataset: ScannedDataset, stored: StoredColumn, name: str
) -> tuple[tuple[Number, ...] | None, tuple[str, ...]]:
    """The stored numbers that an enumeration, or attributes of netCDF, give names to."""
    own = stored.member or dataset.info.element
    if own.categories is not None:
        named = enumerated_names(own.categories, own.category_values)
        return named.numbers, named.names
    flags = flag_names(dataset.info, dataset.reader) if stored.member is None else None
    if flags is None:
        return None, ()
    if flags.problem:
        raise NoValuesError(f"{name} {flags.problem}")
    return flags.values, flags.names


def _found(file: ValueFile, path: str) -> DatasetInfo | DatasetSchema | None:
    return find_dataset(
        file.fid, path, file.reader, file=file.path, allow_external=file.allow_external, sources=file.sources
    )


def _scanned(file: ValueFile, path: str, info: DatasetInfo) -> ScannedDataset:
    """The dataset in the file in which it lies: a link may lead to another one."""
    fid = h5i.get_file_id(info.did)
    if fid == file.fid:
        return ScannedDataset(file.fid, path, info, file.reader)
    name = h5i.get_name(info.did) or b""
    return ScannedDataset(fid, name.decode("utf-8", "surrogateescape").strip("/"), info, file.reader)


def inner_dataset(fid: h5f.FileID, path: str) -> str | None:
    """The path of the codes or values in the group of a column of AnnData; None if it is no such group."""
    group = object_at(fid, path)
    if not isinstance(group, h5g.GroupID):
        return None
    for inner, other in ((_CODES, "categories"), (_VALUES, "mask")):
        if group.links.exists(encoded(inner)) and group.links.exists(encoded(other)):
            return f"{path}/{inner}"
    return None


def _inner(file: ValueFile, path: str, found: DatasetSchema) -> str:
    """The dataset of the group of a categorical or nullable column of AnnData."""
    inner = inner_dataset(file.fid, path) if found.dtype == "group" else None
    if inner is None:
        raise NoValuesError(f"'/{path}' {found.refusal}")
    return inner


def _problem(dataset: ScannedDataset, file: ValueFile) -> str:
    """Why the values of a dataset are not read, as the predicate of a sentence; empty if they are."""
    info = dataset.info
    check_size(info)
    if info.shape is None:
        return "is empty: it has a type, but no values"
    if refusal := bookkeeping_refusal(dataset) or sparse_refusal(dataset):
        return refusal
    numbers = [number for number, _ in info.filters]
    if problem := filter_problem(numbers) or (plugin_problem(numbers) if numbers else ""):
        return problem
    if not has_own_values(info):
        return storage_problem(info.did, file.allow_external, file.sources)
    if missing_chunks(info):
        return "has values that were never written"
    height = (info.chunks or (1,))[0]
    nbytes = max(info.chunk_bytes if info.chunks else 0, math.prod(info.shape[1:]) * info.itemsize * height)
    if nbytes > _MOST_BLOCK_BYTES:
        return f"has chunks or rows of {nbytes:,} bytes, over {_MOST_BLOCK_BYTES:,}, too large for categories or keys"
    return ""


def _check_numbers(dtype: str, refusal: str) -> None:
    if refusal:
        raise NoValuesError(refusal)
    if np.dtype(dtype).kind not in "biuf":
        raise NoValuesError(f"holds {dtype}, expected text or numbers")


def _column_names(tid: h5t.TypeID) -> list[str]:
    if tid.get_class() != h5t.COMPOUND:
        return []
    return [decoded_text(tid.get_member_name(number)) for number in range(tid.get_nmembers())]


def _listed(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names], _MOST_LISTED)
