"""What a file says around the numbers of one dataset: their encoding, its columns, what divides its rows.

An annotation is data, as a schema is: written by the scan, kept in the index as JSON, compared between files. What
differs from file to file lies here and not in the layout: ten thousand files with scales of their own share one layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["NOTHING", "PACKED", "Annotations", "AxisLabels", "Encoding", "Found", "Number", "SeriesTable"]

Number: TypeAlias = int | float

# What follows in a digest on the stored numbers, where those stand for others.
PACKED = " packed "


@dataclasses.dataclass(frozen=True, slots=True)
class Encoding:
    """How stored numbers stand for values: ``value = stored * scale + offset``, but for those that stand for nothing.

    Args:
        kind: ``cf`` (the conventions of netCDF), ``nwb``, or ``codes`` (numbers of categories).
        scale: what stored numbers are multiplied by.
        offset: what is added.
        is_unsigned: whether the stored bits are those of an unsigned integer; None for what the type says.
        fills: stored numbers that stand for a missing value, as numbers of the stored type; NaN left out.
        low: stored numbers below it stand for a missing value; None for no bound.
        high: those above it do likewise.
        said_by: the attributes that say so with their values, such as ``scale_factor=0.01``, for messages.
        problem: why it cannot be decoded, as what a sentence says of the dataset; empty if it can.
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
        """Whether stored numbers are others than those that they stand for."""
        return (self.scale, self.offset) != (1.0, 0.0) or self.is_unsigned is not None or bool(self.problem)

    @property
    def is_masking(self) -> bool:
        """Whether some stored numbers may stand for missing values."""
        return bool(self.fills) or self.low is not None or self.high is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The first row in which something was found.

    Args:
        row: its number.
        what: what it holds, as what a sentence says of it: ``holds 1e+20, which _FillValue calls missing``.
        column: in which column of a table; empty where it is none.
    """

    row: int
    what: str
    column: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class AxisLabels:
    """The labels of one axis that is not the sample axis.

    Args:
        axis: the axis of the dataset; -1 where they name its axes.
        path: what holds them: a dataset, ``dataset@attribute`` or ``table[column]``.
        kind: ``text`` or ``numbers``; ``axes`` for the names of the axes.
        count: how many there are.
        in_order: digest of the labels in their order.
        as_set: digest of the labels, sorted.
        member: the column of a compound whose elements they name; None for all.
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
        paths: the datasets that say so; of a column of a table ``table[column]``.
        kind: ``ends``, ``offsets``, ``starts``, ``lengths``, ``starts and lengths``, ``starts and ends``; of each row
            ``flags`` or ``runs`` of equal numbers.
    """

    paths: tuple[str, ...]
    kind: str


@dataclasses.dataclass(frozen=True, slots=True)
class Annotations:
    """What a file says around one dataset.

    Args:
        encoding: how its numbers stand for values; None where they stand for themselves.
        masked: the first of the rows that were looked at with a number that stands for a missing value.
        missing: the first row without a category, or that the ``mask`` beside it calls missing.
        missing_columns: likewise of each column of a table in which there is one.
        labels: labels of its axes, but for the sample axis.
        series: what divides its rows.
        ends_with_fill: it holds floats, and its last row, but not its first one, holds nothing but the fill value.
        digest: that of all its values, where it must be the same in all files; else empty.
        remarks: further things to know, as what a sentence says of it; no reason against using it.
    """

    encoding: Encoding | None = None
    masked: Found | None = None
    missing: Found | None = None
    missing_columns: tuple[Found, ...] = ()
    labels: tuple[AxisLabels, ...] = ()
    series: tuple[SeriesTable, ...] = ()
    ends_with_fill: bool = False
    digest: str = ""
    remarks: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON, of what there is to say."""
        said = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in said.items() if value}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Annotations:
        """The annotations that `to_plain` wrote."""
        return cls(**{name: _READ.get(name, _as_it_is)(value) for name, value in plain.items()})


NOTHING = Annotations()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return (
        dataclasses.asdict(value) if isinstance(value, (Encoding, Found, AxisLabels, SeriesTable)) else value
    )


def _as_it_is(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _encoding(plain: Mapping[str, Any]) -> Encoding:
    return Encoding(**{name: _as_it_is(value) for name, value in plain.items()})


_READ: dict[str, Callable[[Any], Any]] = {
    "encoding": _encoding,
    "masked": lambda plain: Found(**plain),
    "missing": lambda plain: Found(**plain),
    "missing_columns": lambda plain: tuple(Found(**item) for item in plain),
    "labels": lambda plain: tuple(AxisLabels(**item) for item in plain),
    "series": lambda plain: tuple(SeriesTable(tuple(item["paths"]), item["kind"]) for item in plain),
}
