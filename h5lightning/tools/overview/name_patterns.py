"""Names that are one thing in many copies: ``demo_0/actions``, ``demo_1/actions`` and so on.

A file with one group for each demonstration has thousands of datasets and one structure. `families` finds
the structure, so that a report can show it in one line.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeAlias

__all__ = ["common_pattern", "families"]

# Three groups of one structure with numbered names are copies; train, val and test are not.
_FEWEST_NUMBERED_GROUPS = 3
_FEWEST_OTHER_GROUPS = 8
_FEWEST_NUMBERED_DATASETS = 8
_DEEPEST = 64  # what lies deeper counts as one name: a file may nest thousands of groups

_DIGITS = re.compile(r"\d+")

# Below one group: path, with a * for what differs → the original paths.
Members: TypeAlias = dict[str, list[str]]
Kind: TypeAlias = Callable[[str], Hashable]


def families(kinds: Mapping[str, Hashable]) -> dict[str, tuple[str, ...]]:
    """Put datasets of the same kind and similar names together.

    Args:
        kinds: for each path of a dataset, what its like must have in common.

    Returns:
        For each family its path, with a ``*`` where its members differ, and its members; most have one.

    Example:
        >>> families({f"demo_{i}/{name}": "f4" for i in range(3) for name in ("pose", "grip")})
        {'demo_*/grip': ('demo_0/grip', 'demo_1/grip', 'demo_2/grip'), \
'demo_*/pose': ('demo_0/pose', 'demo_1/pose', 'demo_2/pose')}
    """
    tree: _Tree = {}
    for path in sorted(kinds):
        *groups, name = path.split("/", _DEEPEST)
        _group(tree, groups)[name] = path
    return {path: tuple(members) for path, members in sorted(_members(tree, kinds.__getitem__).items())}


def common_pattern(names: Iterable[str]) -> str:
    """What names have in common, around a ``*``.

    Example:
        >>> common_pattern(["demo_7", "demo_12"])
        'demo_*'
    """
    listed = list(names)
    start = os.path.commonprefix(listed)  # noqa: RUF071 - characters are meant
    rest = [name[len(start) :][::-1] for name in listed]
    end = os.path.commonprefix(rest)[::-1]  # noqa: RUF071 - as above
    return f"{start.rstrip('0123456789')}*{end.lstrip('0123456789')}"


# Groups are dicts, datasets are their full paths.
_Tree: TypeAlias = "dict[str, _Tree | str]"


def _group(tree: _Tree, names: list[str]) -> _Tree:
    for name in names:
        below = tree.setdefault(name, {})
        # HDF5 knows no object that is both, but two files of one data set may differ in it.
        if isinstance(below, str):
            below = tree[name] = {"": below}
        tree = below
    return tree


def _members(tree: _Tree, kind: Kind) -> Members:
    """The families of one group, by their path within it."""
    found: Members = {}
    inner = {name: _members(below, kind) for name, below in tree.items() if isinstance(below, dict)}
    structures = {
        name: frozenset((path, kind(members[0])) for path, members in below.items())
        for name, below in inner.items()
    }
    for pattern, names in _alike(structures, _FEWEST_NUMBERED_GROUPS, _FEWEST_OTHER_GROUPS):
        for name in names:
            for path, members in inner[name].items():
                found.setdefault(f"{pattern}/{path}".rstrip("/"), []).extend(members)
    leaves = {name: path for name, path in tree.items() if isinstance(path, str)}
    kinds = {name: kind(path) for name, path in leaves.items()}
    for pattern, names in _alike(kinds, _FEWEST_NUMBERED_DATASETS, math.inf):
        found.setdefault(pattern, []).extend(leaves[name] for name in names)
    return found


def _alike(
    kinds: Mapping[str, Hashable], fewest_numbered: float, fewest_others: float
) -> Iterator[tuple[str, list[str]]]:
    """A pattern for each set of names that are copies; a name that is like no other is its own pattern."""
    numbered: dict[tuple[Hashable, str], list[str]] = {}
    others: dict[Hashable, list[str]] = {}
    for name, kind in kinds.items():
        numbered.setdefault((kind, _DIGITS.sub("#", name)), []).append(name)
    for (kind, text), names in numbered.items():
        if "#" in text and len(names) >= fewest_numbered:
            yield common_pattern(names), names
        else:
            others.setdefault(kind, []).extend(names)
    for names in others.values():
        if len(names) >= fewest_others:
            yield common_pattern(names), names
        else:
            yield from ((name, [name]) for name in names)
