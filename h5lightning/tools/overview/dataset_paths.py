"""What paths of datasets say: which datasets are alike, which are labels, and which are bookkeeping."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeAlias

from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["common_pattern", "is_bookkeeping", "is_label", "path_patterns", "words_of"]

_LABEL_WORDS = frozenset(["label", "labels", "target", "targets", "y", "class", "classes", "category"])
# Objects of MATLAB, and the specifications that NWB keeps. The scan finds the indexes of PyTables and the dimensions
# of netCDF.
_BOOKKEEPING_GROUPS = re.compile(r"(?:^|/)(?:#subsystem#|specifications)/")
_START_TIMES = frozenset(["starting_time", "timestamps_reference_time", "session_start_time"])

# Three groups of one structure with numbered names are copies; train, val and test are not.
_FEWEST_NUMBERED_GROUPS = 3
_FEWEST_OTHER_GROUPS = 8
_FEWEST_NUMBERED_DATASETS = 8
_MAX_DEPTH = 64  # the rest of a deeper path counts as one name: a file may nest thousands of groups
_DIGITS = re.compile(r"\d+")

_Tree: TypeAlias = "dict[str, _Tree | str]"  # groups are dicts, datasets are their full paths
Members: TypeAlias = dict[str, list[str]]  # pattern below one group → the original paths
Kind: TypeAlias = Callable[[str], Hashable]


def words_of(path: str) -> frozenset[str]:
    """The words of a path: ``obs/cell_type/codes`` → obs, cell, type, codes."""
    return frozenset(re.findall(r"[a-z]+", path.lower()))


def is_label(path: str) -> bool:
    """Whether the name is that of labels."""
    return bool(_LABEL_WORDS & words_of(path))


def is_bookkeeping(schema: DatasetSchema) -> bool:
    """Whether a dataset only serves the program that wrote it."""
    if schema.is_bookkeeping or _BOOKKEEPING_GROUPS.search(schema.path):
        return True
    name = schema.path.rpartition("/")[2]
    is_start_time = not schema.shape and name in _START_TIMES
    return is_start_time or (name == "file_create_date" and bool(schema.refusal))


def path_patterns(kinds: Mapping[str, Hashable]) -> dict[str, tuple[str, ...]]:
    """Put datasets of the same kind and with similar names together.

    Args:
        kinds: path of each dataset → what the datasets of one pattern must have in common.

    Returns:
        Pattern → paths that match it. The pattern has a ``*`` where the paths differ; most patterns are one path.

    Example:
        >>> path_patterns({f"demo_{i}/{name}": "f4" for i in range(3) for name in ("pose", "grip")})
        {'demo_*/grip': ('demo_0/grip', 'demo_1/grip', 'demo_2/grip'), \
'demo_*/pose': ('demo_0/pose', 'demo_1/pose', 'demo_2/pose')}
    """
    tree: _Tree = {}
    for path in sorted(kinds):
        *groups, name = path.split("/", _MAX_DEPTH)
        _group(tree, groups)[name] = path
    return {path: tuple(members) for path, members in sorted(_members(tree, kinds.__getitem__).items())}


def common_pattern(names: Iterable[str]) -> str:
    """The common start and end of names, with a ``*`` between: ``demo_7``, ``demo_12`` → ``demo_*``."""
    listed = list(names)
    start = os.path.commonprefix(listed)  # noqa: RUF071 - characters are meant
    reversed_ends = [name[len(start) :][::-1] for name in listed]
    end = os.path.commonprefix(reversed_ends)[::-1]  # noqa: RUF071 - as above
    return f"{start.rstrip('0123456789')}*{end.lstrip('0123456789')}"


def _group(tree: _Tree, names: list[str]) -> _Tree:
    for name in names:
        below = tree.setdefault(name, {})
        # One name is never both a group and a dataset in one file, but it may be in two files.
        if isinstance(below, str):
            below = tree[name] = {"": below}
        tree = below
    return tree


def _members(tree: _Tree, kind: Kind) -> Members:
    """The patterns of one group, relative to it, with the paths that match them."""
    found: Members = {}
    subgroups = {name: _members(below, kind) for name, below in tree.items() if isinstance(below, dict)}
    structures = {
        name: frozenset((path, kind(members[0])) for path, members in below.items())
        for name, below in subgroups.items()
    }
    for pattern, names in _copies(structures, _FEWEST_NUMBERED_GROUPS, _FEWEST_OTHER_GROUPS):
        for name in names:
            for path, members in subgroups[name].items():
                found.setdefault(f"{pattern}/{path}".rstrip("/"), []).extend(members)
    datasets = {name: path for name, path in tree.items() if isinstance(path, str)}
    kinds = {name: kind(path) for name, path in datasets.items()}
    for pattern, names in _copies(kinds, _FEWEST_NUMBERED_DATASETS, math.inf):
        found.setdefault(pattern, []).extend(datasets[name] for name in names)
    return found


def _copies(
    kinds: Mapping[str, Hashable], fewest_numbered: float, fewest_others: float
) -> Iterator[tuple[str, list[str]]]:
    """A pattern for each set of names that are copies; a name without a copy is a pattern itself."""
    numbered: dict[tuple[Hashable, str], list[str]] = {}
    unnumbered: dict[Hashable, list[str]] = {}
    for name, kind in kinds.items():
        numbered.setdefault((kind, _DIGITS.sub("#", name)), []).append(name)
    for (kind, text), names in numbered.items():
        if "#" in text and len(names) >= fewest_numbered:
            yield common_pattern(names), names
        else:
            unnumbered.setdefault(kind, []).extend(names)
    for names in unnumbered.values():
        if len(names) >= fewest_others:
            yield common_pattern(names), names
        else:
            yield from ((name, [name]) for name in names)
