"""Paths by which no convention knows a dataset: one without attributes is then described by itself alone."""

from __future__ import annotations

__all__ = ["has_plain_name"]

_NAMES = frozenset(("codes", "data", "indices", "indptr", "values", "X"))
_GROUPS = frozenset(("obs", "var", "raw.var"))
_PARENTS = frozenset(("layers", "obsm", "obsp", "varm", "varp"))


def has_plain_name(path: str) -> bool:
    """Whether the path of a dataset means nothing to the conventions of this folder.

    A dataset without attributes at such a path has no encoding, labels or categories, unless a dataset beside it has
    its name and ``_index``.

    Example:
        >>> has_plain_name("data/demo_3/obs"), has_plain_name("layers/counts"), has_plain_name("a/codes")
        (True, False, False)
    """
    group, _, name = path.rpartition("/")
    if name in _NAMES or name.endswith(("X", "_values")) or "_i_" in path:
        return False
    return group not in _GROUPS and group.rpartition("/")[2] not in _PARENTS
