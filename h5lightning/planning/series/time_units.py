"""Units of time as the conventions of netCDF write them, such as ``hours since 1900-01-01``.

Source: CF conventions 1.11, section 4.4 (units, and the calendars of 4.4.1). Coordinates of two files with different
reference times are compared in seconds; coordinates with equal units are compared as they are.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from fractions import Fraction

__all__ = ["seconds_between"]

_UNITS = re.compile(r"\s*([A-Za-z]+)\s+since\s+(.+?)\s*", re.IGNORECASE)
_REFERENCE = re.compile(
    r"(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[T\s]+(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2})(?:\.(\d+))?)?)?"
    r"\s*(?:Z|UTC|GMT|[+-]00?:?(?:00)?)?",
    re.IGNORECASE,
)
_DAY_S = 86_400
_SECONDS = {
    "second": Fraction(1),
    "sec": Fraction(1),
    "s": Fraction(1),
    "minute": Fraction(60),
    "min": Fraction(60),
    "hour": Fraction(3600),
    "hr": Fraction(3600),
    "h": Fraction(3600),
    "day": Fraction(_DAY_S),
    "d": Fraction(_DAY_S),
    "millisecond": Fraction(1, 1000),
    "msec": Fraction(1, 1000),
    "ms": Fraction(1, 1000),
    "microsecond": Fraction(1, 10**6),
    "nanosecond": Fraction(1, 10**9),
}
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def seconds_between(units: str, calendar: str) -> tuple[Fraction, Fraction] | None:
    """The seconds of one unit, and the seconds from a fixed day of the calendar to the reference time.

    Args:
        units: such as ``days since 1850-01-01 06:00``.
        calendar: a calendar of CF; empty for the standard one.

    Returns:
        None for units that are no time, or that have no fixed length (months, years); for a calendar that is not
        known; and for a reference time that is not UTC.

    Example:
        >>> seconds_between("hours since 1900-01-01", "")[0]
        Fraction(3600, 1)
        >>> seconds_between("K", "") is None
        True
    """
    found = _UNITS.fullmatch(units)
    days_of = _CALENDARS.get((calendar or "standard").lower())
    if found is None or days_of is None:
        return None
    name, reference = found[1].lower(), _REFERENCE.fullmatch(found[2])
    unit = _SECONDS.get(name) or _SECONDS.get(name.removesuffix("s"))
    if unit is None or reference is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in reference.groups()[:6])
    days = days_of(year, month, day)
    if days is None:
        return None
    fraction = Fraction(f"0.{reference[7]}") if reference[7] else Fraction(0)
    return unit, Fraction(days * _DAY_S + hour * 3600 + minute * 60 + second) + fraction


def _standard(year: int, month: int, day: int) -> int | None:
    """Days of the Gregorian calendar; the mixed one is the same from 1582-10-15 on."""
    try:
        days = dt.date(year, month, day).toordinal()
    except ValueError:
        return None
    return days if days >= dt.date(1582, 10, 15).toordinal() else None


def _proleptic(year: int, month: int, day: int) -> int | None:
    try:
        return dt.date(year, month, day).toordinal()
    except ValueError:
        return None


def _of_equal_years(months: tuple[int, ...]) -> Callable[[int, int, int], int | None]:
    def days_of(year: int, month: int, day: int) -> int | None:
        if not (1 <= month <= 12 and 1 <= day <= months[month - 1]):
            return None
        return year * sum(months) + sum(months[: month - 1]) + day

    return days_of


_NO_LEAP = _of_equal_years(_MONTHS)
_ALL_LEAP = _of_equal_years((31, 29, *_MONTHS[2:]))
_CALENDARS: dict[str, Callable[[int, int, int], int | None]] = {
    "standard": _standard,
    "gregorian": _standard,
    "proleptic_gregorian": _proleptic,
    "noleap": _NO_LEAP,
    "365_day": _NO_LEAP,
    "all_leap": _ALL_LEAP,
    "366_day": _ALL_LEAP,
    "360_day": _of_equal_years((30,) * 12),
}
