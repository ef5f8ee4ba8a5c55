"""Bad files: an error, or left out and listed, as `Access` says. Decided before a run, on rank 0, for all ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
    """The bad files as they are listed from now on, if they may be left out; says in the log which are.

    Args:
        bad: the bad files.
        files: all files.
        access: what may be left out.
        root: the directory that names are relative to: lists say nothing of where it lies.
        earlier: files that were left out before.
        error: what is raised.

    Raises:
        H5LightningError: of the class ``error``.
    """
    if not bad:
        return ()
    total = len(bad) + earlier
    others = f" ({total} of {files} files are bad)" if total > 1 else ""
    if access.on_bad_file == "raise" or total == files:
        raise error(f"{bad[0].reason}{others}")
    start = os.path.join(root, "")
    skipped = tuple(replace(one, reason=without_hint(one.reason).replace(start, "")) for one in bad)
    listed = "; ".join(f"{one.name}: {one.reason}" for one in skipped[:_MOST_LISTED])
    listed += f"; and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else ""
    if total > access.max_bad_fraction * files:
        raise error(
            f"{total} of {files} files are bad, over access.max_bad_fraction={access.max_bad_fraction:g}: {listed}. "
            "Mend them, or raise it if the others are all that is wanted"
        )
    _logger.warning("%d of %d files are left out: %s", len(bad), files, listed)
    return skipped


def leave_out(
    catalog: Catalog,
    bad: Sequence[SkippedFile],
    files: int,
    access: Access,
    *,
    error: type[H5LightningError] = BadFileError,
) -> Catalog:
    """The catalog without bad files, which are listed as skipped.

    Args:
        catalog: the files that were not bad so far.
        bad: those of them that are.
        files: all files.
        access: what may be left out.
        error: what is raised.

    Raises:
        H5LightningError: of the class ``error``: they may not be left out, or are too many.
    """
    if not bad:
        return catalog
    earlier = files - len(catalog)
    skipped = check_bad(bad, files, access, root=catalog.root, earlier=earlier, error=error)
    names = {one.name for one in bad}
    kept = np.flatnonzero([name not in names for name in catalog.names])
    return replace(catalog.take(kept), skipped=(*catalog.skipped, *skipped))
