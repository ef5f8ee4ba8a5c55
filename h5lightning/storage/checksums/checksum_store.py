"""The checksums of files on disk, beside the index: one store for each root, whatever is looked for in its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np

from h5lightning.core.atomic_write import replace_file
from h5lightning.core.string_table import StringTable
from h5lightning.core.visible import visible_logger
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, ChecksumTable
from h5lightning.storage.indexing.array_file import StoredArrays, StoreFormat, UnusableStoreError, content_of
from h5lightning.storage.indexing.catalog_store import default_directory

__all__ = ["ChecksumStore", "StoredChecksums"]

_FORMAT = 1
_STORE = StoreFormat(b"\x93H5LSUM\n", _FORMAT, "store of checksums")

_logger = visible_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredChecksums:
    """The checksums in one store, for any process that can reach it; also after others were added to it.

    Args:
        path: where the store lies.
        root: the directory that names of files are relative to.
    """

    path: str
    root: str

    def __call__(self) -> ChecksumTable | None:
        """Map them; None if there are none that can be used."""
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
            raise UnusableStoreError(f"they are those of {header['root']}")
        return ChecksumTable(
            StringTable(arrays["name_bytes"], arrays["name_ends"]),
            arrays["stamps"],
            arrays["ends"],
            np.frombuffer(store.numbers, "<u8"),
            arrays["is_values"],
            self,
        )


class ChecksumStore:
    """The checksums in one directory.

    Args:
        directory: where they lie; None for ``$H5LIGHTNING_CACHE_DIR``, or else the user's cache directory.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = (
            default_directory() if directory is None else os.path.expanduser(os.fspath(directory))
        )

    def load(self, root: str) -> ChecksumTable | None:
        """The checksums of the files of a root; None where there are none that can be used."""
        return self._stored(root)()

    def save(self, root: str, table: ChecksumTable) -> ChecksumTable:
        """Store the checksums of the files of a root in place of those that were there.

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
        digest = hashlib.blake2b(json.dumps([_FORMAT, root]).encode(), digest_size=12).hexdigest()
        return StoredChecksums(os.path.join(self.directory, f"{digest}.h5sums"), root)
