"""Read the names of categories from the tables in which AnnData and pandas store them.

A code means the same in two files only if both have the same names in the same order. Names that are too many to keep
are kept as a digest. A table that a scan does not read is recorded as unread, and is equal to no other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xxhash
from h5py import h5d, h5f, h5t

from h5lightning.planning.catalog.schema import UNREAD, Member
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS, filter_name
from h5lightning.storage.scanning.conventions.code_columns import CodeRange, category_table, code_ranges
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at

__all__ = ["NameTable", "Vocabulary", "column_ranges", "name_table", "vocabulary_of", "with_vocabularies"]

_MOST_NAMES = 10_000
_MOST_LETTERS = 4 * 1024 * 1024
_MOST_READ_NAMES = 1_000_000
_MOST_READ_BYTES = 64 * 1024 * 1024

# AnnData before 0.7 stores the names of a column in ``<group>/<column>_categories``, in another group than the table.
_LEGACY_GROUPS = {"obs": "uns", "var": "uns", "raw.var": "raw.cat"}


class Vocabulary(NamedTuple):
    """The names of categories.

    Args:
        names: in the order of the codes; None if there are none, or too many to keep.
        text: if there are too many, their number and digest; if they are not read, the reason; else empty.
    """

    names: tuple[str, ...] | None = None
    text: str = ""


_NO_VOCABULARY = Vocabulary()


class NameTable(NamedTuple):
    """A dataset with the names of a column: if only its name suggests so, and no attribute, each code must have one."""

    did: h5d.DatasetID
    column: str | None = None
    is_declared: bool = False

    @property
    def size(self) -> int:
        """The number of names."""
        return int(self.did.shape[0]) if self.did.rank else 1


def vocabulary_of(dataset: ScannedDataset) -> Vocabulary:
    """The names of the categories of a dataset that is no table."""
    table = name_table(dataset)
    return _NO_VOCABULARY if table is None else _read(table, dataset.reader)


def name_table(dataset: ScannedDataset, column: str = "") -> NameTable | None:
    """Where the names of the codes of a dataset, or of a column of a table, lie; None if they have none."""
    if not column and (did := category_table(dataset)) is not None:
        return NameTable(did)
    if not column and dataset.group not in _LEGACY_GROUPS:
        return None
    return _named_columns(dataset)[0].get(column)


def with_vocabularies(dataset: ScannedDataset) -> tuple[Member, ...]:
    """The columns of a table, with the names of their categories."""
    tables, _ = _named_columns(dataset)
    members = dataset.info.element.members
    if not tables:
        return members
    read = {column: _read(table, dataset.reader) for column, table in tables.items()}
    return tuple(
        dataclasses.replace(member, categories=read[member.name].names, vocabulary=read[member.name].text)
        if member.name in read
        else member
        for member in members
    )


def column_ranges(dataset: ScannedDataset) -> list[CodeRange]:
    """What the codes hold whose names are stored elsewhere: of columns of a table, or of a dataset of AnnData."""
    return _named_columns(dataset)[1]


def _named_columns(dataset: ScannedDataset) -> tuple[dict[str, NameTable], list[CodeRange]]:
    """The tables of names by column, and what the codes of these columns hold."""
    element = dataset.info.element
    tables: dict[str, NameTable] = {}
    if element.members:
        columns = [member.name for member in element.columns if _may_be_codes(member)]
        if dataset.path in _LEGACY_GROUPS:
            tables |= _legacy_tables(dataset.fid, dataset.path, columns)
        if any(name.endswith(b"_meta") for name in dataset.info.attributes):
            tables |= _pandas_tables(dataset, columns)
    elif dataset.group in _LEGACY_GROUPS and np.dtype(element.dtype).kind in "iu":
        legacy = _legacy_tables(dataset.fid, dataset.group, [dataset.name])
        tables = {"": table for table in legacy.values()}  # noqa: B035 - at most one
    if not tables:
        return tables, []
    ranges = code_ranges(dataset.info, {column: table.size for column, table in tables.items()})
    ranges = [codes for codes in ranges if codes.is_within or tables[codes.column].is_declared]
    return {codes.column: tables[codes.column] for codes in ranges}, ranges


def _may_be_codes(member: Member) -> bool:
    is_single = member.shape in ((), (1,))
    return is_single and np.dtype(member.dtype).kind in "iu" and member.categories is None


def _legacy_tables(fid: h5f.FileID, group: str, columns: Sequence[str]) -> dict[str, NameTable]:
    """The tables of AnnData before 0.7, which only their names suggest."""
    tables = {}
    for column in columns:
        path = f"{_LEGACY_GROUPS[group]}/{column}_categories"
        if "/" in column or (did := _filled_dataset(fid, path)) is None:
            continue
        # A single name is a scalar; a single number is something else.
        if did.rank == 1 or (did.rank == 0 and did.get_type().get_class() == h5t.STRING):
            tables[column] = NameTable(did)
    return tables


def _pandas_tables(dataset: ScannedDataset, columns: Sequence[str]) -> dict[str, NameTable]:
    """The tables of pandas, which declares each column of codes by an attribute."""
    tables = {}
    for column in columns:
        name = f"{column}_meta"
        is_declared = encoded(name) in dataset.info.attributes
        if not is_declared or dataset.reader.attribute(dataset.info.did, name) != "category":
            continue
        did = _filled_dataset(dataset.fid, f"{dataset.group}/meta/{column}/meta/table")
        if did is None or did.rank != 1 or (tid := did.get_type()).get_class() != h5t.COMPOUND:
            continue
        if b"values" in [tid.get_member_name(number) for number in range(tid.get_nmembers())]:
            tables[column] = NameTable(did, "values", is_declared=True)
    return tables


def _filled_dataset(fid: h5f.FileID, path: str) -> h5d.DatasetID | None:
    did = dataset_at(fid, path)
    return None if did is None or did.shape is None else did


def _read(table: NameTable, reader: ValueReader) -> Vocabulary:
    if table.did.rank > 1 or table.did.shape is None:
        return _NO_VOCABULARY
    if reason := _unread_reason(table):
        return Vocabulary(None, UNREAD + reason)
    values = reader.dataset(table.did, table.column)
    names = tuple(str(name) for name in (values if isinstance(values, list) else [values]))
    if len(names) <= _MOST_NAMES and sum(map(len, names)) <= _MOST_LETTERS:
        return Vocabulary(names)
    return Vocabulary(None, f"{len(names):,} names with the digest {_digest(names)}")


def _digest(names: Sequence[str]) -> str:
    digest = xxhash.xxh3_128()
    for name in names:
        text = name.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def _unread_reason(table: NameTable) -> str:
    """Why a scan does not read the names; empty if it does."""
    did, plist = table.did, table.did.get_create_plist()
    tid = did.get_type()
    itemsize = int(tid.get_size())
    if table.column is not None:
        tid = tid.get_member_type(tid.get_member_index(encoded(table.column)))
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count() > 0:
        return "they lie in another file"
    if tid.get_class() not in (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        return "they are neither text nor numbers"
    filters = [plist.get_filter(position)[0] for position in range(plist.get_nfilters())]
    if plugins := sorted(set(filters) - NATIVE_FILTERS):
        return f"they are stored with {filter_name(plugins[0])}, which a scan does not decode"
    nbytes = max(table.size, math.prod(plist.get_chunk()) if filters else 0) * itemsize
    if table.size > _MOST_READ_NAMES or nbytes > _MOST_READ_BYTES:
        return f"there are {table.size:,} of them, in {nbytes:,} bytes"
    return ""
