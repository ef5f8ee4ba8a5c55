"""What an option may be: checks whose errors name the option, what was found and what is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import cast

from h5lightning.errors import OptionError

__all__ = ["check_bool", "check_choice", "check_int", "check_seconds", "check_share", "check_text", "nearest"]

LARGEST_INT = 2**63 - 1  # samples, rows and bytes are counted in int64
MOST_IN_BATCH = 2**48  # so that the batches of all ranks together can be counted, too
MOST_SECONDS = 1_000_000  # the system's calls count milliseconds in 31 bits


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of an error message: the known name most like ``name``, or all of them."""
    names = sorted(known)
    by_folded = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_folded[close[0]]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `OptionError` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{name} must be one of {listed}; found {value!r}")


def check_int(name: str, value: object, *, at_least: int, at_most: int = LARGEST_INT) -> None:
    """Raise `OptionError` unless ``value`` is an integer (and no bool) in ``[at_least, at_most]``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise OptionError(f"{name} must be an integer of at least {at_least}, found {value!r}")
    if value > at_most:
        raise OptionError(f"{name} must be an integer of at most {at_most}, found {value!r}")


def check_seconds(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is a number of seconds; 0 stands for no limit."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= MOST_SECONDS:
        raise OptionError(
            f"{name} must be a number of seconds in [0, {MOST_SECONDS}], where 0 means no limit; found {value!r}"
        )


def check_text(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is text or None."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} must be text, found {value!r}")


def check_bool(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, found {value!r}")


def check_share(name: str, value: object, *, is_optional: bool = True) -> None:
    """Raise `OptionError` unless ``value`` is a number in [0, 1]; or None, where it is optional."""
    if value is None and is_optional:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= 1:
        hint = "; for no such split on a command line, write 0" if value in ("None", "null") else ""
        what = "share of the rows in [0, 1] or None" if is_optional else "share in [0, 1]"
        raise OptionError(f"{name} must be a {what}, found {value!r}{hint}")
