"""From the filled buffers of all fields of a batch to what is delivered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, NotSetUpError
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
        self._unnumbered: Collection[str] = ()
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

    def lack_classes(self, keys: Collection[str]) -> None:
        """Deliver none of these fields from now on, since the numbers of their categories in training are unknown."""
        self._unnumbered = [key for key in keys if key in self._fields]

    @property
    def lacks_training(self) -> bool:
        """Whether statistics, or numbers of categories, of training are needed, and are not known."""
        return bool(self._unnumbered) or any(self._fields[key].lacks_statistics for key in self._normalized)

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
            is_raw: convert numbers that are normalised, and do not normalise them; number categories by these files.

        Raises:
            NotSetUpError: the numbers of categories in training are unknown.
            FoundMissing: a number represents a missing value.
            H5LightningError: see `FieldDelivery.deliver`.
        """
        if not is_raw:
            self._check_classes(batch)
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

    def _check_classes(self, batch: Mapping[str, Any]) -> None:
        key = next((key for key in self._unnumbered if key in batch), None)
        if key is not None:
            raise NotSetUpError(
                f"{self._fields[key].plan.title} has categories=True, which numbers the values of training, and these "
                "are not known: these files have no train split, and no checkpoint of a training run was loaded "
                "(yet). Give ckpt_path= to the Trainer, load the state with dm.load_state_dict(), use "
                "H5DataModule.load_from_checkpoint(path), or list the categories"
            )
