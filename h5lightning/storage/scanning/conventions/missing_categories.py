"""Find rows without a value: codes without a category, and rows that a mask beside the values marks as missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.planning.catalog.annotations import Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.filters import filter_name
from h5lightning.storage.scanning.conventions.code_columns import category_table, code_ranges, group_encoding
from h5lightning.storage.scanning.conventions.vocabularies import column_ranges
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at
from h5lightning.storage.scanning.stored_values import blocks_of, can_be_read_whole

__all__ = ["NONE_MISSING", "Missing", "mask_beside", "missing_of"]


@dataclass(frozen=True, slots=True)
class Missing:
    """Rows without a value.

    Args:
        first: the first row of a dataset without a value.
        columns: the first such row of each column of a table that has one.
        is_known: all codes of the dataset were read, so a reader need not check them again.
    """

    first: Found | None = None
    columns: tuple[Found, ...] = ()
    is_known: bool = False


NONE_MISSING = Missing()


def missing_of(dataset: ScannedDataset) -> Missing:
    """The first rows without a value of a dataset that can be a field.

    Raises:
        OSError: the values are damaged.
    """
    info = dataset.info
    if b"categories" in info.attributes or dataset.name == "codes":
        return _of_codes(dataset)
    if info.element.members or dataset.group in ("obs", "var", "raw.var"):
        missing = [(one.column, one.missing) for one in column_ranges(dataset) if one.missing is not None]
        if missing or info.element.members:
            columns = tuple(Found(one.row, one.what, column) for column, one in missing if column)
            return Missing(next((one for column, one in missing if not column), None), columns)
    if dataset.name == "values" and dataset.group:
        return Missing(_masked(dataset))
    return NONE_MISSING


def _of_codes(dataset: ScannedDataset) -> Missing:
    table, info = category_table(dataset), dataset.info
    if table is None or table.rank != 1 or np.dtype(info.element.dtype).kind not in "iuf":
        return NONE_MISSING
    (codes,) = code_ranges(info, {"": int(table.shape[0])})
    if not codes.is_known:
        return NONE_MISSING
    is_declared = b"categories" in info.attributes
    if not is_declared:
        encoding = group_encoding(dataset)
        is_declared = encoding is not None and encoding.startswith("categorical")
    # Two datasets of these names may be unrelated if the group does not say what it is.
    return Missing(codes.missing if is_declared or codes.is_within else None, is_known=True)


def _masked(dataset: ScannedDataset) -> Found | None:
    """The first row that a mask marks as missing: that of a nullable column of AnnData, or one that looks like it."""
    mask = mask_beside(dataset)
    if mask is None:
        return None
    (info, is_nullable), path = mask, f"{dataset.group}/mask"
    if not can_be_read_whole(info):
        is_unread = is_nullable and info.shape != (0,)
        return Found(0, f"may be missing: {_unread_text(info, path)}") if is_unread else None
    is_masked = np.concatenate([block.astype(np.bool_) for _, block in blocks_of(info)])
    if not is_masked.any() or (not is_nullable and is_masked.all()):
        return None
    return Found(int(is_masked.argmax()), f"is missing, as '/{path}' beside it says")


def mask_beside(dataset: ScannedDataset) -> tuple[DatasetInfo, bool] | None:
    """The mask of the values of a nullable column, and whether the file says that they are one; None without a mask."""
    mask = dataset_at(dataset.fid, f"{dataset.group}/mask")
    if mask is None:
        return None
    encoding = group_encoding(dataset)
    is_nullable = encoding is not None and encoding.startswith("nullable-")
    if encoding is not None and not is_nullable:
        return None
    info = DatasetInfo.of(mask)
    kinds = "biu" if is_nullable else "b"
    if info.element.members or info.element.refusal or np.dtype(info.element.dtype).kind not in kinds:
        return None
    if info.shape != dataset.info.shape or len(info.shape or ()) != 1:
        return None
    return info, is_nullable


def _unread_text(mask: DatasetInfo, path: str) -> str:
    how = f" with {filter_name(mask.filters[0][0])}" if mask.filters else ""
    return f"'/{path}', which says so, is stored{how} or large, so that a scan does not read it"
