"""From sample ids to tensors: one preallocated tensor for each field, filled in place.

The ids of a batch are located, sorted by file and row, and handed to the reader file by file; each row goes
straight to its slot in the batch. Python runs for each file of a batch, not for each sample.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.core.monitor import Guard
from h5lightning.core.process_local import ProcessLocal
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.errors import FieldError, MissingDataError, MissingFieldError, NonFiniteError
from h5lightning.loading.batch_buffers import BufferPool
from h5lightning.loading.field_sources import FieldSource
from h5lightning.options import Access, Windows
from h5lightning.options.checks import nearest
from h5lightning.planning.fields import FieldPlan, Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.values.conversions import assign, buffer_dtype, delivery_dtype, first_lost
from h5lightning.planning.values.encoded_values import first_missing
from h5lightning.storage.readers.protocol import Reader, ReadRequest

__all__ = ["Batch", "BatchReader"]

Batch = dict[str, torch.Tensor]

_ConstantKey: TypeAlias = "tuple[str, FieldSource]"

_FIRST = np.zeros(1, np.int64)
_MOST_PATHS = 4096


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
    _recipes: dict[str, _Recipe] = field(init=False, repr=False)
    _paths: _Paths = field(init=False, repr=False)
    _memory: BufferPool = field(init=False, repr=False, default_factory=BufferPool)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_constants", _ConstantCache(self.access.cache_bytes))
        known: dict[FieldSource, FieldSource] = {}
        recipes = {plan.key: _Recipe(plan, self.access, known) for plan in self.fields.plans}
        object.__setattr__(self, "_recipes", recipes)
        object.__setattr__(self, "_paths", _Paths(self.index))

    def read(self, ids: npt.ArrayLike, keys: Sequence[str] | None = None) -> Batch:
        """The fields of samples, in the order of the ids.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            keys: the fields to read; None for all.

        Returns:
            Key → tensor ``(N, …)``, owned by the caller.

        Raises:
            MissingFieldError: a key that is no field.
            FieldError: a value that the delivered type cannot hold.
            MissingDataError: a stored number that stands for a missing value, in a field without ``decode``.
            NonFiniteError: NaN or infinity, with ``on_nonfinite="raise"``.
            BadFileError: a file cannot be read.
        """
        numbers = to_numbers(ids, "ids")
        recipes = self._chosen(keys)
        batch = {
            recipe.key: self._memory.tensor((len(numbers), *recipe.shape), recipe.dtype) for recipe in recipes
        }
        self._fill(recipes, {key: tensor.numpy() for key, tensor in batch.items()}, numbers)
        return self._delivered(recipes, batch, numbers)

    def read_neighbours(self, ids: Int64Array, batch_size: int) -> list[Batch]:
        """Neighbouring batches, read in one go.

        Their tensors lie side by side in memory that is recycled when nobody holds any of them. Each has a storage of
        its own, so that it is saved or sent alone.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            batch_size: samples of a batch; the last one may have fewer.

        Raises:
            See `read`.
        """
        parts = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        if len(parts) < 2 or not self._memory.can_be_divided:
            return [self.read(part) for part in parts]
        recipes = self._chosen(None)
        arrays = {
            recipe.key: self._memory.array((len(ids), *recipe.shape), recipe.dtype) for recipe in recipes
        }
        self._fill(recipes, arrays, ids)
        starts = range(0, len(ids), batch_size)
        return [
            self._delivered(
                recipes,
                {key: torch.from_numpy(array[start : start + len(part)]) for key, array in arrays.items()},
                part,
            )
            for start, part in zip(starts, parts, strict=True)
        ]

    def prefetch(self, ids: Int64Array, *, only_remote: bool = False, is_probe: bool = False) -> bool:
        """Ask the system to fetch what `read` will need; see `Reader.prefetch`.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            only_remote: fetch only from network file systems.
            is_probe: fetch nothing, and look only whether there is anything to fetch.
        """
        cold = (
            self.reader.prefetch(*each, only_remote=only_remote, is_probe=is_probe)
            for each in self._requests(ids)
        )
        return any(cold) if is_probe else any(list(cold))

    def _requests(self, ids: Int64Array) -> Iterator[tuple[list[str], list[ReadRequest]]]:
        wanted = _Wanted.of(ids, self._paths)
        recipes = [recipe for recipe in self._recipes.values() if recipe.plan.kind == "rows"]
        takes = {
            recipe.key: self._take(recipe, np.empty((0, *recipe.shape), recipe.dtype), wanted)
            for recipe in recipes
        }
        yield wanted.paths, [takes[recipe.key] for recipe in recipes if recipe.source.is_uniform]
        for recipe in recipes:
            if not recipe.source.is_uniform:
                yield from (
                    ([wanted.paths[place] for place in part.places], [part.take])
                    for part in recipe.source.parts(takes[recipe.key], wanted.files)
                )

    def page_lock(self, *, wanted: bool) -> None:
        """Read batches straight to page-locked memory; see `BufferPool.page_lock`."""
        self._memory.page_lock(wanted=wanted)

    def close(self) -> None:
        """Close this process's open files; they are opened again when they are needed."""
        self.reader.close()

    def _chosen(self, keys: Sequence[str] | None) -> list[_Recipe]:
        for key in keys or ():
            if key not in self._recipes:
                raise MissingFieldError(f"there is no field {key!r}{nearest(key, self._recipes)}")
        return [self._recipes[key] for key in (self._recipes if keys is None else keys)]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    def _fill(
        self, recipes: Sequence[_Recipe], arrays: Mapping[str, npt.NDArray[Any]], ids: Int64Array
    ) -> None:
        try:
            self._put(recipes, arrays, ids)
        except FloatingPointError as error:
            raise self._overflow(recipes, ids) from error

    def _overflow(self, recipes: Sequence[_Recipe], ids: Int64Array) -> FieldError:
        """The error of a finite value that became infinite in a buffer: found in the values as they are stored."""
        for recipe in recipes:
            plan = recipe.plan
            stored = np.empty((len(ids), *recipe.shape), np.dtype(plan.stored).newbyteorder("="))
            if not plan.is_uniform or stored.dtype == recipe.dtype:
                continue
            self._put([recipe], {recipe.key: stored}, ids)
            lost = first_lost(stored, plan.spec.dtype)
            if lost is not None:
                return self._lost(plan, stored[lost], ids[lost[0]])
        return FieldError("a value is beyond the largest one of the type that it is delivered in")

    def _put(
        self, recipes: Sequence[_Recipe], arrays: Mapping[str, npt.NDArray[Any]], ids: Int64Array
    ) -> None:
        wanted = _Wanted.of(ids, self._paths)
        by_source: dict[FieldSource, list[_Recipe]] = {}
        for recipe in recipes:
            values = recipe.plan.values
            if recipe.plan.kind == "rows":
                by_source.setdefault(recipe.source, []).append(recipe)
            elif values is not None:
                assign(arrays[recipe.key], wanted.slots, values[wanted.files].repeat(wanted.sizes, axis=0))
            else:
                self._fill_constant(recipe, arrays[recipe.key], wanted)
        if not by_source or not wanted.paths:
            return
        shared = {source: _Shared(source, group) for source, group in by_source.items() if len(group) > 1}
        takes = {
            source: self._take_shared(shared[source], wanted)
            if source in shared
            else self._take(group[0], arrays[group[0].key], wanted)
            for source, group in by_source.items()
        }
        uniform = [take for source, take in takes.items() if source.is_uniform]
        if uniform:
            self.reader.read(wanted.paths, uniform)
        for source, take in takes.items():
            if not source.is_uniform:
                self._read_forms(source, take, wanted)
        for each in shared.values():
            each.deal_out(arrays, wanted.slots)

    def _read_forms(self, source: FieldSource, take: ReadRequest, wanted: _Wanted) -> None:
        """Read a field that files store in different ways, or whose numbers stand for others."""
        for part in source.parts(take, wanted.files):
            paths = [wanted.paths[place] for place in part.places]
            self.reader.read(paths, [part.take])
            take.out[part.slots] = source.delivered_rows(part, paths)

    def _fill_constant(self, recipe: _Recipe, out: npt.NDArray[Any], wanted: _Wanted) -> None:
        source = recipe.source
        for place, (start, stop) in enumerate(pairwise(wanted.borders.tolist())):
            path, form = wanted.paths[place], source.form_in(int(wanted.files[place]))
            values = self._constants.get((path, source), partial(self._constant, source, path, form))
            assign(out, wanted.slots[start:stop], values)

    def _constant(self, source: FieldSource, path: str, form: int) -> npt.NDArray[Any]:
        """The values of a constant field in one file."""
        stored = source.sources[form]
        values = np.empty(stored.row_shape, np.dtype(stored.dtype).newbyteorder("="))
        self.reader.read_whole(path, stored, values)
        if source.is_uniform:
            return values
        return source.delivered_whole(values, form, path)

    def _take(self, recipe: _Recipe, out: npt.NDArray[Any], wanted: _Wanted) -> ReadRequest:
        if recipe.plan.steps is None:
            return ReadRequest(recipe.source.sources[0], wanted.borders, wanted.rows, wanted.slots, out)
        start, stop = recipe.plan.steps
        rows = self._step_rows(wanted.rows, start, stop).ravel()
        slots = (wanted.slots[:, None] * (stop - start) + np.arange(stop - start)).ravel()
        out = out.reshape(len(out) * (stop - start), *recipe.plan.row_shape)
        return ReadRequest(recipe.source.sources[0], wanted.borders * (stop - start), rows, slots, out)

    def _take_shared(self, shared: _Shared, wanted: _Wanted) -> ReadRequest:
        """The rows of all steps, each once."""
        rows = self._step_rows(wanted.rows, shared.start, shared.stop)
        file = np.arange(len(wanted.files)).repeat(wanted.sizes)[:, None]
        span = int(rows.max()) + 1
        different, place = np.unique(file * span + rows, return_inverse=True)
        borders = np.searchsorted(different, np.arange(len(wanted.files) + 1) * span)
        values = shared.expect(len(different), place.reshape(rows.shape))
        return ReadRequest(
            shared.source.sources[0], borders, different % span, np.arange(len(different)), values
        )

    def _step_rows(self, rows: Int64Array, start: int, stop: int) -> Int64Array:
        """The rows of steps start to stop of samples, ``(N, stop - start)``."""
        samples = self.index.samples
        dilation = samples.dilation if isinstance(samples, Windows) else 1
        return rows[:, None] + np.arange(start, stop) * dilation

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────

    def _delivered(self, recipes: Sequence[_Recipe], batch: Batch, ids: Int64Array) -> Batch:
        for recipe in recipes:
            if recipe.is_checked:
                batch[recipe.key] = self._deliver(recipe.plan, batch[recipe.key], ids)
        return batch

    def _deliver(self, plan: FieldPlan, tensor: torch.Tensor, ids: Int64Array) -> torch.Tensor:
        array = tensor.numpy()
        mask = plan.mask
        if mask is not None and first_missing(array, mask) is not None:
            self._raise_missing(plan, ids)
        if self.access.on_nonfinite == "raise" and plan.is_floating:
            self._check_finite(plan, array, ids)
        if plan.spec.dtype == array.dtype.name:
            return tensor
        lost = first_lost(array, plan.spec.dtype)
        if lost is not None:
            raise self._lost(plan, array[lost], ids[lost[0]])
        if plan.spec.dtype == "bfloat16":
            return tensor.to(torch.bfloat16)
        with np.errstate(invalid="ignore"):  # a NaN that signals
            return torch.from_numpy(array.astype(plan.spec.dtype))

    def _raise_missing(self, plan: FieldPlan, ids: Int64Array) -> NoReturn:
        """Read a field again and look at each number on the way, to tell the row of the one that is missing."""
        recipe = _Recipe(plan, self.access, {}, is_looked_at=True)
        self._put([recipe], {recipe.key: np.empty((len(ids), *recipe.shape), recipe.dtype)}, ids)
        raise MissingDataError(
            f"field {plan.key!r} ('/{plan.path}') holds a number that stands for a missing value"
        )

    def _check_finite(self, plan: FieldPlan, array: npt.NDArray[Any], ids: Int64Array) -> None:
        if np.isfinite(array).all():
            return
        first = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise NonFiniteError(
            f"field {plan.key!r} ('/{plan.path}') is not finite in the sample at "
            f"{self._describe(ids[first])}. Leave the file out, replace the values in a transform, or accept "
            "them with access.on_nonfinite='ignore'"
        )

    def _lost(self, plan: FieldPlan, value: np.generic, sample: np.int64) -> FieldError:
        return FieldError(
            f"field {plan.key!r} ('/{plan.path}') holds {value!s} at {self._describe(sample)}, which "
            f"{plan.spec.dtype} cannot hold. Choose another Field(dtype=…), or convert in a transform"
        )

    def _describe(self, sample: np.int64) -> str:
        where = self.index.locate([sample])
        name = self.index.series_name(int(where.series[0]))
        series = f" of series {name!r}" if name else ""
        return f"row {int(where.row[0])}{series} of {self.index.path(int(where.file[0]))}"


