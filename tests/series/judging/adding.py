"""Adds datasets with values of their own to a tree, one value for each row or a few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from judging.asking import places, ragged, stages_of
from judging.drawing import Column, Drawn, Draws
from judging.labels import FORMS, MEMBER, Labels
from judging.options import Case
from judging.trees import Storage, Stored, Tree

__all__ = ["TEXTS", "Added"]

TEXTS = ("left", "right", "Äh", "b10", "b2")
NUMBERS = (-3, 0, 2, 7, 300)
_CODED = ("anndata", "reference", "enum", "flags", "column:enum")


@dataclass
class Added:
    """What is added to a case.

    Args:
        draws: what is drawn.
        drawn: the tree, as it was drawn.
        case: the case, as it was drawn.
    """

    draws: Draws
    drawn: Drawn
    case: Case
    features: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fields = dict(self.case.fields)
        self._files = [list(file.datasets) for _, file in self.case.tree.files]
        self._attributes = [list(file.attributes) for _, file in self.case.tree.files]
        self._number = 0
        self.used = set[Any]()  # the values of the labels that were added last
        self.tables = self.case.tree.tables

    @property
    def tree(self) -> Tree:
        """The tree with what was added."""
        files = [
            (name, replace(file, datasets=tuple(datasets), attributes=tuple(attributes)))
            for (name, file), datasets, attributes in zip(
                self.case.tree.files, self._files, self._attributes, strict=True
            )
        ]
        return replace(self.case.tree, files=tuple(files), tables=self.tables)

    def name(self, word: str) -> str:
        """A name that nothing else has."""
        self._number += 1
        return f"{word}{self._number}"

    # ── datasets ─────────────────────────────────────────────────────────────────────────────────────

    def column(self, name: str, shape: tuple[int, ...] = (), dtype: str = "<f4") -> Column:
        """A dataset with rows along the first axis, or along that of all samples."""
        layout = self.drawn.layout
        own = replace(layout, place="front") if layout.place == "second" and not shape else None
        return Column(self.drawn.template.format(name), shape, dtype, own=own)

    def labels(self, name: str, form: str, values: Sequence[Any], *, groups: bool = False) -> Column:
        """Add values in a form to each match, some of these."""
        column, storage = self.column(name), self._storage()
        self.used = set()
        for number, units in enumerate(self.drawn.units):
            order = tuple(self.draws.draw(st.permutations(values))) if form in _CODED else tuple(values)
            for unit in units:
                path = column.path.replace("*", unit.text)
                shape = column.stored_shape(self.drawn.layout, (unit.rows,), unit.entries)
                found = self._pattern(order, math.prod(shape), groups=groups)
                self.used |= {one for one in found if one is not None}
                names = tuple(one for one in order if one is not None)
                self._files[number].append(Labels(path, form, found, names, shape, storage))
        return column

    def numbers(
        self, name: str, dtype: str, values: Sequence[Any], shape: tuple[int, ...] = (), *, first: Any = None
    ) -> Column:
        """Add numbers to each match, some of these; some as the first one of the first file, if it is said."""
        column, storage = self.column(name, shape, dtype), self._storage()
        for number, units in enumerate(self.drawn.units):
            for unit in units:
                path = column.path.replace("*", unit.text)
                stored = column.stored_shape(self.drawn.layout, (unit.rows,), unit.entries)
                found = self._pattern(values, math.prod(stored))
                if first is not None and found:
                    found = (first, *found[1:])
                flat = Stored(path, stored, dtype, values=found, storage=storage)
                self._files[number].append(flat)
        return column

    def unique(self, name: str) -> tuple[Column, list[list[int]]]:
        """Add a number to each row of all files, none of them twice; the numbers of each file."""
        column, found, last = self.column(name), list[list[int]](), 100
        for number, units in enumerate(self.drawn.units):
            found.append([])
            for unit in units:
                ids = [last + 7 * row for row in range(unit.rows)]
                last += 7 * unit.rows
                path = column.path.replace("*", unit.text)
                self._files[number].append(Stored(path, (unit.rows,), "<i8", values=tuple(ids)))
                found[-1] += ids
        return column, found

    def attribute(self, name: str, values: Sequence[Any]) -> None:
        """Add an attribute to each file."""
        for attributes in self._attributes:
            attributes.append(("/", name, self.draws.pick(values)))

    def _pattern(
        self, values: Sequence[Any], count: int, *, may_lack: str = "", groups: bool = False
    ) -> tuple[Any, ...]:
        """So many of the values, in runs that repeat."""
        one = st.sampled_from(values)
        few = st.lists(one, min_size=1, max_size=4)
        chosen = self.draws.draw(st.lists(one, min_size=3, max_size=6, unique=True) if groups else few)
        run = self.draws.number(1, 8 if groups else 3)
        return tuple(chosen[row // run % len(chosen)] for row in range(count))

    def _storage(self) -> Storage:
        return (
            Storage()
            if self.draws.chance(2)
            else Storage(self.draws.pick((1, 3, 8)), gzip=self.draws.chance(2))
        )

    # ── fields ───────────────────────────────────────────────────────────────────────────────────────

    def options(self, column: Column, *, may_have_steps: bool = True) -> dict[str, Any]:
        """The options of a field of a dataset that was added."""
        found: dict[str, Any] = {"path": column.path, **places(self.drawn, column)}
        stages = stages_of(self.case.samples)
        if stages and "length" in stages[0]:
            if may_have_steps and self.draws.chance(3):
                start = self.draws.number(0, 2)
                found["steps"] = [start - 1, start + self.draws.number(0, 1)]
            return found
        if self.drawn.style != "whole":
            return found
        found |= ragged(self.draws, self.drawn, column, self.case.samples)
        if found.get("ragged") == "concat" and column.shape and self.drawn.layout.place != "front":
            found["ragged"] = "list"
        return found | ({"ragged": "pad"} if found.get("ragged") == "stack" else {})

    def draw_form(
        self, *, kinds: Sequence[str] = ("text", "text", "numbers"), may_lack: bool = True
    ) -> tuple[str, tuple[Any, ...]]:
        """A form of values, and the values that it may hold."""
        kind = self.draws.pick(kinds)
        ends_with_match = self.drawn.template.endswith("*")
        left_out = {"reference"} if ends_with_match else set()
        if self.drawn.kind == "axis" or ends_with_match:  # columns of AnnData are groups, and have one axis
            left_out |= {"anndata", "masked"}
        form = self.draws.pick([form for form in FORMS[kind] if form not in left_out])
        values: tuple[Any, ...] = TEXTS if kind == "text" else NUMBERS if kind == "numbers" else (False, True)
        values = tuple(self.draws.draw(st.permutations(values)))[: self.draws.number(2, len(values))]
        if form == "flags":
            values = tuple(one for one in values if one.isascii()) or ("left",)
        if form == "numbers:<u2":
            values = tuple(abs(one) for one in values)
        lacks = form in ("anndata", "reference", "masked", "numbers:<f4")
        if may_lack and lacks and self.draws.chance(3):
            values = (*values, None)
        return form, values

    @staticmethod
    def member_of(form: str) -> dict[str, str]:
        """The option of a form whose values are a column."""
        return {"member": MEMBER} if form.startswith("column") else {}
