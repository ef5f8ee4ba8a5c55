"""Results in short, for a README: one line for each kind of data, one for each format, and what was not reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from h5lightning.tools.bench.timing import Timing
from loading.data import BATCH, FILES
from loading.markdown import mib, number, spread, table
from loading.measure import ratios
from loading.races import OURS, Goal, Result
from loading.report import Report, machine, versions
from loading.scaling import in_order
from loading.scaling_table import short_table

__all__ = ["BEGIN", "END", "in_short", "write_between_marks"]

BEGIN, END = "<!-- loading: begin -->", "<!-- loading: end -->"


def in_short(report: Report) -> str:
    """Markdown for a README, from the same figures as the long report."""
    peers = {f"{found.peer.name}, {workers} workers" for found in report.conversions for workers in (0, 2)}
    parts = [_machine()]
    parts += [_races(report, peers)] if report.results else []
    parts += [short_table(in_order(report.scaling))] if report.scaling else []
    parts += [_formats(report)] if report.conversions else []
    meters = [_goal(goal) for goal in report.goals if goal not in _of_races(report)]
    parts += [f"Other measures: {'; '.join(meters)}."] if meters else []
    missed = [_goal(goal) for goal in report.every_goal() if not goal.is_reached]
    parts += [f"Goals not reached: {'; '.join(missed)}."] if missed else []
    return "\n\n".join(parts) + "\n"


def write_between_marks(path: Path, text: str) -> None:
    """Replace what a file holds between its marks.

    Raises:
        ValueError: it has no marks.
    """
    found = path.read_text(encoding="utf-8")
    head, begin, following = found.partition(BEGIN)
    _, end, tail = following.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the marks {BEGIN} and {END}")
    path.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")


def _machine() -> str:
    found, packages = machine(), versions()
    named = ", ".join(
        f"{name} {packages[name]}" for name in ("python", "torch", "h5py", "numpy") if name in packages
    )
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['system']}; {named}; "
        f"{FILES} files, batches of {BATCH}, unless a line says otherwise; each figure is the median of alternating "
        "rounds; CPU is that of all threads, for each sample; below 1, h5lightning is slower."
    )


def _races(report: Report, peers: set[str]) -> str:
    rows = []
    for result in report.results:
        rate = _rate(result, OURS)
        rivals = [
            f"{name} {_ratio(result, name)}" for name in result.epochs if name != OURS and name not in peers
        ]
        figures = [number(rate), number(rate * result.sample_bytes / 1e6), number(_cpu_us(result))]
        rows.append([result.name, *figures, " · ".join(rivals)])
    header = ["data", "samples/s", "MB/s", "CPU, µs", "speed relative to (lowest – highest)"]
    return table(header, rows)


def _formats(report: Report) -> str:
    result = next(race for race in report.results if any("workers" in name for name in race.epochs))
    header = [
        "format",
        "samples/s, 0 workers",
        "2 workers",
        "h5lightning is",
        "first batch, ms",
        "converting, s",
        "MiB",
    ]
    own = [
        OURS,
        number(_rate(result, OURS)),
        "",
        "",
        _first_ms(result, OURS),
        "0",
        mib(report.original_bytes),
    ]
    return table(header, [own, *_format_rows(report, result)])


def _format_rows(report: Report, result: Result) -> Iterator[list[str]]:
    for found in report.conversions:
        alone, workers = (f"{found.peer.name}, {count} workers" for count in (0, 2))
        best = max(alone, workers, key=lambda name: _rate(result, name))
        yield [
            found.peer.name,
            *(number(_rate(result, name)) for name in (alone, workers)),
            f"{_ratio(result, best)} times as fast",
            _first_ms(result, alone),
            number(found.seconds),
            mib(found.stored_bytes),
        ]


def _rate(result: Result, name: str) -> float:
    return Timing.of([trial.rate for trial in result.epochs[name]]).median


def _cpu_us(result: Result) -> float:
    return Timing.of([trial.cpu_us for trial in result.epochs[OURS]]).median


def _first_ms(result: Result, name: str) -> str:
    return number(1000 * Timing.of([trial.first_s for trial in result.epochs[name]]).median)


def _ratio(result: Result, name: str) -> str:
    return spread(ratios(result.epochs[OURS], result.epochs[name]))


def _of_races(report: Report) -> list[Goal]:
    """The goals of races, which are in a table."""
    names = [result.name for result in report.results]
    return [goal for goal in report.goals if any(goal.what.startswith(f"{name} ÷") for name in names)]


def _goal(goal: Goal) -> str:
    sign = "≥" if goal.at_least else "≤"
    return f"{goal.what} {number(goal.reached.median)} (goal {sign} {number(goal.target)})"