class _Recipe:
    """How one field is read and delivered: what is the same for all batches.

    Args:
        plan: what the field is.
        access: what to do with values that are not finite.
        known: the sources of other fields, so that equal ones are one.
        is_looked_at: look at each number on the way; see `FieldSource.of`.
    """

    __slots__ = ("dtype", "is_checked", "key", "plan", "shape", "source")

    def __init__(
        self,
        plan: FieldPlan,
        access: Access,
        known: dict[FieldSource, FieldSource],
        *,
        is_looked_at: bool = False,
    ) -> None:
        self.plan = plan
        self.key = plan.key
        self.shape = plan.spec.shape
        source = FieldSource.of(plan, is_looked_at=is_looked_at)
        self.source = known.setdefault(source, source)
        self.dtype = (
            buffer_dtype(plan.stored, plan.spec.dtype) if plan.is_uniform else delivery_dtype(plan.spec.dtype)
        )
        must_be_finite = access.on_nonfinite == "raise" and plan.is_floating
        is_masked = plan.mask is not None
        self.is_checked = must_be_finite or is_masked or plan.spec.dtype != self.dtype.name


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
    def of(cls, ids: Int64Array, paths: _Paths) -> _Wanted:
        # Ids count file by file, row by row.
        slots = np.argsort(ids)
        where = paths.index.locate(ids[slots])
        starts = np.flatnonzero(where.file[1:] != where.file[:-1]) + 1
        borders = np.concatenate([_FIRST, starts, [len(ids)]]) if len(ids) else _FIRST
        files = where.file[borders[:-1]]
        return cls(files, paths.of(files.tolist()), borders, where.row, slots)

    @property
    def sizes(self) -> Int64Array:
        """Samples of each file, ``(files,)``."""
        return self.borders[1:] - self.borders[:-1]


