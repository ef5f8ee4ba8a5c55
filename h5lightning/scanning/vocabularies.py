"""The names of the values of codes, from the tables in which other programs keep them.

One code means the same in two files only if both have the same names in the same order. So names that are too many to
keep are kept as a digest, and a table that a scan does not read says so: what is not known is not equal.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from h5py import h5d, h5f, h5o, h5t

from h5lightning.filters import NATIVE_FILTERS, filter_name
from h5lightning.foreign import encoded, link_problem
from h5lightning.scanning.code_columns import CodeRange, code_ranges
from h5lightning.scanning.conventions import category_table
from h5lightning.scanning.opened import OpenedDataset
from h5lightning.scanning.small_values import ValueReader
from h5lightning.schema import UNREAD, Member

__all__ = ["Vocabulary", "legacy_ranges", "vocabulary_of", "with_vocabularies"]

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


def vocabulary_of(fid: h5f.FileID, opened: OpenedDataset, path: str, values: ValueReader) -> Vocabulary:
    """The names of the values of a dataset.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path.
        values: what reads the names.
    """
    table = category_table(fid, opened, path)
    if table is None and legacy_ranges(fid, opened, path):
        table = _legacy_table(fid, path.rpartition("/")[0], path.rpartition("/")[2])
    return Vocabulary() if table is None else _read(table, values)


def with_vocabularies(
    fid: h5f.FileID, opened: OpenedDataset, path: str, values: ValueReader
) -> tuple[Member, ...]:
    """The columns of a table with the names of their values; see `vocabulary_of`."""
    named: dict[str, Vocabulary] = {}
    for found in legacy_ranges(fid, opened, path):
        table = _legacy_table(fid, path, found.column)
        named[found.column] = Vocabulary() if table is None else _read(table, values)
    if not named:
        return opened.element.members
    return tuple(
        member
        if member.name not in named
        else dataclasses.replace(
            member, categories=named[member.name].names, vocabulary=named[member.name].text
        )
        for member in opened.element.members
    )


def legacy_ranges(fid: h5f.FileID, opened: OpenedDataset, path: str) -> list[CodeRange]:
    """What the codes hold of whose names AnnData before 0.7 kept elsewhere: of columns of a table, or of one dataset.

    Columns are codes if there is a table of that name and no number is beyond it, as for AnnData itself.

    Args:
        fid: the open file.
        opened: a table or a column.
        path: its path.
    """
    group, _, leaf = path.rpartition("/")
    if opened.element.members:
        names = [member.name for member in opened.element.columns if _are_codes(member)]
        counts = _legacy_counts(fid, path, names) if path in _LEGACY_GROUPS else {}
    elif group in _LEGACY_GROUPS and np.dtype(opened.element.dtype).kind in "iu":
        found = _legacy_counts(fid, group, [leaf])
        counts = {"": found[leaf]} if found else {}
    else:
        return []
    return [found for found in code_ranges(opened, counts) if found.is_within] if counts else []


def _are_codes(member: Member) -> bool:
    return member.shape == () and np.dtype(member.dtype).kind in "iu" and member.categories is None


def _legacy_counts(fid: h5f.FileID, group: str, names: Sequence[str]) -> dict[str, int]:
    """How many names each of some columns has; those without a table are left out."""
    tables = {name: _legacy_table(fid, group, name) for name in names}
    return {name: table.shape[0] if table.rank else 1 for name, table in tables.items() if table is not None}


def _legacy_table(fid: h5f.FileID, group: str, column: str) -> h5d.DatasetID | None:
    path = f"{_LEGACY_GROUPS[group]}/{column}_categories"
    if not column or "/" in column or link_problem(fid, "", path, None) != "":
        return None
    found = h5o.open(fid, encoded(path))
    if not isinstance(found, h5d.DatasetID) or found.shape is None:
        return None
    # A single name is a scalar; a single number is something else.
    is_text = found.get_type().get_class() == h5t.STRING
    return found if found.rank == 1 or (found.rank == 0 and is_text) else None


# ── names ────────────────────────────────────────────────────────────────────────────────────────────


def _read(table: h5d.DatasetID, values: ValueReader) -> Vocabulary:
    if table.rank > 1 or table.shape is None:
        return Vocabulary()
    if problem := _problem(table):
        return Vocabulary(None, UNREAD + problem)
    found = values.dataset(table)
    names = tuple(str(name) for name in (found if isinstance(found, list) else [found]))
    if len(names) <= _MOST_NAMES and sum(map(len, names)) <= _MOST_LETTERS:
        return Vocabulary(names)
    return Vocabulary(None, f"{len(names):,} names with the digest {_digest(names)}")


def _digest(names: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in names:
        text = name.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def _problem(table: h5d.DatasetID) -> str:
    """Why a scan does not read the names; empty if it does."""
    tid, plist = table.get_type(), table.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count() > 0:
        return "they lie in another file"
    if tid.get_class() not in (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        return "they are neither text nor numbers"
    numbers = [plist.get_filter(position)[0] for position in range(plist.get_nfilters())]
    if foreign := sorted(set(numbers) - NATIVE_FILTERS):
        return f"they are stored with {filter_name(foreign[0])}, which a scan does not decode"
    size = int(tid.get_size())
    count = int(np.prod(table.shape, dtype=np.float64))
    chunk = int(np.prod(plist.get_chunk(), dtype=np.float64)) if numbers else 0
    if count > _MOST_READ_NAMES or max(count, chunk) * size > _MOST_READ_BYTES:
        return f"there are {count:,} of them"
    return ""
