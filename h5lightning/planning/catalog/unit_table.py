"""What units store, as arrays: a unit is a file, or each match of the ``*`` in a file. Opens no file."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import EqualByValue, Frozen
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.annotations import NOTHING, Annotations
from h5lightning.planning.catalog.extents import UNKNOWN, ExtentForm, Extents, ExtentTable
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["Entry", "FileMatches", "UnitTable", "UnitTableBuilder"]

# A dataset: number of its layout, rows, stored bytes, missing chunks, number of its annotations, number of the form of
# its extents (`UNKNOWN` if these are not known), and their numbers.
Entry: TypeAlias = tuple[int, int, int, int, int, int, int | Int64Array | None]


@dataclass(frozen=True, eq=False)
class UnitTable(EqualByValue, Frozen):
    """The datasets and attributes of units; the arguments are those of `Catalog` with the same names."""

    layouts: tuple[tuple[DatasetSchema, ...], ...]
    layout_of: npt.NDArray[np.int32]
    facts: Int64Array
    annotations: tuple[Annotations, ...]
    annotation_of: npt.NDArray[np.int32]
    attrs: StringTable
    extents: ExtentTable

    def __len__(self) -> int:
        """Number of units."""
        return len(self.layout_of)

    @classmethod
    def joined(cls, tables: Sequence[UnitTable]) -> UnitTable:
        """The units of all tables, one after the other."""
        layouts: dict[tuple[DatasetSchema, ...], int] = {}
        annotations: dict[Annotations, int] = {NOTHING: 0}
        layout_of = [_renumbered(table.layouts, table.layout_of, layouts) for table in tables]
        annotation_of = [_renumbered(table.annotations, table.annotation_of, annotations) for table in tables]
        return cls(
            layouts=tuple(layouts),
            layout_of=np.concatenate([np.zeros(0, np.int32), *layout_of]),
            facts=np.concatenate([np.zeros((0, 3), np.int64), *(table.facts for table in tables)]),
            annotations=tuple(annotations),
            annotation_of=np.concatenate([np.zeros(0, np.int32), *annotation_of]),
            attrs=StringTable.concatenated([table.attrs for table in tables]),
            extents=ExtentTable.concatenated([table.extents for table in tables]),
        )


class UnitTableBuilder:
    """Makes a `UnitTable`, unit after unit, of a few bytes for each dataset."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[object, ...], int] = {}
        self._datasets: list[DatasetSchema] = []
        self._layouts: dict[tuple[int, ...], int] = {}
        self._layout_of = array("i")
        self._facts = array("q")
        self._annotations: dict[Annotations, int] = {NOTHING: 0}
        self._annotation_of = array("i")
        self._attrs: list[str] = []
        self._forms: dict[ExtentForm, int] = {}
        self._form_of = array("i")
        self._sizes = array("q")
        self._numbers = array("q")

    def entry(self, schema: DatasetSchema, extents: Extents | None = None) -> Entry:
        """A dataset as `add` takes it; without ``extents``, they are not known."""
        kind = self._kinds.setdefault(schema.layout_key(), len(self._kinds))
        if kind == len(self._datasets):
            self._datasets.append(schema.layout())
        annotations = schema.annotations
        number = 0
        if annotations is not NOTHING:
            number = self._annotations.setdefault(annotations, len(self._annotations))
        if extents is None:
            return (kind, *schema.facts(), number, UNKNOWN, None)
        return (kind, *schema.facts(), number, self.form(extents), extents.numbers)

    def form(self, extents: Extents) -> int:
        """The number of what the extents of many datasets have in common."""
        return self._forms.setdefault(extents.form, len(self._forms))

    def add(self, entries: Sequence[Entry], attrs: Mapping[str, Any]) -> None:
        """Add a unit with its datasets and attributes."""
        kinds = tuple([entry[0] for entry in entries])
        self._layout_of.append(self._layouts.setdefault(kinds, len(self._layouts)))
        self._attrs.append(json.dumps(dict(attrs), sort_keys=True) if attrs else "{}")
        for _, rows, stored_bytes, missing_chunks, annotation, form, numbers in entries:
            self._facts.extend((rows, stored_bytes, missing_chunks))
            self._annotation_of.append(annotation)
            self._form_of.append(form)
            if numbers is None:
                self._sizes.append(0)
            elif isinstance(numbers, int):
                self._sizes.append(1)
                self._numbers.append(numbers)
            else:
                self._sizes.append(numbers.size)
                self._numbers.frombytes(numbers.astype(np.int64, copy=False).tobytes())

    def table(self) -> UnitTable:
        """The units that were added, in order."""
        layouts = (tuple(self._datasets[kind] for kind in kinds) for kinds in self._layouts)
        extents = ExtentTable(
            tuple(self._forms),
            np.array(self._form_of, dtype=np.int32),
            np.cumsum(np.array(self._sizes, dtype=np.int64)),
            np.array(self._numbers, dtype=np.int64),
        )
        return UnitTable(
            layouts=tuple(layouts),
            layout_of=np.array(self._layout_of, dtype=np.int32),
            facts=np.array(self._facts, dtype=np.int64).reshape(-1, 3),
            annotations=tuple(self._annotations),
            annotation_of=np.array(self._annotation_of, dtype=np.int32),
            attrs=StringTable.of(self._attrs),
            extents=extents,
        )


@dataclass(frozen=True, eq=False)
class FileMatches(EqualByValue, Frozen):
    """What a ``*`` matched in one file.

    Args:
        part: the part of the path that holds the ``*``; see `MatchTable`.
        texts: what it matched, in natural order, ``(units,)``.
        units: what each match stores.
    """

    part: str
    texts: StringTable
    units: UnitTable


def _renumbered(
    values: Sequence[Any], number_of: npt.NDArray[np.int32], numbers: dict[Any, int]
) -> npt.NDArray[np.int32]:
    """The numbers of values in a growing table of distinct values."""
    new = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.asarray(new, dtype=np.int32)[number_of] if new else number_of