class _Paths:
    """Where files lie; the last ones are kept, since making a path takes longer than reading a row.

    Args:
        index: names them.
    """

    def __init__(self, index: SampleIndex) -> None:
        self.index = index
        self._known: dict[int, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.index,)

    def of(self, files: Sequence[int]) -> list[str]:
        """The path of each file."""
        known = self._known
        try:
            return [known[file] for file in files]
        except KeyError:
            if len(known) > _MOST_PATHS:
                known = {}
            found = {file: known.get(file) or self.index.path(file) for file in files}
            # A new dict: another thread may be reading the old one.
            self._known = {**known, **found}
            return list(found.values())


class _Shared:
    """Fields that are steps of one dataset: its rows are read once, then dealt out.

    Args:
        source: the dataset.
        recipes: the fields.
    """

    def __init__(self, source: FieldSource, recipes: Sequence[_Recipe]) -> None:
        self.source = source
        row_shape, dtype = source.sources[0].row_shape, source.buffer
        self._plans = [recipe.plan for recipe in recipes]
        self.start = min(plan.steps[0] if plan.steps else 0 for plan in self._plans)
        self.stop = max(plan.steps[1] if plan.steps else 1 for plan in self._plans)
        self._values = np.empty((0, *row_shape), dtype)
        self._place = np.zeros((0, self.stop - self.start), np.int64)

    def expect(self, rows: int, place: Int64Array) -> npt.NDArray[Any]:
        """A buffer for some rows, of which row ``place[i, s]`` is step ``start + s`` of sample i."""
        self._values = np.empty((rows, *self._values.shape[1:]), self._values.dtype)
        self._place = place
        return self._values

    def deal_out(self, arrays: Mapping[str, npt.NDArray[Any]], slots: Int64Array) -> None:
        """Fill the fields from the rows that were read."""
        for plan in self._plans:
            steps = slice(plan.steps[0] - self.start, plan.steps[1] - self.start) if plan.steps else 0
            assign(arrays[plan.key], slots, self._values[self._place[:, steps]])


