"""The result of a split: rows of series for train, val and test.

A plan lists rows, never samples, so that other windows do not change it. `SplitPlan.selection` gives the samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.string_table import StringTable
from h5lightning.errors import SplitError
from h5lightning.options import Windows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.kept_samples import Runs, kept_samples, runs_of
from h5lightning.planning.reach import reach_text
from h5lightning.planning.selection import RandomSubset, Selection

__all__ = ["SPLITS", "Segments", "SplitPlan"]

SPLITS = ("train", "val", "test")

_MOST_KEPT = 3  # selections of one split, of indices with other samples


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Runs of rows, sorted by series and row.

    Args:
        series: series of each run, counted over the index, ``(segments,)``.
        start: first row of each run, counted in its series, ``(segments,)``.
        stop: one past the last row of each run, ``(segments,)``.
        subset: the rows of the runs that count (``by="sample"``); None for all.
        members: the rows of the runs that count, numbered over the runs one after the other, where rows stay together
            that have the same value; None for all.
    """

    series: Int64Array
    start: Int64Array
    stop: Int64Array
    subset: RandomSubset | None = None
    members: Bits | None = None

    def __post_init__(self) -> None:
        if self.members is not None and (self.subset is not None or self.members.size != self.spanned_rows):
            raise ValueError(f"{self.members.size} bits do not say which of {self.spanned_rows} rows count")
        same = self.series[1:] == self.series[:-1]
        if np.any(self.series[1:] < self.series[:-1]) or np.any(same & (self.start[1:] < self.stop[:-1])):
            raise ValueError("segments must be disjoint and sorted by series and row")

    @classmethod
    def of_series(cls, index: SampleIndex, series: Int64Array) -> Segments:
        """All rows of the given series, which ascend."""
        return cls(series, np.zeros_like(series), index.series_rows[series])

    @classmethod
    def of_files(cls, index: SampleIndex, files: Int64Array) -> Segments:
        """All rows of the given files."""
        return cls.of_series(index, np.flatnonzero(np.isin(index.series_file, files)))

    @classmethod
    def of_rows(
        cls, series: Int64Array, rows: Int64Array, is_member: Iterable[BoolArray], *, keep_empty: bool = False
    ) -> Segments:
        """A set of rows of some series, without the series that have none of them.

        Args:
            series: the series, ascending, ``(series,)``.
            rows: rows of each.
            is_member: whether each row is in the set, series after series, in pieces of any size.
            keep_empty: keep series without rows.
        """
        ends = np.cumsum(rows)
        every = Bits.of_pieces(is_member, int(rows.sum()))
        chosen = every.below(ends) > every.below(ends - rows)
        if keep_empty:
            chosen |= rows == 0
        starts, stops = _ranges_of(chosen, ends, rows)
        kept = (
            every
            if chosen.all()
            else Bits.of_pieces(map(every.bools, starts, stops), int(rows[chosen].sum()))
        )
        return cls(series[chosen], np.zeros_like(rows[chosen]), rows[chosen], members=kept)

    @classmethod
    def merged(cls, parts: Sequence[tuple[Segments, Int64Array]]) -> Segments:
        """The rows of several sets of rows, which have no series in common; each with the series of its segments."""
        series = np.concatenate([own for _, own in parts])
        rows = np.concatenate([part.stop for part, _ in parts])
        bits = [
            np.ones(part.spanned_rows, bool) if part.members is None else part.members.bools()
            for part, _ in parts
        ]
        order, starts, bools = np.argsort(series), np.cumsum(rows) - rows, np.concatenate(bits)
        pieces = (bools[start : start + size] for start, size in zip(starts[order], rows[order], strict=True))
        size = int(rows.sum())
        return cls(series[order], np.zeros_like(rows), rows[order], members=Bits.of_pieces(pieces, size))

    def __len__(self) -> int:
        return int(self.series.size)

    @property
    def rows(self) -> int:
        """Number of rows."""
        if self.members is not None:
            return len(self.members)
        return self.spanned_rows if self.subset is None else len(self.subset.slices)

    @property
    def spanned_rows(self) -> int:
        """Number of rows of the runs, of which only some may count."""
        return int((self.stop - self.start).sum())

    def runs(self) -> Iterator[Runs]:
        """The runs of rows that count, some at a time; those of a random subset are not known as runs."""
        return runs_of(self.series, self.start, self.stop, self.members)

    def files(self, index: SampleIndex) -> Int64Array:
        """The files that the runs lie in, ascending."""
        files = index.series_file[self.series]
        return files[np.diff(files, prepend=-1) > 0]

    def selection(self, index: SampleIndex) -> Selection:
        """The samples of ``index`` that read no row but those of one run, and none that conditions leave out."""
        ranges = index.ranges_within(self.series, self.start, self.stop)
        kept = kept_samples(index, self.series, self.start, self.stop, self.members)
        return Selection(ranges, self.subset).keeping(kept)


