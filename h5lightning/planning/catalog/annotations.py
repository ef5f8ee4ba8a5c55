"""What a file says about the numbers of one dataset: their encoding, labels of its axes, what divides its rows.

Annotations are data, as schemas are: the scan writes them, the index keeps them as JSON, and they are compared between
files. They are kept apart from the layout, so that ten thousand files with different scales share one layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "NOTHING",
    "PACKED",
    "Annotations",
    "AxisLabels",
    "Encoding",
    "FlagNames",
    "Found",
    "Number",
    "SeriesTable",
    "divided_text",
    "from_plain",
]

Number: TypeAlias = int | float

# In a digest, it separates the stored numbers from their encoding.
PACKED = " packed "


@dataclasses.dataclass(frozen=True, slots=True)
class Encoding:
    """How stored numbers encode values: ``value = stored * scale + offset``, except for missing values.

    Args:
        kind: ``cf`` (the conventions of netCDF), ``nwb``, or ``codes`` (numbers of categories).
        scale: factor of the stored numbers.
        offset: added after scaling.
        is_unsigned: whether the stored bits are an unsigned integer; None to follow the stored type.
        fills: stored numbers that stand for a missing value, in the stored type; without NaN.
        low: stored numbers below it stand for a missing value; None for no bound.
        high: stored numbers above it stand for a missing value; None for no bound.
        said_by: the attributes with their values, such as ``scale_factor=0.01``, for messages.
        problem: the reason why it cannot be decoded, to follow the name of the dataset; empty if it can.
    """

    kind: str
    scale: float = 1.0
    offset: float = 0.0
    is_unsigned: bool | None = None
    fills: tuple[Number, ...] = ()
    low: Number | None = None
    high: Number | None = None
    said_by: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_packed(self) -> bool:
        """Whether the values differ from the stored numbers."""
        return (self.scale, self.offset) != (1.0, 0.0) or self.is_unsigned is not None or bool(self.problem)

    @property
    def is_masking(self) -> bool:
        """Whether some stored numbers may stand for missing values."""
        return bool(self.fills) or self.low is not None or self.high is not None


@dataclasses.dataclass(frozen=True, slots=True)
class FlagNames:
    """What the attributes ``flag_values`` and ``flag_meanings`` of netCDF say.

    Args:
        values: stored numbers, in the order of the file.
        names: the name of each.
        problem: why they name no categories, to follow the name of the dataset; empty if they do.
    """

    values: tuple[Number, ...] = ()
    names: tuple[str, ...] = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The first row with a missing value."""

    row: int
    what: (
        str  # its content, to follow the name of the row: ``holds 1e+20, which _FillValue marks as missing``
    )
    column: str = ""  # the column of a table; empty if the dataset is no table


@dataclasses.dataclass(frozen=True, slots=True)
class AxisLabels:
    """The labels of one axis that is not the sample axis.

    Args:
        axis: the axis of the dataset; -1 for the names of its axes.
        path: where the labels are stored: a dataset, ``dataset@attribute`` or ``table[column]``.
        kind: ``text`` or ``numbers``; ``axes`` for the names of the axes.
        count: number of labels.
        in_order: digest of the labels in their order.
        as_set: digest of the sorted labels.
        member: the column of a compound whose elements the labels name; None for all.
    """

    axis: int
    path: str
    kind: str
    count: int
    in_order: str
    as_set: str
    member: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesTable:
    """What divides the rows of a dataset into series, such as episodes.

    Args:
        paths: the datasets that divide the rows; ``table[column]`` for a column of a table.
        kind: ``ends``, ``offsets``, ``starts``, ``lengths``, ``starts and lengths``, ``starts and ends``; or, with a
            number for each row, ``flags`` or ``runs`` of equal numbers.
        is_plain: False if no option of `Series` says it: first rows alone, flags of first rows, the last row instead of
            the end, pairs of both borders in one dataset, or series that a status leaves out.
    """

    paths: tuple[str, ...]
    kind: str
    is_plain: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Annotations:
    """What a file says about one dataset.

    Args:
        encoding: how its numbers encode values; None if they are the values.
        masked: the first row, of those that the scan read, with a number that stands for a missing value.
        missing: the first row without a category, or marked as missing by the ``mask`` beside the dataset.
        missing_columns: the same for each column of a table that has such a row.
        labels: labels of its axes, except for the sample axis.
        series: what divides its rows.
        ends_with_fill: it holds floats; its last row, but not its first, is all fill value.
        digest: digest of all values, if it must be the same in all files; else empty.
        index: the VectorIndex of NWB that divides its values into rows of unequal length; empty if there is none.
        remarks: further notes, to follow the name of the dataset; the dataset can be used all the same.
        flags: names of its stored numbers; only of datasets whose values were requested.
    """

    encoding: Encoding | None = None
    masked: Found | None = None
    missing: Found | None = None
    missing_columns: tuple[Found, ...] = ()
    labels: tuple[AxisLabels, ...] = ()
    series: tuple[SeriesTable, ...] = ()
    ends_with_fill: bool = False
    digest: str = ""
    index: str = ""
    remarks: tuple[str, ...] = ()
    flags: FlagNames | None = None

    @property
    def problem(self) -> str:
        """Why its entries are no values of rows, to follow the name of the dataset; empty if they are."""
        if self.index:
            return divided_text(self.index)
        return "" if self.encoding is None else self.encoding.problem

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON, without empty entries."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items() if value}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Annotations:
        """The annotations that `to_plain` wrote."""
        return cls(**{name: from_plain(value, _KINDS.get(name)) for name, value in plain.items()})


NOTHING = Annotations()


def divided_text(index: str) -> str:
    """Why the entries of values that a VectorIndex divides are no rows, to follow the name of their dataset."""
    return (
        f"holds the values of all rows of '/{index}' one after the other (a VectorIndex of NWB), so its entries are "
        "not rows"
    )


_KINDS: dict[str, Callable[..., Any]] = {
    "encoding": Encoding,
    "masked": Found,
    "missing": Found,
    "missing_columns": Found,
    "labels": AxisLabels,
    "series": SeriesTable,
    "flags": FlagNames,
}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    is_part = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_part else value


def from_plain(value: Any, kind: Callable[..., Any] | None = None) -> Any:
    """A value from JSON with tuples for its lists; its mappings become objects of ``kind``."""
    if isinstance(value, list):
        return tuple(from_plain(item, kind) for item in value)
    if kind is None:
        return value
    return kind(**{name: from_plain(item) for name, item in value.items()})
