"""Numbered siblings in a list of paths, told as one family: ``data/demo_0/x`` to ``data/demo_59/x`` as ``data/*/x``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from h5lightning.core.natural_order import natural_key
from h5lightning.core.star_paths import starred_object

__all__ = ["Family", "families_text", "fold", "folded_names"]

_DIGITS = re.compile("[0-9]+")
_LEAST = 3  # members of a family
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Family:
    """Paths that differ only in the number in one part.

    Args:
        path: the path with a ``*`` in that part.
        members: number of siblings.
        first: the name of the first one in natural order.
        last: the name of the last one.
    """

    path: str
    members: int
    first: str
    last: str

    @property
    def place(self) -> str:
        """The path up to the ``*``: what the siblings share."""
        return starred_object(self.path)

    @property
    def text(self) -> str:
        """Such as ``'/data/*' is a family of 60 groups (demo_0 … demo_59)``."""
        what = "datasets" if self.place == self.path else "groups"
        return f"'/{self.place}' is a family of {self.members:,} {what} ({self.first} … {self.last})"


def fold(paths: Iterable[str]) -> tuple[list[Family], list[str]]:
    """The families among some paths, and the other paths, in order.

    Example:
        >>> families, others = fold(["grid", *(f"data/demo_{k}/x" for k in range(12))])
        >>> families[0].text, others
        ("'/data/*' is a family of 12 groups (demo_0 … demo_11)", ['grid'])
    """
    listed = list(paths)
    groups: dict[str, list[list[str]]] = {}
    for path in listed:
        groups.setdefault(_DIGITS.sub("0", path), []).append(path.split("/"))
    starred: dict[str, tuple[set[str], str]] = {}
    others: list[str] = []
    for key, members in groups.items():
        names = [set(part) for part in zip(*members, strict=True)]
        depth = max(range(len(names)), key=lambda depth: len(names[depth]))
        if len(names[depth]) < _LEAST:
            others += ["/".join(parts) for parts in members]
            continue
        for parts in members:
            path = "/".join((*parts[:depth], "\0", *parts[depth + 1 :]))
            starred.setdefault(path, (set(), key.split("/")[depth]))[0].add(parts[depth])
    siblings = _siblings(listed)
    families = []
    for path, (found, pattern) in starred.items():
        ordered = sorted(found, key=natural_key)
        parent = path[: path.index("\0")]
        # A ``*`` alone would match other siblings too.
        is_alone = siblings[parent] == {pattern}
        part = "*" if is_alone or pattern.count("0") > 1 else pattern.replace("0", "*")
        families.append(Family(path.replace("\0", part, 1), len(found), ordered[0], ordered[-1]))
    return families, others


def folded_names(paths: Iterable[str]) -> list[str]:
    """The paths, each family as one path with a ``*``."""
    families, others = fold(paths)
    return [*(family.path for family in families), *others]


def families_text(families: list[Family]) -> str:
    """The families by what they share, with a field for each, such as ``'/data/*' is …; Field('data/*/x')``."""
    by_place: dict[str, list[Family]] = {}
    for family in families:
        by_place.setdefault(family.place, []).append(family)
    texts = []
    for members in list(by_place.values())[:_MOST_TOLD]:
        fields = ", ".join(f"Field({family.path!r})" for family in members[:_MOST_TOLD])
        more = f" and {len(members) - _MOST_TOLD} more" if len(members) > _MOST_TOLD else ""
        texts.append(f"{members[0].text}; {fields}{more}")
    return ". ".join(texts)


def _siblings(paths: Iterable[str]) -> dict[str, set[str]]:
    """The names in each group, with 0 for each number; groups end with a slash."""
    siblings: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            parent = "".join(f"{above}/" for above in parts[:depth])
            siblings.setdefault(parent, set()).add(_DIGITS.sub("0", part))
    return siblings
