"""To which datasets of a file a table of series belongs, by where both lie."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["belongs_to"]

_DIGITS = re.compile(r"\d+")


def belongs_to(table: str, path: str, tables: Collection[str]) -> bool:
    """Whether a table may say something of a dataset.

    It does of all below its own group, and of those beside that group (``meta/episode_ends`` of ``data/action``), but
    where each of several groups has a table of its own: ``demo_0/dones`` says nothing of ``demo_1/actions``.

    Args:
        table: path of the table.
        path: path of the dataset.
        tables: paths of all tables.

    Example:
        >>> belongs_to("meta/episode_ends", "data/action", ["meta/episode_ends"])
        True
        >>> belongs_to("demo_0/dones", "demo_1/actions", ["demo_0/dones", "demo_1/dones"])
        False
    """
    own, other = table.split("/")[:-1], path.split("/")[:-1]
    shared = 0
    while shared < min(len(own), len(other)) and own[shared] == other[shared]:
        shared += 1
    if shared == len(own):
        return True
    branch = own[shared]
    if shared < len(other) and _DIGITS.sub("#", branch) == _DIGITS.sub("#", other[shared]):
        return False
    before = "".join(f"{part}/" for part in own[:shared])
    after = table[len(before) + len(branch) :]
    return not any(
        name.startswith(before)
        and name.endswith(after)
        and "/" not in name[len(before) : len(name) - len(after)]
        for name in tables
        if name != table
    )
