"""Sets of rows on disk, beside the index: those of each file that conditions leave out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import BoolArray
from h5lightning.core.atomic_write import replace_file
from h5lightning.core.visible import visible_logger
from h5lightning.planning.passes.file_digests import DIGEST_SIZE
from h5lightning.storage.indexing.array_file import (
    StoredArrays,
    StoreFormat,
    UnusableStoreError,
    content_of,
    store_directory,
)

__all__ = ["RowSetStore"]

# Raise the version when the same rows would give another set.
_STORE = StoreFormat(b"\x93H5LROW\n", 1, "a store of rows", ".h5rows")

_logger = visible_logger(__name__)


class RowSetStore:
    """The store of one set of conditions, in the directory of the index.

    Args:
        directory: the directory of the index; None for that of `store_directory`.
        root: the directory that the names of the files are relative to.
        identity: the conditions, and what they look at.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, root: str, identity: Sequence[str]) -> None:
        self.directory = store_directory(directory)
        self._identity = [root, *identity]

    def load(self) -> Mapping[bytes, BoolArray]:
        """Digest of a file → whether each of its rows is in the set; nothing if there is no store, or it is damaged."""
        try:
            return _STORE.unpack(content_of(self._path()), self._sets)
        except FileNotFoundError:
            return {}
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the rows in %s cannot be used: %s", self._path(), error)
            return {}

    def save(self, sets: Mapping[bytes, BoolArray]) -> None:
        """Store the sets of all files; without a word if that cannot be, as for an index that cannot be stored."""
        sizes = np.asarray([len(one) for one in sets.values()], "<i8")
        packed = [np.packbits(one, bitorder="little") for one in sets.values()]
        arrays = {
            "digests": np.frombuffer(b"".join(sets), np.uint8),
            "sizes": sizes,
            "bits": np.concatenate([np.zeros(0, np.uint8), *packed]),
        }
        try:
            os.makedirs(self.directory, exist_ok=True)
            replace_file(self._path(), *_STORE.pack({"identity": self._identity}, arrays, np.zeros(0, "<i8")))
        except OSError as error:
            _logger.debug("the rows cannot be stored in %s: %s", self.directory, error)

    def _sets(self, store: StoredArrays) -> Mapping[bytes, BoolArray]:
        if store.header["identity"] != self._identity:
            raise UnusableStoreError(f"it has the rows of {store.header['identity']}")
        digests, sizes, bits = (store.arrays[name] for name in ("digests", "sizes", "bits"))
        ends = np.cumsum(-(-sizes // 8)).tolist()
        if len(digests) != DIGEST_SIZE * len(sizes) or (ends[-1] if ends else 0) != len(bits):
            raise UnusableStoreError("its parts do not fit together")
        sets = {}
        for number, (size, end) in enumerate(zip(sizes.tolist(), ends, strict=True)):
            name = digests[DIGEST_SIZE * number : DIGEST_SIZE * (number + 1)].tobytes()
            own = np.unpackbits(bits[end - -(-size // 8) : end], bitorder="little")[:size]
            sets[name] = own.view(np.bool_)
        return sets

    def _path(self) -> str:
        return _STORE.path_in(self.directory, *self._identity)
