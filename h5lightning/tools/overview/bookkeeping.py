"""Datasets that programs keep for themselves: no field is made of them, and nothing about them is alarming."""

from __future__ import annotations

import re

from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["is_bookkeeping"]

# Objects of MATLAB, and the specifications that NWB keeps. The scan tells more: PyTables' indexes, netCDF's dimensions.
_FOLDERS = re.compile(r"(?:^|/)(?:#subsystem#|specifications)/")
_START_TIMES = frozenset(["starting_time", "timestamps_reference_time", "session_start_time"])


def is_bookkeeping(schema: DatasetSchema) -> bool:
    """Whether a dataset serves the program that wrote it, and holds no data of anybody."""
    if schema.is_bookkeeping:
        return True
    leaf = schema.path.rpartition("/")[2]
    is_start = not schema.shape and leaf in _START_TIMES
    return (
        bool(_FOLDERS.search(schema.path))
        or is_start
        or (leaf == "file_create_date" and bool(schema.refusal))
    )
