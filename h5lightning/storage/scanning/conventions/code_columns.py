"""Check all codes of a column: whether each one has a category, and which row is the first without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.planning.catalog.annotations import Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.stored_values import blocks_of, blocks_of_columns, can_be_read_whole

__all__ = ["CodeRange", "code_ranges"]


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
