"""From sample ids to tensors: one preallocated tensor for each field, filled in place.

The ids of a batch are located, sorted by file and row, and handed to the reader file by file; each row goes
straight to its slot in the batch. Python runs for each file of a batch, not for each sample.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.buffers import BatchMemory
from h5lightning.checking import nearest
from h5lightning.errors import FieldError, MissingFieldError, NonFiniteError
from h5lightning.fields import FieldPlan, Fields
from h5lightning.index import SampleIndex
from h5lightning.options import Access, Windows
from h5lightning.readers.protocol import Reader, RowSource, Take

__all__ = ["Batch", "BatchReader"]

Int64Array = npt.NDArray[np.int64]
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class BatchReader:
    """Reads the fields of any samples of an index.

    Args:
        index: the samples.
        fields: what a batch is made of.
        reader: puts rows into buffers.
        access: what to do with values that are not finite, and how much to keep.
    """

    index: SampleIndex
    fields: Fields
    reader: Reader
    access: Access
    _constants: _ConstantCache = field(init=False, repr=False)
    _sources: dict[str, RowSource] = field(init=False, repr=False)
    _memory: BatchMemory = field(init=False, repr=False, default_factory=BatchMemory)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_constants", _ConstantCache(self.access.cache_bytes))
        sources = {
            plan.key: RowSource(plan.path, plan.member, plan.stored, plan.row_shape)
            for plan in self.fields.plans
        }
        object.__setattr__(self, "_sources", sources)

    def read(self, ids: npt.ArrayLike, keys: Sequence[str] | None = None) -> Batch:
        """The fields of samples, in the order of the ids.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            keys: the fields to read; None for all.

        Returns:
            Key → tensor ``(N, …)``, owned by the caller.

        Raises:
            MissingFieldError: a key that is no field.
            NonFiniteError: NaN or infinity, with ``on_nonfinite="raise"``.
            BadFileError: a file cannot be read.
        """
        numbers = np.asarray(ids, dtype=np.int64)
        wanted = _Wanted.of(numbers, self.index)
        plans = self._chosen(keys)
        batch = {
            plan.key: self._memory.tensor((len(numbers), *plan.spec.shape), _buffer_dtype(plan))
            for plan in plans
        }
        arrays = {key: tensor.numpy() for key, tensor in batch.items()}
        self._fill(plans, arrays, wanted)
        return {plan.key: self._deliver(plan, batch[plan.key], numbers) for plan in plans}

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self.reader.close()

    def _chosen(self, keys: Sequence[str] | None) -> list[FieldPlan]:
        by_key = {plan.key: plan for plan in self.fields.plans}
        for key in keys or ():
            if key not in by_key:
                raise MissingFieldError(f"there is no field {key!r}{nearest(key, by_key)}")
        return list(by_key.values()) if keys is None else [by_key[key] for key in keys]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    def _fill(
        self, plans: Sequence[FieldPlan], arrays: Mapping[str, npt.NDArray[Any]], wanted: _Wanted
    ) -> None:
        by_source: dict[RowSource, list[FieldPlan]] = {}
        for plan in plans:
            if plan.kind == "rows":
                by_source.setdefault(self._sources[plan.key], []).append(plan)
            elif plan.values is not None:
                arrays[plan.key][wanted.slots] = plan.values[wanted.files].repeat(wanted.sizes, axis=0)
            else:
                self._fill_constant(plan, arrays[plan.key], wanted)
        if not by_source or not wanted.paths:
            return
        alone = [group[0] for group in by_source.values() if len(group) == 1]
        shared = [_Shared(source, group) for source, group in by_source.items() if len(group) > 1]
        takes = [self._take(plan, arrays[plan.key], wanted) for plan in alone]
        takes += [self._take_shared(each, wanted) for each in shared]
        self.reader.read(wanted.paths, takes)
        for each in shared:
            each.deal_out(arrays, wanted.slots)

    def _fill_constant(self, plan: FieldPlan, out: npt.NDArray[Any], wanted: _Wanted) -> None:
        for path, (start, stop) in zip(wanted.paths, pairwise(wanted.borders.tolist()), strict=True):
            out[wanted.slots[start:stop]] = self._constants.get(self.reader, path, self._sources[plan.key])

    def _take(self, plan: FieldPlan, out: npt.NDArray[Any], wanted: _Wanted) -> Take:
        if plan.steps is None:
            return Take(self._sources[plan.key], wanted.borders, wanted.rows, wanted.slots, out)
        steps = plan.steps[1] - plan.steps[0]
        rows = self._step_rows(wanted.rows, *plan.steps).ravel()
        slots = (wanted.slots[:, None] * steps + np.arange(steps)).ravel()
        out = out.reshape(len(out) * steps, *plan.row_shape)
        return Take(self._sources[plan.key], wanted.borders * steps, rows, slots, out)

    def _take_shared(self, shared: _Shared, wanted: _Wanted) -> Take:
        """The rows of all steps, each once."""
        rows = self._step_rows(wanted.rows, shared.start, shared.stop)
        file = np.arange(len(wanted.files)).repeat(wanted.sizes)[:, None]
        span = int(rows.max()) + 1
        different, place = np.unique(file * span + rows, return_inverse=True)
        borders = np.searchsorted(different, np.arange(len(wanted.files) + 1) * span)
        values = shared.expect(len(different), place.reshape(rows.shape))
        return Take(shared.source, borders, different % span, np.arange(len(different)), values)

    def _step_rows(self, rows: Int64Array, start: int, stop: int) -> Int64Array:
        """The rows of steps start to stop of samples, ``(N, stop - start)``."""
        samples = self.index.samples
        dilation = samples.dilation if isinstance(samples, Windows) else 1
        return rows[:, None] + np.arange(start, stop) * dilation

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, plan: FieldPlan, tensor: torch.Tensor, ids: Int64Array) -> torch.Tensor:
        array = tensor.numpy()
        if self.access.on_nonfinite == "raise" and plan.is_floating:
            self._check_finite(plan, array, ids)
        if plan.spec.dtype == "bfloat16":
            return tensor.to(torch.bfloat16)
        if plan.spec.dtype == array.dtype.name:
            return tensor
        return torch.from_numpy(self._converted(plan, array, ids))

    def _check_finite(self, plan: FieldPlan, array: npt.NDArray[Any], ids: Int64Array) -> None:
        if np.isfinite(array).all():
            return
        first = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise NonFiniteError(
            f"field {plan.key!r} ('/{plan.path}') is not finite in the sample at "
            f"{self._describe(ids[first])}. Leave the file out, replace the values in a transform, or accept "
            "them with access.on_nonfinite='ignore'"
        )

    def _converted(self, plan: FieldPlan, array: npt.NDArray[Any], ids: Int64Array) -> npt.NDArray[Any]:
        with np.errstate(invalid="ignore", over="ignore"):
            converted = array.astype(plan.spec.dtype)
        lossy = np.asarray(converted != array)
        if lossy.any():
            first = tuple(np.argwhere(lossy)[0])
            raise FieldError(
                f"field {plan.key!r} ('/{plan.path}') holds {array[first]!s} at "
                f"{self._describe(ids[first[0]])}, which {plan.spec.dtype} cannot hold. Choose another "
                "Field(dtype=…), or convert in a transform"
            )
        return converted

    def _describe(self, sample: np.int64) -> str:
        where = self.index.locate([sample])
        name = self.index.series_name(int(where.series[0]))
        series = f" of series {name!r}" if name else ""
        return f"row {int(where.row[0])}{series} of {self.index.path(int(where.file[0]))}"


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """The samples of a batch, sorted by file and row.

    Args:
        files: the files that hold some, ``(files,)``.
        paths: where they lie.
        borders: where the samples of each file begin, and the last ones end, ``(files + 1,)``.
        rows: first row of each sample, ``(N,)``.
        slots: its place in the batch, ``(N,)``.
    """

    files: Int64Array
    paths: list[str]
    borders: Int64Array
    rows: Int64Array
    slots: Int64Array

    @classmethod
    def of(cls, ids: Int64Array, index: SampleIndex) -> _Wanted:
        # Ids count file by file, row by row.
        slots = np.argsort(ids, kind="stable")
        where = index.locate(ids[slots])
        borders = np.flatnonzero(np.diff(where.file, prepend=-1, append=-1))
        files = where.file[borders[:-1]]
        return cls(files, [index.path(file) for file in files.tolist()], borders, where.row, slots)

    @property
    def sizes(self) -> Int64Array:
        """Samples of each file, ``(files,)``."""
        return np.diff(self.borders)


class _Shared:
    """Fields that are steps of one dataset: its rows are read once, then dealt out.

    Args:
        source: the dataset.
        plans: the fields.
    """

    def __init__(self, source: RowSource, plans: Sequence[FieldPlan]) -> None:
        self.source = source
        self.start = min(plan.steps[0] if plan.steps else 0 for plan in plans)
        self.stop = max(plan.steps[1] if plan.steps else 1 for plan in plans)
        self._plans = plans
        self._values = np.empty((0, *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
        self._place = np.zeros((0, self.stop - self.start), np.int64)

    def expect(self, rows: int, place: Int64Array) -> npt.NDArray[Any]:
        """A buffer for some rows, of which row ``place[i, s]`` is step ``start + s`` of sample i."""
        self._values = np.empty((rows, *self.source.row_shape), self._values.dtype)
        self._place = place
        return self._values

    def deal_out(self, arrays: Mapping[str, npt.NDArray[Any]], slots: Int64Array) -> None:
        """Fill the fields of a batch from the rows that were read."""
        for plan in self._plans:
            steps = slice(plan.steps[0] - self.start, plan.steps[1] - self.start) if plan.steps else 0
            arrays[plan.key][slots] = self._values[self._place[:, steps]]


class _ConstantCache:
    """Datasets without a sample axis, kept while they fit; empty after a pickle."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: OrderedDict[tuple[str, RowSource], npt.NDArray[Any]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._limit_bytes,))

    def get(self, reader: Reader, path: str, source: RowSource) -> npt.NDArray[Any]:
        """The values of a constant field in one file."""
        key = (path, source)
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        values = np.empty(source.row_shape, np.dtype(source.dtype).newbyteorder("="))
        reader.read_whole(path, source, values)
        self._values[key] = values
        self._bytes += values.nbytes
        while self._bytes > self._limit_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
        return values


def _buffer_dtype(plan: FieldPlan) -> np.dtype[Any]:
    """The type that a field is read into: that of delivery, unless the conversion could lose a value."""
    stored = np.dtype(plan.stored).newbyteorder("=")
    if plan.spec.dtype == "bfloat16":
        return np.dtype("float32") if stored.kind == "f" else stored
    delivered = np.dtype(plan.spec.dtype)
    is_float = stored.kind == delivered.kind and stored.kind in "fc"
    return delivered if is_float or np.can_cast(stored, delivered, "safe") else stored