class _ConstantCache:
    """Datasets without a sample axis, kept while they fit; any number of threads. Empty in another process."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._local: ProcessLocal[_Constants] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._limit_bytes,))

    def get(self, key: _ConstantKey, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The values of a constant field in one file; made unless they are still there."""
        constants = self._local.get(self._make)
        values = constants.find(key)
        if values is None:
            values = make()
            constants.add(key, values)
        return values

    def _make(self) -> _Constants:
        return _Constants(self._limit_bytes)


class _Constants:
    """The values of one process, least recently used first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: OrderedDict[_ConstantKey, npt.NDArray[Any]] = OrderedDict()
        self._guard = Guard()

    def find(self, key: _ConstantKey) -> npt.NDArray[Any] | None:
        """What was added, if it is still there."""
        return self._guard.run(self._find, key)

    def add(self, key: _ConstantKey, values: npt.NDArray[Any]) -> None:
        """Keep values; the oldest go when there are too many."""
        self._guard.run(self._add, key, values)

    def _find(self, key: _ConstantKey) -> npt.NDArray[Any] | None:
        values = self._values.get(key)
        if values is not None:
            self._values.move_to_end(key)
        return values

    def _add(self, key: _ConstantKey, values: npt.NDArray[Any]) -> None:
        if key in self._values:  # another thread read them too
            return
        # In one line, so that no interrupt comes between the two.
        self._values[key], self._bytes = values, self._bytes + values.nbytes
        while self._bytes > self._limit_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
