"""The catalog on disk: what a scan found, so that the next start does not open the files.

There is one store for each root and request. Its numbers are the extents of all datasets; each process compares them
with their digest when it maps them.

A store is a cache: one that is torn, damaged, or of another version is ignored. It is written under a temporary name
and then moved into place, so that readers and concurrent writers only see whole files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.atomic_write import replace_file
from h5lightning.core.string_table import StringTable
from h5lightning.core.visible import visible_logger
from h5lightning.planning.catalog.annotations import Annotations
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.extents import ExtentTable
from h5lightning.planning.catalog.match_table import MatchTable
from h5lightning.planning.catalog.record_layout import RecordLayout
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.catalog.source_files import SourceTable
from h5lightning.storage.indexing.array_file import (
    StoredArrays,
    StoreFormat,
    UnusableStoreError,
    content_of,
    store_directory,
)
from h5lightning.storage.scanning import ScanRequest

__all__ = ["FORMAT", "CatalogStore", "StoredExtents", "pack", "unpack"]

FORMAT = 12  # raise it when the layout of the store changes, or the result of scanning the same file

_STORE = StoreFormat(b"\x93H5LIDX\n", FORMAT, "an index", ".h5index")

_logger = visible_logger(__name__)


class CatalogStore:
    """The catalogs in one directory, by default that of `store_directory`."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = store_directory(directory)

    def path_of(self, root: str, request: ScanRequest) -> str:
        """The path of the store of a root and a request."""
        return _STORE.path_in(self.directory, root, *_plain(request))

    def load(self, root: str, request: ScanRequest) -> Catalog | None:
        """The stored catalog; None if there is none that can be used."""
        path = self.path_of(root, request)
        try:
            data = content_of(path)
            origin = StoredExtents(path, _STORE.digest_in(data))
            return unpack(data, root, request, origin)
        except FileNotFoundError:
            return None
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the index %s cannot be used: %s", path, error)
            return None

    def save(self, catalog: Catalog, request: ScanRequest) -> StoredExtents | None:
        """Store a catalog.

        Returns:
            The extents in the store; None if the catalog could not be stored.
        """
        path = self.path_of(catalog.root, request)
        preamble, body, numbers = pack(catalog, request)
        try:
            os.makedirs(self.directory, exist_ok=True)
            replace_file(path, preamble, body, numbers)
        except OSError as error:
            _logger.warning(
                "the index cannot be stored in %s (%s): each start will scan the files again. "
                "Set index_dir or H5LIGHTNING_CACHE_DIR to a writable directory",
                self.directory,
                error.strerror,
            )
            return None
        return StoredExtents(path, _STORE.digest_in(preamble))


@dataclass(frozen=True, slots=True)
class StoredExtents:
    """The extents in one store, for any process that can reach it.

    Args:
        path: path of the store.
        digest: digest of its body, which no other store has.
    """

    path: str
    digest: bytes

    def __call__(self) -> ExtentTable | None:
        """Map them; None if the store is gone, or has been replaced by another."""
        try:
            data = content_of(self.path)
            if _STORE.digest_in(data) != self.digest:
                raise UnusableStoreError("it has been replaced")
            return _STORE.unpack(data, lambda store: _extents(store, self))
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the extents in the index %s cannot be used: %s", self.path, error)
            return None


def pack(catalog: Catalog, request: ScanRequest) -> tuple[bytes, bytes, memoryview]:
    """The bytes of a store, to be written one after the other: preamble, body, and numbers of the extents."""
    extents = catalog.extents
    header = {
        "root": catalog.root,
        "request": _plain(request),
        "layouts": [[dataset.to_plain() for dataset in layout] for layout in catalog.layouts],
        "annotations": [annotations.to_plain() for annotations in catalog.annotations],
        "part": None if catalog.matches is None else catalog.matches.part,
        "indexes": list(catalog.row_indexes),
        "values": list(catalog.row_values),
        "skipped": [[skipped.name, skipped.reason] for skipped in catalog.skipped],
        "forms": [
            (*form, None if record is None else record.to_plain()) for *form, record in extents.layouts
        ],
    }
    return _STORE.pack(header, _arrays(catalog), extents.numbers.astype("<i8", copy=False))


def unpack(
    data: bytes | memoryview, root: str, request: ScanRequest, origin: StoredExtents | None = None
) -> Catalog:
    """The catalog in the bytes of a store; its arrays share their memory and are read-only.

    It must have the root and answer the request. Other processes get its extents from the origin.

    Raises:
        UnusableStoreError: they are torn or damaged, of another version, or of other files.
    """
    return _STORE.unpack(data, lambda store: _catalog(store, root, request, origin))


