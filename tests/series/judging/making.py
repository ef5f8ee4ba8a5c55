"""Makes the files of one data set, of what was drawn of its columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from judging.drawing import (
    KINDS,
    STYLES,
    TABLES,
    TOPICS,
    Column,
    Drawn,
    Draws,
    Layout,
    Unit,
    draw_columns,
    draw_layout,
)
from judging.trees import FileTree, Storage, Stored, Tree

__all__ = ["draw_tree"]

_TEMPLATES = ("data/*/{}", "*/{}", "traj_*/{}", "data/demo_*/{}", "a/b/*_x/deep/{}", "{}/*", "{}/d*")


def draw_tree(draws: Draws, kinds: Sequence[str] = KINDS, styles: Sequence[str] = STYLES) -> Drawn:
    """A random tree, of one of these kinds of series, for a case of one of these styles."""
    kind, style = draws.pick(kinds), draws.pick(styles)
    topic = style if style in TOPICS else ""
    style = draws.pick(TOPICS[style]) if topic else style
    has_star = kind.startswith("names")
    table = draws.pick(TABLES) if kind == "names and table" else kind if kind in TABLES else None
    template = draws.pick(_TEMPLATES) if has_star else "{}"
    layout = draw_layout(draws, kind, style)
    columns = draw_columns(
        draws,
        template,
        layout,
        style,
        may_be_extra=table is None and kind != "axis" and style in ("plain", "axes", "whole"),
        may_have_index=style == "ragged rows" and kind != "axis" and layout == Layout(),
    )
    is_equal = draws.chance(5)
    equal_rows = draws.number(1, 12)
    most = draws.pick((12, 4, 40, 12) if style != "boxes" else (5, 8))
    maker = Maker(
        draws, kind, table, columns, template, equal_rows if is_equal else None, most, style, layout
    )
    files = tuple((f"data{number}.h5", maker.file(number)) for number in range(draws.number(1, 4)))
    return Drawn(
        Tree(files),
        kind,
        style,
        layout,
        columns,
        maker.option,
        maker.constants,
        is_equal,
        template,
        maker.units,
        topic,
    )


@dataclass
class Maker:
    """Makes files of one data set."""

    draws: Draws
    kind: str
    table: str | None
    columns: dict[str, Column]
    template: str
    equal_rows: int | None
    most: int
    style: str
    layout: Layout

    def __post_init__(self) -> None:
        self.part = (
            next(part for part in self.template.split("/") if "*" in part) if "*" in self.template else ""
        )
        self.has_grid, self.has_attr = self.draws.chance(3), self.draws.chance(3)
        self.grid_differs, self.has_dims = self.draws.chance(4), self.draws.chance(8)
        self.has_pieces = self.draws.chance(8)
        self.attr_on_series, self.text_runs = self.draws.chance(2), self.draws.chance(2)
        self.flag_paths = ("done", "timeout")[: self.draws.number(1, 2)]
        self.label_type = self.draws.pick(("<i8", "<i4", "<u2", "<u8"))
        self.storages = [self._storage() for _ in self.columns]
        self.units: list[list[Unit]] = []
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
            if self.grid_differs:
                found["grid"]["ragged"] = "pad"
            if self.kind == "axis":
                found["label"] = {"path": "label", "constant": True, "series_axis": 0}
        if self.has_attr:
            found["mass"] = "attr:mass"
        if self.has_dims:
            found["dims"] = {"attr": "dims", "ragged": "list"}
        if self.has_pieces:
            path, index = self._table_path("pieces"), self._table_path("pieces_index")
            found["pieces"] = {"path": path, "index": index, "constant": True, "ragged": "list"}
        return found

    def file(self, number: int) -> FileTree:
        """One file."""
        if not self.part:
            return self._make([("", self._rows())], number)
        most = 2 if self.style == "boxes" else 5
        numbers = self.draws.draw(st.lists(st.integers(0, 12), min_size=1, max_size=most, unique=True))
        texts = [f"ep_{one}" if self.part == "*" else str(one) for one in numbers]
        return self._make([(text, self._rows()) for text in texts], number)

    def _rows(self) -> int:
        if self.equal_rows is not None and self.table is None:
            return self.equal_rows
        if self.part and self.draws.chance(8):
            return 0
        least = 1 if self.style == "plain" else 2  # a file without rows is refused
        return self.draws.number(4 if self.style == "boxes" else least, self.most)

    def _make(self, matches: list[tuple[str, int]], number: int) -> FileTree:
        datasets: list[Stored] = []
        attributes: list[tuple[str, str, Any]] = []
        entries = None
        self.units.append([])
        for text, rows in matches:
            datasets += self._tables(text, rows) if self.table else []
            lengths = [datasets[-1].shape[0]] if self.table in ("flags", "runs") else []
            common = lengths[0] if lengths else self._table_rows(datasets, rows)
            entries = self.draws.number(1, 4) if self.kind == "axis" else None
            datasets += self._columns(text, common, entries)
            self.units[-1].append(Unit(text, common, entries))
            datasets += self._rowless(text)
            if text and self.has_attr and self.attr_on_series:
                attributes.append((self._series_path(text), "mass", float(self._first())))
        if self.has_grid and entries is not None:
            datasets.append(Stored("label", (entries,), "<i4", self._first()))
        attributes += [("/", "mass", 1.0 + number)] if self.has_attr else []
        if self.has_dims:
            attributes.append(("/", "dims", [self._first()] * self.draws.number(1, 3)))
        return FileTree(tuple(datasets), tuple(attributes))

    def _columns(self, text: str, rows: int, entries: int | None) -> list[Stored]:
        """The datasets with rows."""
        sizes = tuple(self.draws.number(3, 6) for _ in self.layout.order[1:])
        found: list[Stored] = []
        indexes: dict[str, int] = {}
        for column, storage in zip(self.columns.values(), self.storages, strict=True):
            path = column.path.replace("*", text)
            if column.index is not None:
                if column.index not in indexes:
                    index = self._index(column.index.replace("*", text), rows, is_ends=column.is_ends)
                    indexes[column.index] = int(index.values[-1]) if index.values else 0
                    found.append(index)
                total = indexes[column.index]
                found.append(
                    Stored(path, (total, *column.shape), column.dtype, self._first(), storage=storage)
                )
                continue
            if column.varies is not None:
                shape = list(column.shape)
                shape[column.varies] = self.draws.number(1, 4)
                column = replace(column, shape=tuple(shape))  # noqa: PLW2901
            long = rows + (self.draws.number(0, column.extra) if column.extra else 0)
            shape = column.stored_shape(self.layout, (long, *sizes), entries)
            found.append(Stored(path, shape, column.dtype, self._first(), storage=storage))
        return found

    def _index(self, path: str, rows: int, *, is_ends: bool) -> Stored:
        """Ends or offsets of rows whose lengths repeat."""
        lengths = self.draws.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
        if is_ends and all(column.index is not None for column in self.columns.values()):
            lengths[0] = max(1, lengths[0])  # an index that begins with 0 would hold offsets
        borders = [0, *itertools.accumulate(lengths[row % len(lengths)] for row in range(rows))]
        values = tuple(borders[1:] if is_ends else borders)
        return Stored(path, (len(values),), self.label_type, values=values)

    def _rowless(self, text: str) -> list[Stored]:
        """The datasets without rows."""
        found = []
        if self.has_grid:
            size = self.draws.number(1, 4) if self.grid_differs else 3
            found.append(Stored(self._table_path("grid").replace("*", text), (size,), "<f4", self._first()))
        if self.has_pieces:
            index = self._index(
                self._table_path("pieces_index").replace("*", text), self.draws.number(1, 4), is_ends=False
            )
            total = int((index.values or (0,))[-1])
            path = self._table_path("pieces").replace("*", text)
            found += [index, Stored(path, (total,), "<f4", self._first())]
        return found

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
        return Storage(rows, is_narrow=self.draws.chance(3), gzip=not self.draws.chance(2), cut=self._cut())

    def _cut(self) -> int | None:
        """Entries of a chunk along all axes but the first, in data whose rows lie elsewhere too."""
        return self.draws.pick((None, 2, 3)) if self.style in ("axes", "boxes") else None
