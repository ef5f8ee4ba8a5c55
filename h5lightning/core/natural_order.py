"""The natural order of names: ``demo_2`` before ``demo_10``."""

from __future__ import annotations

import re

__all__ = ["natural_key"]

_NUMBERS = re.compile("([0-9]+)")


def natural_key(name: str) -> tuple[tuple[object, ...], str]:
    """The key to sort names by, in which numbers count by their value.

    Example:
        >>> sorted(["demo_10", "demo_2", "demo_02"], key=natural_key)
        ['demo_02', 'demo_2', 'demo_10']
    """
    parts = _NUMBERS.split(name)
    # Numbers of any length, which `int` limits: of two without leading zeros, the longer one is larger.
    numbers = [(len(digits), digits) for digits in (part.lstrip("0") for part in parts[1::2])]
    return (parts[0], *(item for pair in zip(numbers, parts[2::2], strict=True) for item in pair)), name
