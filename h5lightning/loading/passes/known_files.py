"""What is known of the files of earlier times, and what is found out about the others."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import BoolArray, Bytes
from h5lightning.planning.fields import StoredField, single_plans
from h5lightning.planning.passes.field_groups import Computation
from h5lightning.planning.summaries.field_summary import FieldSummary, SummaryTotal
from h5lightning.planning.summaries.known_summaries import MOST_STORED_BYTES, KnownSummaries, digest_of_all
from h5lightning.storage.indexing.statistics_store import StatisticsStore

__all__ = ["FILE_VALUES", "KnownFiles"]

FILE_VALUES = 2048  # that are kept of each channel of a file for quantiles


class KnownFiles:
    """The summaries of files for one computation.

    Args:
        computation: what is computed.
        store: keeps what is known.

    Attributes:
        is_stored: whether what is found out is kept.
    """

    def __init__(self, computation: Computation, store: StatisticsStore) -> None:
        self._store = store
        self._form = computation.form
        self._identity = tuple(map(repr, computation.identity))
        self.is_stored = _is_of_files(computation)
        self._known = store.load(self._identity) if self.is_stored else KnownSummaries({})
        self._total = SummaryTotal(self._form)
        self._files: dict[bytes, FieldSummary] = {}

    def total(self, digests: Bytes) -> FieldSummary | None:
        """The summary of all files, if they are those of the last time."""
        return self._known.total_of(digest_of_all(digests))

    def has(self, digests: Bytes) -> BoolArray:
        """Which of the files are known, ``(files,)``."""
        return np.asarray([bytes(digest) in self._known.files for digest in digests], np.bool_)

    def add(self, digest: bytes, read: FieldSummary | None) -> None:
        """Add the next file, as it was read; None if it is known."""
        summary = self._known.files[digest] if read is None else read
        self._total.add(summary)
        if self.is_stored and (len(self._files) + 1) * self._form.nbytes(FILE_VALUES) <= MOST_STORED_BYTES:
            self._files[digest] = summary

    def finish(self, digests: Bytes) -> FieldSummary:
        """The summary of all files, which is kept for the next time."""
        total = self._total.summary()
        if self.is_stored:
            known = self._known.with_last(self._files, total, digest_of_all(digests))
            self._store.save(self._identity, known)
        return total


def _is_of_files(computation: Computation) -> bool:
    """Whether files alone say what the values are: attributes are known, and tables lie beside the files."""
    parts = single_plans(computation.fields)
    return all(isinstance(part, StoredField) and not part.path.startswith("table:") for part in parts)
