"""Hypothesis strategies of trees: series of all kinds, in few files, stored in many ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from judging.trees import FileTree, Storage, Stored, Tree

__all__ = ["KINDS", "Column", "Drawn", "Draws", "draw_tree"]

T = TypeVar("T")

TABLES = ("ends", "offsets", "lengths", "stops", "flags", "runs")
KINDS = ("names", "files", *TABLES, "axis", "names and table")
_DTYPES = ("<f4", "<f8", ">f4", "<f2", "<i2", ">i4", "<i8", "|u1", "|b1", "<c8")
_TEMPLATES = ("data/*/{}", "*/{}", "traj_*/{}", "data/demo_*/{}", "a/b/*_x/deep/{}", "{}/*", "{}/d*")
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
class Column:
    """A dataset that each series (or file) has.

    Args:
        path: where it lies, with the ``*`` if series are names.
        shape: of a row.
        dtype: of its values; a table's members.
        extra: rows that it may have more.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    extra: int = 0

    @property
    def is_table(self) -> bool:
        """Whether its rows are records."""
        return isinstance(self.dtype, tuple)


@dataclass(frozen=True)
class Drawn:
    """A tree and what it holds.

    Args:
        tree: the files.
        kind: what makes series.
        columns: key → the dataset of rows.
        series: the option that finds the series.
        constants: key → field options of what has no rows.
        is_equal: all series have equally many rows.
        most_rows: of a series.
    """

    tree: Tree
    kind: str
    columns: dict[str, Column]
    series: dict[str, Any] | None
    constants: dict[str, Any]
    is_equal: bool
    most_rows: int


def draw_tree(draws: Draws, kinds: Sequence[str] = KINDS) -> Drawn:
    """A random tree, of one of these kinds of series."""
    kind = draws.pick(kinds)
    has_star = kind.startswith("names")
    table = draws.pick(TABLES) if kind == "names and table" else kind if kind in TABLES else None
    template = draws.pick(_TEMPLATES) if has_star else "{}"
    columns = _draw_columns(draws, template, may_be_extra=table is None and kind != "axis")
    is_equal = draws.chance(5)
    equal_rows = draws.number(1, 12)
    most = draws.pick((4, 12, 40))
    maker = _Maker(draws, kind, table, columns, template, equal_rows if is_equal else None, most)
    files = tuple((f"data{number}.h5", maker.file(number)) for number in range(draws.number(1, 4)))
    return Drawn(Tree(files), kind, columns, maker.option, maker.constants, is_equal, most)


def _draw_columns(draws: Draws, template: str, *, may_be_extra: bool) -> dict[str, Column]:
    columns = {}
    for key in ("x", "y", "z")[: draws.number(1, 3)]:
        dtype: Any = draws.pick(_DTYPES)
        shape = draws.pick(((), (3,), (2, 2), (1,)))
        if draws.chance(8):
            dtype, shape = TABLE_MEMBERS, ()
        extra = draws.number(1, 2) if may_be_extra and key == "y" and draws.chance(4) else 0
        columns[key] = Column(template.format(draws.pick((key, f"obs/{key}"))), shape, dtype, extra)
    if len(columns) > 1 and draws.chance(3):  # alike: for lists
        columns["y"] = replace(columns["x"], path=columns["y"].path, extra=columns["y"].extra)
    return columns


