"""From sample ids to tensors: one preallocated tensor for each field, filled in place.

The ids of a batch are located, sorted by file and row, and handed to the reader file by file; each row goes
straight to its slot in the batch. Python runs for each file of a batch, not for each sample.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.buffers import BatchMemory
from h5lightning.checking import nearest
from h5lightning.errors import FieldError, MissingFieldError, NonFiniteError
from h5lightning.fields import FieldPlan, Fields
from h5lightning.index import Location, SampleIndex
from h5lightning.options import Access, Windows
from h5lightning.readers.protocol import Reader, RowSource

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
    _memory: BatchMemory = field(init=False, repr=False, default_factory=BatchMemory)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_constants", _ConstantCache(self.access.cache_bytes))

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
        where = self.index.locate(ids)
        plans = self._chosen(keys)
        size = len(where.row)
        batch = {
            plan.key: self._memory.tensor((size, *plan.spec.shape), _buffer_dtype(plan)) for plan in plans
        }
        arrays = {key: tensor.numpy() for key, tensor in batch.items()}
        for file, slots in _by_file(where):
            self._fill(plans, arrays, file, where.row[slots], slots)
        return {plan.key: self._deliver(plan, batch[plan.key], where) for plan in plans}

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
        self,
        plans: Sequence[FieldPlan],
        arrays: Mapping[str, npt.NDArray[Any]],
        file: int,
        rows: Int64Array,
        slots: Int64Array,
    ) -> None:
        """Fill the slots of the samples that lie in one file."""
        path = self.index.path(file)
        for plan in plans:
            if plan.kind == "attr" and plan.values is not None:
                arrays[plan.key][slots] = plan.values[file]
            elif plan.kind == "constant":
                arrays[plan.key][slots] = self._constants.get(self.reader, path, plan)
        row_plans = sorted((plan for plan in plans if plan.kind == "rows"), key=_source_name)
        for _, group in groupby(row_plans, key=_source_name):
            sharing = list(group)
            if len(sharing) == 1:
                self._read_rows(sharing[0], arrays[sharing[0].key], path, rows, slots)
            else:
                self._read_shared(sharing, arrays, path, rows, slots)

    def _read_rows(
        self, plan: FieldPlan, out: npt.NDArray[Any], path: str, rows: Int64Array, slots: Int64Array
    ) -> None:
        if plan.steps is not None:
            steps = plan.steps[1] - plan.steps[0]
            out = out.reshape(len(out) * steps, *plan.row_shape)
            rows = self._step_rows(rows, *plan.steps).ravel()
            slots = (slots[:, None] * steps + np.arange(steps)).ravel()
        self.reader.read_rows(path, _row_source(plan), rows, out, slots)

    def _read_shared(
        self,
        plans: Sequence[FieldPlan],
        arrays: Mapping[str, npt.NDArray[Any]],
        path: str,
        rows: Int64Array,
        slots: Int64Array,
    ) -> None:
        """Fields that are steps of one dataset: its rows are read once, then dealt out."""
        start = min(plan.steps[0] if plan.steps else 0 for plan in plans)
        stop = max(plan.steps[1] if plan.steps else 1 for plan in plans)
        needed, place = np.unique(self._step_rows(rows, start, stop), return_inverse=True)
        place = place.reshape(len(rows), stop - start)
        source = _row_source(plans[0])
        values = np.empty((len(needed), *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
        self.reader.read_rows(path, source, needed, values)
        for plan in plans:
            taken = (
                place[:, 0] if plan.steps is None else place[:, plan.steps[0] - start : plan.steps[1] - start]
            )
            arrays[plan.key][slots] = values[taken]

    def _step_rows(self, rows: Int64Array, start: int, stop: int) -> Int64Array:
        """The rows of steps start to stop of samples, ``(N, stop - start)``."""
        samples = self.index.samples
        dilation = samples.dilation if isinstance(samples, Windows) else 1
        return rows[:, None] + np.arange(start, stop) * dilation

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, plan: FieldPlan, tensor: torch.Tensor, where: Location) -> torch.Tensor:
        array = tensor.numpy()
        if self.access.on_nonfinite == "raise" and plan.is_floating:
            self._check_finite(plan, array, where)
        if plan.spec.dtype == "bfloat16":
            return tensor.to(torch.bfloat16)
        if plan.spec.dtype == array.dtype.name:
            return tensor
        return torch.from_numpy(self._converted(plan, array, where))

    def _check_finite(self, plan: FieldPlan, array: npt.NDArray[Any], where: Location) -> None:
        if np.isfinite(array).all():
            return
        first = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise NonFiniteError(
            f"field {plan.key!r} ('/{plan.path}') is not finite in the sample at "
            f"{self._describe(where, first)}. Leave the file out, replace the values in a transform, or accept "
            "them with access.on_nonfinite='ignore'"
        )

    def _converted(self, plan: FieldPlan, array: npt.NDArray[Any], where: Location) -> npt.NDArray[Any]:
        with np.errstate(invalid="ignore", over="ignore"):
            converted = array.astype(plan.spec.dtype)
        lossy = np.asarray(converted != array)
        if lossy.any():
            first = tuple(np.argwhere(lossy)[0])
            raise FieldError(
                f"field {plan.key!r} ('/{plan.path}') holds {array[first]!s} at "
                f"{self._describe(where, int(first[0]))}, which {plan.spec.dtype} cannot hold. Choose another "
                "Field(dtype=…), or convert in a transform"
            )
        return converted

    def _describe(self, where: Location, place: int) -> str:
        file, row = int(where.file[place]), int(where.row[place])
        name = self.index.series_name(int(where.series[place]))
        return f"row {row}{f' of series {name!r}' if name else ''} of {self.index.path(file)}"


class _ConstantCache:
    """Datasets without a sample axis, kept while they fit; empty after a pickle."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: OrderedDict[tuple[str, str, str | None], npt.NDArray[Any]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._limit_bytes,))

    def get(self, reader: Reader, path: str, plan: FieldPlan) -> npt.NDArray[Any]:
        """The values of a constant field in one file."""
        key = (path, plan.path, plan.member)
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        source = _row_source(plan)
        values = np.empty(source.row_shape, np.dtype(source.dtype).newbyteorder("="))
        reader.read_whole(path, source, values)
        self._values[key] = values
        self._bytes += values.nbytes
        while self._bytes > self._limit_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
        return values


def _by_file(where: Location) -> Iterator[tuple[int, Int64Array]]:
    """The files of a batch in order, with the slots of their samples sorted by row."""
    order = np.lexsort((where.row, where.file))
    files = where.file[order]
    borders = np.flatnonzero(np.diff(files, prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        yield int(files[start]), order[start:stop]


def _source_name(plan: FieldPlan) -> tuple[str, str]:
    return plan.path, plan.member or ""


def _row_source(plan: FieldPlan) -> RowSource:
    return RowSource(plan.path, plan.member, plan.stored, plan.row_shape)


def _buffer_dtype(plan: FieldPlan) -> np.dtype[Any]:
    """The type that a field is read into: that of delivery, unless the conversion could lose a value."""
    stored = np.dtype(plan.stored).newbyteorder("=")
    if plan.spec.dtype == "bfloat16":
        return np.dtype("float32") if stored.kind == "f" else stored
    delivered = np.dtype(plan.spec.dtype)
    is_float = stored.kind == delivered.kind and stored.kind in "fc"
    return delivered if is_float or np.can_cast(stored, delivered, "safe") else stored
