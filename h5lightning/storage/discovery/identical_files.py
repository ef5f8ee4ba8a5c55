"""Files with the same content, found from a few blocks of each.

Files of equal size are compared block by block, the next block only where all blocks before are equal. So most files
are not opened, and most of the others are read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

__all__ = ["identical_files"]

_BLOCK_BYTES = 4096
# Where the blocks lie, as fractions of the file. The middle first: HDF5 files of one layout often have equal heads.
_FRACTIONS = (0.5, 1.0, 0.25, 0.75, 0.0)

Group = list[int]


def identical_files(
    paths: Sequence[str], sizes: Sequence[int], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """Files of different owners that have the same size and the same bytes in five blocks.

    A file that cannot be read is equal to no other.

    Args:
        paths: paths of the files, each once.
        sizes: size of each file in bytes.
        owners: the owners of each file; files that all have the same single owner are not compared.

    Returns:
        The positions of the files of each group, ascending.
    """
    groups = _divide([list(range(len(paths)))], sizes.__getitem__, owners)
    for fraction in _FRACTIONS:
        groups = _divide(groups, partial(_block, paths, sizes, fraction), owners)
    return sorted(groups)


def _divide(
    groups: Iterable[Group], key: Callable[[int], Any], owners: Sequence[frozenset[str]]
) -> list[Group]:
    """The groups divided by ``key``, without groups that have a single file or a single owner."""
    divided = []
    for group in groups:
        parts: dict[Any, Group] = {}
        for file in group:
            parts.setdefault(key(file), []).append(file)
        divided += [part for part in parts.values() if _has_several_owners(part, owners)]
    return divided


def _has_several_owners(group: Group, owners: Sequence[frozenset[str]]) -> bool:
    return len(group) > 1 and len(frozenset().union(*(owners[file] for file in group))) > 1


def _block(paths: Sequence[str], sizes: Sequence[int], fraction: float, file: int) -> bytes | str:
    """One block of a file; where it cannot be read, the path, which is equal to no block."""
    try:
        descriptor = os.open(paths[file], os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return paths[file]
    try:
        return os.pread(descriptor, _BLOCK_BYTES, int(fraction * max(sizes[file] - _BLOCK_BYTES, 0)))
    except OSError:
        return paths[file]
    finally:
        os.close(descriptor)
