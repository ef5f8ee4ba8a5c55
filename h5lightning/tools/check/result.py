"""The result of one check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MOST_NAMED", "CheckResult", "first_texts"]

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Args:
        name: a short sentence that is true if the check passed.
        scope: the extent of the check: ranks, epochs, files.
        failures: one sentence for each failure; empty if the check passed.
        note: what a user should know although the check passed; may be empty.
    """

    name: str
    scope: str
    failures: tuple[str, ...] = ()
    note: str = ""

    @property
    def has_passed(self) -> bool:
        """Whether there are no failures."""
        return not self.failures


def first_texts(texts: Sequence[str]) -> str:
    """The first texts, and the number of others.

    Example:
        >>> first_texts("abcde")
        'a; b; c; and 2 more'
    """
    more = [f"and {len(texts) - MOST_NAMED:,} more"] if len(texts) > MOST_NAMED else []
    return "; ".join([*texts[:MOST_NAMED], *more])
