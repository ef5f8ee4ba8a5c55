"""Files → the catalog of their contents, from the index on disk and a scan of new and changed files.

Bad files raise an error or are left out, as `Access` says; rank 0 decides before a run for all ranks.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import listed
from h5lightning.core.string_table import StringTable
from h5lightning.core.visible import visible_logger
from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.storage.discovery import Discovered
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.storage.hdf5.file_checks import without_hint
from h5lightning.storage.indexing.catalog_store import CatalogStore
from h5lightning.storage.scanning import ScanRequest, scan_files

__all__ = ["CatalogBuild", "build_catalog", "check_bad", "leave_out"]

_NO_STAMPS = np.zeros((0, 4), dtype=np.int64)
_MOST_LISTED = 5

_logger = visible_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CatalogBuild:
    """A catalog, and how many files were opened for it.

    Args:
        catalog: the contents of the files.
        scanned: number of files that were opened.
        reused: number of unchanged files, taken from the index.
    """

    catalog: Catalog
    scanned: int
    reused: int


def build_catalog(
    discovered: Discovered,
    request: ScanRequest,
    *,
    access: Access,
    index_dir: str | os.PathLike[str] | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> CatalogBuild:
    """Take what is known about the files from the index on disk, scan new and changed files, and update the index.

    A file is unchanged if its size, times and inode are, and those of the files that it takes values from. Skipped
    files are tried again each time.

    Args:
        discovered: the files.
        request: what to look for in them.
        access: what to do about bad files, and whether to lock.
        index_dir: directory of the index; None for the user's cache directory.
        processes: scanning processes for many files; None for one on each core.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        BadFileError: a file cannot be read or a directory cannot be listed, and ``access.on_bad_file`` is ``raise``; or
            too many cannot.
        FieldError: an attribute has an unsupported type, or is too large.
    """
    total = len(discovered.names) + len(discovered.unlisted)
    # Before the scan, which may take long and cannot find files in these directories.
    unlisted = check_bad(discovered.unlisted, total, access, root=discovered.root)
    skipped = (*discovered.skipped, *unlisted)
    store = CatalogStore(index_dir)
    old = store.load(discovered.root, request) or Catalog.of(discovered.root, (), _NO_STAMPS, ())
    old_positions = _unchanged(old, StringTable.of(discovered.names), discovered.stamps)
    if np.array_equal(old_positions, np.arange(len(old))):
        return CatalogBuild(dataclasses.replace(old, skipped=skipped), scanned=0, reused=len(old))
    new = np.flatnonzero(old_positions < 0)
    paths = [os.path.join(discovered.root, discovered.names[file]) for file in new.tolist()]
    outcomes = scan_files(paths, request, processes=processes, progress=progress, locking=access.locking)
    # Stored before an error is raised: when the bad files are fixed, the others are not scanned again.
    catalog = _stored(store, _combined(discovered, old, old_positions, outcomes), request)
    bad = [
        SkippedFile(discovered.names[file], str(outcome))
        for file, outcome in zip(new.tolist(), outcomes, strict=True)
        if isinstance(outcome, BadFileError)
    ]
    skipped += check_bad(bad, total, access, root=discovered.root, earlier=len(unlisted))
    catalog = dataclasses.replace(catalog, skipped=skipped)
    return CatalogBuild(catalog, scanned=len(new), reused=len(old_positions) - len(new))


def _unchanged(old: Catalog, names: StringTable, stamps: Int64Array) -> Int64Array:
    """Position in the old catalog of each file, ``(files,)``; -1 for a file that is new or has changed."""
    if old.names == names:
        positions = np.arange(len(names))
    else:
        position_of = {name: position for position, name in enumerate(old.names)}
        positions = np.fromiter((position_of.get(name, -1) for name in names), np.int64, count=len(names))
    known = np.flatnonzero(positions >= 0)
    changed = known[np.any(old.stamps[positions[known]] != stamps[known], axis=1)]
    positions[changed] = -1
    changed_sources = old.sources.files_with_other(old.sources.seen(source_stamp).stamps)
    positions[np.isin(positions, changed_sources)] = -1
    return positions


def _combined(
    discovered: Discovered,
    old: Catalog,
    old_positions: Int64Array,
    outcomes: Sequence[FileSchema | BadFileError],
) -> Catalog:
    """The unchanged files and those that could be scanned, in the order of discovery."""
    is_good = np.asarray([isinstance(outcome, FileSchema) for outcome in outcomes], dtype=bool)
    new = np.flatnonzero(old_positions < 0)[is_good]
    names = [discovered.names[file] for file in new.tolist()]
    schemas = [outcome for outcome in outcomes if isinstance(outcome, FileSchema)]
    scanned = Catalog.of(discovered.root, names, discovered.stamps[new], schemas)
    kept = np.flatnonzero(old_positions >= 0)
    if not kept.size:
        return scanned
    order = np.argsort(np.concatenate([kept, new]), kind="stable")
    return Catalog.joined(old.take(old_positions[kept]), scanned).take(order)


def _stored(store: CatalogStore, catalog: Catalog, request: ScanRequest) -> Catalog:
    """Store a catalog; returns it with its extents mapped from the store, if it could be stored."""
    origin = store.save(catalog, request)
    extents = origin() if origin is not None else None
    return catalog if extents is None else dataclasses.replace(catalog, extents=extents)


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
    skipped = tuple(
        dataclasses.replace(file, reason=without_hint(file.reason).replace(start, "")) for file in bad
    )
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
    """The catalog without its bad files, which are added to the skipped files; ``files`` counts all, also skipped ones.

    Raises:
        H5LightningError: of class ``error``: they may not be left out, or are too many.
    """
    if not bad:
        return catalog
    earlier = files - len(catalog)
    skipped = check_bad(bad, files, access, root=catalog.root, earlier=earlier, error=error)
    names = {file.name for file in bad}
    kept = np.flatnonzero([name not in names for name in catalog.names])
    return dataclasses.replace(catalog.take(kept), skipped=(*catalog.skipped, *skipped))
