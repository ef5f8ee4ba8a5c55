"""Option values: checked, with errors that name the option, its value and what it accepts; and made plain.

Plain types are the only ones that a checkpoint may hold to be read with ``weights_only``.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from h5lightning.core.formatting import listed
from h5lightning.errors import OptionError

__all__ = [
    "check_bool",
    "check_choice",
    "check_fraction",
    "check_int",
    "check_seconds",
    "check_text",
    "clean_path",
    "did_you_mean",
    "make_plain",
    "said_options",
    "to_plain",
]

LARGEST_INT = 2**63 - 1  # samples, rows and bytes are counted in int64
MOST_IN_BATCH = 2**48  # so that int64 also counts the samples of all ranks together
MOST_SECONDS = 1_000_000  # system calls count milliseconds in 31 bits
_MOST_LISTED = 24


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of an error message: the known name most similar to ``name``, or the known names."""
    names = sorted(known)
    by_folded = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_folded[close[0]]!r}?"
    return f"; known: {listed(names, _MOST_LISTED)}" if names else ""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `OptionError` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{name} must be one of {listed}; found {value!r}")


def check_int(name: str, value: object, *, at_least: int, at_most: int = LARGEST_INT) -> None:
    """Raise `OptionError` unless ``value`` is an integer, not a bool, in ``[at_least, at_most]``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise OptionError(f"{name} must be an integer of at least {at_least}, found {value!r}")
    if value > at_most:
        raise OptionError(f"{name} must be an integer of at most {at_most}, found {value!r}")


def check_seconds(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is a number of seconds; 0 means no limit."""
    if not _is_number_up_to(MOST_SECONDS, value):
        raise OptionError(
            f"{name} must be a number of seconds in [0, {MOST_SECONDS}], where 0 means no limit; found {value!r}"
        )


def check_text(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is text or None."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} must be text, found {value!r}")


def clean_path(path: str) -> str:
    """A path in a file without leading, trailing and double slashes."""
    return "/".join(part for part in path.split("/") if part)


def check_bool(name: str, value: object) -> None:
    """Raise `OptionError` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, found {value!r}")


def check_fraction(name: str, value: object, *, is_optional: bool = True) -> None:
    """Raise `OptionError` unless ``value`` is a number in [0, 1]; or None, if it is optional."""
    if (value is None and is_optional) or _is_number_up_to(1, value):
        return
    hint = "; on a command line, write 0 for no such split" if value in ("None", "null") else ""
    what = "fraction of the rows in [0, 1] or None" if is_optional else "fraction in [0, 1]"
    raise OptionError(f"{name} must be a {what}, found {value!r}{hint}")


def _is_number_up_to(most: float, value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= cast("float", value) <= most


def to_plain(value: object) -> Any:
    """Options, mappings and sequences as dicts, lists and scalars, for hyperparameters and checkpoints."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        values = said_options(value) if hasattr(value, "later") else dataclasses.asdict(value)
        return kind | {key: to_plain(item) for key, item in values.items()}
    return _plain(value)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        return str(value)
    if getattr(value, "ndim", None) == 0:  # a NumPy scalar, or an array or tensor of one number
        return cast("Any", value).item()
    return [to_plain(item) for item in value] if isinstance(value, Iterable) else value


def said_options(option: Any) -> dict[str, Any]:
    """The values of an option; those that came in a later version (``option.later``) only if they are not the default.

    So earlier checkpoints say the same as new ones.
    """
    items = dataclasses.fields(option)
    values = {item.name: getattr(option, item.name) for item in items}
    is_default = {item.name for item in items if values[item.name] == item.default}
    return {
        name: value for name, value in values.items() if name not in option.later or name not in is_default
    }


def make_plain(option: object) -> None:
    """Turn the values of an option into plain types, in place."""
    for field in dataclasses.fields(cast("Any", option)):
        object.__setattr__(option, field.name, _plain(getattr(option, field.name)))
