"""The torch Dataset: samples of HDF5 files by number, one by one or a batch at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, default_collate

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.frozen import once
from h5lightning.core.sample_numbers import to_number, to_numbers
from h5lightning.loading.batch_finisher import BatchFinisher
from h5lightning.loading.batch_reader import BatchReader, RawBatches
from h5lightning.loading.collate import Collate, SampleSequence
from h5lightning.loading.decode_ahead import DecodeAhead
from h5lightning.loading.delivered_spec import delivered_spec, mean_bytes
from h5lightning.loading.prefetch_hints import PrefetchAdvisor, available_bytes
from h5lightning.loading.requested_samples import Numbers, RequestedSamples, positions_of
from h5lightning.loading.transforms import Transforms
from h5lightning.options.checks import check_int
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import FieldPlan, FieldSpec
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.rank_epoch import BatchRequest
from h5lightning.planning.sections import Sections, home_of
from h5lightning.planning.selection import Selection

__all__ = ["SampleDataset"]

T = TypeVar("T")


class SampleDataset(Dataset[dict[str, Any]]):
    """The samples of one split as a sequence; holds no open file, so it may be forked and pickled.

    Args:
        batches: reads the fields of any samples; splits share it, and with it the index.
        selection: the samples of this split.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        transform: applied to each sample.
        batch_transform: applied to each batch.
        provenance: add ``sample_id`` to each batch.
        seed: seeds the generators of transforms.
        splits: the samples of all splits, to say in which one an id is.
        sections: the samples of all stages, to say where one is; None where the index has them all.
    """

    def __init__(
        self,
        batches: BatchReader,
        selection: Selection,
        *,
        stage: str,
        transform: Transforms,
        batch_transform: Transforms,
        provenance: bool = False,
        seed: int = 0,
        splits: Mapping[str, Selection] | None = None,
        sections: Sections | None = None,
    ) -> None:
        self._batches = batches
        self._selection = selection
        self._finisher = BatchFinisher(
            index=batches.index,
            starts=batches.starts,
            reader=batches.reader,
            stage=stage,
            transform=transform,
            batch_transform=batch_transform,
            provenance=provenance,
            seed=seed,
            ragged=batches.ragged_delivery(),
        )
        self._splits = splits or {}
        self._sections = sections
        self._requested = RequestedSamples()

    @property
    def epoch(self) -> int:
        """The epoch that seeds transforms where no loader sets it: that of `set_epoch`, else counted."""
        return self._requested.epoch(len(self))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that seeds transforms where no loader sets it; running workers use it too.

        Without it, the epoch is the number of samples requested so far, divided by the number of samples.
        """
        number = to_number(epoch, "epoch")
        check_int("epoch", number, at_least=0, at_most=2**62)
        self._requested.set_epoch(number)

    def pin_memory(self, *, enabled: bool) -> None:
        """Read batches straight into page-locked memory; what transforms make anew lies in ordinary memory."""
        self._batches.pin_memory(enabled=enabled)

    @property
    def index(self) -> SampleIndex:
        """The index over all files, of which this dataset may be a part."""
        return self._batches.index

    @property
    def seed(self) -> int:
        """What seeds the generators of transforms, beside epoch and sample."""
        return self._finisher.seed

    @property
    def stage(self) -> str:
        """The stage whose transforms are applied."""
        return self._finisher.stage

    @property
    def plans(self) -> dict[str, FieldPlan]:
        """Key → how the field is made."""
        return {plan.key: plan for plan in self._batches.fields.plans}

    @property
    def field_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes as read, before any transform."""
        return self._batches.fields.spec()

    @once
    def sample_bytes(self) -> int:
        """Bytes of one sample as read; an estimate where samples have different shapes."""
        return math.ceil(sum(map(mean_bytes, self._batches.fields.plans)))

    def sample_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes of what a model gets; with transforms, one sample is read to find out."""
        spec = self.field_spec
        if not self._finisher.has_transforms:
            return spec
        modes = {plan.key: plan.ragged.mode for plan in self._batches.fields.plans if plan.ragged is not None}
        batch = self._read(self.sample_ids([0]), None, is_raw=self._batches.lacks_training)
        return {key: delivered_spec(value, spec.get(key), modes.get(key)) for key, value in batch.items()}

    def __len__(self) -> int:
        return len(self._selection)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """One sample; a negative position counts from the end.

        Raises:
            TypeError: a bool, a float, text or anything else that is no whole number.
            IndexError: there are fewer samples.
        """
        size = len(self)
        number = to_number(position, "position")
        if not -size <= number < size:
            raise IndexError(f"sample {number} of {size}")
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int] | BatchRequest) -> SampleSequence:
        """A lazy sequence of samples; a DataLoader calls this once for a batch.

        Raises:
            TypeError: anything else than whole numbers.
            IndexError: a position outside of the dataset; negative ones count from its end.
        """
        request = self._requested.request(positions, len(self))
        return SampleSequence(
            len(request),
            partial(self.read_request, request),
            partial(self.read_samples, request),
            self._finisher.ragged.check_equal,
        )

    def collate(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A batch of samples, as `read_batch` delivers it: the ``collate_fn`` for a DataLoader of torch.

        torch's own function can only stack samples of one shape, one by one.

        Args:
            samples: what a DataLoader of torch passes on, or single samples of this dataset.
        """
        if isinstance(samples, SampleSequence):
            return cast("dict[str, Any]", Collate()(samples))
        ragged = dict(self._finisher.ragged.collated(samples))
        others = [{key: value for key, value in sample.items() if key not in ragged} for sample in samples]
        batch = {**(default_collate(others) if others[0] else {}), **ragged}
        return {key: batch[key] for key in samples[0] if key in batch}

    def sample_ids(self, positions: Numbers) -> Int64Array:
        """Positions in this dataset → numbers over the whole index, ``(N,)`` each."""
        return self._selection(cast("npt.ArrayLike", positions))

    def read_batch(
        self,
        positions: Numbers | None = None,
        keys: Sequence[str] | None = None,
        *,
        ids: Numbers | None = None,
    ) -> dict[str, Any]:
        """A batch: one tensor for each field, with the transforms applied.

        Args:
            positions: numbers of the samples in this dataset, from 0, ``(N,)``: integers in a list, an array or a
                tensor. For numbers over the whole index, see `read_ids`.
            keys: the fields to read, without transforms; None for all.
            ids: the old name of ``positions``.

        Returns:
            Key → tensor ``(N, …)``; whatever the batch transform returns, if there is one.

        Raises:
            TypeError: masks, floats, or anything else that is not a list of numbers.
            IndexError: a position outside of the dataset; a negative one, too.
            H5LightningError: a file cannot be read, or values that the options forbid.
        """
        return self._read(self.sample_ids(positions_of(positions, ids)), keys)

    def read_ids(self, ids: Numbers, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """The same batch for numbers over the whole index: reads the samples of ``batch["sample_id"]`` again.

        Transforms are those of this dataset, and are seeded by its current `epoch`.

        Args:
            ids: numbers of samples over the whole index, ``(N,)``, all of them of this dataset.
            keys: the fields to read, without transforms; None for all.

        Returns:
            See `read_batch`.

        Raises:
            IndexError: an id outside of the index, or of a sample that is not in this dataset; else see `read_batch`.
        """
        numbers = to_numbers(ids, "ids")
        where = (self._sections or self.index).locate(numbers)
        absent = np.flatnonzero(self._selection.positions(numbers) < 0)
        if absent.size:
            first, number = int(absent[0]), int(numbers[absent[0]])
            row = f"row {where.row[first]} of {self.index.path(int(where.file[first]))}"
            home = home_of(number, self._splits, self._sections)
            raise IndexError(f"id {number} ({row}) is not in this dataset, {self.stage!r}, but {home}")
        return self._read(numbers, keys)

    def _read(self, numbers: Int64Array, keys: Sequence[str] | None, is_raw: bool = False) -> dict[str, Any]:
        if isinstance(keys, str):
            raise TypeError(f"keys must list fields, such as [{keys!r}]; found the text {keys!r}")
        # To ask for the epoch takes 6 µs.
        finisher = self._finisher
        is_asked = finisher.is_drawn or (keys is None and finisher.has_transforms)
        epoch = self.epoch if is_asked else 0
        batch = self._batches.read(numbers, keys, draws=finisher.draws(epoch), is_raw=is_raw)
        if keys is None:
            return self.finish(batch, numbers, epoch)
        return finisher.ragged.combined(batch, numbers, keys) if finisher.ragged else batch

    def read_values(self, positions: Numbers, keys: Sequence[str]) -> dict[str, Any]:
        """The values of some fields as the files mean them, without normalising; see `read_batch`."""
        return self._read(self.sample_ids(positions), keys, is_raw=True)

    def read_request(self, request: BatchRequest) -> dict[str, Any]:
        """The batch that a loader requests; see `read_batch`."""
        numbers = self.sample_ids(request.positions)
        return self.finish(self._drawn(numbers, request.epoch), numbers, request.epoch, request.is_repeat)

    def read_samples(self, request: BatchRequest) -> list[dict[str, Any]]:
        """The samples that a loader requests, one by one, with the sample transform applied; read together."""
        numbers = self.sample_ids(request.positions)
        batch = self._drawn(numbers, request.epoch)
        return self._finisher.samples(batch, numbers, request.epoch, request.is_repeat)

    def _drawn(self, numbers: Int64Array, epoch: int) -> dict[str, Any]:
        """The samples of an epoch as they are read."""
        return self._batches.read(numbers, draws=self._finisher.draws(epoch))

    def draws(self, epoch: int) -> SampleDraws | None:
        """What is drawn for each sample of an epoch; None where nothing is drawn."""
        return self._finisher.draws(epoch)

    def prefetch_advisor(self, block_samples: int, epoch: int) -> PrefetchAdvisor:
        """Lets the system fetch samples of this dataset before they are read.

        Args:
            block_samples: samples that lie side by side and come close together; see `Order.block_samples`.
            epoch: the epoch whose samples will be read.
        """
        draws = self._finisher.draws(epoch)
        fits = len(self) * self.sample_bytes < available_bytes()
        only_remote = block_samples == 1 and fits

        def prefetch(positions: Int64Array, *, is_probe: bool = False) -> bool:
            ids = self.sample_ids(positions)
            return self._batches.prefetch(ids, draws, only_remote=only_remote, is_probe=is_probe)

        return PrefetchAdvisor(prefetch, block_samples=block_samples, size=len(self))

    def decode_ahead(self, epoch: int, *, threads: int) -> DecodeAhead | None:
        """Chooses what the groups of an epoch decode ahead; None if no chunks are decoded.

        Args:
            epoch: the epoch.
            threads: that read groups at the same time; 0 reads each group when it is requested.
        """
        needs = self._batches.chunk_needs(self._finisher.draws(epoch))
        if needs is None:
            return None
        return DecodeAhead(self.sample_ids, needs, self._batches.access.cache_bytes, early_groups=threads)

    def decode(self, ids: Int64Array, reads: int, epoch: int) -> None:
        """Decode the chunks of some samples of an epoch, ``(N,)``, before about so many calls of `read_raw`."""
        self._batches.decode(ids, reads, self._finisher.draws(epoch))

    def read_raw(self, positions: Int64Array, batch_size: int, epoch: int = 0) -> RawBatches:
        """Neighbouring batches, read together, each with its own memory; any thread may call.

        `finish` makes of each of them what `read_batch` returns.

        Args:
            positions: numbers of the samples in this dataset, ``(N,)``.
            batch_size: samples of a batch; the last one may have fewer.
            epoch: the epoch, for what is drawn for each sample.

        Raises:
            IndexError: a position outside of the dataset.
        """
        return self._batches.read_separately(self.sample_ids(positions), batch_size, self.draws(epoch))

    def finish(
        self, batch: dict[str, Any], numbers: Int64Array, epoch: int, is_repeat: BoolArray | None = None
    ) -> dict[str, Any]:
        """A batch as it was read → as it is delivered; see `BatchFinisher.finish`."""
        return self._finisher.finish(batch, numbers, epoch, is_repeat)

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Call ``start``, which starts ``count`` processes that read this dataset; they share what they decode.

        Files that this process holds open are closed before: a forked worker must not inherit them.
        """
        self.close()
        return self._batches.start_workers(count, start)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._batches.close()

    def __copy__(self) -> SampleDataset:
        """A dataset with its own files and caches, which calls the same transforms."""
        shared = (self._finisher.transform, self._finisher.batch_transform)
        return copy.deepcopy(self, {id(one): one for one in shared})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.stage}, {len(self)} samples of {len(self.index)})"
