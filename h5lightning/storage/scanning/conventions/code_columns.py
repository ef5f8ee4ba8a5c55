"""Columns of codes, looked at from end to end: which numbers they hold, and where the first one is without a name."""

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
        column: its name; empty for a dataset of its own.
        is_known: whether all of it was looked at; nothing else is said if not.
        is_within: each is -1, NaN, or the number of a name.
        missing: the first row with one that has no name.
    """

    column: str
    is_known: bool = False
    is_within: bool = True
    missing: Found | None = None


def code_ranges(opened: DatasetInfo, counts: Mapping[str, int]) -> list[CodeRange]:
    """What the codes of some columns are.

    Args:
        opened: a table, or a column that is a dataset of its own.
        counts: how many names each column has; the name of a dataset of its own is empty.
    """
    if opened.shape is not None and 0 in opened.shape:
        return [CodeRange(name, is_known=True) for name in counts]
    if not can_be_read_whole(opened) or len(opened.shape or ()) > 1:
        return [CodeRange(name) for name in counts]
    ranges = {name: CodeRange(name, is_known=True) for name in counts}
    for start, name, codes in _blocks(opened, counts):
        ranges[name] = _with(ranges[name], start, codes, counts[name])
    return list(ranges.values())


def _blocks(opened: DatasetInfo, counts: Mapping[str, int]) -> Iterator[tuple[int, str, npt.NDArray[Any]]]:
    if not opened.element.members:
        yield from ((start, "", codes) for start, codes in blocks_of(opened))
        return
    members = [member for member in opened.element.members if member.name in counts]
    for start, table in blocks_of_columns(opened, members):
        yield from ((start, member.name, table[member.name]) for member in members)


def _with(known: CodeRange, start: int, codes: npt.NDArray[Any], count: int) -> CodeRange:
    width = codes.size // len(codes)
    codes = codes.reshape(-1)
    is_named = (codes >= 0) & (codes < count)
    if codes.dtype.kind == "f":
        is_named &= codes == np.floor(codes)
    if is_named.all():
        return known
    others = codes[~is_named]
    is_within = known.is_within and bool(((others == -1) | (others != others)).all())  # noqa: PLR0124 - NaN
    place = int(np.argmin(is_named))
    missing = known.missing or Found(start + place // width, f"holds {codes[place]}: it has no category")
    return CodeRange(known.column, is_known=True, is_within=is_within, missing=missing)
