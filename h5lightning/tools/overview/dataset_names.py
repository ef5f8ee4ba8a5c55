"""What the name of a dataset suggests: labels, or bookkeeping of the program that wrote the file."""

from __future__ import annotations

import re

from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["is_bookkeeping", "is_label", "words_of"]

_LABEL_WORDS = frozenset(["label", "labels", "target", "targets", "y", "class", "classes", "category"])
# Objects of MATLAB, and the specifications that NWB keeps. The scan finds the indexes of PyTables and the dimensions
# of netCDF.
_BOOKKEEPING_GROUPS = re.compile(r"(?:^|/)(?:#subsystem#|specifications)/")
_START_TIMES = frozenset(["starting_time", "timestamps_reference_time", "session_start_time"])


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
