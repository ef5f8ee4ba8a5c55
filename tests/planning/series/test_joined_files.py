"""Which files go on where another one ends: steps, units, gaps, overlaps, single rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.errors import SchemaError
from h5lightning.planning.series.joined_files import Coordinate, join_by_coordinate, join_in_order

HOURS = "hours since 1900-01-01"


def joined(*coordinates, groups=None):
    files = range(len(coordinates))
    return join_by_coordinate(groups or [files], coordinates, lambda file: f"{file}.nc", "time")


def test_files_that_go_on_by_the_same_step_are_one_run():
    found = joined(Coordinate(0, 18, 6, HOURS), Coordinate(24, 42, 6, HOURS), Coordinate(48, 66, 6, HOURS))
    assert found.runs == ((0, 1, 2),)
    assert not found.gaps


def test_a_gap_and_another_step_are_borders():
    found = joined(Coordinate(0, 18, 6), Coordinate(30, 42, 6), Coordinate(45, 48, 3))
    assert found.runs == ((0,), (1,), (2,))
    assert [(gap.before, gap.after) for gap in found.gaps] == [(0, 1), (1, 2)]
    assert found.gaps[0].text == "12 from the last row to the next one, expected 6"


def test_the_order_is_that_of_the_coordinate_not_of_the_paths():
    found = joined(Coordinate(10, 19, 1), Coordinate(0, 9, 1), Coordinate(20, 29, 1))
    assert found.runs == ((1, 0, 2),)
    falling = joined(Coordinate(0, -9, -1), Coordinate(20, 11, -1), Coordinate(10, 1, -1))
    assert falling.runs == ((1, 2, 0),)


def test_another_reference_time_is_compared_in_seconds():
    found = joined(
        Coordinate(0.0, 364.75, 0.25, "days since 2001-01-01"),
        Coordinate(0, 8754, 6, "hours since 2002-01-01"),
    )
    assert found.runs == ((0, 1),)


def test_units_without_a_time_must_be_the_same():
    with pytest.raises(
        SchemaError, match=r"0\.nc has units 'km', which cannot be compared with units 'm' in 1\.nc"
    ):
        joined(Coordinate(0, 9, 1, "km"), Coordinate(10, 19, 1, "m"))
    with pytest.raises(SchemaError, match=r"calendar 'noleap'"):
        joined(Coordinate(0, 9, 1, HOURS), Coordinate(10, 19, 1, HOURS, "noleap"))
    assert joined(Coordinate(0, 9, 1, "km"), Coordinate(10, 19, 1, "km")).runs == ((0, 1),)


def test_overlapping_files_are_an_error_that_names_both():
    with pytest.raises(
        SchemaError, match=r"0\.nc and 1\.nc overlap in '/time': .* ends at 18, .* begins at 12"
    ):
        joined(Coordinate(0, 18, 6), Coordinate(12, 30, 6))
    with pytest.raises(SchemaError, match="overlap"):
        joined(Coordinate(0, 18, 6), Coordinate(0, 18, 6))
    with pytest.raises(
        SchemaError, match=r"ends at 18 \(hours since 1900-01-01\), .* begins at 12 \(hours since"
    ):
        joined(Coordinate(0, 18, 6, HOURS), Coordinate(12, 30, 6, HOURS))


def test_gaps_of_time_have_units():
    hours = joined(Coordinate(0, 18, 6, HOURS), Coordinate(30, 48, 6, HOURS))
    assert hours.gaps[0].text == "12 hours from the last row to the next one, expected 6 hours"
    years = joined(Coordinate(0, 18, 6, HOURS), Coordinate(0, 18, 6, "hours since 1901-01-01"))
    assert years.gaps[0].text == "364.25 days from the last row to the next one, expected 6 hours"


def test_directions_must_agree():
    with pytest.raises(SchemaError, match=r"falls in 1\.nc and rises in 0\.nc"):
        joined(Coordinate(0, 9, 1), Coordinate(19, 10, -1))


def test_files_of_one_row_take_the_step_between_them():
    days = [Coordinate(day, day, None) for day in (0, 24, 48, 96, 120)]
    assert joined(*days).runs == ((0, 1, 2), (3, 4))
    assert joined(Coordinate(0, 9, 1), Coordinate(10, 10, None), Coordinate(11, 20, 1)).runs == ((0, 1, 2),)


def test_groups_are_never_joined_and_empty_files_stand_alone():
    parts = [Coordinate(0, 9, 1), Coordinate(10, 19, 1), None, Coordinate(20, 29, 1)]
    assert joined(*parts, groups=[[0, 1, 2], [3]]).runs == ((0, 1), (2,), (3,))
    assert join_in_order([[0, 1], [], [2]]).runs == ((0, 1), (2,))


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    gaps=st.lists(st.integers(0, 2), min_size=8, max_size=8),
    step=st.integers(1, 50),
    order=st.randoms(use_true_random=False),
)
def test_runs_end_exactly_at_gaps(lengths, gaps, step, order):
    parts, first, expected = [], 0, [[]]
    for number, length in enumerate(lengths):
        last = first + (length - 1) * step
        parts.append((first, Coordinate(first, last, step)))
        expected[-1].append(first)
        skipped = gaps[number]
        first = last + step * (1 + skipped)
        if skipped:
            expected.append([])
    order.shuffle(parts)
    found = joined(*[coordinate for _, coordinate in parts])
    starts = {tuple(parts[file][0] for file in run) for run in found.runs}
    assert starts == {tuple(run) for run in expected if run}
