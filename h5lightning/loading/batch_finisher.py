"""From a batch as it was read to the one that is delivered: transforms, ids, and marks of repeated samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.data import default_collate

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.loading.batch_reader import Batch
from h5lightning.loading.ragged_delivery import RaggedDelivery
from h5lightning.loading.sample_views import as_samples, collate_changed
from h5lightning.loading.transform_calls import TransformCalls
from h5lightning.loading.transforms import Transforms
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.index import SampleIndex
from h5lightning.storage.readers.protocol import Reader

__all__ = ["IS_REPEAT", "SAMPLE_ID", "BatchFinisher"]

SAMPLE_ID = "sample_id"
IS_REPEAT = "is_repeat"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchFinisher:
    """Finishes batches of one stage, whose options are those of `SampleDataset`.

    One thread at a time may call it, since it calls the user's transforms.
    """

    index: SampleIndex
    starts: Callable[..., Int64Array]  # see `BatchReader.starts`
    reader: Reader
    stage: str
    transform: Transforms
    batch_transform: Transforms
    provenance: bool
    seed: int
    ragged: RaggedDelivery

    @property
    def has_transforms(self) -> bool:
        """Whether anything is done with what was read."""
        return bool(self.transform or self.batch_transform)

    @property
    def is_drawn(self) -> bool:
        """Whether anything is drawn for each sample and epoch before it is read."""
        samples = self.index.samples
        return samples.jitter or samples.take is not None

    def draws(self, epoch: int) -> SampleDraws | None:
        """What is drawn for each sample of an epoch; None where nothing is drawn."""
        return SampleDraws.of_stage(self.stage, self.seed, epoch) if self.is_drawn else None

    def finish(
        self, batch: dict[str, Any], ids: Int64Array, epoch: int, is_repeat: BoolArray | None = None
    ) -> dict[str, Any]:
        """The batch to deliver.

        Args:
            batch: what was read.
            ids: numbers of its samples in the whole index, ``(N,)``.
            epoch: the epoch that seeds transforms.
            is_repeat: which samples are repeated, ``(N,)``; None to leave it out of the batch.
        """
        if self.ragged:
            batch = self._combined(batch, ids, epoch)
        elif self.transform and ids.size:
            batch = collate_changed(batch, partial(self._transformed, ids=ids, epoch=epoch))
        if self.provenance:
            batch[SAMPLE_ID] = torch.from_numpy(ids.copy())
        if is_repeat is not None:
            batch[IS_REPEAT] = torch.from_numpy(is_repeat)
        if self.batch_transform:
            batch = self._calls(ids, epoch).of_batch(self.batch_transform, batch)
        return batch

    def samples(
        self, batch: Batch, ids: Int64Array, epoch: int, is_repeat: BoolArray | None = None
    ) -> list[dict[str, Any]]:
        """The samples of a batch one by one, with the sample transform applied; see `finish`."""
        if self.ragged:
            plain, samples = self.ragged.divided(batch, ids)
            samples = _joined(as_samples(plain) if plain else [{} for _ in samples], samples, batch)
        else:
            samples = as_samples(batch)
        if self.transform:
            samples = self._transformed(samples, ids, epoch)
        self.ragged.add_derived(samples)
        more: dict[str, list[Any]] = {}
        if self.provenance:
            more[SAMPLE_ID] = ids.tolist()
        if is_repeat is not None:
            more[IS_REPEAT] = is_repeat.tolist()
        for key, values in more.items():
            for sample, value in zip(samples, values, strict=True):
                sample[key] = value
        return samples

    def _combined(self, batch: dict[str, Any], ids: Int64Array, epoch: int) -> dict[str, Any]:
        """The batch with the sample transform applied, and with samples of different shapes as they are delivered."""
        if not self.transform or not ids.size:
            return self.ragged.combined(batch, ids)
        plain, others = self.ragged.divided(batch, ids)
        columns: dict[str, list[Any]] = {}
        order: list[str] = []

        def change(samples: list[dict[str, Any]]) -> list[Any]:
            transformed = self._transformed(_joined(samples, others, batch), ids, epoch)
            order.extend(transformed[0] if isinstance(transformed[0], dict) else ())
            # A transform may return the dict that it got, or one that it keeps: that one must not change.
            transformed = [dict(one) if type(one) is dict else one for one in transformed]
            columns.update(self.ragged.taken(transformed))
            return transformed

        collated = collate_changed(plain, change) if plain else default_collate(change([{} for _ in others]))
        return self.ragged.put_back(collated, columns, order, ids) if columns else collated

    def _transformed(self, samples: list[dict[str, Any]], ids: Int64Array, epoch: int) -> list[Any]:
        return self._calls(ids, epoch).of_samples(self.transform, samples)

    def _calls(self, ids: Int64Array, epoch: int) -> TransformCalls:
        pool = self.reader.pool
        starts = partial(self.starts, draws=self.draws(epoch))
        return TransformCalls(
            self.index, ids, pool, stage=self.stage, epoch=epoch, seed=self.seed, starts=starts
        )


def _joined(
    samples: list[dict[str, Any]], others: list[dict[str, Any]], keys: Iterable[str]
) -> list[dict[str, Any]]:
    """Samples with more entries each, in the order of some keys."""
    pairs = zip(samples, others, strict=True)
    return [{key: more[key] if key in more else sample[key] for key in keys} for sample, more in pairs]
