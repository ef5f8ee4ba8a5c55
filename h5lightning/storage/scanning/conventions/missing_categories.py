"""Rows without a value: codes without a category, and rows that the mask beside them calls missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from h5py import h5d, h5f, h5o

from h5lightning.core.arrays import BoolArray
from h5lightning.planning.catalog.annotations import Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded, link_problem
from h5lightning.storage.hdf5.filters import filter_name
from h5lightning.storage.scanning.conventions.category_tables import category_table, says
from h5lightning.storage.scanning.conventions.code_columns import code_ranges
from h5lightning.storage.scanning.conventions.vocabularies import column_ranges
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import blocks_of, can_be_read_whole

__all__ = ["NONE_MISSING", "Missing", "missing_of"]


@dataclass(frozen=True, slots=True)
class Missing:
    """What was found.

    Args:
        found: the first row of a dataset without a value.
        columns: that of each column of a table that has one.
        is_known: all rows of a dataset of codes were looked at: there is nothing left to look for while reading.
    """

    found: Found | None = None
    columns: tuple[Found, ...] = ()
    is_known: bool = False


NONE_MISSING = Missing()


def missing_of(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> Missing:
    """The first rows without a value.

    Args:
        fid: the open file.
        opened: a dataset that can be a field.
        path: its path.
        values: what reads attributes.

    Raises:
        OSError: the values are damaged.
    """
    group, _, leaf = path.rpartition("/")
    if b"categories" in opened.attributes or leaf == "codes":
        return _of_codes(fid, opened, path, values)
    if opened.element.members or group in ("obs", "var", "raw.var"):
        ranges = column_ranges(fid, opened, path, values)
        found = [(one.column, one.missing) for one in ranges if one.missing is not None]
        if found or opened.element.members:
            columns = tuple(Found(one.row, one.what, column) for column, one in found if column)
            return Missing(next((one for column, one in found if not column), None), columns)
    if leaf == "values" and group:
        return Missing(_masked(fid, opened, group, values))
    return NONE_MISSING


def _of_codes(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> Missing:
    table = category_table(fid, opened, path)
    if table is None or table.rank != 1 or np.dtype(opened.element.dtype).kind not in "iuf":
        return NONE_MISSING
    (found,) = code_ranges(opened, {"": int(table.shape[0])})
    if not found.is_known:
        return NONE_MISSING
    group = path.rpartition("/")[0]
    is_said = b"categories" in opened.attributes or bool(says(fid, group, "categorical", values))
    # Without a word, two datasets of these names may have nothing to do with each other.
    return Missing(found.missing if is_said or found.is_within else None, is_known=True)


# ── masks ────────────────────────────────────────────────────────────────────────────────────────────


def _masked(fid: h5f.FileID, opened: DatasetInfo, group: str, values: ValueReader) -> Found | None:
    """The first row that a mask calls missing: that of a nullable column of AnnData, or one that looks like it."""
    path = f"{group}/mask"
    if not fid.links.exists(encoded(path)) or link_problem(fid, "", path, None) != "":
        return None
    is_said, mask = says(fid, group, "nullable-", values), h5o.open(fid, encoded(path))
    if is_said is False or not isinstance(mask, h5d.DatasetID):
        return None
    found = DatasetInfo.of(mask)
    kinds = "biu" if is_said else "b"
    if found.element.members or found.element.refusal or np.dtype(found.element.dtype).kind not in kinds:
        return None
    if found.shape != opened.shape or len(opened.shape or ()) != 1:
        return None
    if not can_be_read_whole(found):
        return (
            Found(0, f"may be missing: {_unread(found, path)}") if is_said and found.shape != (0,) else None
        )
    is_masked = _all_of(found)
    if not is_masked.any() or (is_said is None and is_masked.all()):
        return None
    return Found(int(is_masked.argmax()), f"is missing, as '/{path}' beside it says")


def _all_of(mask: DatasetInfo) -> BoolArray:
    return np.concatenate([block.astype(np.bool_) for _, block in blocks_of(mask)])


def _unread(mask: DatasetInfo, path: str) -> str:
    how = f" with {filter_name(mask.filters[0][0])}" if mask.filters else ""
    return f"'/{path}', which says so, is stored{how} or large, so that a scan does not read it"
