"""Refusals of what is announced and not built yet; empty when all of it is built, and then it goes."""

from __future__ import annotations

import re

from h5lightning.errors import MissingFieldError
from judging.options import Case

__all__ = ["is_not_built"]

_REFUSALS = (
    r"is not available yet",
    r"'pad:\w+' has no '\*'",
    r"field\.(path|member) must be",  # lists of paths and members
    r"has no option 'join'",
    r"split has no option 'given'",
    r"samples has no option '(train|val|test)'",
    r"samples\.kind",
    r"steps end at \d+, the window has",
)


def is_not_built(error: Exception, case: Case) -> bool:
    """Whether an error says that what was asked for is still to come."""
    if isinstance(error, MissingFieldError) and any(field.is_list for field in case.field_options.values()):
        return True  # a list in a mapping is still a name in pieces
    return any(re.search(pattern, str(error)) for pattern in _REFUSALS)
