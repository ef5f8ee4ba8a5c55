"""Scan the files that can be read; list the others, and the attributes that all files share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from h5lightning.errors import BadFileError, FieldError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.schema import FileSchema
from h5lightning.storage.discovery import Discovered
from h5lightning.storage.scanning import ScanRequest, scan_files
from h5lightning.tools.overview.file_attributes import attribute_names

__all__ = ["scan_readable", "shared_attrs"]


def scan_readable(discovered: Discovered, *, processes: int | None, progress: bool) -> Catalog:
    """The catalog of the files that can be read; ``skipped`` lists the others, and folders that cannot be listed.

    Args:
        discovered: the files.
        processes: scanning processes for many files; None for one per core.
        progress: show a progress bar if stderr is a terminal.
    """
    paths = [discovered.path(file) for file in range(len(discovered))]
    attrs = tuple(f"@{name}" for name in attribute_names(paths))
    try:
        outcomes = scan_files(
            paths, ScanRequest(None, attrs, most_chunks=0), processes=processes, progress=progress
        )
    except FieldError:
        # An attribute has another type in some file: then it does not say which files belong together.
        outcomes = scan_files(paths, ScanRequest(None, most_chunks=0), processes=processes, progress=progress)
    good = [file for file, outcome in enumerate(outcomes) if isinstance(outcome, FileSchema)]
    bad = [
        SkippedFile(name, str(outcome))
        for name, outcome in zip(discovered.names, outcomes, strict=True)
        if isinstance(outcome, BadFileError)
    ]
    return Catalog.of(
        discovered.root,
        [discovered.names[file] for file in good],
        discovered.stamps[np.asarray(good, dtype=np.int64)],
        [outcome for outcome in outcomes if isinstance(outcome, FileSchema)],
        [*discovered.unlisted, *bad],
    )


def shared_attrs(catalog: Catalog) -> Mapping[str, Any]:
    """The attributes that all files have, with the values of the first file."""
    if not len(catalog):
        return {}
    shared = set.intersection(*(set(catalog.attrs_of(file)) for file in range(len(catalog))))
    return {name.removeprefix("@"): catalog.attrs_of(0)[name] for name in sorted(shared)}
