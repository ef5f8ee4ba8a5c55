"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CheckResult"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check.

    Args:
        name: what was checked, as a short sentence that is true if it passed.
        scope: over what: ranks, epochs, files.
        failures: all that was found wrong, one sentence each; empty if the check passed.
        note: what a user should know although nothing is wrong; may be empty.
    """

    name: str
    scope: str
    failures: tuple[str, ...] = ()
    note: str = ""

    @property
    def has_passed(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.failures
