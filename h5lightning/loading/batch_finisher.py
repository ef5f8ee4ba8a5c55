"""From a batch as it was read to the one that is delivered: transforms, ids, and marks of repeated samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.loading.batch_reader import Batch
from h5lightning.loading.sample_views import as_samples, collate_changed
from h5lightning.loading.transforms import BatchInfo, SampleInfo, Transforms
from h5lightning.planning.index import SampleIndex

__all__ = ["IS_REPEAT", "SAMPLE_ID", "BatchFinisher"]

SAMPLE_ID = "sample_id"
IS_REPEAT = "is_repeat"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchFinisher:
    """Finishes batches of one stage, whose options are those of `SampleDataset`.

    One thread at a time may call it, since it calls the user's transforms.
    """

    index: SampleIndex
    stage: str
    transform: Transforms
    batch_transform: Transforms
    provenance: bool
    seed: int

    @property
    def has_transforms(self) -> bool:
        """Whether anything is done for which the epoch counts."""
        return bool(self.transform or self.batch_transform)

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
        if self.transform and ids.size:
            batch = collate_changed(batch, partial(self._transformed, ids=ids, epoch=epoch))
        if self.provenance:
            batch[SAMPLE_ID] = torch.from_numpy(ids.copy())
        if is_repeat is not None:
            batch[IS_REPEAT] = torch.from_numpy(is_repeat)
        if self.batch_transform:
            info = BatchInfo(tuple(ids.tolist()), self.stage, epoch, self.seed)
            batch = self.batch_transform(batch, info)
        return batch

    def samples(
        self, batch: Batch, ids: Int64Array, epoch: int, is_repeat: BoolArray | None = None
    ) -> list[dict[str, Any]]:
        """The samples of a batch one by one, with the sample transform applied; see `finish`."""
        samples: list[Any] = as_samples(batch)
        if self.transform:
            samples = self._transformed(samples, ids, epoch)
        more: dict[str, list[Any]] = {}
        if self.provenance:
            more[SAMPLE_ID] = ids.tolist()
        if is_repeat is not None:
            more[IS_REPEAT] = is_repeat.tolist()
        for key, values in more.items():
            for sample, value in zip(samples, values, strict=True):
                sample[key] = value
        return samples

    def _transformed(self, samples: list[dict[str, Any]], ids: Int64Array, epoch: int) -> list[Any]:
        transform = self.transform
        if not transform.takes_info:
            return [transform(sample) for sample in samples]
        return list(map(transform, samples, self._infos(ids, epoch)))

    def _infos(self, ids: Int64Array, epoch: int) -> Iterator[SampleInfo]:
        where, index = self.index.locate(ids), self.index
        # To make their texts takes longer than to read a sample.
        paths = {file: index.path(file) for file in set(where.file.tolist())}
        names = {series: index.series_name(series) for series in set(where.series.tolist())}
        return SampleInfo.of_samples(
            ids.tolist(),
            map(paths.__getitem__, where.file.tolist()),
            map(names.__getitem__, where.series.tolist()),
            where.row.tolist(),
            stage=self.stage,
            epoch=epoch,
            seed=self.seed,
        )
