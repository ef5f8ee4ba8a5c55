"""The contract of series and windows in plain NumPy: which series there are, which samples, and what each holds.

It reads whole datasets with h5py and makes one sample at a time. Nothing here plans as the package does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from judging.divisions import RefusedError, divide
from judging.options import STAGES, Case, FieldOption, SamplesOption
from judging.reading import join, natural, read_all

__all__ = ["Contract", "OneSeries", "Part", "Sample"]

Array = npt.NDArray[Any]
Part = tuple[int, int]  # first row and one past the last row in a series


class OneSeries(NamedTuple):
    """One series.

    Args:
        file: number of its file.
        text: what the ``*`` matched.
        name: as `locate` says it.
        entry: its entry along the leading axis.
        start: its first row in its file or match.
        rows: how many it has.
    """

    file: int
    text: str
    name: str
    entry: int | None
    start: int
    rows: int


class Sample(NamedTuple):
    """The series of a sample, and its first row there."""

    series: int
    row: int


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
        self._files = [read_all(path) for path in self.paths]
        self._check()
        self.series = [one for file in range(len(self.paths)) for one in self._series_of(file)]
        if not any(one.rows for one in self.series):
            raise RefusedError("no series has a row")
        self._check_spans()
        self._check_constants()

    # ── series ───────────────────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        stars = {key: field.paths[0].count("*") for key, field in self.rows_fields.items()}
        every = [path.count("*") for field in self.fields.values() for path in field.paths]
        if not stars or max(every) > 1 or len(set(stars.values())) > 1:
            raise RefusedError("each field with rows has one *, or none has")
        options, axis = self.case.series or {}, (self.case.series or {}).get("axis")
        for samples in self.case.stage_samples.values():
            if samples.pad and samples.kind != "windows":
                raise RefusedError("pad needs windows")
            for field in self.rows_fields.values():
                rows_axis, series_axis = self._axes(field, samples)
                if rows_axis == series_axis:
                    raise RefusedError("rows lie along the axis of series")
                if rows_axis not in ((0,) if series_axis is None else (1,)):
                    raise RefusedError("rows lie along the first axis, or the second after that of series")
        if axis is None and any(field.series_axis is not None for field in self.fields.values()):
            raise RefusedError("a field has an axis of series, the data have not")
        if options and any(field.extra_rows for field in self.fields.values()):
            raise RefusedError("extra_rows with a table or an axis of series")

    def _axes(self, field: FieldOption, samples: SamplesOption) -> tuple[int, int | None]:
        if not field.inherits_axes:
            return field.axis or 0, field.series_axis
        return samples.axis, (self.case.series or {}).get("axis")

    @property
    def _any_samples(self) -> SamplesOption:
        return self.case.stage_samples["train"]

    def _texts(self, file: int) -> list[str]:
        """What the ``*`` matches in a file, in natural order."""
        found: dict[str, int] = {}
        for field in self.rows_fields.values():
            for path in field.paths:
                pattern = re.compile(re.escape(path).replace(r"\*", "([^/@]*)") + "$")
                matches = {match[1] for name in self._files[file] if (match := pattern.match(name))}
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
            name = part.replace("*", text)
            if entries is not None:
                for entry in range(entries):
                    yield OneSeries(file, text, _joined(name, str(entry)), entry, 0, rows)
                continue
            borders = divide(options, partial(self._get, file, text=text), rows)
            if borders is None:
                yield OneSeries(file, text, name, None, 0, rows)
                continue
            for label, start, stop in borders:
                yield OneSeries(file, text, _joined(name, label), None, start, stop - start)

    def _rows(self, file: int, text: str) -> tuple[int, int | None]:
        """Rows of a match, and its entries along the leading axis."""
        lengths, entries = {}, set()
        for key, field in self.rows_fields.items():
            axis, series_axis = self._axes(field, self._any_samples)
            for path in field.paths:
                data = self._get(file, path, text)
                if data.ndim <= axis:
                    raise RefusedError("an axis that is not there")
                lengths[key, path] = data.shape[axis]
                if series_axis is not None:
                    entries.add(data.shape[series_axis])
        if (self.case.series or {}).get("axis") is not None:
            fields = (f for f in self.fields.values() if f.constant and f.series_axis is not None)
            entries |= {
                self._get(file, path, text).shape[field.series_axis or 0]
                for field in fields
                for path in field.paths
            }
        rows = min(lengths.values())
        for (key, _), length in lengths.items():
            if length - rows > self.fields[key].extra_rows:
                raise RefusedError("fields of different length")
        if len(entries) > 1:
            raise RefusedError("fields with different numbers of series")
        if not rows and "*" not in next(iter(lengths))[1] and not entries:
            raise RefusedError("a file without rows")
        return rows, next(iter(entries)) if entries else None

    def _get(self, file: int, path: str, text: str) -> Array:
        found = self._files[file].get(path.replace("*", text))
        if not isinstance(found, np.ndarray):
            raise RefusedError(f"no dataset {path}")
        return found

    def dataset(self, file: int, path: str) -> Array:
        """A dataset of a file."""
        return self._get(file, path, "")

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
                first += sum(len(self.starts(one, samples)) for one in self.series)
        return found

    @cached_property
    def everything(self) -> list[Sample]:
        """All samples of all sections, in the order of their ids."""
        return [
            Sample(number, row)
            for samples in self.sections
            for number, one in enumerate(self.series)
            for row in self.starts(one, samples)
        ]

    def ids_of(self, stage: str, parts: Mapping[int, list[Part]]) -> dict[int, Part]:
        """The samples of a stage whose rows lie in parts of series: id → part."""
        samples = self.case.stage_samples[stage]
        found, first = dict[int, Part](), self.sections[samples]
        for number, one in enumerate(self.series):
            every = self.starts(one, samples)
            for part in parts.get(number, []):
                inside = set(self.starts(one, samples, part))
                found |= {first + place: part for place, row in enumerate(every) if row in inside}
            first += len(every)
        return found

    def starts(self, one: OneSeries, samples: SamplesOption, part: Part | None = None) -> list[int]:
        """The first row of each sample of a series, or of a part of it."""
        return _starts(self, one, samples, part or (0, one.rows))

    def limits(self, one: OneSeries, field: FieldOption, part: Part) -> Part:
        """The rows that a field may read for samples of a part: at the end of a series, also those it has more."""
        if part[1] < one.rows or not field.extra_rows:
            return part
        axis, _ = self._axes(field, self._any_samples)
        return part[0], min(self._get(one.file, path, one.text).shape[axis] for path in field.paths)

    def _check_spans(self) -> None:
        """Each stage that has rows needs a series that is long enough."""
        split = self.case.split.get("given") or self.case.split
        stages = [stage for stage in ("train", "val", "test") if stage == "train" or split.get(stage)]
        for samples in (self.case.stage_samples[stage] for stage in stages):
            if samples.kind == "whole":
                self._check_equal()
            if samples.kind != "windows" or samples.pad:
                continue
            if not any(self.starts(one, samples) for one in self.series):
                raise RefusedError("no series is long enough for the span")

    def _check_constants(self) -> None:
        """What has no rows is there, and has one shape."""
        for field in self.fields.values():
            if field.attr is not None:
                shapes = {self._attribute(one, field).shape for one in self.series}
            elif field.constant:
                found = (self._get(one.file, path, one.text) for one in self.series for path in field.paths)
                shapes = {data.shape[1:] if field.series_axis is not None else data.shape for data in found}
            else:
                continue
            if len(shapes) > 1:
                raise RefusedError("constants of different shapes")

    def _check_equal(self) -> None:
        """Whole series can be stacked."""
        for field in self.rows_fields.values():
            if len({self.limits(one, field, (0, one.rows)) for one in self.series if one.rows}) > 1:
                raise RefusedError("whole series of different lengths")

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    def value(self, key: str, sample: Sample, samples: SamplesOption, part: Part) -> Array:
        """What a field of a sample holds, in the stored type or the one that is asked for."""
        field, one = self.fields[key], self.series[sample.series]
        if field.padding_of is not None:
            field = self.fields[field.padding_of]
            return self._outside(field, one, sample.row, samples, part)[1]
        if field.attr is not None:
            return self._attribute(one, field)
        found = [self._values(field, one, path, sample.row, samples, part) for path in field.paths]
        if field.members is not None:
            found = [found[0][name] for name in field.members]
        joined = join(found, field, has_time=samples.kind != "rows" and field.has_rows)
        return joined if field.dtype is None else joined.astype(field.dtype)

    def _values(
        self, field: FieldOption, one: OneSeries, path: str, row: int, samples: SamplesOption, part: Part
    ) -> Array:
        data = self._get(one.file, path, one.text)
        axis, series_axis = self._axes(field, samples)
        if field.constant:
            return data if series_axis is None else data[one.entry]
        if series_axis is not None:
            data, axis = data[one.entry], axis - 1
        data = np.moveaxis(data, axis, 0)[one.start :]
        if samples.kind == "rows":
            return np.asarray(data[row])
        if samples.kind == "whole":
            return data[: one.rows] if not field.extra_rows else data
        rows, outside = self._outside(field, one, row, samples, part)
        found = np.array(data[rows])
        if samples.pad == "zero":
            found[outside] = np.zeros((), found.dtype)
        return found

    def _outside(
        self, field: FieldOption, one: OneSeries, row: int, samples: SamplesOption, part: Part
    ) -> tuple[Array, Array]:
        """The rows of a window, clipped, and which of them are padding."""
        wanted = row + samples.dilation * np.arange(*(field.steps or (0, samples.length)))
        first, last = self.limits(one, field, part)
        return np.clip(wanted, first, last - 1), (wanted < first) | (wanted >= last)

    def _attribute(self, one: OneSeries, field: FieldOption) -> Array:
        """An attribute of the matched object, else of its parents, else of the file."""
        if field.paths[0]:
            where = field.paths[0].replace("*", one.text)
        else:
            first = next(iter(self.rows_fields.values())).paths[0]
            before, star, after = first.partition("*")
            where = before + one.text + after.split("/")[0] if star else ""
        return self.attribute(one.file, where, field.attr or "")

    def attribute(self, file: int, where: str, name: str) -> Array:
        """An attribute of an object, else of its parents, else of the file."""
        while True:
            found = self._files[file].get(f"{where}@{name}")
            if found is not None:
                return np.asarray(found)
            if not where:
                raise RefusedError(f"no attribute {name}")
            where = where.rpartition("/")[0]


def _starts(contract: Contract, one: OneSeries, samples: SamplesOption, part: Part) -> list[int]:
    first, stop = part
    if samples.kind == "rows":
        return list(range(first, stop))
    if samples.kind == "whole":
        return [0] if one.rows and part == (0, one.rows) else []
    # The grid begins where the first sample can: without padding, the rows before a window must be there.
    lowest = min([0, *(field.steps[0] for field in contract.rows_fields.values() if field.steps)])
    begin = 0 if samples.pad else -lowest * samples.dilation
    grid = [row for row in range(begin, one.rows, samples.stride) if first <= row < stop]
    if samples.pad:
        return grid
    return [row for row in grid if all(_fits(contract, one, row, samples, part))]


def _fits(contract: Contract, one: OneSeries, row: int, samples: SamplesOption, part: Part) -> Iterable[bool]:
    yield row + (samples.length - 1) * samples.dilation < part[1]
    for field in contract.rows_fields.values():
        begin, end = field.steps or (0, samples.length)
        first, stop = contract.limits(one, field, part)
        yield row + begin * samples.dilation >= first and row + (end - 1) * samples.dilation < stop


def _joined(name: str, label: str) -> str:
    return f"{name}/{label}" if name else label
