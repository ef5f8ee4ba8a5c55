"""From sample ids to tensors: one tensor for each field, filled in place.

The ids of a batch are located, sorted by file and row, and handed to the reader file by file; each row goes
straight to its slot in the batch. Python runs for each file of a batch, not for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.errors import FieldError, H5LightningError, MissingDataError, MissingFieldError
from h5lightning.loading.batch_buffers import BufferPool
from h5lightning.loading.batch_delivery import BatchDelivery, FoundMissing
from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.image_threads import ImageThreads
from h5lightning.loading.fields.located_batch import FilePaths, LocatedBatch
from h5lightning.loading.fields.make_field_reader import make_field_reader
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.read_fields import read_fields
from h5lightning.loading.fields.row_requests import by_files, divided_by_kind
from h5lightning.loading.fields.run_rows import RunRows
from h5lightning.loading.ragged_batch import RaggedValues, ragged_part
from h5lightning.loading.ragged_delivery import RaggedDelivery
from h5lightning.loading.sample_starts import SampleStarts
from h5lightning.options import Access, Normalize
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import FieldPlan, Fields
from h5lightning.planning.file_runs import RunReach
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.normalizing import normalized_fields, with_normalized_types
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.planning.sampling.chunk_needs import ChunkLayout, ChunkNeeds
from h5lightning.planning.splitting.split_plan import Segments
from h5lightning.planning.statistics import FieldStatistics
from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.protocol import Reader, ReadRequest

__all__ = ["Batch", "BatchReader", "RawBatches"]

Batch = dict[str, Any]  # a tensor for each key, `RaggedValues` where samples have different shapes
T = TypeVar("T")


class RawBatches(NamedTuple):
    """Batches as they were read, each with the ids of its samples, and the error that ended them."""

    batches: list[tuple[Int64Array, Batch]]
    error: H5LightningError | None = None


class BatchReader:
    """Reads the fields of any samples of an index.

    Args:
        index: the samples.
        fields: what a batch is made of.
        reader: reads rows into buffers.
        access: what to do with values that are not finite, and the size of caches.
        chunks: the fields whose chunks are decoded; without them, nothing is decoded ahead.
        parts: the parts of the splits, at whose borders padded windows end; without them, these end with their series.
        normalize: key → how the numbers of the field are normalised; see `normalize_by`.
        threads: threads that decode images; None for one on each core.

    Attributes:
        starts: where the windows of samples begin.
        fields: what a batch is made of, in the types that are delivered.
    """

    def __init__(
        self,
        index: SampleIndex,
        fields: Fields,
        reader: Reader,
        access: Access,
        *,
        chunks: Sequence[ChunkLayout] = (),
        parts: Iterable[Segments] = (),
        normalize: Mapping[str, Normalize] | None = None,
        threads: int | None = None,
    ) -> None:
        normalized = normalized_fields(fields, normalize or {})
        self.index = index
        self.fields = with_normalized_types(fields, normalized)
        self.reader = reader
        self.access = access
        self._chunks = chunks
        self._paths = FilePaths(index)
        reach = index.reach
        runs = RunRows(reach.runs, self._paths) if isinstance(reach, RunReach) else None
        context = ReadContext(reader, self._constant_cache(), runs, images=ImageThreads(threads))
        self._context = context
        read = [
            normalized[plan.key].plan if plan.key in normalized else plan
            for plan in fields.plans
            if not isinstance(plan, DerivedField)
        ]
        self._readers = {plan.key: make_field_reader(plan, context) for plan in read}
        self._lists = frozenset(key for key, one in self._readers.items() if one.is_list)
        self._derived = {plan.key: plan.of for plan in fields.plans if isinstance(plan, DerivedField)}
        self._ragged = frozenset(plan.key for plan in read if plan.ragged is not None)
        self._memory = BufferPool()
        self.starts = SampleStarts.of(index, fields, parts)
        self._delivery = BatchDelivery(self._readers, normalized, access, self.starts, self._memory)

    def normalize_by(self, statistics: Mapping[str, FieldStatistics]) -> None:
        """Normalise by these statistics from now on; see `BatchDelivery.normalize_by`."""
        self._delivery.normalize_by(statistics)

    def lack_classes(self, keys: Collection[str]) -> None:
        """Deliver none of these fields from now on; see `BatchDelivery.lack_classes`."""
        self._delivery.lack_classes(keys)

    @property
    def lacks_training(self) -> bool:
        """Whether something of training is needed to deliver batches, and not known."""
        return self._delivery.lacks_training

    def read(
        self,
        ids: npt.ArrayLike,
        keys: Sequence[str] | None = None,
        *,
        draws: SampleDraws | None = None,
        is_raw: bool = False,
    ) -> Batch:
        """The fields of samples, in the order of the ids.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            keys: the fields to read; None for all.
            draws: what is drawn for each sample; None where nothing is drawn.
            is_raw: convert numbers that are normalised, and do not normalise them.

        Returns:
            Key → tensor ``(N, …)``, owned by the caller; `RaggedValues` of a field whose samples may have different
            shapes. Lengths and padding of such a field are none: with their key, it is read.

        Raises:
            MissingFieldError: a key that is no field.
            FieldError: a value that the delivered type cannot hold.
            MissingDataError: a stored number that represents a missing value, in a field without ``decode``.
            NonFiniteError: NaN or infinity, with ``on_nonfinite="raise"``.
            BadFileError: a file cannot be read.
        """
        numbers = to_numbers(ids, "ids")
        readers = self._chosen(keys)
        located = LocatedBatch.of(numbers, self._paths, self.starts.borders, draws)
        layouts = self._layouts(readers, located)
        memory = self._memory
        batch: Batch = {
            one.key: np.empty(len(numbers), object)
            if one.is_list
            else memory.flat(layouts[one.key].total, one.dtype)
            if one.key in layouts
            else memory.tensor((len(numbers), *one.shape), one.dtype)
            for one in readers
        }
        arrays = {key: value.numpy() if key not in self._lists else value for key, value in batch.items()}
        self._fill(readers, arrays, located, numbers)
        ragged = {key: RaggedValues(batch[key], layout) for key, layout in layouts.items()}
        return self._delivered(batch | ragged if ragged else batch, located, numbers, is_raw=is_raw)

    def read_neighbours(
        self, ids: Int64Array, batch_size: int, draws: SampleDraws | None = None
    ) -> list[Batch]:
        """Neighbouring batches, read in one go.

        Their tensors lie side by side in memory that is recycled when all of them are gone. Each has a storage of its
        own, so that it is saved or sent alone.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            batch_size: samples of a batch; the last one may have fewer.
            draws: see `read`.

        Raises:
            H5LightningError: see `read`.
        """
        parts = [slice(start, start + batch_size) for start in range(0, len(ids), batch_size)]
        if len(parts) < 2 or not self._memory.can_be_divided:
            return [self.read(ids[part], draws=draws) for part in parts]
        readers = self._chosen(None)
        located = LocatedBatch.of(ids, self._paths, self.starts.borders, draws)
        layouts = self._layouts(readers, located)
        arrays = {
            one.key: np.empty(len(ids), object)
            if one.is_list
            else self._memory.flat(layouts[one.key].total, one.dtype).numpy()
            if one.key in layouts
            else self._memory.array((len(ids), *one.shape), one.dtype)
            for one in readers
        }
        self._fill(readers, arrays, located, ids)
        batches = []
        for part in parts:
            batch: Batch = {
                key: array[part]
                if key in self._lists
                else ragged_part(array, layouts[key], part)
                if key in layouts
                else torch.from_numpy(array[part])
                for key, array in arrays.items()
            }
            batches.append(self._delivered(batch, located, ids[part]))
        return batches

    def _layouts(self, readers: Sequence[FieldReader], located: LocatedBatch) -> dict[str, RaggedLayout]:
        """Where samples of different shapes lie in the flat buffers of their fields."""
        if not self._ragged:
            return {}
        found = ((one.key, one.layout(located)) for one in readers if one.key in self._ragged)
        return {key: layout for key, layout in found if layout is not None}

    def read_separately(
        self, ids: Int64Array, batch_size: int, draws: SampleDraws | None = None
    ) -> RawBatches:
        """Neighbouring batches as `read_neighbours`, with the error of the first one that cannot be read."""
        parts = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        if len(parts) > 1:
            try:
                batches = self.read_neighbours(ids, batch_size, draws)
            except H5LightningError:
                pass  # it is raised again by the batch that it belongs to
            else:
                return RawBatches(list(zip(parts, batches, strict=True)))
        read: list[tuple[Int64Array, Batch]] = []
        for part in parts:
            try:
                read.append((part, self.read(part, draws=draws)))
            except H5LightningError as error:  # noqa: PERF203 - rarely more than one batch
                return RawBatches(read, error)
        return RawBatches(read)

    def prefetch(
        self,
        ids: Int64Array,
        draws: SampleDraws | None = None,
        *,
        only_remote: bool = False,
        is_probe: bool = False,
    ) -> bool:
        """Ask the system to fetch what `read` will need; see `Reader.prefetch`."""
        how = {"only_remote": only_remote, "is_probe": is_probe}
        cold = (
            (bool(rows) and self.reader.prefetch(files, rows, **how))
            | (bool(boxes) and self.reader.prefetch_boxes(files, boxes, **how))
            for files, rows, boxes in self._asked(ids, draws)
        )
        return any(cold) if is_probe else any(list(cold))

    def chunk_needs(self, draws: SampleDraws | None = None) -> ChunkNeeds | None:
        """The chunks that an epoch will decode; None if rows are read alone."""
        return ChunkNeeds(self.index, self._chunks, self.starts.shifts(draws)) if self._chunks else None

    def decode(self, ids: Int64Array, reads: int, draws: SampleDraws | None = None) -> None:
        """Decode the chunks of some samples, ``(N,)``; see `Reader.decode_ahead`."""
        for files, rows, _ in self._asked(ids, draws):
            if rows:
                self.reader.decode_ahead(files, rows, reads=reads)

    def _asked(
        self, ids: Int64Array, draws: SampleDraws | None
    ) -> Iterator[tuple[Sequence[str], list[ReadRequest], list[BoxRequest]]]:
        """What is read for some samples: files, and requests for rows and boxes without buffers."""
        located = LocatedBatch.of(ids, self._paths, self.starts.borders, draws)
        readers = self._readers.values()
        asked = [request for one in readers for request in next(one.fill(located, one.buffer(0)))]
        return ((files, *divided_by_kind(group)) for files, group in by_files(located.paths, asked))

    def ragged_delivery(self) -> RaggedDelivery:
        """What delivers samples of different shapes."""
        return RaggedDelivery(self.fields, self.index, self._memory, self.access.most_padded_bytes)

    def pin_memory(self, *, enabled: bool) -> None:
        """Read batches straight into page-locked memory; see `BufferPool.pin_memory`."""
        self._memory.pin_memory(enabled=enabled)

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Start worker processes; see `Reader.start_workers`."""
        return self.reader.start_workers(count, start)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self._context.images.close()
        self.reader.close()

    def _chosen(self, keys: Sequence[str] | None) -> list[FieldReader]:
        if keys is None:
            return list(self._readers.values())
        for key in keys:
            if key not in self._readers and key not in self._derived:
                known = [*self._readers, *self._derived]
                raise MissingFieldError(f"there is no field {key!r}{did_you_mean(key, known)}")
        return [self._readers[key] for key in dict.fromkeys(self._derived.get(key, key) for key in keys)]

    def _fill(
        self,
        readers: Sequence[FieldReader],
        arrays: Mapping[str, npt.NDArray[Any]],
        located: LocatedBatch,
        ids: Int64Array,
    ) -> None:
        try:
            read_fields(self.reader, readers, arrays, located)
        except FloatingPointError as error:
            raise self._overflow(readers, located, ids) from error

    def _overflow(self, readers: Sequence[FieldReader], located: LocatedBatch, ids: Int64Array) -> FieldError:
        """The error of a finite value that became infinite in a buffer: found in the values as they are stored."""
        for one in readers:
            if one.stored_dtype is None:
                continue
            stored = one.buffer_for(located, one.stored_dtype)
            read_fields(self.reader, [one], {one.key: stored}, located)
            lost = self._delivery.first_lost(one, stored, ids, located)
            if lost is not None:
                return lost
        return FieldError("a value is beyond the largest one of the type that it is delivered in")

    def _delivered(
        self, batch: Batch, located: LocatedBatch, ids: Int64Array, *, is_raw: bool = False
    ) -> Batch:
        """The batch with its last checks and conversions; ``located`` are its samples, and maybe neighbours."""
        try:
            return self._delivery.deliver(batch, located, ids, is_raw=is_raw)
        except FoundMissing as found:
            raise self._missing(found.plan, located) from None

    def _constant_cache(self) -> ConstantCache:
        return ConstantCache(self.access.cache_bytes, len(self.index.rows_of_units))

    def _missing(self, plan: FieldPlan, located: LocatedBatch) -> MissingDataError:
        """The error of a missing value: raised while the field is read again, it names row and file."""
        context = replace(self._context, checks_each=True, constants=self._constant_cache())
        checked = make_field_reader(plan, context)
        read_fields(self.reader, [checked], {plan.key: checked.buffer_for(located)}, located)
        return MissingDataError(f"{plan.title} holds a number that represents a missing value")
