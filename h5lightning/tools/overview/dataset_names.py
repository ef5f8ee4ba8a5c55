"""What the name of a dataset says."""

from __future__ import annotations

import re

__all__ = ["is_label", "words_of"]

_LABEL_WORDS = frozenset(["label", "labels", "target", "targets", "y", "class", "classes", "category"])


def words_of(path: str) -> frozenset[str]:
    """``obs/cell_type/codes`` → obs, cell, type, codes."""
    return frozenset(re.findall(r"[a-z]+", path.lower()))


def is_label(path: str) -> bool:
    """Whether it names labels."""
    return bool(_LABEL_WORDS & words_of(path))
