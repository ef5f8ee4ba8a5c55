"""One factor at a time around an easy case: files, fields, rows of a window, bytes of a row, samples of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from h5lightning.tools.bench.timing import Timing
from loading.races import Goal, Result
from loading.task import Stored, Task

__all__ = ["FACTORS", "LEAST", "LEAST_MEDIAN", "Point", "median_goal", "points", "points_by_data"]

LEAST, LEAST_MEDIAN = 1.5, 8.0  # times plain h5py

BASE = {"files": 20, "fields": 1, "window": 1, "row": 4096, "batch": 256}
FACTORS: Mapping[str, Sequence[int]] = {
    "files": (20, 100, 400, 1000, 10_000),
    "fields": (1, 3, 10, 30, 100),
    "window": (1, 4, 16, 64),
    "row": (8, 64, 512, 4096, 65_536, 1 << 20, 8 << 20),
    "batch": (8, 32, 256, 1024, 4096),
}
_MOST_BATCH_BYTES = 64 << 20
_DATA_BYTES = 256 << 20  # larger than the caches of processors
_BATCHES = 16  # of an epoch, at least
_MOST_ROWS = 4 << 20
_ROWS_OF_FILE = 32  # at least


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the table.

    Args:
        factor: what differs from the base; ``base`` for the base itself.
        value: its value.
        task: what is measured.
    """

    factor: str
    value: int
    task: Task


def points(part: float = 1.0, most_files: int = 10_000) -> Iterator[Point]:
    """The base, and each other value of each factor; ``part`` of the rows."""
    yield Point("base", 0, _task("scaling, base", part, **BASE))
    for factor, values in FACTORS.items():
        for value in values:
            if value != BASE[factor] and (factor != "files" or value <= most_files):
                name = f"scaling, {factor} {value:,}"
                yield Point(factor, value, _task(name, part, **{**BASE, factor: value}))


def _task(name: str, part: float, *, files: int, fields: int, window: int, row: int, batch: int) -> Task:
    sample_bytes = fields * window * row
    batch = max(1, min(batch, _MOST_BATCH_BYTES // sample_bytes))
    size = max(_DATA_BYTES, _BATCHES * batch * fields * row) * part
    rows = min(_MOST_ROWS, int(size / (fields * row)))
    rows_of_file = max(rows // files, int(_ROWS_OF_FILE * part) if files > 1000 else 2, 2 * window)
    return Task(name, Stored(files, rows_of_file, (row // 4,), fields), batch, window)


def points_by_data(part: float, most_files: int) -> Iterator[tuple[Stored, list[Point]]]:
    """The points that read the same data, together."""
    found = sorted(points(part, most_files), key=lambda point: repr(point.task.stored))
    for _, group in groupby(found, key=lambda point: point.task.stored):
        together = list(group)
        yield together[0].task.stored, together


def in_order(results: Sequence[tuple[Point, Result]]) -> list[tuple[Point, Result]]:
    """As in `points`."""
    factors = ["base", *FACTORS]
    return sorted(results, key=lambda pair: (factors.index(pair[0].factor), pair[0].value))


def median_goal(results: Sequence[Result]) -> Goal:
    """The median of the table's ratios."""
    medians = [goal.reached.median for result in results for goal in result.goals]
    return Goal("scaling, median of the table ÷ plain h5py", LEAST_MEDIAN, Timing.of(medians))