def _catalog(store: StoredArrays, root: str, request: ScanRequest, origin: StoredExtents | None) -> Catalog:
    header, arrays = store.header, store.arrays
    if (header["root"], header["request"]) != (root, _plain(request)):
        raise UnusableStoreError(f"it holds the files of {header['root']}")
    layouts = ((DatasetSchema.from_plain(plain) for plain in layout) for layout in header["layouts"])
    return Catalog(
        root=root,
        names=StringTable(arrays["name_bytes"], arrays["name_ends"]),
        stamps=arrays["stamps"],
        layouts=tuple(tuple(layout) for layout in layouts),
        layout_of=arrays["layout_of"],
        facts=arrays["facts"],
        annotations=tuple(Annotations.from_plain(plain) for plain in header["annotations"]),
        annotation_of=arrays["annotation_of"],
        attrs=StringTable(arrays["attr_bytes"], arrays["attr_ends"]),
        extents=_extents(store, origin),
        skipped=tuple(SkippedFile(name, reason) for name, reason in header["skipped"]),
        sources=SourceTable(
            StringTable(arrays["source_bytes"], arrays["source_ends"]),
            arrays["source_stamps"],
            arrays["source_files"],
            arrays["source_uses"],
        ),
        matches=_matches(store),
        bounds=SeriesBounds.from_arrays(arrays),
        row_indexes={
            path: IndexTable.from_arrays(_named(arrays, f"index_{number}_"))
            for number, path in enumerate(header["indexes"])
        },
        row_values={
            name: RowValues.from_arrays(_named(arrays, f"values_{number}_"))
            for number, name in enumerate(header["values"])
        },
    )


def _named(arrays: Mapping[str, npt.NDArray[Any]], start: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays whose names have this start, without it."""
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _matches(store: StoredArrays) -> MatchTable | None:
    part, arrays = store.header["part"], store.arrays
    if part is None:
        return None
    return MatchTable(part, arrays["match_counts"], StringTable(arrays["match_bytes"], arrays["match_ends"]))


def _extents(store: StoredArrays, origin: StoredExtents | None) -> ExtentTable:
    forms = (
        (
            tuple((number, tuple(values)) for number, values in filters),
            reason,
            parts,
            None if record is None else RecordLayout.from_plain(record),
        )
        for filters, reason, parts, record in store.header["forms"]
    )
    arrays, numbers = store.arrays, np.frombuffer(store.numbers, "<i8")
    return ExtentTable(tuple(forms), arrays["extent_forms"], arrays["extent_ends"], numbers, origin)


def _arrays(catalog: Catalog) -> dict[str, npt.NDArray[Any]]:
    matches = catalog.matches or MatchTable("", np.zeros(0, np.int64), StringTable.of(()))
    bounds = {} if catalog.bounds is None else catalog.bounds.arrays()
    tables: list[tuple[str, int, IndexTable | RowValues]] = [
        *(("index", number, table) for number, table in enumerate(catalog.row_indexes.values())),
        *(("values", number, table) for number, table in enumerate(catalog.row_values.values())),
    ]
    of_tables = {
        f"{kind}_{number}_{name}": array
        for kind, number, table in tables
        for name, array in table.arrays().items()
    }
    return (
        bounds
        | of_tables
        | {
            "name_bytes": catalog.names.blob,
            "name_ends": catalog.names.ends.astype("<i8", copy=False),
            "stamps": catalog.stamps.astype("<i8", copy=False),
            "layout_of": catalog.layout_of.astype("<i4", copy=False),
            "facts": catalog.facts.astype("<i8", copy=False),
            "annotation_of": catalog.annotation_of.astype("<i4", copy=False),
            "attr_bytes": catalog.attrs.blob,
            "attr_ends": catalog.attrs.ends.astype("<i8", copy=False),
            "extent_forms": catalog.extents.layout_of.astype("<i4", copy=False),
            "extent_ends": catalog.extents.ends.astype("<i8", copy=False),
            "match_counts": matches.counts.astype("<i8", copy=False),
            "match_bytes": matches.texts.blob,
            "match_ends": matches.texts.ends.astype("<i8", copy=False),
            "source_bytes": catalog.sources.paths.blob,
            "source_ends": catalog.sources.paths.ends.astype("<i8", copy=False),
            "source_stamps": catalog.sources.stamps.astype("<i8", copy=False),
            "source_files": catalog.sources.file_of.astype("<i8", copy=False),
            "source_uses": catalog.sources.source_of.astype("<i8", copy=False),
        }
    )


def _plain(request: ScanRequest) -> list[Any]:
    return [
        None if request.paths is None else list(request.paths),
        list(request.attrs),
        request.allow_external,
        list(request.same),
        list(request.constants),
        list(request.matched),
        request.labels,
        list(request.series),
        request.coordinate,
        list(request.indexes),
        list(request.row_values),
        list(request.row_lists),
        list(request.row_texts),
    ]