@dataclass
class _Maker:
    """Makes files of one data set."""

    draws: Draws
    kind: str
    table: str | None
    columns: dict[str, Column]
    template: str
    equal_rows: int | None
    most: int

    def __post_init__(self) -> None:
        self.part = (
            next(part for part in self.template.split("/") if "*" in part) if "*" in self.template else ""
        )
        self.has_grid, self.has_attr = self.draws.chance(3), self.draws.chance(3)
        self.attr_on_series, self.text_runs = self.draws.chance(2), self.draws.chance(2)
        self.flag_paths = ("done", "timeout")[: self.draws.number(1, 2)]
        self.label_type = self.draws.pick(("<i8", "<i4", "<u2", "<u8"))
        self.storages = [self._storage() for _ in self.columns]
        self._number = 0

    @property
    def option(self) -> dict[str, Any] | None:
        """The option of `Series`."""
        if self.kind == "axis":
            return {"axis": 0}
        if self.table is None:
            return None
        where = self._table_path
        options: dict[str, dict[str, Any]] = {
            "ends": {"ends": where("ends")},
            "offsets": {"offsets": where("offsets")},
            "lengths": {"starts": where("starts"), "lengths": where("lengths")},
            "stops": {"starts": where("starts"), "stops": where("stops")},
            "flags": {"flags": [where(path) for path in self.flag_paths]},
            "runs": {"runs": where("episode")},
        }
        return options[self.table]

    @property
    def constants(self) -> dict[str, Any]:
        """Fields without rows."""
        found: dict[str, Any] = {}
        if self.has_grid:
            found["grid"] = {"path": self._table_path("grid"), "constant": True}
            if self.kind == "axis":
                found["label"] = {"path": "label", "constant": True, "series_axis": 0}
        if self.has_attr:
            found["mass"] = "attr:mass"
        return found

    def file(self, number: int) -> FileTree:
        """One file."""
        if not self.part:
            return self._make([("", self._rows())], number)
        numbers = self.draws.draw(st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True))
        texts = [f"ep_{one}" if self.part == "*" else str(one) for one in numbers]
        return self._make([(text, self._rows()) for text in texts], number)

    def _rows(self) -> int:
        if self.equal_rows is not None and self.table is None:
            return self.equal_rows
        if self.part and self.draws.chance(8):
            return 0
        return self.draws.number(1, self.most)  # a file without rows is refused

    def _make(self, matches: list[tuple[str, int]], number: int) -> FileTree:
        datasets: list[Stored] = []
        attributes: list[tuple[str, str, Any]] = []
        for text, rows in matches:
            datasets += self._tables(text, rows) if self.table else []
            lengths = [datasets[-1].shape[0]] if self.table in ("flags", "runs") else []
            common = lengths[0] if lengths else self._table_rows(datasets, rows)
            entries = self.draws.number(1, 4) if self.kind == "axis" else None
            for column, storage in zip(self.columns.values(), self.storages, strict=True):
                long = common + (self.draws.number(0, column.extra) if column.extra else 0)
                shape = (long, *column.shape) if entries is None else (entries, long, *column.shape)
                path = column.path.replace("*", text)
                datasets.append(Stored(path, shape, column.dtype, self._first(), storage=storage))
            if self.has_grid:
                datasets.append(
                    Stored(self._table_path("grid").replace("*", text), (3,), "<f4", self._first())
                )
                if entries is not None:
                    datasets.append(Stored("label", (entries,), "<i4", self._first()))
            if text and self.has_attr and self.attr_on_series:
                attributes.append((self._series_path(text), "mass", float(self._first())))
        attributes.append(("/", "mass", float(number)))
        return FileTree(tuple(datasets), tuple(attributes) if self.has_attr else ())

    def _table_rows(self, datasets: list[Stored], rows: int) -> int:
        if self.table is None:
            return rows
        values = datasets[-1].values or (0,)
        if self.table == "lengths":
            starts = datasets[-2].values or (0,)
            return max(1, int(starts[-1]) + int(values[-1])) if datasets[-1].values else 1
        return max(1, int(values[-1]))

    def _tables(self, text: str, rows: int) -> list[Stored]:
        """The datasets that divide the rows of a match."""
        lengths = self.draws.draw(st.lists(st.integers(0, self.most), min_size=1, max_size=5))
        if self.equal_rows is not None:
            lengths = [self.equal_rows] * len(lengths)
        if not any(lengths):
            lengths[0] = rows
        ends = [sum(lengths[: place + 1]) for place in range(len(lengths))]
        starts = [0, *ends[:-1]]
        tables: dict[str, dict[str, list[Any]]] = {
            "ends": {"ends": ends},
            "offsets": {"offsets": [0, *ends]},
            "lengths": {"starts": starts, "lengths": lengths},
            "stops": {"starts": starts, "stops": ends},
        }
        if self.table in tables:
            return [
                Stored(self._table_path(name).replace("*", text), (len(v),), self.label_type, values=tuple(v))
                for name, v in tables[self.table].items()
            ]
        return self._row_tables(text, lengths)

    def _row_tables(self, text: str, lengths: list[int]) -> list[Stored]:
        """The datasets with one value for each row."""
        storage = Storage() if self.draws.chance(2) else Storage(rows=7, gzip=True)
        total = sum(lengths)
        if self.table == "runs":
            names: list[Any] = [number for number, length in enumerate(lengths) for _ in range(length)]
            names = [f"run {name}" for name in names] if self.text_runs else names
            dtype = "text" if self.text_runs else self.label_type
            path = self._table_path("episode").replace("*", text)
            return [Stored(path, (total,), dtype, values=tuple(names), storage=storage)]
        ends = {sum(lengths[: place + 1]) - 1 for place in range(len(lengths))}
        if self.draws.chance(2):
            ends.discard(total - 1)
        flags: dict[str, list[int]] = {path: [] for path in self.flag_paths}
        for row in range(total):
            chosen = self.draws.pick(self.flag_paths) if row in ends else None
            for path in self.flag_paths:
                flags[path].append(int(path == chosen))
        dtype = self.draws.pick(("|b1", "|u1", "<f4"))
        return [
            Stored(
                self._table_path(path).replace("*", text), (total,), dtype, values=tuple(v), storage=storage
            )
            for path, v in flags.items()
        ]

    def _table_path(self, name: str) -> str:
        return self.template.format(name) if self.part else name

    def _series_path(self, text: str) -> str:
        before, _, after = next(iter(self.columns.values())).path.partition("*")
        return before + text + after.split("/")[0]

    def _first(self) -> int:
        self._number += 1000
        return self._number

    def _storage(self) -> Storage:
        if not self.draws.chance(2):
            return Storage()
        rows = self.draws.pick((1, 3, 8))
        return Storage(rows, is_narrow=self.draws.chance(3), gzip=not self.draws.chance(2))
