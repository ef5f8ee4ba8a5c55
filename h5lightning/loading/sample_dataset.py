"""The torch Dataset: samples of HDF5 files by number, one by one or a batch at a time."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast, overload

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, default_collate

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.once import once
from h5lightning.core.sample_numbers import to_number, to_numbers
from h5lightning.errors import H5LightningError
from h5lightning.loading.batch_reader import Batch, BatchReader
from h5lightning.loading.prefetch_hints import PrefetchAdvisor, available_bytes
from h5lightning.loading.requested_samples import AskedSamples
from h5lightning.loading.transforms import BatchInfo, SampleInfo, TransformOption, Transforms
from h5lightning.options import Access, Field, Samples
from h5lightning.options.checks import check_bool, check_int, check_text
from h5lightning.options.coerce import check_series, coerce, coerce_fields, coerce_samples
from h5lightning.options.plain import to_plain
from h5lightning.planning.fields import FieldSpec, check_dtype
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.sampling.rank_epoch import BatchRequest, EpochPosition
from h5lightning.planning.selection import Selection
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.survey import Files, survey

__all__ = ["H5Dataset", "RawBatches", "SampleDataset", "SampleSequence"]

SAMPLE_ID = "sample_id"
IS_REPEAT = "is_repeat"

Numbers: TypeAlias = npt.ArrayLike | torch.Tensor


class RawBatches(NamedTuple):
    """Batches as they were read, each with the numbers of its samples in the whole index, and what ended them."""

    batches: list[tuple[Int64Array, Batch]]
    error: H5LightningError | None = None


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
        splits: the samples of all splits over the same index, to say where an id belongs.
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
    ) -> None:
        self._batches = batches
        self._selection = selection
        self._stage = stage
        self._transform = transform
        self._batch_transform = batch_transform
        self._provenance = provenance
        self._seed = seed
        self._splits = splits or {}
        self._asked = AskedSamples()

    # ── the epoch, which seeds transforms ────────────────────────────────────────────────────────────

    @property
    def epoch(self) -> int:
        """The epoch that seeds the generators of transforms where no loader says: that of `set_epoch`, else counted."""
        return self._asked.epoch(len(self))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that seeds transforms where no loader says; workers that are alive see it too.

        Without it, the epoch is how often samples were asked for, divided by their number.
        """
        number = to_number(epoch, "epoch")
        check_int("epoch", number, at_least=0, at_most=2**62)
        self._asked.set_epoch(number)

    def page_lock(self, *, wanted: bool) -> None:
        """Read batches straight to page-locked memory, unless a transform makes new ones of their samples."""
        self._batches.page_lock(wanted=wanted and not self._transform)

    # ── samples ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def index(self) -> SampleIndex:
        """The index over all files, of which this dataset may be a part."""
        return self._batches.index

    @property
    def seed(self) -> int:
        """What the generators of transforms are seeded with, beside epoch and sample."""
        return self._seed

    @property
    def stage(self) -> str:
        """The stage whose transforms are applied."""
        return self._stage

    @property
    def field_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes as read, before any transform."""
        return self._batches.fields.spec()

    @once
    def sample_bytes(self) -> int:
        """Bytes of one sample as read."""
        return sum(
            math.prod(spec.shape) * getattr(torch, spec.dtype).itemsize for spec in self.field_spec.values()
        )

    def sample_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes of what a model gets; with transforms, one sample is read to find out."""
        spec = self.field_spec
        if not self._transform and not self._batch_transform:
            return spec
        return {key: _spec_of(value, spec.get(key)) for key, value in self.read_batch([0]).items()}

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
        """A lazy sequence of samples; what a DataLoader asks for, in place of one sample after the other.

        Raises:
            TypeError: anything else than whole numbers.
            IndexError: a position outside of the dataset; negative ones count from its end.
        """
        return SampleSequence(self, self._request(positions))

    def _request(self, positions: Sequence[int] | BatchRequest) -> BatchRequest:
        """The same with the epoch of the samples: that of the loader that asks, if it says one, else counted here."""
        if isinstance(positions, BatchRequest):
            return positions
        wanted, size = to_numbers(positions, "positions"), len(self)
        if wanted.size and not (-size <= wanted.min() and wanted.max() < size):
            raise IndexError(
                f"positions in this split must lie in [-{size}, {size}), found {wanted.min()}..{wanted.max()}"
            )
        wanted = np.where(wanted < 0, wanted + size, wanted)
        if wanted.size and isinstance(first := positions[0], EpochPosition):
            told = [getattr(position, "is_repeat", None) for position in positions]
            return BatchRequest(wanted, first.epoch, None if None in told else np.asarray(told, np.bool_))
        return BatchRequest(wanted, self._asked.ask(wanted.size, size))

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
            TypeError: masks, floats, or anything else that is no list of numbers.
            IndexError: a position outside of the dataset; a negative one, too.
            H5LightningError: a file cannot be read, or values that the options forbid.
        """
        return self._read(self.sample_ids(_one_of(positions, ids)), keys)

    def read_ids(self, ids: Numbers, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """The same batch for numbers over the whole index: reads again what ``batch["sample_id"]`` says.

        Transforms are those of this dataset, and are seeded by its `epoch` as it is now.

        Args:
            ids: numbers of samples over the whole index, ``(N,)``, all of them of this dataset.
            keys: the fields to read, without transforms; None for all.

        Returns:
            See `read_batch`.

        Raises:
            TypeError: masks, floats, or anything else that is no list of numbers.
            IndexError: an id outside of the index, or of a sample that is not in this dataset.
            H5LightningError: a file cannot be read, or values that the options forbid.
        """
        numbers = to_numbers(ids, "ids")
        where = self.index.locate(numbers)
        absent = np.flatnonzero(self._selection.positions(numbers) < 0)
        if absent.size:
            first, index = int(absent[0]), self.index
            file, row = index.path(int(where.file[first])), int(where.row[first])
            raise IndexError(
                f"id {numbers[first]} (row {row} of {file}) is not in this dataset, {self._stage!r}, but "
                f"{self._home_of(numbers[first : first + 1])}"
            )
        return self._read(numbers, keys)

    def _home_of(self, number: Int64Array) -> str:
        """The split that holds a sample, for an error."""
        for stage, selection in self._splits.items():
            if selection.positions(number)[0] >= 0:
                return f"in {stage!r}: read it from the {stage}_dataset"
        return "in no split: it was left out when the data were divided"

    def _read(self, numbers: Int64Array, keys: Sequence[str] | None) -> dict[str, Any]:
        if isinstance(keys, str):
            raise TypeError(f"keys must list fields, such as [{keys!r}]; found the text {keys!r}")
        if keys is not None:
            return self._batches.read(numbers, keys)
        return self.finish(self._batches.read(numbers), numbers, self.epoch if self._draws else 0)

    @property
    def _draws(self) -> bool:
        """Whether there are transforms, for which the epoch counts: to ask for it takes 6 µs."""
        return bool(self._transform or self._batch_transform)

    def read_request(self, request: BatchRequest) -> dict[str, Any]:
        """The batch that a loader asks for; see `read_batch`."""
        numbers = self.sample_ids(request.positions)
        return self.finish(self._batches.read(numbers), numbers, request.epoch, request.is_repeat)

    def announcer(self, block_samples: int) -> PrefetchAdvisor:
        """Lets the system fetch samples of this dataset before they are read.

        Args:
            block_samples: samples that lie side by side and come close together; see `Order.block_samples`.
        """
        fits = len(self) * self.sample_bytes < available_bytes()
        only_remote = block_samples == 1 and fits

        def prefetch(positions: Int64Array, *, is_probe: bool = False) -> bool:
            ids = self.sample_ids(positions)
            return self._batches.prefetch(ids, only_remote=only_remote, is_probe=is_probe)

        return PrefetchAdvisor(prefetch, block_samples=block_samples, size=len(self))

    def read_raw(self, positions: Int64Array, batch_size: int) -> RawBatches:
        """Neighbouring batches, read together, each with memory of its own; any thread may call.

        `finish` makes of each of them what `read_batch` returns.

        Args:
            positions: numbers of the samples in this dataset, ``(N,)``.
            batch_size: samples of a batch; the last one may have fewer.

        Raises:
            IndexError: a position outside of the dataset.
        """
        numbers = self.sample_ids(positions)
        parts = [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]
        if len(parts) > 1:
            try:
                batches = self._batches.read_neighbours(numbers, batch_size)
            except H5LightningError:
                pass  # it is raised again by the batch that it belongs to
            else:
                return RawBatches(list(zip(parts, batches, strict=True)))
        read: list[tuple[Int64Array, Batch]] = []
        for part in parts:
            try:
                read.append((part, self._batches.read(part)))
            except H5LightningError as error:  # noqa: PERF203 - rarely more than one batch
                return RawBatches(read, error)
        return RawBatches(read)

    def finish(
        self,
        batch: dict[str, Any],
        numbers: Int64Array,
        epoch: int,
        is_repeat: BoolArray | None = None,
    ) -> dict[str, Any]:
        """A batch as it was read → as it is delivered; by one thread at a time, since transforms are called.

        Args:
            batch: what was read.
            numbers: numbers of its samples in the whole index, ``(N,)``.
            epoch: the epoch that seeds transforms.
            is_repeat: which samples are repeated, ``(N,)``; None if the batch does not tell.
        """
        if self._transform and numbers.size:
            batch = default_collate(self._transformed(batch, numbers, epoch))
        if self._provenance:
            batch[SAMPLE_ID] = torch.from_numpy(numbers.copy())
        if is_repeat is not None:
            batch[IS_REPEAT] = torch.from_numpy(is_repeat)
        if self._batch_transform:
            info = BatchInfo(tuple(numbers.tolist()), self._stage, epoch, self._seed)
            batch = self._batch_transform(batch, info)
        return batch

    def read_samples(self, request: BatchRequest) -> list[dict[str, Any]]:
        """Samples one by one, with the transform applied; read together all the same."""
        numbers = self.sample_ids(request.positions)
        batch = self._batches.read(numbers)
        samples = (
            self._transformed(batch, numbers, request.epoch)
            if self._transform
            else _samples(batch, len(numbers))
        )
        told: dict[str, list[Any]] = {}
        if self._provenance:
            told[SAMPLE_ID] = numbers.tolist()
        if request.is_repeat is not None:
            told[IS_REPEAT] = request.is_repeat.tolist()
        for key, values in told.items():
            for sample, value in zip(samples, values, strict=True):
                sample[key] = value
        return samples

    def _transformed(self, batch: Batch, numbers: Int64Array, epoch: int) -> list[dict[str, Any]]:
        where, index = self.index.locate(numbers), self.index
        rows = zip(
            numbers.tolist(), where.file.tolist(), where.series.tolist(), where.row.tolist(), strict=True
        )
        infos = (
            SampleInfo(
                id=number,
                path=index.path(file),
                series=index.series_name(series),
                row=row,
                stage=self._stage,
                epoch=epoch,
                seed=self._seed,
            )
            for number, file, series, row in rows
        )
        return [
            self._transform(sample, info)
            for sample, info in zip(_samples(batch, len(numbers)), infos, strict=True)
        ]

    # ── lifecycle ────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._batches.close()

    def __copy__(self) -> SampleDataset:
        """A dataset with files and caches of its own, which calls the same transforms."""
        return copy.deepcopy(self, {id(one): one for one in (self._transform, self._batch_transform)})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stage}, {len(self)} samples of {len(self.index)})"


class H5Dataset(SampleDataset):
    """All samples of many HDF5 files as one sequence, for use without a DataModule.

    Args:
        files: pattern or list of patterns.
        fields: sample key → path, ``attr:NAME`` or `Field`; a list of paths; None for all eligible datasets.
        samples: `Rows`, `Windows`, `Whole` or a mapping with ``kind``; None for rows.
        dtype: the type that floating fields are delivered in; None as stored.
        transform: called with each sample, and with a `SampleInfo` if it takes two arguments.
        batch_transform: called with each batch, and with a `BatchInfo` if it takes two arguments.
        access: how files are opened and trusted.
        reader: ``auto``, ``direct`` or ``h5py``.
        provenance: add ``sample_id``, int64 ``(N,)``, to each batch.
        seed: seeds the generators of transforms.
        index_dir: where the index is kept; None for the user's cache directory.
        series: what a series is, whose border no window crosses: ``file``, each file, whatever a table beside the data
            says of episodes in it. None: each file too, but `Windows` are an error where there is such a table.

    Raises:
        H5LightningError: anything that is wrong with the files or with what is asked of them.

    Example:
        >>> dataset = H5Dataset("runs/*.h5", {"x": "images", "y": "labels"})  # doctest: +SKIP
        >>> dataset[0]["x"].shape  # doctest: +SKIP
        torch.Size([3, 64, 64])
    """

    def __init__(
        self,
        files: Files,
        fields: Mapping[str, str | Field | Mapping[str, Any]] | Sequence[str] | None = None,
        samples: Samples | Mapping[str, Any] | None = None,
        *,
        dtype: str | None = None,
        transform: TransformOption = None,
        batch_transform: TransformOption = None,
        access: Access | Mapping[str, Any] | None = None,
        reader: str = "auto",
        provenance: bool = False,
        seed: int = 0,
        index_dir: str | None = None,
        series: str | None = None,
    ) -> None:
        check_dtype(dtype)
        check_series(series)
        seed, provenance, index_dir = (to_plain(value) for value in (seed, provenance, index_dir))
        check_int("seed", seed, at_least=0)
        check_bool("provenance", provenance)
        check_text("index_dir", index_dir)
        options = coerce(Access, access, "access")
        found = survey(
            files,
            coerce_fields(fields),
            coerce_samples(samples),
            access=options,
            dtype=dtype,
            series=series,
            index_dir=index_dir,
        )
        pool = HandlePool(options, scanned_files=found.scanned_files)
        everything = SampleRanges(np.zeros(1, dtype=np.int64), np.asarray([len(found.index)], dtype=np.int64))
        super().__init__(
            BatchReader(found.index, found.fields, make_reader(reader, pool), options),
            Selection(everything),
            stage="train",
            transform=Transforms.of(transform, "train"),
            batch_transform=Transforms.of(batch_transform, "train", "batch_transform"),
            provenance=provenance,
            seed=seed,
        )


class SampleSequence(Sequence[dict[str, Any]]):
    """Samples that are read together, when the first of them is asked for.

    Our own loader never asks: it turns the sequence into a batch as a whole (`batch`).
    """

    __slots__ = ("_dataset", "_request", "_samples")

    def __init__(self, dataset: SampleDataset, request: BatchRequest) -> None:
        self._dataset = dataset
        self._request = request
        self._samples: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._request)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._read()[place]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._read())

    def batch(self) -> dict[str, Any]:
        """All samples as one batch, without making single samples."""
        return self._dataset.read_request(self._request)

    def _read(self) -> list[dict[str, Any]]:
        if self._samples is None:
            self._samples = self._dataset.read_samples(self._request)
        return self._samples


def _one_of(positions: Numbers | None, ids: Numbers | None) -> Numbers:
    """What `read_batch` was given, under its name or under its old one."""
    if ids is not None and positions is not None:
        raise TypeError("read_batch takes positions; ids= is their old name: give one of them")
    if ids is not None:
        warnings.warn(
            "read_batch(ids=…) takes positions in the split: write read_batch(positions). To read by "
            "batch['sample_id'], use read_ids(ids)",
            DeprecationWarning,
            stacklevel=3,
        )
        return ids
    return cast("Numbers", positions)


def _spec_of(value: Any, read: FieldSpec | None) -> FieldSpec:
    classes = read.classes if read is not None else None
    if not isinstance(value, torch.Tensor):
        return FieldSpec((), type(value).__name__, classes)
    return FieldSpec(tuple(value.shape[1:]), str(value.dtype).removeprefix("torch."), classes)


def _samples(batch: Batch, size: int) -> list[dict[str, Any]]:
    columns = {key: tensor.unbind(0) for key, tensor in batch.items()}
    return [{key: cast("Any", column[place]) for key, column in columns.items()} for place in range(size)]
