"""What a case raises where the package and the model do not agree."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["DisagreementError", "RefusedError", "code_of", "expect", "shortened"]

_MOST_CHARACTERS = 600


class DisagreementError(Exception):
    """The package did something else than the model says.

    Args:
        what: what was compared.
        found: what the package did.
        expected: what the model says.
    """

    def __init__(self, what: str, found: Any, expected: Any) -> None:
        super().__init__(f"{what}\n  found    {shortened(found)}\n  expected {shortened(expected)}")


class RefusedError(Exception):
    """The package refuses the configuration, with an error that explains itself: nothing to compare."""


def expect(what: str, found: Any, expected: Any) -> None:
    """Raise `DisagreementError` unless both are equal; of two long lists, what stands around the first difference."""
    if found == expected:
        return
    if isinstance(found, list) and isinstance(expected, list):
        pairs = enumerate(zip(found, expected, strict=False))
        place = next(
            (number for number, (one, other) in pairs if one != other), min(len(found), len(expected))
        )
        around = slice(max(0, place - 3), place + 8)
        what = f"{what}: {len(found)} and {len(expected)} entries, the first difference is at {place}"
        found, expected = found[around], expected[around]
    raise DisagreementError(what, found, expected)


def shortened(value: Any) -> str:
    """A value as text of a bounded length."""
    listed = sorted(value) if isinstance(value, (set, frozenset)) else value
    text = listed if isinstance(listed, str) else repr(listed)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text)} characters)"


def code_of(value: Any) -> str:
    """Python code of a value; of dataclasses, without what is left at its default."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {code_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        listed = ", ".join(code_of(one) for one in value)
        ends = "[]" if isinstance(value, list) else ("(", ",)" if len(value) == 1 else ")")
        return f"{ends[0]}{listed}{ends[1]}"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    parts = [
        f"{one.name}={code_of(getattr(value, one.name))}"
        for one in dataclasses.fields(value)
        if one.init and getattr(value, one.name) != _default(one)
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


def _default(one: dataclasses.Field[Any]) -> Any:
    return one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
