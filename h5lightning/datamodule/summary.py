"""Summarises a run in numbers: the sizes of its splits, and what two of them share."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import PlainTable, bytes_text, counted, share_text
from h5lightning.datamodule.part_groups import groups_of_parts
from h5lightning.datamodule.stored_parts import decoded_bytes, left_out_rows, uncovered
from h5lightning.options import Windows
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.reach import WindowReach
from h5lightning.planning.sections import Section
from h5lightning.planning.splitting.overlap import shared_rows
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.discovery.same_files import identical_files

__all__ = ["SplitSummary", "Summary", "summarise"]

Parts = Mapping[str, Segments]

_MOST_LISTED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class SplitSummary:
    """The numbers of one split.

    Args:
        decoded_bytes: size of its rows in memory in the stored type, over all fields that have rows.
        requested: the requested fraction of the rows; None where its files were named.
        reached: the fraction of the rows that it has; None where its files were named.
        groups: values of ``keep_together`` in it; None without such values.
        rows_without_window: rows at which no window starts, whatever the stride: the window would leave its series or
            its split there.
        rows_left_out: rows that conditions of ``where`` leave out.
    """

    name: str
    files: int
    series: int
    rows: int
    samples: int
    decoded_bytes: int
    requested: float | None
    reached: float | None
    groups: int | None = None
    rows_without_window: int = 0
    rows_left_out: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """All splits of a run; ``print`` it, or use `to_plain` for JSON.

    Args:
        root: the directory that the names of files are relative to.
        by: the unit that is never divided: ``file``, ``series``, ``block``, ``sample``, or ``group``: all rows of one
            value.
        splits: one entry for each split.
        unused_rows: rows that are in no split: gaps, and the rows that a smaller train leaves.
        shared_files: files that have rows in more than one of train, val and test.
        shared_groups: values of ``keep_together`` whose files or series are in more than one of them.
        shared_rows: rows that are in two of them.
        identical: files of different splits with the same content (size and some blocks), each with its
            split, one entry for each content.
        without_samples: the first series that are too short for a sample.
        without_samples_count: number of such series.
        skipped: files that were left out, each with the reason.
        new_files: files that the manifest does not list.
        rows_in_no_series: rows that a table of series leaves out.
        series: number of all series.
        new_series: new series of files that the manifest lists.
        remarks: sentences about the fields, and about what training decodes more than once.
    """

    root: str
    by: str
    splits: tuple[SplitSummary, ...]
    unused_rows: int
    shared_files: int
    shared_groups: int
    shared_rows: int
    identical: tuple[tuple[tuple[str, str], ...], ...]
    without_samples: tuple[str, ...]
    without_samples_count: int
    skipped: tuple[SkippedFile, ...]
    new_files: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    rows_in_no_series: int = 0
    series: int = 0
    new_series: int = 0

    def __str__(self) -> str:
        return self._table().text()

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return dataclasses.asdict(self)

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> PlainTable:
        header = ("split", "files", "series", "rows", "samples", "decoded", "requested", "reached")
        title = f"Split by {self.by}, files in {self.root}"
        return PlainTable(title, header, [_row(split) for split in self.splits], tuple(self._remarks()))

    def _remarks(self) -> Iterable[str]:
        shared = (counted(self.shared_files, "file"), counted(self.shared_groups, "group"))
        yield f"Between splits: {', '.join(shared)}, {counted(self.shared_rows, 'row')} shared"
        if self.unused_rows:
            yield f"In no split: {counted(self.unused_rows, 'row')}"
        if self.rows_in_no_series:
            yield f"In no series: {counted(self.rows_in_no_series, 'row')}"
        yield from self._counted("Start no window", "rows_without_window")
        yield from self._counted("Left out by where", "rows_left_out")
        groups = {split.name: split.groups for split in self.splits if split.groups is not None}
        if groups:
            yield f"Groups: {', '.join(f'{name} {count:,}' for name, count in groups.items())}"
        if self.identical:
            twins = [_twins(group) for group in self.identical]
            yield f"Same content in different splits: {_listed(twins, len(twins), 'case')}"
        if self.without_samples_count:
            listed = _listed(self.without_samples, self.without_samples_count, "series")
            yield f"Too short for a sample, of {counted(self.series, 'series')}: {listed}"
        if self.skipped:
            reasons = [f"{file.name}: {file.reason}" for file in self.skipped]
            yield f"Left out: {_listed(reasons, len(reasons), 'file')}"
        if self.new_files:
            yield f"New since the manifest: {_listed(self.new_files, len(self.new_files), 'file')}"
        if self.new_series:
            yield f"New since the manifest: {counted(self.new_series, 'series')} of known files"
        yield from self.remarks

    def _counted(self, what: str, name: str) -> Iterable[str]:
        """A sentence about some rows of splits, if there are any."""
        rows = {split.name: getattr(split, name) for split in self.splits if getattr(split, name)}
        if rows:
            named = ", ".join(f"{split} {count:,}" for split, count in rows.items())
            yield f"{what}: {counted(sum(rows.values()), 'row')} ({named})"


def summarise(
    survey: DataSurvey,
    plan: SplitPlan,
    new_files: Sequence[str] = (),
    *,
    new_series: int = 0,
    keep_together: str | None = None,
    on_missing: str = "raise",
    remarks: Sequence[str] = (),
) -> Summary:
    """Count what each split holds, and what two splits share; without ``keep_together``, by the survey's labels.

    Args:
        survey: what is known of the files.
        plan: their split.
        new_files: files that the manifest does not list.
        new_series: number of new series of files that the manifest lists.
        keep_together: see `Split`.
        on_missing: see `Access`.
        remarks: further sentences.
    """
    index, parts = survey.index, dict(plan.parts)
    predict = (survey.roles or {}).get("predict")
    stages = parts if predict is None else {**parts, "predict": Segments.of_files(index, predict)}
    sections = {name: survey.sections[name] for name in stages}
    empty = _without_samples(survey, stages)
    groups = groups_of_parts(survey, parts, keep_together)
    unwritten = () if on_missing == "fill" else _unwritten_ends(survey)
    return Summary(
        root=index.root,
        by=plan.by,
        splits=tuple(
            _split(name, part, sections[name], plan, groups.get(name)) for name, part in stages.items()
        ),
        unused_rows=plan.unused_rows,
        shared_files=_count_shared(part.files(index).tolist() for part in parts.values()),
        shared_groups=_count_shared(groups.values()),
        shared_rows=sum(shared_rows(*pair, index) for pair in itertools.combinations(parts.values(), 2)),
        identical=_identical(survey, stages),
        without_samples=tuple(_series_text(index, series) for series in empty[:_MOST_LISTED].tolist()),
        without_samples_count=int(empty.size),
        skipped=survey.catalog.skipped,
        new_files=tuple(new_files),
        remarks=(
            *survey.fields.row_remarks,
            *survey.fields.remarks,
            *_joined(survey),
            *survey.table_remarks,
            *_samples_of_stages(survey),
            *_uncovered(survey, stages),
            *unwritten,
            *remarks,
        ),
        rows_in_no_series=int(index.rows_of_units.sum() - index.series_rows.sum()),
        series=len(index.series_rows),
        new_series=new_series,
    )


def _without_samples(survey: DataSurvey, stages: Parts) -> Int64Array:
    """The series that are too short for a sample, of their stage if stages have samples of their own; ascending."""
    if len(survey.sections.indices) == 1:
        return np.flatnonzero(survey.index.series_samples == 0)
    parts = {name: part.series for name, part in stages.items()}
    empty = [part[survey.sections[name].index.series_samples[part] == 0] for name, part in parts.items()]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *empty]))


def _samples_of_stages(survey: DataSurvey) -> Iterable[str]:
    """A sentence about the samples of each stage, if they differ."""
    sections = survey.sections
    if len(sections.indices) > 1:
        texts = [f"{', '.join(sections.stages_of(index))}: {index.samples!r}" for index in sections.indices]
        yield f"Samples by stage: {'; '.join(texts)}"


def _uncovered(survey: DataSurvey, stages: Parts) -> Iterable[str]:
    """What windows along several axes leave out, for each layout of samples of some stages."""
    sections = survey.sections
    named = (
        (index, [one for one in sections.stages_of(index) if one in stages]) for index in sections.indices
    )
    return (text for index, names in named for text in uncovered(index, names) if names)


def _split(
    name: str, part: Segments, section: Section, plan: SplitPlan, groups: set[str | None] | None
) -> SplitSummary:
    index = section.index
    return SplitSummary(
        name=name,
        files=int(part.files(index).size),
        series=int(np.unique(part.series if index.runs is None else index.runs.run[part.series]).size),
        rows=part.rows,
        samples=len(plan.samples(name, index) if name in plan.parts else part.selection(index)),
        decoded_bytes=decoded_bytes(part, section),
        requested=plan.requested.get(name),
        reached=plan.reached.get(name),
        groups=None if groups is None else len(groups),
        rows_without_window=_rows_without_window(part, index),
        rows_left_out=left_out_rows(part, index),
    )


def _joined(survey: DataSurvey) -> Iterable[str]:
    """Which files go on where others end."""
    joined, names = survey.joined, survey.catalog.names
    if joined is None:
        return
    made = f"{counted(len(names), 'file')} make {counted(len(joined.runs), 'series')}"
    if not joined.path:
        yield f"Joined in the order of paths, which nothing verified: {made}"
        return
    yield f"Joined by '/{joined.path}': {made}"
    if joined.gaps:
        gaps = [f"{names[gap.before]} to {names[gap.after]}: {gap.text}" for gap in joined.gaps]
        yield f"Gaps, which no window crosses: {_listed(gaps[:_MOST_LISTED], len(gaps), 'gap')}"


def _rows_without_window(part: Segments, index: SampleIndex) -> int:
    if not isinstance(index.samples, Windows) or not isinstance(index.reach, WindowReach):
        return 0
    samples, reach = dataclasses.replace(index.samples, stride=1), dataclasses.replace(index.reach, stride=1)
    dense = dataclasses.replace(index, samples=samples, given_reach=reach, grid=None, filter=None)
    return part.rows - len(part.selection(dense))


def _count_shared(sets: Iterable[Iterable[Any]]) -> int:
    """Number of items that are in more than one of the sets."""
    times = Counter(item for items in sets for item in set(items))
    return sum(count > 1 for count in times.values())


def _identical(survey: DataSurvey, stages: Parts) -> tuple[tuple[tuple[str, str], ...], ...]:
    index = survey.index
    stages_of: dict[int, list[str]] = {}
    for name, part in stages.items():
        for file in part.files(index).tolist():
            stages_of.setdefault(file, []).append(name)
    files = sorted(stages_of)
    sizes = survey.catalog.stamps[np.asarray(files, dtype=np.int64), 0].tolist()
    owners = [frozenset(stages_of[file]) for file in files]
    groups = identical_files([index.path(file) for file in files], sizes, owners)
    return tuple(
        tuple((index.names[files[i]], ", ".join(stages_of[files[i]])) for i in group) for group in groups
    )


def _unwritten_ends(survey: DataSurvey) -> Iterable[str]:
    """Remarks on files whose last rows hold only the fill value, as far as a scan has seen."""
    catalog = survey.catalog
    is_marked = np.asarray([notes.ends_with_fill for notes in catalog.annotations] + [False])
    for path in dict.fromkeys(plan.path for plan in survey.fields.row_fields):
        files = np.flatnonzero(is_marked[catalog.annotations_of(path)])
        if files.size:
            names = [catalog.names[file] for file in files[:_MOST_LISTED].tolist()]
            yield (
                f"'/{path}' ends with rows of its fill value alone ('h5lightning check' says where they begin): "
                f"{_listed(names, files.size, 'file')}"
            )


def _row(split: SplitSummary) -> tuple[str, ...]:
    counts = (split.files, split.series, split.rows, split.samples)
    fractions = ("named" if part is None else share_text(part) for part in (split.requested, split.reached))
    return (split.name, *(f"{count:,}" for count in counts), bytes_text(split.decoded_bytes), *fractions)


def _twins(group: Sequence[tuple[str, str]]) -> str:
    """The first file of a group, the first one of another split, and the number of the others."""
    first, copies = group[0], group[1:]
    other = next((file for file in copies if file[1] != first[1]), copies[0])
    more = f" and {len(group) - 2:,} more" if len(group) > 2 else ""
    return f"{first[0]} ({first[1]}) = {other[0]} ({other[1]}){more}"


def _listed(texts: Sequence[str], count: int, noun: str) -> str:
    """The number of things, and the first ones."""
    listed = "; ".join(texts[:_MOST_LISTED])
    return f"{counted(count, noun)}: {listed}{'; …' if count > _MOST_LISTED else ''}"


def _series_text(index: SampleIndex, series: int) -> str:
    name, within = index.names[int(index.series_file[series])], index.series_name(series)
    within = f"/{within}" if within else ""
    return f"{name}{within} ({counted(int(index.series_rows[series]), 'row')})"
