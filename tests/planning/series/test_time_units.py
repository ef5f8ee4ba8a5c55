"""Units of time of the CF conventions, held against the standard library's dates."""

import datetime as dt
from fractions import Fraction

import pytest

from h5lightning.planning.series.time_units import seconds_between


@pytest.mark.parametrize(
    ("units", "seconds"),
    [
        ("seconds since 2000-01-01", 1),
        ("s since 2000-01-01 00:00:00", 1),
        ("minutes since 2000-1-1", 60),
        ("hours since 2000-01-01T00", 3600),
        ("Days Since 2000-01-01 00:00:0.0", 86_400),
        ("days since 2000-01-01 00:00:00 UTC", 86_400),
        ("milliseconds since 2000-01-01 00:00Z", Fraction(1, 1000)),
    ],
)
def test_a_unit_has_a_length(units, seconds):
    unit, offset = seconds_between(units, "standard")
    assert unit == seconds
    assert offset == dt.date(2000, 1, 1).toordinal() * 86_400


def test_two_reference_times_are_as_far_apart_as_the_calendar_says():
    def offset(units, calendar):
        return seconds_between(units, calendar)[1]

    for calendar, days in (
        ("", 366),
        ("gregorian", 366),
        ("noleap", 365),
        ("all_leap", 366),
        ("360_day", 360),
    ):
        later, earlier = offset("days since 2001-01-01", calendar), offset("days since 2000-01-01", calendar)
        assert later - earlier == days * 86_400
    assert offset("hours since 1950-01-01 12:30:15.5", "") - offset("hours since 1950-01-01", "") == Fraction(
        45_015.5
    )


@pytest.mark.parametrize(
    ("units", "calendar"),
    [
        ("K", ""),
        ("", ""),
        ("months since 2000-01-01", ""),
        ("days since yesterday", ""),
        ("days since 2000-01-01 00:00:00 +02:00", ""),
        ("days since 2000-13-01", ""),
        ("days since 2000-02-30", "noleap"),
        ("days since 2000-01-01", "martian"),
        ("days since 0001-01-01", "standard"),  # before the Gregorian calendar
    ],
)
def test_what_has_no_fixed_length_is_not_compared(units, calendar):
    assert seconds_between(units, calendar) is None


def test_the_proleptic_calendar_goes_back():
    assert seconds_between("days since 0001-01-01", "proleptic_gregorian") == (86_400, 86_400)
