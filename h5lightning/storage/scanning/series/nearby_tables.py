"""Match the tables of a file to the datasets that they may say something about, by their paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

__all__ = ["NearbyTables"]

_DIGITS = re.compile(r"\d+")


class NearbyTables:
    """The tables of a file, found by the path of a dataset.

    A table belongs to all datasets below its group, and to those beside that group (``meta/episode_ends`` to
    ``data/action``). But if several groups have the same table, each belongs only to datasets below a group of the same
    name: ``demo_0/dones`` to ``demo_0/actions``, ``INDEX/camera/first`` to ``INSTRUMENT/camera/image``.

    Args:
        tables: their paths.
    """

    def __init__(self, tables: Iterable[str]) -> None:
        parts_of = {table: table.split("/") for table in tables}
        counts = Counter(pattern for parts in parts_of.values() for pattern in _patterns(parts))
        self._shared: list[tuple[str, list[str]]] = []
        self._by_group: dict[str, list[tuple[str, list[str]]]] = {}
        for table, parts in parts_of.items():
            own = [
                part for part, pattern in zip(parts, _patterns(parts), strict=False) if counts[pattern] > 1
            ]
            if own:
                self._by_group.setdefault(own[-1], []).append((table, own))
            else:
                self._shared.append((table, parts))

    def __len__(self) -> int:
        return len(self._shared) + sum(map(len, self._by_group.values()))

    def near(self, path: str) -> list[str]:
        """The tables that may say something about a dataset.

        Example:
            >>> NearbyTables(["meta/ends", "demo_0/dones", "demo_1/dones"]).near("demo_1/actions")
            ['meta/ends', 'demo_1/dones']
        """
        groups = path.split("/")[:-1]
        tables = [table for table, parts in self._shared if not _is_of_sibling(parts, groups)]
        for group in dict.fromkeys(groups):
            tables += [table for table, own in self._by_group.get(group, ()) if set(own).issubset(groups)]
        return tables


def _patterns(parts: list[str]) -> Iterator[tuple[int, str]]:
    """For each group on the way to a table, its depth, and the path with ``*`` in its place."""
    for depth in range(len(parts) - 1):
        yield depth, "/".join((*parts[:depth], "*", *parts[depth + 1 :]))


def _is_of_sibling(parts: list[str], groups: list[str]) -> bool:
    """Whether a table lies in ``demo_0`` and the dataset in ``demo_1``: groups that differ only in their numbers."""
    for own, other in zip(parts[:-1], groups, strict=False):
        if own != other:
            return _DIGITS.sub("#", own) == _DIGITS.sub("#", other)
    return False
