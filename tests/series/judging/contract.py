"""The contract of series and windows in plain NumPy: which series there are, which samples, and what each holds.

It reads whole datasets with h5py and makes one sample at a time. Nothing here plans as the package does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from judging.checking import check_options
from judging.conditions import check_conditions, counting_rows, rows_read
from judging.divisions import RefusedError, divide
from judging.files import Files
from judging.labels import plain
from judging.lines import Lines, TableOption
from judging.matching import MatchedLines
from judging.options import STAGES, Case, FieldOption, SamplesOption
from judging.places import Array, OneSeries, Part, Sample
from judging.reading import natural
from judging.scaling import Statistics
from judging.shapes import check_shapes
from judging.starts import others_of, starts_of
from judging.stretches import entries_of, stretches
from judging.values import row_value, value_of
from judging.vocabularies import Vocabularies

__all__ = ["Contract", "OneSeries", "Part", "Sample"]


class Contract:
    """What a case means.

    Args:
        case: the case.
        paths: its files, in their order.

    Raises:
        RefusedError: the contract says that the case is an error.
    """

    def __init__(self, case: Case, paths: Iterable[str]) -> None:
        self.case, self.paths = case, list(paths)
        self.fields = case.field_options
        self.rows_fields = {key: field for key, field in self.fields.items() if field.has_rows}
        self.files = Files(self.paths)
        self._unit_rows: dict[tuple[int, str], int] = {}
        self.vocabularies = Vocabularies(self)
        self.statistics: dict[str, Statistics] = {}
        self._counting: dict[int, Array] = {}
        table = None if case.table is None else Lines(TableOption(**case.table), self.paths)
        self.table = None if table is None else MatchedLines(self, table)
        check_options(self)
        self.series = [one for file in range(len(self.paths)) for one in self._series_of(file)]
        if self.table is not None:
            self.series = self.table.keep(self.series)
        if not any(one.rows for one in self.series):
            raise RefusedError("no series has a row")
        self._check_spans()
        check_conditions(self)
        _ = self.told_axes  # shapes that fit

    # ── series ───────────────────────────────────────────────────────────────────────────────────────

    def said_axes(self, field: FieldOption, samples: SamplesOption) -> tuple[tuple[int, ...], int | None]:
        """The axes of rows and of series, as options say them."""
        if not field.inherits_axes:
            return field.axes, field.series_axis
        return samples.axes, (self.case.series or {}).get("axis")

    def axes(
        self, field: FieldOption, samples: SamplesOption, rank: int
    ) -> tuple[tuple[int, ...], int | None]:
        """The axes of windows and of series of a dataset with so many axes, counted from the first one."""
        said, series_axis = self.said_axes(field, samples)
        axes = tuple(axis if axis >= 0 else axis + rank for axis in said)
        every = [*axes, *([] if series_axis is None else [series_axis])]
        if len(set(every)) < len(every) or not all(0 <= axis < rank for axis in every):
            raise RefusedError("an axis that is not there, or twice")
        return axes, series_axis

    @property
    def any_samples(self) -> SamplesOption:
        """Samples whose first axis is that of all stages."""
        return self.case.stage_samples["train"]

    def _texts(self, file: int) -> list[str]:
        """What the ``*`` matches in a file, in natural order."""
        found: dict[str, int] = {}
        for field in self.rows_fields.values():
            for path in field.paths:
                pattern = re.compile(re.escape(path).replace(r"\*", "([^/@]*)") + "$")
                matches = {match[1] for name in self.files.names(file) if (match := pattern.match(name))}
                for text in matches:
                    found[text] = found.get(text, 0) + 1
        wanted = sum(len(field.paths) for field in self.rows_fields.values())
        if any(count < wanted for count in found.values()):
            raise RefusedError("a series lacks a field")
        if not found:
            raise RefusedError("a file without a match")
        return sorted(found, key=natural)

    def _series_of(self, file: int) -> Iterable[OneSeries]:
        first = next(iter(self.rows_fields.values())).paths[0]
        has_star = "*" in first
        options = self.case.series or {}
        part = next((part for part in first.split("/") if "*" in part), "")
        for text in self._texts(file) if has_star else [""]:
            rows, entries = self._rows(file, text)
            self._unit_rows[file, text] = rows
            name = part.replace("*", text)
            if entries is not None:
                for entry in range(entries):
                    yield OneSeries(file, text, _joined(name, str(entry)), entry, 0, rows)
                continue
            borders = divide(options, partial(self.files.get, file, text=text), rows)
            if self.table is not None and self.table.makes_series:
                borders = self.table.borders(file, name, rows)
            if borders is None:
                yield OneSeries(file, text, name, None, 0, rows)
                continue
            for label, start, stop in borders:
                yield OneSeries(file, text, _joined(name, label), None, start, stop - start)

    def given_split(self, number: int) -> str:
        """The split that the line of a series says."""
        assert self.table is not None
        return self.table.split(number, self.case.split["given"].partition(":")[2])

    def group_of(self, number: int, row: int) -> Any:
        """What a row belongs to, as ``keep_together`` says with a dataset or a column."""
        kind, _, name = self.case.split["keep_together"].partition(":")
        one = self.series[number]
        if self.table is not None and kind == "table":
            return plain(self.table.values(one, name, row).item())
        value = row_value(self, FieldOption.of_values(name), Sample(number, row), coded=False)
        return plain(np.asarray(value, object).item())

    def _rows(self, file: int, text: str) -> tuple[int, int | None]:
        """Rows of a match, and its entries along the leading axis."""
        lengths, entries = self._lengths(file, text)
        rows = min(lengths.values()) if lengths else self._index_rows(file, text)
        for field in self.rows_fields.values():
            if field.index is not None:
                stretches(partial(self.files.get, file, text=text), field, rows)
        for (key, _), length in lengths.items():
            if length - rows > self.fields[key].extra_rows:
                raise RefusedError("fields of different length")
        for samples in set(self.case.stage_samples.values()):
            self._check_sizes(file, text, samples)
        if len(entries) > 1:
            raise RefusedError("fields with different numbers of series")
        first = next(iter(self.rows_fields.values())).paths[0]
        if not rows and "*" not in first and not entries:
            raise RefusedError("a file without rows")
        return rows, next(iter(entries)) if entries else None

    def _lengths(self, file: int, text: str) -> tuple[dict[tuple[str, str], int], set[int]]:
        """How many rows each dataset has, and how many entries along the leading axis."""
        lengths, entries = {}, set[int]()
        for key, field in self.rows_fields.items():
            for path in field.paths if field.index is None else ():
                data = self.files.get(file, path, text)
                axes, series_axis = self.axes(field, self.any_samples, data.ndim)
                lengths[key, path] = data.shape[axes[0]]
                if series_axis is not None:
                    entries.add(data.shape[series_axis])
        if (self.case.series or {}).get("axis") is not None:
            fields = (f for f in self.fields.values() if f.constant and f.series_axis is not None)
            entries |= {
                self.files.get(file, path, text).shape[field.series_axis or 0]
                for field in fields
                for path in field.paths
            }
        return lengths, entries

    def _index_rows(self, file: int, text: str) -> int:
        """Rows where all fields have an index."""
        counts = {
            entries_of(self.files.get(file, field.index or "", text)) for field in self.rows_fields.values()
        }
        if len(counts) > 1:
            raise RefusedError("indexes of different length")
        return counts.pop()

    def _check_sizes(self, file: int, text: str, samples: SamplesOption) -> None:
        """All fields are equally long along the other axes of a window."""
        if len({self._sizes(file, text, samples, field, path) for field, path in self._boxed}) > 1:
            raise RefusedError("fields of different sizes along an axis of windows")

    @property
    def _boxed(self) -> list[tuple[FieldOption, str]]:
        fields = self.rows_fields.values()
        return [(field, path) for field in fields if field.index is None for path in field.paths]

    def _sizes(
        self, file: int, text: str, samples: SamplesOption, field: FieldOption, path: str
    ) -> tuple[int, ...]:
        data = self.files.get(file, path, text)
        axes, _ = self.axes(field, samples, data.ndim)
        return tuple(data.shape[axis] for axis in axes[1:])

    def sizes(self, one: OneSeries, samples: SamplesOption) -> tuple[int, ...]:
        """How long a series is along the axes of windows after the first one."""
        return self._sizes(one.file, one.text, samples, *self._boxed[0]) if self._boxed else ()

    @property
    def units(self) -> list[tuple[int, str]]:
        """The matches of the ``*`` in all files, or the files."""
        return list(self._unit_rows)

    # ── samples ──────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def sections(self) -> dict[SamplesOption, int]:
        """The first id of each distinct option."""
        found: dict[SamplesOption, int] = {}
        first = 0
        for stage in STAGES:
            samples = self.case.stage_samples[stage]
            if samples not in found:
                found[samples] = first
                first += sum(
                    len(self.starts(one, samples)) * len(self.others(one, samples)) for one in self.series
                )
        return found

    @cached_property
    def everything(self) -> list[Sample]:
        """All samples of all sections, in the order of their ids."""
        return [
            Sample(number, row, others)
            for samples in self.sections
            for number, one in enumerate(self.series)
            for row in self.starts(one, samples)
            for others in self.others(one, samples)
        ]

    def ids_of(self, stage: str, parts: Mapping[int, list[Part]]) -> dict[int, Part]:
        """The samples of a stage whose rows lie in parts of series, and count: id → part."""
        samples = self.case.stage_samples[stage]
        found, first = dict[int, Part](), self.sections[samples]
        for number, one in enumerate(self.series):
            every, beside = self.starts(one, samples), len(self.others(one, samples))
            for part in parts.get(number, []):
                inside = set(self.starts(one, samples, part))
                for place, row in enumerate(every):
                    if row in inside and self._counts(number, row, samples, part):
                        found |= {first + place * beside + cell: part for cell in range(beside)}
            first += len(every) * beside
        return found

    def _counts(self, number: int, row: int, samples: SamplesOption, part: Part) -> bool:
        """Whether all rows that the samples at a row read do."""
        if not self.case.where and self.table is None:
            return True
        rows = rows_read(self, self.series[number], Sample(number, row), samples, part)
        counting = self.counting(number)
        return all(counting[read] for read in rows if read < len(counting))  # a field may have more rows

    def counting(self, number: int) -> Array:
        """For each row of a series, whether it meets all conditions."""
        if number not in self._counting:
            self._counting[number] = counting_rows(self, number)
        return self._counting[number]

    def starts(self, one: OneSeries, samples: SamplesOption, part: Part | None = None) -> list[int]:
        """The first row of each sample of a series, or of a part of it."""
        return starts_of(self, one, samples, part or (0, one.rows))

    def others(self, one: OneSeries, samples: SamplesOption) -> list[tuple[int, ...]]:
        """Where the samples that begin with a row begin along the other axes."""
        return others_of(samples, self.sizes(one, samples))

    def limits(self, one: OneSeries, field: FieldOption, part: Part) -> Part:
        """The rows that a field may read for samples of a part: at the end of a series, also those it has more."""
        if part[1] < one.rows or not field.extra_rows:
            return part
        datas = [self.files.get(one.file, path, one.text) for path in field.paths]
        return part[0], min(data.shape[self.axes(field, self.any_samples, data.ndim)[0][0]] for data in datas)

    def rows_of(self, one: OneSeries) -> int:
        """All rows of the file or match that a series lies in."""
        return self.rows_of_unit(one.file, one.text)

    def rows_of_unit(self, file: int, text: str) -> int:
        """All rows of a file or a match."""
        return self._unit_rows[file, text]

    @property
    def used_samples(self) -> list[SamplesOption]:
        """Those of stages that may have samples."""
        split = self.case.split.get("given") or self.case.split
        if isinstance(split, str):
            split = dict.fromkeys(map(self.given_split, range(len(self.series))), "given")
        stages = [stage for stage in ("train", "val", "test") if stage == "train" or split.get(stage)]
        return [self.case.stage_samples[stage] for stage in stages]

    def _check_spans(self) -> None:
        """Each stage that has rows needs a series that is long enough."""
        for samples in self.used_samples:
            if samples.kind != "windows" or (samples.pad and len(samples.axes) == 1):
                continue
            if not any(self.starts(one, samples) and self.others(one, samples) for one in self.series):
                raise RefusedError("no series is long enough for the span")

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def told_axes(self) -> dict[str, int]:
        """Key → the axis that its lengths and its padding speak of."""
        return check_shapes(self)

    def value(
        self, key: str, sample: Sample, samples: SamplesOption, part: Part, taken: Array | None = None
    ) -> Any:
        """What a field of a sample holds, in the stored type or the one that is asked for.

        Args:
            key: of the field.
            sample: which one; with the start that was drawn.
            samples: how they lie.
            part: the rows that it may read.
            taken: rows of a whole series; None for the first ones.
        """
        return value_of(self, key, sample, samples, part, taken)

    def attribute_of(self, one: OneSeries, field: FieldOption) -> Array:
        """An attribute of the matched object, else of its parents, else of the file."""
        if field.paths[0]:
            where = field.paths[0].replace("*", one.text)
        else:
            first = next(iter(self.rows_fields.values())).paths[0]
            before, star, after = first.partition("*")
            where = before + one.text + after.split("/")[0] if star else ""
        return self.files.attribute(one.file, where, field.attr or "")


def _joined(name: str, label: str) -> str:
    return f"{name}/{label}" if name else label
