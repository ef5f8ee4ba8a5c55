"""What the files that can be read hold, and which attributes they share: where each command begins."""

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


def scan_readable(found: Discovered, *, processes: int | None, progress: bool) -> Catalog:
    """What the files that can be read hold; the others, and folders that cannot be listed, are in ``skipped``.

    Args:
        found: the files.
        processes: scanning processes for many files; None for one on each core.
        progress: show a bar where somebody watches.
    """
    paths = [found.path(file) for file in range(len(found))]
    attrs = tuple(f"@{name}" for name in attribute_names(paths))
    try:
        outcomes = scan_files(
            paths, ScanRequest(None, attrs, most_chunks=0), processes=processes, progress=progress
        )
    except FieldError:
        # In some file an attribute is of another kind: then it says nothing about which belong together.
        outcomes = scan_files(paths, ScanRequest(None, most_chunks=0), processes=processes, progress=progress)
    good = [file for file, outcome in enumerate(outcomes) if isinstance(outcome, FileSchema)]
    return Catalog.of(
        found.root,
        [found.names[file] for file in good],
        found.stamps[np.asarray(good, dtype=np.int64)],
        [outcome for outcome in outcomes if isinstance(outcome, FileSchema)],
        [
            *found.unlisted,
            *(
                SkippedFile(name, str(outcome))
                for name, outcome in zip(found.names, outcomes, strict=True)
                if isinstance(outcome, BadFileError)
            ),
        ],
    )


def shared_attrs(catalog: Catalog) -> Mapping[str, Any]:
    """The attributes that all files have, with the first file's values."""
    shared = (
        set.intersection(*(set(catalog.attrs_of(file)) for file in range(len(catalog))))
        if len(catalog)
        else set()
    )
    return {name.removeprefix("@"): catalog.attrs_of(0)[name] for name in sorted(shared)}