@dataclass(frozen=True, eq=False)
class SplitPlan(Frozen):
    """Which rows are train, val and test.

    Args:
        by: the strategy: ``file``, ``series``, ``block`` or ``sample`` (never ``auto``).
        parts: the rows of each split that exists, in the order train, val, test.
        files: the files that take part, ascending: all but those of ``predict`` alone.
        requested: the requested fraction of the divided rows, for each split that was cut by size.
        reached: the fraction of the divided rows that these splits have.
        unused_rows: divided rows that are in no split: gaps, and what a smaller train leaves.
        fingerprint: equal for equal splits of equal files, in any directory.
    """

    by: str
    parts: Mapping[str, Segments]
    files: Int64Array
    requested: Mapping[str, float]
    reached: Mapping[str, float]
    unused_rows: int
    fingerprint: str

    @classmethod
    def of(
        cls,
        index: SampleIndex,
        by: str,
        parts: Mapping[str, Segments],
        *,
        files: Int64Array,
        requested: Mapping[str, float],
    ) -> SplitPlan:
        """The plan of these parts; the files of a split that is not ``requested`` were named explicitly."""
        rows = {name: parts[name].rows for name in SPLITS if name in parts}
        named_rows = sum(count for name, count in rows.items() if name not in requested)
        divided_rows = int(index.file_rows[files].sum()) - named_rows
        return cls(
            by=by,
            parts={name: parts[name] for name in rows},
            files=files,
            requested=requested,
            reached={name: rows[name] / divided_rows for name in requested},
            unused_rows=divided_rows - sum(rows[name] for name in requested),
            fingerprint=_fingerprint(index, parts, files),
        )

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {name: part.rows for name, part in self.parts.items()}

    def selection(self, name: str, index: SampleIndex, *, stage: str | None = None) -> Selection:
        """The samples of one split.

        Args:
            name: ``train``, ``val`` or ``test``.
            index: the index that was split, or one of the same series with other windows.
            stage: what the samples are for, for the error; None for the split itself.

        Raises:
            SplitError: there is no such split, or its rows contain no sample.
        """
        if name not in self.parts:
            raise SplitError(f"split: there is no {name!r}, only {', '.join(self.parts) or 'nothing'}")
        part = self.parts[name]
        selection = self.samples(name, index)
        if not len(selection):
            raise SplitError(
                f"split: {stage or name} has {part.rows} rows, but no sample: {_shortage(part, index)}"
            )
        return selection

    def samples(self, name: str, index: SampleIndex) -> Selection:
        """The samples of one split that exists, of which there may be none; kept where each row was looked at."""
        part = self.parts[name]
        if part.members is None and index.filter is None:
            return part.selection(index)
        known = self._kept.get(name, ())
        found = next((selection for own, selection in known if own is index), None)
        if found is None:
            found = part.selection(index)
            self._kept[name] = (*known[-_MOST_KEPT:], (index, found))
        return found

    @once
    def _kept(self) -> dict[str, tuple[tuple[SampleIndex, Selection], ...]]:
        return {}


def _ranges_of(chosen: BoolArray, ends: Int64Array, rows: Int64Array) -> tuple[list[int], list[int]]:
    """The ranges of rows of neighbouring series that are chosen: where they start and stop."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False)).reshape(-1, 2)
    starts: list[int] = (ends - rows)[edges[:, 0]].tolist()
    stops: list[int] = ends[edges[:, 1] - 1].tolist()
    return starts, stops


def _fingerprint(index: SampleIndex, parts: Mapping[str, Segments], files: Int64Array) -> str:
    """A text that is equal for equal splits of equal files.

    It depends on the relative names, the series and their rows, and on the rows of each split; not on the
    directory, the age of the files, or files that take no part.
    """
    series = np.flatnonzero(np.isin(index.series_file, files))
    digest = hashlib.blake2b(digest_size=16)
    _add_texts(digest, index.names.take(files))
    _add_numbers(digest, np.searchsorted(files, index.series_file[series]), index.series_rows[series])
    if index.series_names is not None:
        _add_texts(digest, index.series_names.take(series))
    for name in sorted(parts):
        part = parts[name]
        digest.update(name.encode())
        _add_numbers(digest, np.searchsorted(series, part.series), part.start, part.stop)
        if part.subset is not None:
            digest.update(part.subset.key.to_bytes(8, "little"))
            _add_numbers(digest, part.subset.slices.starts, part.subset.slices.stops)
        if part.members is not None:
            digest.update(part.members.to_bytes())
    return digest.hexdigest()


def _add_texts(digest: hashlib.blake2b, texts: StringTable) -> None:
    _add_numbers(digest, texts.ends)
    digest.update(texts.blob.tobytes())


def _add_numbers(digest: hashlib.blake2b, *arrays: Int64Array) -> None:
    for array in arrays:
        digest.update(array.size.to_bytes(8, "little"))
        digest.update(array.astype("<i8").tobytes())


def _shortage(part: Segments, index: SampleIndex) -> str:
    samples, reach = index.samples, index.reach
    longest = max((int((runs.stop - runs.start).max(initial=0)) for runs in part.runs()), default=0)
    if index.filter is not None and len(part.selection(replace(index, filter=None))):
        return (
            "every sample reads a row that 'where' leaves out. Loosen the conditions, or use shorter windows"
        )
    if part.members is not None and isinstance(samples, Windows):
        return (
            f"rows stay together by their values, and its longest run of rows is {longest}, "
            f"{reach_text(samples, reach)}. Use shorter windows"
        )
    if isinstance(samples, Windows) and reach.pad is not None:
        return (
            f"its longest run of rows is {longest}, and windows start at every {samples.stride_rows}th row of a "
            "series. Use a smaller stride, a larger fraction, or split by='file' or by='series'"
        )
    if isinstance(samples, Windows):
        return (
            f"its longest run of rows is {longest}, {reach_text(samples, reach)}. Use shorter windows, a larger "
            "fraction, or split by='file' or by='series'"
        )
    if part.members is not None:
        return "rows stay together by their values, and no series has only rows of this split. Use samples=Rows()"
    return "no series is in it from its first to its last row. Split by='file' or by='series'"
