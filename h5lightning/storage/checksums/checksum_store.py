"""The checksums of files on disk, beside the index: one store for each root."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

import numpy as np

from h5lightning.core.atomic_write import replace_file
from h5lightning.core.string_table import StringTable
from h5lightning.core.visible import visible_logger
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, ChecksumTable
from h5lightning.storage.indexing.array_file import (
    StoredArrays,
    StoreFormat,
    UnusableStoreError,
    content_of,
    store_directory,
)

__all__ = ["ChecksumStore", "StoredChecksums"]

_STORE = StoreFormat(b"\x93H5LSUM\n", 1, "a store of checksums", ".h5sums")

_logger = visible_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredChecksums:
    """The checksums in one store, for any process that can reach it, also after more were added."""

    path: str
    root: str

    def __call__(self) -> ChecksumTable | None:
        """Map them; None if the store does not exist or cannot be used."""
        try:
            return _STORE.unpack(content_of(self.path), self._table)
        except FileNotFoundError:
            return None
        except (OSError, UnusableStoreError) as error:
            _logger.warning("the checksums in %s cannot be used: %s", self.path, error)
            return None

    def _table(self, store: StoredArrays) -> ChecksumTable:
        header, arrays = store.header, store.arrays
        if (header["root"], header["block_bytes"]) != (self.root, BLOCK_BYTES):
            raise UnusableStoreError(f"they belong to {header['root']}")
        return ChecksumTable(
            StringTable(arrays["name_bytes"], arrays["name_ends"]),
            arrays["stamps"],
            arrays["ends"],
            np.frombuffer(store.numbers, "<u8"),
            arrays["is_values"],
            self,
        )


class ChecksumStore:
    """The stores of checksums in one directory, by default that of `store_directory`."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = store_directory(directory)

    def load(self, root: str) -> ChecksumTable | None:
        """The checksums of the files of a root; None if there are none that can be used."""
        return self._stored(root)()

    def save(self, root: str, table: ChecksumTable) -> ChecksumTable:
        """Store the checksums of the files of a root, in place of earlier ones.

        Returns:
            The same table, which other processes map from the store.

        Raises:
            OSError: they cannot be stored.
        """
        stored = self._stored(root)
        arrays = {
            "name_bytes": table.names.blob,
            "name_ends": table.names.ends.astype("<i8", copy=False),
            "stamps": table.stamps.astype("<i8", copy=False),
            "ends": table.ends.astype("<i8", copy=False),
            "is_values": table.is_values,
        }
        header = {"root": root, "block_bytes": BLOCK_BYTES}
        os.makedirs(self.directory, exist_ok=True)
        replace_file(stored.path, *_STORE.pack(header, arrays, table.hashes.astype("<u8", copy=False)))
        return dataclasses.replace(table, origin=stored)

    def _stored(self, root: str) -> StoredChecksums:
        return StoredChecksums(_STORE.path_in(self.directory, root), root)
