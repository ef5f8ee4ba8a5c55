"""What a judge raises where the package and the model do not agree."""

from __future__ import annotations

from typing import Any

__all__ = ["DisagreementError", "expect"]

_MOST_CHARACTERS = 700


class DisagreementError(AssertionError):
    """The package did something else than the contract says.

    Args:
        what: what was compared.
        found: what the package did.
        expected: what the contract says.
    """

    def __init__(self, what: str, found: Any, expected: Any) -> None:
        super().__init__(f"{what}\n  found    {_short(found)}\n  expected {_short(expected)}")


def expect(what: str, found: Any, expected: Any) -> None:
    """Raise `DisagreementError` unless both are equal; of two lists, what stands around the first difference."""
    if found == expected:
        return
    if isinstance(found, list) and isinstance(expected, list):
        pairs = enumerate(zip(found, expected, strict=False))
        place = next((i for i, (one, other) in pairs if one != other), min(len(found), len(expected)))
        what = f"{what}: {len(found)} and {len(expected)} entries, which differ first at {place}"
        around = slice(max(0, place - 2), place + 6)
        found, expected = found[around], expected[around]
    raise DisagreementError(what, found, expected)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text)} characters)"
