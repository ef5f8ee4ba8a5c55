"""The answers of a scanning process as lines of JSON, each for some of the files of a task.

The files of a data set share few layouts, so each layout is sent once and then referred to by its number. The numbers
that locate stored values are sent as bytes, unless there is only one: a file may have a million of them.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning import errors
from h5lightning.core.string_table import StringTable
from h5lightning.errors import H5LightningError
from h5lightning.planning.catalog.annotations import NOTHING, Annotations
from h5lightning.planning.catalog.extents import Extents, ExtentTable, FilterValues
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.plain_arrays import arrays_of, plain_of
from h5lightning.planning.catalog.record_layout import RecordLayout
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.catalog.unit_table import FileMatches, UnitTable
from h5lightning.storage.scanning.scan_request import Outcome

__all__ = ["OutcomeDecoder", "OutcomeEncoder"]

_LINE_BYTES = 4 * 1024 * 1024


class OutcomeEncoder:
    """Writes outcomes as lines. A line can be decoded only by the decoder of all lines before it."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[object, ...], int] = {}
        self._new_layouts: list[DatasetSchema] = []
        self._annotations: dict[Annotations, int] = {NOTHING: 0}
        self._filters: dict[FilterValues, int] = {}
        self._records: dict[RecordLayout | None, int] = {None: 0}

    def encode(self, outcomes: Iterable[Outcome]) -> Iterator[str]:
        """Lines without line ends, at least one; large outcomes are divided among lines to bound the memory."""
        files: list[Outcome] = []
        line_bytes, lines = 0, 0
        for outcome in outcomes:
            files.append(outcome)
            line_bytes += _nbytes(outcome)
            if line_bytes >= _LINE_BYTES:
                yield self._line(files)
                files, line_bytes, lines = [], 0, lines + 1
        if files or not lines:
            yield self._line(files)

    def _line(self, outcomes: Iterable[Outcome]) -> str:
        filters, annotations, records = len(self._filters), len(self._annotations), len(self._records)
        self._new_layouts = []
        files = [self._file(outcome) for outcome in outcomes]
        new = {
            "layouts": [layout.to_plain() for layout in self._new_layouts],
            "filters": list(self._filters)[filters:],
            "records": [one.to_plain() for one in list(self._records)[records:] if one is not None],
            "annotations": [one.to_plain() for one in list(self._annotations)[annotations:]],
        }
        return json.dumps({**new, "files": files})

    def _file(self, outcome: Outcome) -> dict[str, Any]:
        if isinstance(outcome, H5LightningError):
            return {"error": type(outcome).__name__, "text": str(outcome)}
        return {
            "datasets": [self._dataset(dataset) for dataset in outcome.datasets],
            "attrs": outcome.attrs,
            "extents": [self._extents(extents) for extents in outcome.extents],
            "sources": outcome.sources,
            "matches": None if outcome.matches is None else self._matches(outcome.matches),
            "bounds": None if outcome.bounds is None else outcome.bounds.to_plain(),
            "indexes": {path: plain_of(table.arrays()) for path, table in outcome.row_indexes.items()},
            "values": {name: plain_of(values.arrays()) for name, values in outcome.row_values.items()},
        }

    def _matches(self, matches: FileMatches) -> dict[str, Any]:
        units = matches.units
        datasets = [[self._layout(dataset) for dataset in layout] for layout in units.layouts]
        annotations = [self._annotation(annotations) for annotations in units.annotations]
        forms = [
            [self._filter(filters), reason, parts, self._record(record)]
            for filters, reason, parts, record in units.extents.layouts
        ]
        return {
            "part": matches.part,
            "texts": _packed_texts(matches.texts),
            "layouts": datasets,
            "layout_of": _packed(units.layout_of),
            "facts": _packed(units.facts),
            "annotations": annotations,
            "annotation_of": _packed(units.annotation_of),
            "attrs": _packed_texts(units.attrs),
            "forms": forms,
            "form_of": _packed(units.extents.layout_of),
            "ends": _packed(units.extents.ends),
            "numbers": _packed(units.extents.numbers),
        }

    def _dataset(self, dataset: DatasetSchema) -> list[int]:
        return [self._layout(dataset), *dataset.facts(), self._annotation(dataset.annotations)]

    def _layout(self, dataset: DatasetSchema) -> int:
        next_number = len(self._layouts)
        layout = self._layouts.setdefault(dataset.layout_key(), next_number)
        if layout == next_number:
            self._new_layouts.append(dataset.layout())
        return layout

    def _annotation(self, annotations: Annotations) -> int:
        if annotations is NOTHING:
            return 0
        return self._annotations.setdefault(annotations, len(self._annotations))

    def _filter(self, filters: FilterValues) -> int:
        return self._filters.setdefault(filters, len(self._filters))

    def _record(self, record: RecordLayout | None) -> int:
        return self._records.setdefault(record, len(self._records))

    def _extents(self, extents: Extents | None) -> list[Any] | int | str | None:
        if extents is None:
            return None
        if extents.reason:
            return extents.reason
        if extents.numbers.size == 1 and not extents.filters and extents.record is None:
            return int(extents.numbers[0, 0])
        numbers = b64encode(extents.numbers.astype("<i8", copy=False).tobytes()).decode()
        return [self._filter(extents.filters), len(extents.numbers), numbers, self._record(extents.record)]


