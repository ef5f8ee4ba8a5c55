"""The names of the values of codes, from the tables in which other programs keep them.

One code means the same in two files only if both have the same names in the same order. So names that are too many to
keep are kept as a digest, and a table that a scan does not read says so: what is not known is not equal.
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
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded, object_at
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS, filter_name
from h5lightning.storage.scanning.conventions.category_tables import category_table
from h5lightning.storage.scanning.conventions.code_columns import CodeRange, code_ranges
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["Vocabulary", "column_ranges", "vocabulary_of", "with_vocabularies"]

_MOST_NAMES = 10_000
_MOST_LETTERS = 4 * 1024 * 1024
_MOST_READ_NAMES = 1_000_000
_MOST_READ_BYTES = 64 * 1024 * 1024

# Where AnnData before 0.7 kept the names of the columns of a table: in ``<group>/<column>_categories``.
_LEGACY_GROUPS = {"obs": "uns", "var": "uns", "raw.var": "raw.cat"}


class Vocabulary(NamedTuple):
    """The names of the values of codes.

    Args:
        names: in the order of the codes; None where there are none, or too many to keep.
        text: how many there are and their digest, or why they are not read; empty where `names` says it.
    """

    names: tuple[str, ...] | None = None
    text: str = ""


_NO_VOCABULARY = Vocabulary()


class _Table(NamedTuple):
    """Where the names of a column lie.

    Args:
        did: the dataset.
        member: its column with the names; None where it is no table itself.
        is_said: whether an attribute says so; where it is only a name, no code may lie beyond the names.
    """

    did: h5d.DatasetID
    member: str | None = None
    is_said: bool = False

    @property
    def size(self) -> int:
        """How many names."""
        return int(self.did.shape[0]) if self.did.rank else 1


def vocabulary_of(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> Vocabulary:
    """The names of the values of a dataset that is no table.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path.
        values: what reads the names.
    """
    if (table := category_table(fid, opened, path)) is not None:
        return _read(_Table(table), values)
    if path.rpartition("/")[0] not in _LEGACY_GROUPS:
        return _NO_VOCABULARY
    tables, _ = _named_columns(fid, opened, path, values)
    return _read(tables[""], values) if tables else _NO_VOCABULARY


def with_vocabularies(
    fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader
) -> tuple[Member, ...]:
    """The columns of a table with the names of their values; see `vocabulary_of`."""
    tables, _ = _named_columns(fid, opened, path, values)
    members = opened.element.members
    if not tables:
        return members
    named = {column: _read(table, values) for column, table in tables.items()}
    return tuple(
        member
        if member.name not in named
        else dataclasses.replace(
            member, categories=named[member.name].names, vocabulary=named[member.name].text
        )
        for member in members
    )


def column_ranges(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> list[CodeRange]:
    """What the codes hold whose names lie elsewhere: of columns of a table, or of one dataset, whose name is empty.

    Args:
        fid: the open file.
        opened: a table or a column.
        path: its path.
        values: what reads attributes.
    """
    return _named_columns(fid, opened, path, values)[1]


def _named_columns(
    fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader
) -> tuple[dict[str, _Table], list[CodeRange]]:
    group, _, leaf = path.rpartition("/")
    tables: dict[str, _Table] = {}
    if opened.element.members:
        columns = [member.name for member in opened.element.columns if _are_codes(member)]
        if path in _LEGACY_GROUPS:
            tables |= _legacy_tables(fid, path, columns)
        if any(name.endswith(b"_meta") for name in opened.attributes):
            tables |= _pandas_tables(fid, opened, group, columns, values)
    elif group in _LEGACY_GROUPS and np.dtype(opened.element.dtype).kind in "iu":
        tables = {"": table for table in _legacy_tables(fid, group, [leaf]).values()}  # noqa: B035 - at most one
    if not tables:
        return tables, []
    ranges = code_ranges(opened, {column: table.size for column, table in tables.items()})
    ranges = [found for found in ranges if found.is_within or tables[found.column].is_said]
    return {found.column: tables[found.column] for found in ranges}, ranges


def _are_codes(member: Member) -> bool:
    is_single = member.shape in ((), (1,))
    return is_single and np.dtype(member.dtype).kind in "iu" and member.categories is None


def _legacy_tables(fid: h5f.FileID, group: str, columns: Sequence[str]) -> dict[str, _Table]:
    """The tables of AnnData before 0.7, found by their names alone."""
    found = {}
    for column in columns:
        did = _dataset(fid, f"{_LEGACY_GROUPS[group]}/{column}_categories") if "/" not in column else None
        # A single name is a scalar; a single number is something else.
        if did is not None and (
            did.rank == 1 or (did.rank == 0 and did.get_type().get_class() == h5t.STRING)
        ):
            found[column] = _Table(did)
    return found


def _pandas_tables(
    fid: h5f.FileID, opened: DatasetInfo, group: str, columns: Sequence[str], values: ValueReader
) -> dict[str, _Table]:
    """The tables of pandas, which has an attribute for each column that says what it is."""
    found = {}
    for column in columns:
        name = f"{column}_meta"
        if encoded(name) not in opened.attributes or values.attribute(opened.did, name) != "category":
            continue
        did = _dataset(fid, f"{group}/meta/{column}/meta/table")
        tid = None if did is None or did.rank != 1 else did.get_type()
        if did is not None and tid is not None and tid.get_class() == h5t.COMPOUND:
            names = [tid.get_member_name(place) for place in range(tid.get_nmembers())]
            if b"values" in names:
                found[column] = _Table(did, "values", is_said=True)
    return found


def _dataset(fid: h5f.FileID, path: str) -> h5d.DatasetID | None:
    found = object_at(fid, path)
    return found if isinstance(found, h5d.DatasetID) and found.shape is not None else None


# ── names ────────────────────────────────────────────────────────────────────────────────────────────


def _read(table: _Table, values: ValueReader) -> Vocabulary:
    if table.did.rank > 1 or table.did.shape is None:
        return _NO_VOCABULARY
    if problem := _problem(table):
        return Vocabulary(None, UNREAD + problem)
    found = values.dataset(table.did, table.member)
    names = tuple(str(name) for name in (found if isinstance(found, list) else [found]))
    if len(names) <= _MOST_NAMES and sum(map(len, names)) <= _MOST_LETTERS:
        return Vocabulary(names)
    return Vocabulary(None, f"{len(names):,} names with the digest {_digest(names)}")


def _digest(names: Sequence[str]) -> str:
    digest = xxhash.xxh3_128()
    for name in names:
        text = name.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def _problem(table: _Table) -> str:
    """Why a scan does not read the names; empty if it does."""
    did, plist = table.did, table.did.get_create_plist()
    tid = did.get_type()
    size = int(tid.get_size())
    if table.member is not None:
        tid = tid.get_member_type(tid.get_member_index(encoded(table.member)))
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count() > 0:
        return "they lie in another file"
    if tid.get_class() not in (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        return "they are neither text nor numbers"
    numbers = [plist.get_filter(position)[0] for position in range(plist.get_nfilters())]
    if foreign := sorted(set(numbers) - NATIVE_FILTERS):
        return f"they are stored with {filter_name(foreign[0])}, which a scan does not decode"
    chunk = math.prod(plist.get_chunk()) if numbers else 0
    if table.size > _MOST_READ_NAMES or max(table.size, chunk) * size > _MOST_READ_BYTES:
        return f"there are {table.size:,} of them, in {max(table.size, chunk) * size:,} bytes"
    return ""
