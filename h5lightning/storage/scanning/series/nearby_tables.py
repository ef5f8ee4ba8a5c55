"""To which datasets of a file a table of series belongs, by where both lie."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

__all__ = ["Places"]

_DIGITS = re.compile(r"\d+")


class Places:
    """The tables of a file, found by the datasets that they may say something of.

    A table may say something of all below its own group, and of those beside that group (``meta/episode_ends`` of
    ``data/action``). But where several groups have the same table, each says something of what is named after its group
    alone: ``demo_0/dones`` of ``demo_0/actions``, ``INDEX/camera/first`` of ``INSTRUMENT/camera/image``.

    Args:
        tables: their paths.
    """

    def __init__(self, tables: Iterable[str]) -> None:
        parts_of = {table: table.split("/") for table in tables}
        alike = Counter(family for parts in parts_of.values() for family in _families(parts))
        self._shared: list[tuple[str, list[str]]] = []
        self._by_group: dict[str, list[tuple[str, list[str]]]] = {}
        for table, parts in parts_of.items():
            own = [part for part, family in zip(parts, _families(parts), strict=False) if alike[family] > 1]
            if own:
                self._by_group.setdefault(own[-1], []).append((table, own))
            else:
                self._shared.append((table, parts))

    def __len__(self) -> int:
        return len(self._shared) + sum(map(len, self._by_group.values()))

    def near(self, path: str) -> list[str]:
        """The tables that may say something of a dataset.

        Args:
            path: path of the dataset.

        Example:
            >>> Places(["meta/ends", "demo_0/dones", "demo_1/dones"]).near("demo_1/actions")
            ['meta/ends', 'demo_1/dones']
        """
        groups = path.split("/")[:-1]
        found = [table for table, parts in self._shared if not _is_of_a_sibling(parts, groups)]
        for group in dict.fromkeys(groups):
            found += [table for table, own in self._by_group.get(group, ()) if set(own).issubset(groups)]
        return found


def _families(parts: list[str]) -> Iterator[tuple[int, str]]:
    """For each group on the way to a table, how many come before it, and the path with a ``*`` in its place."""
    for depth in range(len(parts) - 1):
        yield depth, "/".join((*parts[:depth], "*", *parts[depth + 1 :]))


def _is_of_a_sibling(parts: list[str], groups: list[str]) -> bool:
    """Whether a table lies in ``demo_0`` and the dataset in ``demo_1``: groups that differ in their numbers."""
    for own, other in zip(parts[:-1], groups, strict=False):
        if own != other:
            return _DIGITS.sub("#", own) == _DIGITS.sub("#", other)
    return False
