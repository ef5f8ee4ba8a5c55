"""From paths to the catalog of their contents, opening only the files that are not known yet."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.schema import FileSchema
from h5lightning.storage.discovery import Discovered
from h5lightning.storage.hdf5.external import source_stamp
from h5lightning.storage.indexing.bad_files import check_bad
from h5lightning.storage.indexing.catalog_store import CatalogStore
from h5lightning.storage.scanning import ScanRequest, scan_files

__all__ = ["CatalogBuild", "build_catalog"]


_NO_STAMPS = np.zeros((0, 4), dtype=np.int64)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CatalogBuild:
    """A catalog, and what it took.

    Args:
        catalog: what the files hold.
        scanned: files that were opened.
        reused: files that were known and unchanged.
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
    """What the files hold, from the index on disk and from a scan of what is new or changed.

    A file is unchanged if its size, times and inode are, and those of the files that it takes values from. Files that
    were skipped are tried again each time.

    Args:
        discovered: the files.
        request: what to look for in them.
        access: what to do about bad files, and whether to lock.
        index_dir: where the index lies; None for the user's cache directory.
        processes: scanning processes for many files; None for one on each core.
        progress: show a bar where somebody watches.

    Raises:
        BadFileError: a file cannot be read, or a directory not be listed, unless ``access.on_bad_file`` is ``skip``; or
            too many cannot.
        FieldError: an attribute that cannot be kept.
    """
    total = len(discovered.names) + len(discovered.unlisted)
    # Before the scan, which may take long: it cannot find what lies in them.
    unlisted = check_bad(discovered.unlisted, total, access, root=discovered.root)
    skipped = (*discovered.skipped, *unlisted)
    store = CatalogStore(index_dir)
    old = store.load(discovered.root, request) or Catalog.of(discovered.root, (), _NO_STAMPS, ())
    known = _known(old, StringTable.of(discovered.names), discovered.stamps)
    known[np.isin(known, _with_changed_sources(old))] = -1
    if np.array_equal(known, np.arange(len(old))):
        return CatalogBuild(dataclasses.replace(old, skipped=skipped), scanned=0, reused=len(old))
    new = np.flatnonzero(known < 0)
    paths = [os.path.join(discovered.root, discovered.names[file]) for file in new.tolist()]
    outcomes = scan_files(paths, request, processes=processes, progress=progress, locking=access.locking)
    catalog = _merged(discovered, old, known, outcomes)
    # Also before an error: when the bad files are mended, the others need not be scanned again.
    catalog = _kept(store, catalog, request)
    bad = [
        SkippedFile(discovered.names[file], str(outcome))
        for file, outcome in zip(new.tolist(), outcomes, strict=True)
        if isinstance(outcome, BadFileError)
    ]
    skipped += check_bad(bad, total, access, root=discovered.root, earlier=len(unlisted))
    catalog = dataclasses.replace(catalog, skipped=skipped)
    return CatalogBuild(catalog, scanned=len(new), reused=len(known) - len(new))


def _known(old: Catalog, names: StringTable, stamps: Int64Array) -> Int64Array:
    """Position in the old catalog of each file, ``(files,)``; -1 for a file that is new or has changed."""
    if old.names == names:
        known = np.arange(len(names))
    else:
        positions = {name: position for position, name in enumerate(old.names)}
        known = np.fromiter((positions.get(name, -1) for name in names), dtype=np.int64, count=len(names))
    there = np.flatnonzero(known >= 0)
    changed = there[np.any(old.stamps[known[there]] != stamps[there], axis=1)]
    known[changed] = -1
    return known


def _with_changed_sources(old: Catalog) -> Int64Array:
    """Positions of the files of which any source is not what it was."""
    return old.sources.files_with_other(old.sources.seen(source_stamp).stamps)


def _merged(
    discovered: Discovered,
    old: Catalog,
    known: Int64Array,
    outcomes: Sequence[FileSchema | BadFileError],
) -> Catalog:
    """The known files and those that could be scanned, in the order of discovery."""
    good = [outcome for outcome in outcomes if isinstance(outcome, FileSchema)]
    is_good = np.asarray([isinstance(outcome, FileSchema) for outcome in outcomes], dtype=bool)
    new = np.flatnonzero(known < 0)[is_good]
    names = [discovered.names[file] for file in new.tolist()]
    fresh = Catalog.of(discovered.root, names, discovered.stamps[new], good)
    kept = np.flatnonzero(known >= 0)
    order = np.argsort(np.concatenate([kept, new]), kind="stable")
    return Catalog.joined(old.take(known[kept]), fresh).take(order)


def _kept(store: CatalogStore, catalog: Catalog, request: ScanRequest) -> Catalog:
    """The same catalog; where values lie is mapped from the store, if it can be stored."""
    origin = store.save(catalog, request)
    extents = origin() if origin is not None else None
    return catalog if extents is None else dataclasses.replace(catalog, extents=extents)
