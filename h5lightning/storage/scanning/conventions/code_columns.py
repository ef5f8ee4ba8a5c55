"""Columns of codes: where the names of their categories are stored, and whether each code has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5t

from h5lightning.planning.catalog.annotations import Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset, dataset_at, referenced_dataset
from h5lightning.storage.scanning.stored_values import blocks_of, blocks_of_columns, can_be_read_whole

__all__ = ["CodeRange", "category_count", "category_table", "code_ranges", "group_encoding"]

_ENCODING = "encoding-type"


def category_count(dataset: ScannedDataset) -> int | None:
    """The number of categories of a column of codes; None if the dataset may be something else.

    Datasets named ``codes`` and ``categories`` may be unrelated, so the group must have an ``encoding-type``, or the
    categories must be text.
    """
    table = category_table(dataset) if len(dataset.info.shape or ()) == 1 else None
    if table is None or table.rank != 1:
        return None
    is_text = table.get_type().get_class() == h5t.STRING
    if b"categories" not in dataset.info.attributes and not is_text:
        group = h5g.open(dataset.fid, encoded(dataset.group))
        if not h5a.exists(group, _ENCODING.encode()):
            return None
    return int(table.shape[0])


def category_table(dataset: ScannedDataset) -> h5d.DatasetID | None:
    """The dataset with the names of the categories of a column of codes; None if there is none."""
    if b"categories" in dataset.info.attributes:
        return referenced_dataset(dataset.info.did, b"categories")
    if dataset.name != "codes" or not dataset.group or len(dataset.info.shape or ()) != 1:
        return None
    return dataset_at(dataset.fid, f"{dataset.group}/categories")


def group_encoding(dataset: ScannedDataset) -> str | None:
    """The ``encoding-type`` of the group of a dataset; None if it has no such attribute."""
    group = h5g.open(dataset.fid, encoded(dataset.group))
    return dataset.reader.text(group, _ENCODING) if h5a.exists(group, _ENCODING.encode()) else None


@dataclass(frozen=True, slots=True)
class CodeRange:
    """What the codes of a column are.

    Args:
        column: its name; empty for a dataset that is no table.
        is_known: whether all codes were read; if not, the other values mean nothing.
        is_within: whether each code is -1, NaN, or the number of a category.
        missing: the first row with a code that has no category.
    """

    column: str
    is_known: bool = False
    is_within: bool = True
    missing: Found | None = None


def code_ranges(info: DatasetInfo, counts: Mapping[str, int]) -> list[CodeRange]:
    """What the codes of some columns are.

    Args:
        info: a table, or a dataset of codes.
        counts: the number of categories of each column; the name of a dataset that is no table is empty.
    """
    if info.shape is not None and 0 in info.shape:
        return [CodeRange(name, is_known=True) for name in counts]
    if not can_be_read_whole(info) or len(info.shape or ()) > 1:
        return [CodeRange(name) for name in counts]
    ranges = {name: CodeRange(name, is_known=True) for name in counts}
    for start, name, codes in _blocks(info, counts):
        ranges[name] = _extended(ranges[name], start, codes, counts[name])
    return list(ranges.values())


def _blocks(info: DatasetInfo, counts: Mapping[str, int]) -> Iterator[tuple[int, str, npt.NDArray[Any]]]:
    if not info.element.members:
        yield from ((start, "", codes) for start, codes in blocks_of(info))
        return
    members = [member for member in info.element.members if member.name in counts]
    for start, table in blocks_of_columns(info, members):
        yield from ((start, member.name, table[member.name]) for member in members)


def _extended(previous: CodeRange, start: int, codes: npt.NDArray[Any], count: int) -> CodeRange:
    width = codes.size // len(codes)
    codes = codes.reshape(-1)
    is_named = (codes >= 0) & (codes < count)
    if codes.dtype.kind == "f":
        is_named &= codes == np.floor(codes)
    if is_named.all():
        return previous
    unnamed = codes[~is_named]
    is_within = previous.is_within and bool(((unnamed == -1) | (unnamed != unnamed)).all())  # noqa: PLR0124 - NaN
    index = int(np.argmin(is_named))
    missing = previous.missing or Found(start + index // width, f"holds {codes[index]}: it has no category")
    return CodeRange(previous.column, is_known=True, is_within=is_within, missing=missing)
