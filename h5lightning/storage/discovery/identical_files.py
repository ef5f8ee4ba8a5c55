"""Files with the same content, found without reading them.

Files of equal size are compared by a few of their blocks, the next block only where all before were equal.
So most files are not opened, and of the others most are read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

__all__ = ["identical_files"]

_BLOCK_BYTES = 4096
# The middle first: the heads of HDF5 files of one layout are often equal.
_PLACES = (0.5, 1.0, 0.25, 0.75, 0.0)

Group = list[int]


def identical_files(
    paths: Sequence[str], sizes: Sequence[int], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """Files of different owners that have the same size and the same bytes in five places.

    A file that cannot be read is like no other.

    Args:
        paths: where the files lie, each once.
        sizes: size in bytes of each.
        owners: what each file belongs to; files that all have the same one owner are not compared.

    Returns:
        The positions of the files of each group, ascending.
    """
    groups = _divide([list(range(len(paths)))], sizes.__getitem__, owners)
    for place in _PLACES:
        groups = _divide(groups, partial(_block, paths, sizes, place), owners)
    return sorted(groups)


def _divide(
    groups: Iterable[Group], key: Callable[[int], Any], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """The parts of the groups that agree in ``key``, where these still have several files and owners."""
    found = []
    for group in groups:
        parts: dict[Any, Group] = {}
        for file in group:
            parts.setdefault(key(file), []).append(file)
        found += [part for part in parts.values() if _is_of_several(part, owners)]
    return found


def _is_of_several(part: Group, owners: Sequence[frozenset[str]]) -> bool:
    return len(part) > 1 and len(frozenset().union(*(owners[file] for file in part))) > 1


def _block(paths: Sequence[str], sizes: Sequence[int], place: float, file: int) -> bytes | str:
    """The bytes at one place of a file; its path, which is like no block, where they cannot be read."""
    try:
        descriptor = os.open(paths[file], os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return paths[file]
    try:
        return os.pread(descriptor, _BLOCK_BYTES, int(place * max(sizes[file] - _BLOCK_BYTES, 0)))
    except OSError:
        return paths[file]
    finally:
        os.close(descriptor)
