"""Refusals of what is announced and not built yet; empty when all of it is built, and then it goes."""

from __future__ import annotations

import re

__all__ = ["is_not_built"]

_REFUSALS = (r"is not available yet",)


def is_not_built(error: Exception) -> bool:
    """Whether an error says that what was asked for is still to come."""
    return any(re.search(pattern, str(error)) for pattern in _REFUSALS)