class OutcomeDecoder:
    """Reads the lines of one encoder, in order."""

    def __init__(self) -> None:
        self._layouts: list[DatasetSchema] = []
        self._annotations: list[Annotations] = [NOTHING]
        self._filters: list[FilterValues] = []
        self._records: list[RecordLayout | None] = [None]

    def decode(self, line: str | bytes) -> list[Outcome]:
        """The outcomes of one line."""
        message = json.loads(line)
        self._layouts.extend(DatasetSchema.from_plain(plain) for plain in message["layouts"])
        self._annotations.extend(Annotations.from_plain(plain) for plain in message["annotations"])
        self._filters.extend(
            tuple((number, tuple(values)) for number, values in plain) for plain in message["filters"]
        )
        self._records.extend(RecordLayout.from_plain(plain) for plain in message["records"])
        return [self._file(plain) for plain in message["files"]]

    def _file(self, plain: dict[str, Any]) -> Outcome:
        if "error" in plain:
            error: H5LightningError = getattr(errors, plain["error"])(plain["text"])
            return error
        datasets = tuple(self._dataset(facts) for facts in plain["datasets"])
        extents = tuple(self._extents(item) for item in plain["extents"])
        sources = tuple(
            (path, (size, mtime, ctime, inode)) for path, (size, mtime, ctime, inode) in plain["sources"]
        )
        matches = None if plain["matches"] is None else self._matches(plain["matches"])
        bounds = SeriesBounds.from_plain(plain["bounds"])
        indexes = {path: IndexTable.from_arrays(arrays_of(table)) for path, table in plain["indexes"].items()}
        values = {name: RowValues.from_arrays(arrays_of(own)) for name, own in plain["values"].items()}
        return FileSchema(datasets, plain["attrs"], extents, sources, matches, bounds, indexes, values)

    def _matches(self, plain: dict[str, Any]) -> FileMatches:
        forms = (
            (self._filters[filters], reason, parts, self._records[record])
            for filters, reason, parts, record in plain["forms"]
        )
        extents = ExtentTable(
            tuple(forms),
            _unpacked(plain["form_of"], "<i4"),
            _unpacked(plain["ends"], "<i8"),
            _unpacked(plain["numbers"], "<i8"),
        )
        units = UnitTable(
            layouts=tuple(tuple(self._layouts[number] for number in layout) for layout in plain["layouts"]),
            layout_of=_unpacked(plain["layout_of"], "<i4"),
            facts=_unpacked(plain["facts"], "<i8").reshape(-1, 3),
            annotations=tuple(self._annotations[number] for number in plain["annotations"]),
            annotation_of=_unpacked(plain["annotation_of"], "<i4"),
            attrs=_unpacked_texts(plain["attrs"]),
            extents=extents,
        )
        return FileMatches(plain["part"], _unpacked_texts(plain["texts"]), units)

    def _dataset(self, facts: Sequence[int]) -> DatasetSchema:
        layout, *of_file, annotations = facts
        return self._layouts[layout].with_facts(of_file, self._annotations[annotations])

    def _extents(self, plain: list[Any] | int | str | None) -> Extents | None:
        if plain is None:
            return None
        if isinstance(plain, int):
            return Extents(np.array([[plain]]))
        if isinstance(plain, str):
            return Extents.unreadable(plain)
        filters, parts, numbers, record = plain
        array = np.frombuffer(b64decode(numbers), "<i8").reshape(parts, -1)
        return Extents(array, self._filters[filters], record=self._records[record])


def _nbytes(outcome: Outcome) -> int:
    if isinstance(outcome, H5LightningError):
        return 0
    bounds = 0 if outcome.bounds is None else outcome.bounds.nbytes
    bounds += sum(table.nbytes for table in outcome.row_indexes.values())
    bounds += sum(values.nbytes for values in outcome.row_values.values())
    if outcome.matches is not None:
        units = outcome.matches.units
        return bounds + units.facts.nbytes + units.attrs.blob.nbytes + units.extents.nbytes
    return bounds + sum(extents.numbers.nbytes for extents in outcome.extents if extents is not None)


def _packed(array: npt.NDArray[Any]) -> str:
    kind = "<i4" if array.dtype.itemsize == 4 else "<i8"
    return b64encode(array.astype(kind, copy=False).tobytes()).decode()


def _unpacked(text: str, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(b64decode(text), kind)


def _packed_texts(texts: StringTable) -> list[str]:
    return [b64encode(texts.blob.tobytes()).decode(), _packed(texts.ends)]


def _unpacked_texts(plain: list[str]) -> StringTable:
    return StringTable(np.frombuffer(b64decode(plain[0]), np.uint8), _unpacked(plain[1], "<i8"))
