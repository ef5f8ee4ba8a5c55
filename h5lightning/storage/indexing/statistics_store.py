"""Statistics on disk, beside the index: what was read of each file, so that only changed files are read again."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from h5lightning.core.atomic_write import replace_file
from h5lightning.core.visible import visible_logger
from h5lightning.planning.summaries.known_summaries import KnownSummaries
from h5lightning.storage.indexing.array_file import (
    StoredArrays,
    StoreFormat,
    UnusableStoreError,
    content_of,
    store_directory,
)

__all__ = ["StatisticsStore"]

# Raise the version when the same rows give other numbers.
_STORE = StoreFormat(b"\x93H5LSTA\n", 1, "a store of statistics", ".h5stats")

_logger = visible_logger(__name__)


class StatisticsStore:
    """The stores of statistics in one directory, by default that of `store_directory`; one for each field and root.

    Args:
        directory: the directory of the index.
        root: the directory that the names of the files are relative to.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, root: str) -> None:
        self.directory = store_directory(directory)
        self._root = root

    def load(self, identity: Sequence[str]) -> KnownSummaries:
        """What is known of a field; nothing if there is no store, or it cannot be used."""
        path = self._path(identity)

        def known(store: StoredArrays) -> KnownSummaries:
            if store.header["identity"] != [self._root, *identity]:
                raise UnusableStoreError(f"it has the statistics of {store.header['identity']}")
            return KnownSummaries.from_arrays(store.arrays)

        try:
            return _STORE.unpack(content_of(path), known)
        except FileNotFoundError:
            return KnownSummaries({})
        except (OSError, UnusableStoreError) as error:
            _logger.debug("the statistics in %s cannot be used: %s", path, error)
            return KnownSummaries({})

    def save(self, identity: Sequence[str], known: KnownSummaries) -> None:
        """Store what is known of a field; without a word if that cannot be, as for an index that cannot be stored."""
        header = {"identity": [self._root, *identity]}
        try:
            os.makedirs(self.directory, exist_ok=True)
            replace_file(self._path(identity), *_STORE.pack(header, known.arrays(), np.zeros(0, "<i8")))
        except OSError as error:
            _logger.debug("the statistics cannot be stored in %s: %s", self.directory, error)

    def _path(self, identity: Sequence[str]) -> str:
        return _STORE.path_in(self.directory, self._root, *identity)
