"""Draws tables beside the files: labels, groups and splits of files, series, rows and stretches of rows."""

from __future__ import annotations

from typing import Any

from judging.adding import TEXTS, Added
from judging.drawing import Unit

__all__ = ["draw_table"]

_SPLITS = ("train", "train", "val", "valid", "dev", "validation", "test")


def draw_table(added: Added) -> dict[str, Any]:
    """The options of a table, of its columns as fields, and of a split by them."""
    kind = added.draws.pick(_kinds(added))
    added.features.append(f"table: {kind}")
    maker = _Maker(added, kind)
    found: dict[str, Any] = {"table": maker.make()}
    split = maker.draw_split()
    if split:
        found["split"] = split
    if kind == "stretches":
        found["series"] = None
    return found


def _kinds(added: Added) -> tuple[str, ...]:
    drawn = added.drawn
    found = ["files"]
    if drawn.kind in ("names", "axis"):
        found += ["series", "series"]
    if drawn.kind in ("names", "files") and drawn.style in ("plain", "axes") and not _has_extra(added):
        found += ["stretches"] * 4
    if (
        drawn.kind != "axis"
        and drawn.style != "whole"
        and drawn.layout.place == "front"
        and not _has_extra(added)
    ):
        found += ["key", "key"]
    return tuple(found)


def _has_extra(added: Added) -> bool:
    return any(column.extra for column in added.drawn.columns.values())


class _Maker:
    """Makes a table, line by line."""

    def __init__(self, added: Added, kind: str) -> None:
        self.added, self.kind, self.draws = added, kind, added.draws
        self.columns: list[str] = []
        self.lines: list[list[Any]] = []
        self.draws_gap = self.draws.chance(4)
        names = [name for name, _ in added.case.tree.files]
        level = self.draws.pick(("name", "stem"))
        self.names = names if level == "name" else [name.removesuffix(".h5") for name in names]
        self.option: dict[str, Any] = {}

    def make(self) -> dict[str, Any]:
        """The option; the table is added to the tree."""
        units = self.added.drawn.units
        if self.kind == "key":
            self._make_keys()
        else:
            if len(units) > 1 or self.draws.chance(2):
                self.option["file"] = "slide"
            for number, own in enumerate(units):
                for name, unit in self._places(own):
                    self._add(number, name, unit)
            self.columns = ["slide", *self.columns]
        if self.draws_gap and len(self.lines) > 1:
            self.option["on_missing"] = "skip"
            if self.draws.chance(2):
                del self.lines[self.draws.number(0, len(self.lines) - 1)]
            self.added.features.append("table: skip")
        elif self.draws.chance(12) and len(self.lines) > 1:
            place = self.draws.number(0, len(self.lines) - 1)
            rest = self.lines[place + self.draws.number(0, 1) :]
            self.lines = [*self.lines[:place], *rest, list(self.lines[-1])]
            self.added.features.append("table: defect")
        if self.kind == "files" and "file" in self.option and self.draws.chance(4):
            self.lines.append(["elsewhere"])  # a line of nothing
        self._add_columns()
        name = f"labels.{self.draws.pick(('csv', 'csv', 'tsv', 'parquet'))}"
        self.added.features.append(f"table: {name.partition('.')[2]}")
        lines = (
            self.lines
            if not self.draws.chance(2)
            else self.lines
            if self.kind == "stretches"
            else self.lines[::-1]
        )
        table = (name, tuple(self.columns), tuple(map(tuple, lines)))
        self.added.tables = (table,)
        return {"path": name, **self.option}

    def draw_split(self) -> dict[str, Any]:
        """A split by a column of the table, in some cases."""
        way = self.draws.pick(("given", "groups", "none"))
        if self.kind == "key" and way == "given":
            way = "groups"
        if way == "given":
            self.added.features.append("given: a column")
            return {"given": "table:split"}
        if way == "groups":
            self.added.features.append("keep_together: a column")
            return {
                "keep_together": "table:case",
                "val": self.draws.pick((0.3, None)),
                "test": self.draws.pick((None, 0.3)),
            }
        return {}

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────

    def _places(self, units: list[Unit]) -> list[tuple[str, Unit]]:
        if self.kind == "files":
            return [("", units[0])]
        if self.added.drawn.kind == "axis":
            return [(str(entry), unit) for unit in units for entry in range(unit.entries or 0)]
        part = next((part for part in self.added.drawn.template.split("/") if "*" in part), "")
        return [(part.replace("*", unit.text), unit) for unit in units]

    def _add(self, number: int, name: str, unit: Unit) -> None:
        """The lines of a file or a series."""
        start: list[Any] = [self.names[number]]
        if self.kind == "series" or (self.kind == "stretches" and name):
            self.columns, self.option["series"] = ["series"], "series"
            start.append(name)
        if self.kind != "stretches":
            self.lines.append(start)
            return
        self.columns = [*(["series"] if name else []), "from", "to"]
        self.option |= {"start": "from", "stop": "to"}
        row = self.draws.number(0, 2)
        for _ in range(self.draws.number(1, 3)):
            length = self.draws.number(1, 9)
            if row + length <= unit.rows:
                self.lines.append([*start, row, row + length])
            row += length + self.draws.number(0, 2)

    def _make_keys(self) -> None:
        name = self.added.name("id")
        column, every = self.added.unique(name)
        self.option["key"] = {"id": column.path}
        self.columns = ["id"]
        self.lines = [[one] for own in every for one in own]

    # ── columns ──────────────────────────────────────────────────────────────────────────────────────

    def _add_columns(self) -> None:
        """What the lines say, and the fields of it."""
        fields = self.added.fields
        self._add_values("label", TEXTS[: self.draws.number(2, 5)])
        if not self.draws.chance(3):
            fields["label_of"] = {"path": "table:label", "categories": True}
            self.added.features.append("table: categories")
            if self.draws.chance(3):
                fields["label_of"]["categories"] = [*TEXTS, "never"]
        self._add_values("case", tuple(f"p{number}" for number in range(5)))
        self._add_values("split", _SPLITS if self.draws.chance(2) else ("train", "val", "test"))
        self._add_values("score", (3, 0, -2, 11))
        self._add_values("age", (1.5, 40.0, 7.25))
        if self.draws.chance(2):
            fields["score"] = "table:score"
            self.added.features.append("table: whole numbers")
        if self.draws.chance(2):
            fields["age"] = "table:age" if self.draws.chance(2) else {"path": "table:age", "dtype": "float64"}
            self.added.features.append("table: numbers")

    def _add_values(self, name: str, values: tuple[Any, ...]) -> None:
        self.columns.append(name)
        step, first = self.draws.number(1, 3), self.draws.number(0, len(values) - 1)
        for place, line in enumerate(self.lines):
            is_first = name == "split" and place == 0
            line.append("train" if is_first else values[(first + place * step) % len(values)])
