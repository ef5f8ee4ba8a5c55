"""Hypothesis strategies of trees: series of all kinds, in few files, stored in many ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from judging.trees import Tree

__all__ = [
    "KINDS",
    "STYLES",
    "TABLES",
    "TOPICS",
    "Column",
    "Drawn",
    "Draws",
    "Layout",
    "Unit",
    "draw_columns",
    "draw_layout",
]

T = TypeVar("T")

TABLES = ("ends", "offsets", "lengths", "stops", "flags", "runs")
KINDS = ("names", "files", *TABLES, "axis", "names and table")
# What a case is about: rows along the first axis; along others; windows along several; whole series and rows that
# differ in length.
STYLES = ("plain", "axes", "boxes", "whole", "ragged rows")
# Options of values and rows, each beside samples of one of these styles.
TOPICS = {
    "categories": ("plain", "plain", "axes", "whole", "ragged rows"),
    "tables": ("plain", "plain", "axes", "whole"),
    "sets": ("plain", "plain", "axes", "ragged rows"),
    "normalised": ("plain", "plain", "axes", "whole", "ragged rows"),
}
_DTYPES = ("<f4", "<f8", ">f4", "<f2", "<i2", ">i4", "<i8", "|u1", "|b1", "<c8")
TABLE_MEMBERS = (("a", "<f4"), ("b", "<f4"), ("n", ">i4"))


class Draws:
    """Short names for what is drawn most; all of them shrink to what is plain.

    Args:
        draw: of a composite strategy.
    """

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw

    def pick(self, values: Sequence[T]) -> T:
        """One of them; it shrinks to the first."""
        found: T = self.draw(st.sampled_from(values))
        return found

    def number(self, least: int, most: int) -> int:
        """A whole number; it shrinks to the least."""
        found: int = self.draw(st.integers(least, most))
        return found

    def chance(self, one_in: int) -> bool:
        """True in one of so many cases; it shrinks to False."""
        return self.number(0, one_in - 1) == one_in - 1


@dataclass(frozen=True)
class Layout:
    """Where the axes of windows lie in datasets.

    Args:
        place: before the axes of a row ("front"), after its first one ("second"), or at the end ("back").
        order: which of them each axis of a window is; rows lie along the first axis of a window.
        has_series: another axis before them all holds series.
    """

    place: str = "front"
    order: tuple[int, ...] = (0,)
    has_series: bool = False

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes of windows in the data of one series whose rows have so many axes."""
        first = {"front": 0, "second": 1, "back": rank}[self.place]
        return tuple(first + one for one in self.order)

    def said(self, rank: int) -> int | list[int] | None:
        """The option ``axis`` for datasets whose rows have so many axes; None where it is the default."""
        if self.place == "back":
            found = [one - len(self.order) for one in self.order]
        else:
            found = [one + self.has_series for one in self.axes(rank)]
        return None if found == [0] else found[0] if len(found) == 1 else found


