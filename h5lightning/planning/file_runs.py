"""Files that go on where others end: where each lies in its run, and how samples lie in runs instead of files.

Each file stays a series of its own, so that ids, splits and manifests speak of its rows; a run only says which rows of
other files a sample may need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import Frozen, once
from h5lightning.planning.reach import Reach, WindowReach

__all__ = ["FileRuns", "RunReach", "run_reach"]


@dataclass(frozen=True, eq=False)
class FileRuns(Frozen):
    """The runs of some files, each of which is one series.

    Args:
        run: the run of each file, numbered in the order of their first files, ``(files,)``.
        start: the row of the run at which each file begins, ``(files,)``.
        rows: rows of each file, ``(files,)``.
    """

    run: Int64Array
    start: Int64Array
    rows: Int64Array

    @classmethod
    def of(cls, runs: Sequence[Sequence[int]], rows: Int64Array) -> FileRuns:
        """The runs of all files, each with its files in order."""
        order = np.concatenate([np.zeros(0, np.int64), *map(np.asarray, runs)]).astype(np.int64)
        run, start = np.empty_like(rows), np.empty_like(rows)
        sizes = np.asarray([len(files) for files in runs], np.int64)
        run[order] = np.arange(len(sizes)).repeat(sizes)
        ends = np.cumsum(rows[order])
        firsts = (ends - rows[order])[np.cumsum(sizes) - sizes]
        start[order] = ends - rows[order] - firsts.repeat(sizes)
        return cls(run, start, rows)

    @once
    def run_rows(self) -> Int64Array:
        """Rows of each run, ``(runs,)``."""
        rows = np.zeros(int(self.run.max(initial=-1)) + 1, np.int64)
        np.add.at(rows, self.run, self.rows)
        return rows

    @once
    def order(self) -> Int64Array:
        """The files run after run, ``(files,)``."""
        return np.lexsort((self.rows, self.start, self.run))

    @once
    def first_files(self) -> Int64Array:
        """The first file of each run, ``(runs,)``."""
        return self.order[np.searchsorted(self.run[self.order], np.arange(len(self.run_rows)))]

    @once
    def _starts(self) -> Int64Array:
        """First row of each file of `order`, counted over all runs."""
        rows = self.rows[self.order]
        return np.cumsum(rows) - rows

    @once
    def first_rows(self) -> Int64Array:
        """First row of each file, counted over all runs, ``(files,)``."""
        first = np.empty_like(self.start)
        first[self.order] = self._starts
        return first

    def locate(self, files: Int64Array, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Where rows lie that are counted from the beginning of a file, and may lie in another one of its run.

        Args:
            files: the files from which is counted, ``(N,)``.
            rows: the rows, which lie in the run, ``(N,)``.

        Returns:
            Their files, and their rows there, ``(N,)`` each.
        """
        everywhere = self.first_rows[files] + rows
        # Files without rows begin where the next one does: the last of them has the row.
        place = self._starts.searchsorted(everywhere, side="right") - 1
        return self.order[place], everywhere - self._starts[place]

    def in_files(
        self, runs: Int64Array, starts: Int64Array, stops: Int64Array
    ) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Segments of runs, cut at the borders of files.

        Args:
            runs: the run of each segment, ``(segments,)``.
            starts: its first row, counted in the run.
            stops: one past its last row.

        Returns:
            The file of each piece, and its first and last row there, sorted by file and row.
        """
        by_run = self.order  # the files of a run follow each other
        first = np.searchsorted(self.run[by_run], runs)
        counts = np.searchsorted(self.run[by_run], runs, side="right") - first
        which, files = np.arange(len(runs)).repeat(counts), by_run[flat_positions(first, counts)]
        start = np.maximum(starts[which] - self.start[files], 0)
        stop = np.minimum(stops[which] - self.start[files], self.rows[files])
        kept = np.flatnonzero(start < stop)
        kept = kept[np.lexsort((start[kept], files[kept]))]
        return files[kept], start[kept], stop[kept]


def run_reach(reach: Reach, runs: FileRuns) -> RunReach:
    """The reach in runs, from that of rows or windows in files; the files of a run have the same fields."""
    if not isinstance(reach, WindowReach):
        raise TypeError("whole files are not joined")
    return RunReach(reach.of(runs.first_files), runs)


@dataclass(frozen=True, slots=True, eq=False)
class RunReach:
    """Samples that lie in runs of files: the grid of their first rows is that of the run.

    Args:
        of_run: what a sample needs, by run where runs differ.
        runs: the files.
        files: the files that are asked for, ``(files,)``; None for all.
    """

    of_run: WindowReach
    runs: FileRuns
    files: Int64Array | None = None

    @property
    def stride(self) -> int:
        """Rows from the start of one sample to the next."""
        return self.of_run.stride

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row that a sample needs, both included."""
        return self.of_run.span_rows

    @property
    def pad(self) -> str | None:
        """What stands for rows that are not there; None if they must be there."""
        return self.of_run.pad

    @property
    def first(self) -> Int64Array:
        """The row that starts the first sample of each file, ``(files,)``."""
        before, _ = self._numbers()
        first: Int64Array = self._window.first + before * self.stride - self._start
        return first

    def of(self, files: Int64Array) -> RunReach:
        """The reach in some files."""
        return replace(self, files=files if self.files is None else self.files[files])

    def counts(self, rows: Int64Array) -> Int64Array:  # noqa: ARG002
        """Samples that start in each file, ``(files,)``."""
        first, stop = self._numbers()
        return stop - first

    def numbers_within(
        self,
        starts: Int64Array,
        stops: Int64Array,
        rows: Int64Array,  # noqa: ARG002
    ) -> tuple[Int64Array, Int64Array]:
        """The samples of each file that need no rows but those of the segments; see `WindowReach.numbers_within`.

        Segments that touch in a run are one: a sample may need rows of both.
        """
        runs, start = self._run, self._start
        low, high = start + starts, start + stops
        order = np.lexsort((low, runs))
        opens = np.ones(len(order), bool)
        opens[1:] = (runs[order][1:] != runs[order][:-1]) | (low[order][1:] != high[order][:-1])
        number = np.empty(len(order), np.int64)
        number[order] = np.cumsum(opens) - 1
        begin = low[order][opens]
        end = high[order][np.append(opens[1:], True)] if len(order) else high
        which = runs[order][opens]
        first, stop = self.of_run.of(which).numbers_within(begin, end, self.runs.run_rows[which])
        own = self._window.first
        first = np.maximum(first[number], -(-(low - own) // self.stride))
        stop = np.minimum(stop[number], -(-(high - own) // self.stride))
        before, _ = self._numbers()
        return np.maximum(first, before) - before, stop - before

    @property
    def _window(self) -> WindowReach:
        """What samples that start in each file need."""
        return self.of_run.of(self._run)

    @property
    def _run(self) -> Int64Array:
        return self.runs.run if self.files is None else self.runs.run[self.files]

    @property
    def _start(self) -> Int64Array:
        return self.runs.start if self.files is None else self.runs.start[self.files]

    def _numbers(self) -> tuple[Int64Array, Int64Array]:
        """The number in its run of the first sample that starts in each file, and one past that of the last one."""
        rows = self.runs.rows if self.files is None else self.runs.rows[self.files]
        counts = self.of_run.counts(self.runs.run_rows)[self._run]
        start, own = self._start, self._window.first
        first, stop = (np.clip(-(-(row - own) // self.stride), 0, counts) for row in (start, start + rows))
        return first, stop
