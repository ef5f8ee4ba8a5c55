"""The scaling table: all figures in a long form, and the ratios to plain h5py in a short one."""

from __future__ import annotations

from collections.abc import Sequence

from h5lightning.tools.bench.timing import Timing, Trial
from loading.markdown import number, spread, table
from loading.races import OURS, Result
from loading.scaling import BASE, LEAST, Point, median_goal
from loading.task_races import PLAIN

__all__ = ["long_table", "short_table"]

Points = Sequence[tuple[Point, Result]]

_NAMES = {
    "files": "files",
    "fields": "fields of a sample",
    "window": "rows of a window",
    "row": "bytes of a row",
    "batch": "samples of a batch",
}
_BASE = (
    f"{BASE['files']} files, {BASE['fields']} field, single rows of {BASE['row']:,} bytes, "
    f"batches of {BASE['batch']}"
)


def long_table(found: Points) -> str:
    """A line for each value of a factor."""
    header = [
        "",
        "samples a batch",
        "samples/s",
        "plain",
        "CPU µs a sample",
        "plain",
        "× plain (lowest – highest)",
    ]
    rows = [_row(point, result) for point, result in found]
    return (
        f"### One factor at a time\n\nBase: {_BASE}.\n\n{table(header, rows)}\n\n"
        f"Median of the table: {_median(found)} × plain h5py."
    )


def _row(point: Point, result: Result) -> list[str]:
    ours, plain = result.epochs[OURS], result.epochs[PLAIN]
    name = "base" if point.factor == "base" else f"{_NAMES[point.factor]}: {point.value:,}"
    rates = [number(Timing.of([trial.rate for trial in trials]).median) for trials in (ours, plain)]
    return [name, f"{point.task.batch:,}", *rates, _cpu(ours), _cpu(plain), spread(result.goals[0].reached)]


def short_table(found: Points) -> str:
    """A line for each factor."""
    base = [result for point, result in found if point.factor == "base"]
    rows = [["none", *(spread(result.goals[0].reached) for result in base)]]
    rows += [[name, _values(factor, found)] for factor, name in _NAMES.items()]
    header = ["changed", "value: how many times as fast as plain h5py (lowest – highest)"]
    return (
        f"One factor changed at a time, from {_BASE} (64 MiB at most):\n\n{table(header, rows)}\n\n"
        f"The median of all is {_median(found)} (goal ≥ 8), the goal of each is ≥ {LEAST:g}."
    )


def _values(factor: str, found: Points) -> str:
    pairs = [(point.value, result) for point, result in found if point.factor == factor]
    return " · ".join(f"{value:,}: {spread(result.goals[0].reached)}" for value, result in pairs)


def _median(found: Points) -> str:
    return number(median_goal([result for _, result in found]).reached.median)


def _cpu(trials: Sequence[Trial]) -> str:
    return number(Timing.of([trial.cpu_us for trial in trials]).median)
