"""Bad files raise an error or are left out, as `Access` says; rank 0 decides before a run for all ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from h5lightning.core.formatting import listed
from h5lightning.core.visible import visible_logger
from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.storage.hdf5.file_checks import without_hint

__all__ = ["check_bad", "leave_out"]

_MOST_LISTED = 5

_logger = visible_logger(__name__)


def check_bad(
    bad: Sequence[SkippedFile],
    files: int,
    access: Access,
    *,
    root: str,
    earlier: int = 0,
    error: type[H5LightningError] = BadFileError,
) -> tuple[SkippedFile, ...]:
    """The bad files with reasons that do not contain ``root``, if they may be left out; a warning lists them.

    Args:
        bad: the bad files.
        files: number of all files.
        access: how many files may be left out.
        root: the directory that names are relative to.
        earlier: number of files that were left out before.
        error: class of the error.

    Raises:
        H5LightningError: of class ``error``: they may not be left out, or are too many.
    """
    if not bad:
        return ()
    total = len(bad) + earlier
    count = f" ({total} of {files} files are bad)" if total > 1 else ""
    if access.on_bad_file == "raise" or total == files:
        raise error(f"{bad[0].reason}{count}")
    start = os.path.join(root, "")
    skipped = tuple(replace(file, reason=without_hint(file.reason).replace(start, "")) for file in bad)
    reasons = [f"{file.name}: {file.reason}" for file in skipped]
    list_text = listed(reasons, _MOST_LISTED, separator="; ")
    if total > access.max_bad_fraction * files:
        raise error(
            f"{total} of {files} files are bad, over access.max_bad_fraction={access.max_bad_fraction:g}: {list_text}. "
            "Fix them, or raise this limit if the other files are enough"
        )
    _logger.warning("%d of %d files are left out: %s", len(bad), files, list_text)
    return skipped


def leave_out(
    catalog: Catalog,
    bad: Sequence[SkippedFile],
    files: int,
    access: Access,
    *,
    error: type[H5LightningError] = BadFileError,
) -> Catalog:
    """The catalog without bad files, which are added to its skipped files.

    Args:
        catalog: the files that are left.
        bad: those of them that are bad.
        files: number of all files.
        access: how many files may be left out.
        error: class of the error.

    Raises:
        H5LightningError: of class ``error``: they may not be left out, or are too many.
    """
    if not bad:
        return catalog
    earlier = files - len(catalog)
    skipped = check_bad(bad, files, access, root=catalog.root, earlier=earlier, error=error)
    names = {file.name for file in bad}
    kept = np.flatnonzero([name not in names for name in catalog.names])
    return replace(catalog.take(kept), skipped=(*catalog.skipped, *skipped))
