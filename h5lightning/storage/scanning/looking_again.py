"""Look into files again to explain an error: what they hold nearby, and how two of them differ."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from h5lightning.errors import H5LightningError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.error_parts import DifferenceOf
from h5lightning.storage.scanning.describe_file import attribute_names
from h5lightning.storage.scanning.parallel_scan import difference_between, scan_file
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["attrs_in", "differences_between", "names_in", "unmatched_files"]


def differences_between(catalog: Catalog, *, locking: bool) -> DifferenceOf:
    """The function that looks into two files to explain how they differ."""
    return lambda unit, expected, source: difference_between(
        catalog.unit_path(unit), catalog.unit_path(expected), source, locking=locking
    )


def names_in(path: str) -> list[str]:
    """The paths of all datasets of a file; none if it cannot be read."""
    with suppress(H5LightningError):  # this only helps to explain another error
        return [dataset.path for dataset in scan_file(path, ScanRequest(None, most_chunks=0)).datasets]
    return []


def attrs_in(path: str, owner: str) -> list[str]:
    """The names of the attributes of an object; none if it cannot be read."""
    with suppress(H5LightningError):
        return attribute_names(path, owner)
    return []


def unmatched_files(catalog: Catalog, matched: tuple[str, ...]) -> list[SkippedFile]:
    """The files in which the ``*`` of the paths of fields matches nothing."""
    if catalog.matches is None:
        return []
    asked = " or ".join(f"'/{path}'" for path in matched)
    empty = np.flatnonzero(catalog.matches.counts == 0).tolist()
    return [
        SkippedFile(catalog.names[file], f"{catalog.path(file)} holds no dataset that matches {asked}")
        for file in empty
    ]
