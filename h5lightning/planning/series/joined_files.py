"""Which files go on where another one ends: by a coordinate with a constant step, or in the order of their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from h5lightning.errors import SchemaError
from h5lightning.planning.series.time_units import seconds_between

__all__ = ["Coordinate", "Gap", "JoinedFiles", "join_by_coordinate", "join_in_order"]

Number: TypeAlias = int | float
_TOLERANCE = 1e-6  # of a step
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


@dataclass(frozen=True, slots=True)
class Coordinate:
    """The coordinate of the rows of one file, whose step the scan found to be constant.

    Args:
        first: its first value.
        last: its last value.
        step: from one row to the next; None for a single row.
        units: its attribute ``units``; empty for none.
        calendar: its attribute ``calendar``; empty for none.
    """

    first: Number
    last: Number
    step: Number | None
    units: str = ""
    calendar: str = ""

    def text(self, value: Number) -> str:
        """A value with its units, such as ``24 (hours since 1900-01-01)``."""
        return f"{float(value):.10g}{f' ({self.units})' if self.units else ''}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Two files between which windows do not cross: the step between them differs, or the step inside."""

    before: int
    after: int
    text: str


@dataclass(frozen=True, slots=True)
class JoinedFiles:
    """Files in runs: a run is one series.

    Args:
        runs: the files of each run in order, the runs in the order of their first files.
        gaps: borders between files of one role.
        path: the coordinate that was compared; empty if nothing was.
    """

    runs: tuple[tuple[int, ...], ...]
    gaps: tuple[Gap, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Span:
    """A coordinate in common units: seconds if ``is_time``, else those of all files."""

    file: int
    first: Fraction
    last: Fraction
    step: Fraction | None
    stored: Coordinate
    is_time: bool


def join_in_order(groups: Iterable[Sequence[int]]) -> JoinedFiles:
    """One run of each group of files, in the order that they have; nothing is verified."""
    return JoinedFiles(tuple(tuple(group) for group in groups if len(group)))


def join_by_coordinate(
    groups: Iterable[Sequence[int]],
    coordinates: Sequence[Coordinate | None],
    where: Callable[[int], str],
    path: str,
) -> JoinedFiles:
    """Runs of files whose coordinate goes on by the same step, to 1e-6 of it.

    Args:
        groups: files that may be joined, such as those of one role; a run never has files of two groups.
        coordinates: the coordinate of each file; None for a file without rows, which stands alone.
        where: names a file for messages.
        path: the coordinate, for messages.

    Raises:
        SchemaError: units that cannot be compared, coordinates that run in different directions, or files that overlap.
    """
    runs: list[tuple[int, ...]] = []
    gaps: list[Gap] = []
    for group in groups:
        spans = _spans(group, coordinates, where, path)
        found, borders = _runs(spans, where, path)
        runs += found
        runs += [(file,) for file in group if coordinates[file] is None]
        gaps += borders
    return JoinedFiles(tuple(sorted(runs, key=min)), tuple(gaps), path)


def _spans(
    files: Sequence[int],
    coordinates: Sequence[Coordinate | None],
    where: Callable[[int], str],
    path: str,
) -> list[_Span]:
    known = [(file, coordinate) for file in files if (coordinate := coordinates[file]) is not None]
    if not known:
        return []
    reference = known[0][1]
    is_same = all((one.units, one.calendar) == (reference.units, reference.calendar) for _, one in known)
    spans = []
    for file, one in known:
        scale, offset = Fraction(1), Fraction(0)
        if not is_same:
            time = seconds_between(one.units, one.calendar)
            if time is None or not _are_comparable(one, reference):
                other_file, other = next(each for each in known if _units(each[1]) != _units(one))
                raise SchemaError(
                    f"series.join_files: '/{path}' in {where(file)} has {_units(one)}, which cannot be compared with "
                    f"{_units(other)} in {where(other_file)}. Write one unit such as 'hours since 1900-01-01' into "
                    "all files; join_files=True joins them in the order of their paths, unverified"
                )
            scale, offset = time
        step = None if one.step is None else Fraction(one.step) * scale
        spans.append(
            _Span(
                file,
                Fraction(one.first) * scale + offset,
                Fraction(one.last) * scale + offset,
                step,
                one,
                is_time=not is_same,
            )
        )
    return spans


def _are_comparable(one: Coordinate, other: Coordinate) -> bool:
    def is_standard(calendar: str) -> bool:
        return calendar.lower() in ("", "standard", "gregorian", "proleptic_gregorian")

    same = one.calendar.lower() == other.calendar.lower()
    return same or (is_standard(one.calendar) and is_standard(other.calendar))


def _units(coordinate: Coordinate) -> str:
    units = f"units {coordinate.units!r}" if coordinate.units else "no units"
    return f"{units} (calendar {coordinate.calendar!r})" if coordinate.calendar else units


def _runs(
    spans: Sequence[_Span], where: Callable[[int], str], path: str
) -> tuple[list[tuple[int, ...]], list[Gap]]:
    """The runs of one group, in the order of the coordinate, and the borders between them."""
    steps = [span for span in spans if span.step is not None]
    is_falling = bool(steps) and (steps[0].step or 0) < 0
    for span in steps:
        if ((span.step or 0) < 0) != is_falling:
            falling, rising = (steps[0], span) if is_falling else (span, steps[0])
            raise SchemaError(
                f"series.join_files: '/{path}' falls in {where(falling.file)} and rises in {where(rising.file)}: write "
                "all files in one direction"
            )
    ordered = sorted(spans, key=lambda span: span.first, reverse=is_falling)
    runs: list[list[int]] = []
    gaps: list[Gap] = []
    step: Fraction | None = None
    for number, span in enumerate(ordered):
        before = ordered[number - 1] if number else None
        if before is not None:
            distance = span.first - before.last
            if distance == 0 or (distance < 0) != is_falling:
                raise SchemaError(_overlap(before, span, where, path))
            step = before.step or step
            expected = step or span.step or distance
            if _is_equal(distance, expected) and _is_equal(span.step or expected, expected):
                runs[-1].append(span.file)
                step = expected
                continue
            found, usual = (_distance(span, one) for one in (distance, expected))
            said = f"{found} from the last row to the next one, expected {usual}"
            gaps.append(Gap(before.file, span.file, said))
        runs.append([span.file])
        step = span.step
    return [tuple(run) for run in runs], gaps


def _overlap(before: _Span, after: _Span, where: Callable[[int], str], path: str) -> str:
    return (
        f"series.join_files: {where(before.file)} and {where(after.file)} overlap in '/{path}': the first one ends at "
        f"{before.stored.text(before.stored.last)}, the second one begins at {after.stored.text(after.stored.first)}. "
        "Different variables or runs of a model belong to different data sets: give the files of each one alone, or "
        "leave the doubled file out with a '!' pattern"
    )


def _distance(span: _Span, distance: Fraction) -> str:
    """A distance along the coordinate, with a unit if it is known to be one of time."""
    value = float(distance)
    if span.is_time:
        name, seconds = next((unit for unit in _UNITS if abs(value) >= unit[1]), _UNITS[-1])
        return f"{value / seconds:.6g} {name}"
    word, is_since, _ = span.stored.units.partition(" since ")
    return f"{value:.6g} {word}" if is_since else f"{value:.6g}"


def _is_equal(step: Fraction, expected: Fraction) -> bool:
    return abs(step - expected) <= abs(expected) * Fraction(_TOLERANCE)
