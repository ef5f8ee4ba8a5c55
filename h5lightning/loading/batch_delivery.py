"""From the filled buffers of all fields of a batch to what is delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError
from h5lightning.loading.batch_buffers import BufferPool
from h5lightning.loading.fields.field_delivery import FieldDelivery
from h5lightning.loading.fields.field_reader import FieldReader
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.loading.sample_starts import SampleStarts
from h5lightning.options import Access
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.normalizing import Affine, NormalizedField
from h5lightning.planning.statistics import FieldStatistics

__all__ = ["BatchDelivery", "FoundMissing"]


class FoundMissing(Exception):  # noqa: N818 - the caller finds out where, and raises the error
    """A field holds a number that represents a missing value."""

    def __init__(self, plan: FieldPlan) -> None:
        super().__init__(plan.title)
        self.plan = plan


class BatchDelivery:
    """Delivers the fields of batches; see `FieldDelivery`.

    Args:
        readers: what reads each field.
        normalized: key → how the numbers of the field are normalised.
        access: whether numbers must be finite.
        starts: where samples begin, for errors, and which entries are padding.
        memory: for converted values.
    """

    def __init__(
        self,
        readers: Mapping[str, FieldReader],
        normalized: Mapping[str, NormalizedField],
        access: Access,
        starts: SampleStarts,
        memory: BufferPool,
    ) -> None:
        self._normalized = normalized
        self._starts = starts
        self._fields = {
            key: FieldDelivery(one.plan, one.dtype, access, starts, memory, normalized.get(key))
            for key, one in readers.items()
        }

    def normalize_by(self, statistics: Mapping[str, FieldStatistics]) -> None:
        """Normalise the fields that are to be normalised by these statistics from now on.

        Raises:
            FieldError: the statistics do not fit the fields.
        """
        for key, field in self._normalized.items():
            known = statistics.get(key)
            self._fields[key].normalize_by(None if known is None else Affine.of(known, field))

    @property
    def lacks_statistics(self) -> bool:
        """Whether a field is to be normalised, and its statistics are not known."""
        return any(self._fields[key].lacks_statistics for key in self._normalized)

    def first_lost(
        self, reader: FieldReader, stored: Any, ids: Int64Array, located: LocatedBatch
    ) -> FieldError | None:
        """The error of the first number of a field that its type cannot hold; None if it holds all of them."""
        return self._fields[reader.key].first_lost(stored, ids, reader.layout(located), located.draws)

    def deliver(
        self, batch: dict[str, Any], located: LocatedBatch, ids: Int64Array, *, is_raw: bool = False
    ) -> dict[str, Any]:
        """The batch with its last checks and conversions.

        Args:
            batch: key → filled buffer, or `RaggedValues`.
            located: its samples, and maybe neighbours.
            ids: numbers of its samples in the index, ``(N,)``.
            is_raw: convert numbers that are normalised, and do not normalise them.

        Raises:
            FoundMissing: a number represents a missing value.
            H5LightningError: see `FieldDelivery.deliver`.
        """
        for key, value in batch.items():
            delivery = self._fields[key]
            if isinstance(value, np.ndarray):
                batch[key] = value.tolist()  # bytes
            elif delivery.is_needed:
                is_ragged = isinstance(value, RaggedValues)
                tensor, layout = (value.flat, value.layout) if is_ragged else (value, None)
                if delivery.has_missing(tensor):
                    raise FoundMissing(delivery.plan)
                tensor = delivery.deliver(tensor, ids, layout, located.draws, is_raw=is_raw)
                batch[key] = RaggedValues(tensor, layout) if layout is not None else tensor
        self._starts.put_zeros(batch, ids, located.draws)
        return batch
