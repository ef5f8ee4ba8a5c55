"""What units store, as arrays: a unit is a file, or each match of the ``*`` in a file. Opens no file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import EqualByValue, Frozen
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.annotations import NOTHING, Annotations
from h5lightning.planning.catalog.extents import Extents, ExtentTable
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["FileMatches", "UnitTable", "UnitTableBuilder"]


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
    """Makes a `UnitTable`, unit after unit."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}
        self._layouts: list[tuple[DatasetSchema, ...]] = []
        self._layout_of: list[int] = []
        self._facts: list[tuple[int, int, int]] = []
        self._annotations: dict[Annotations, int] = {NOTHING: 0}
        self._annotation_of: list[int] = []
        self._attrs: list[str] = []
        self._extents: list[Extents | None] = []

    def add(
        self,
        datasets: Sequence[DatasetSchema],
        attrs: Mapping[str, Any],
        extents: Sequence[Extents | None] = (),
    ) -> None:
        """Add a unit; without ``extents``, they are not known."""
        number = self._numbers.setdefault(tuple(item.layout_key() for item in datasets), len(self._numbers))
        if number == len(self._layouts):
            self._layouts.append(tuple(dataset.layout() for dataset in datasets))
        self._layout_of.append(number)
        self._facts.extend(dataset.facts() for dataset in datasets)
        annotations = self._annotations
        self._annotation_of.extend(
            0
            if dataset.annotations is NOTHING
            else annotations.setdefault(dataset.annotations, len(annotations))
            for dataset in datasets
        )
        self._attrs.append(json.dumps(dict(attrs), sort_keys=True) if attrs else "{}")
        self._extents.extend(extents or [None] * len(datasets))

    def table(self) -> UnitTable:
        """The units that were added, in order."""
        return UnitTable(
            layouts=tuple(self._layouts),
            layout_of=np.asarray(self._layout_of, dtype=np.int32),
            facts=np.asarray(self._facts, dtype=np.int64).reshape(-1, 3),
            annotations=tuple(self._annotations),
            annotation_of=np.asarray(self._annotation_of, dtype=np.int32),
            attrs=StringTable.of(self._attrs),
            extents=ExtentTable.of(self._extents),
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
