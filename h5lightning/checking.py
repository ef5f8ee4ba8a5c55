"""What an option may be: checks whose errors name the option, what was found and what is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import cast

from h5lightning.errors import OptionError

__all__ = ["check_bool", "check_choice", "check_int", "check_share", "check_text", "nearest"]


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
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{name} must be one of {listed}; found {value!r}")


def check_int(name: str, value: object, *, at_least: int) -> None:
    """Raise `OptionError` unless ``value`` is an integer (and no bool) of at least ``at_least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise OptionError(f"{name} must be an integer of at least {at_least}, found {value!r}")


def check_text(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is text or None."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} must be text, found {value!r}")


def check_bool(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, found {value!r}")


def check_share(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is a number in [0, 1] or None."""
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= 1:
        hint = "; for no such split on a command line, write 0" if value in ("None", "null") else ""
        raise OptionError(f"{name} must be a share of the rows in [0, 1] or None, found {value!r}{hint}")