@dataclass(frozen=True)
class Column:
    """A dataset that each series (or file) has.

    Args:
        path: where it lies, with the ``*`` if series are names.
        shape: of a row.
        dtype: of its values; a table's members.
        extra: rows that it may have more.
        own: where its rows lie, if not where those of all fields do.
        varies: the axis of a row whose size differs between files and matches.
        index: path of the index that divides it into rows.
        is_ends: the index holds ends, else offsets.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    extra: int = 0
    own: Layout | None = None
    varies: int | None = None
    index: str | None = None
    is_ends: bool = True

    @property
    def is_table(self) -> bool:
        """Whether its rows are records."""
        return isinstance(self.dtype, tuple)

    def stored_shape(self, layout: Layout, sizes: tuple[int, ...], entries: int | None) -> tuple[int, ...]:
        """The shape of the dataset.

        Args:
            layout: of all fields.
            sizes: how long it is along the axes of windows.
            entries: series along the first axis.
        """
        places = (self.own or layout).axes(len(self.shape))
        rest, found = iter(self.shape), list[int]()
        for axis in range(len(self.shape) + len(places)):
            found.append(sizes[places.index(axis)] if axis in places else next(rest))
        return tuple(found) if entries is None else (entries, *found)


@dataclass(frozen=True)
class Unit:
    """A match of the ``*``, or a file.

    Args:
        text: what was matched.
        rows: how many it has.
        entries: along the leading axis, if that holds series.
    """

    text: str
    rows: int
    entries: int | None


@dataclass(frozen=True)
class Drawn:
    """A tree and what it holds.

    Args:
        tree: the files.
        kind: what makes series.
        style: what the case is about.
        layout: where the axes of windows lie.
        columns: key → the dataset of rows.
        series: the option that finds the series.
        constants: key → field options of what has no rows.
        is_equal: all series have equally many rows.
        template: of paths, for `str.format`.
        units: of each file, its matches.
        topic: one of `TOPICS`, or nothing.
    """

    tree: Tree
    kind: str
    style: str
    layout: Layout
    columns: dict[str, Column]
    series: dict[str, Any] | None
    constants: dict[str, Any]
    is_equal: bool
    template: str
    units: list[list[Unit]]
    topic: str = ""

    @property
    def axis(self) -> dict[str, Any]:
        """The option ``axis`` of samples."""
        column = next((one for one in self.columns.values() if one.own is None and one.index is None), None)
        said = None if column is None else self.layout.said(len(column.shape))
        return {} if said is None else {"axis": said}


def draw_layout(draws: Draws, kind: str, style: str) -> Layout:
    """Where rows lie."""
    has_series = kind == "axis"
    places = ("front", "second", "back")
    if style == "plain":
        return Layout(has_series=has_series)
    if style == "boxes":
        order = draws.pick(((0, 1), (0, 1), (0, 1, 2), (1, 0), (2, 0, 1)))
        return Layout(draws.pick(places), order, has_series)
    if style == "axes":
        return Layout(draws.pick(places[::-1]), has_series=has_series)
    if style == "ragged rows":  # along other axes, only whole series differ
        return Layout(draws.pick(("front", "front", "front", "front", *places)), has_series=has_series)
    return Layout(draws.pick(("front", "front", *places)), has_series=has_series)


def draw_columns(
    draws: Draws, template: str, layout: Layout, style: str, *, may_be_extra: bool, may_have_index: bool
) -> dict[str, Column]:
    """What the rows of a case are: key → column."""
    columns: dict[str, Column] = {}
    for key in ("x", "y", "z")[: draws.number(1, 3)]:
        dtype: Any = draws.pick(_DTYPES)
        shape = draws.pick(((), (3,), (2, 2), (1,)) if style != "boxes" else ((), (), (2,)))
        if draws.chance(8) and layout.place != "second":
            dtype, shape = TABLE_MEMBERS, ()
        if layout.place == "second" and not shape:
            shape = (2,)
        extra = draws.number(1, 2) if may_be_extra and key == "y" and draws.chance(4) else 0
        column = Column(template.format(draws.pick((key, f"obs/{key}"))), shape, dtype, extra)
        column = _in_style(draws, column, layout, style, is_first=not columns)
        if may_have_index and draws.chance(2):
            path = template.format(
                draws.pick((f"{key}_index", "shared_index" if not columns else f"{key}_index"))
            )
            column = replace(column, extra=0, own=None, varies=None, index=path, is_ends=not draws.chance(2))
        columns[key] = column
    if len(columns) > 1 and draws.chance(3):  # alike: for lists
        columns["y"] = replace(
            columns["x"], path=columns["y"].path, extra=0 if columns["x"].index else columns["y"].extra
        )
    return columns


def _in_style(draws: Draws, column: Column, layout: Layout, style: str, *, is_first: bool) -> Column:
    """Rows that lie elsewhere than those of other columns, or that differ in shape."""
    if style in ("axes", "boxes") and not is_first and draws.chance(4):
        places = [
            one
            for one in ("front", "second", "back")
            if one != layout.place and (one != "second" or column.shape)
        ]
        return replace(column, own=replace(layout, place=draws.pick(places)))
    one_in = {"whole": 4, "ragged rows": 2}.get(style)
    may_differ = layout.place == "front" or draws.chance(8)
    if one_in and may_differ and column.shape and not column.is_table and draws.chance(one_in):
        return replace(column, varies=draws.number(0, len(column.shape) - 1))
    return column
