"""Reads blocks of rows of some fields: decoded values as they are, without padding and conversions of training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.located_batch import FilePaths, LocatedBatch
from h5lightning.loading.fields.make_field_reader import make_field_reader
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.read_fields import read_fields
from h5lightning.planning.box_field import window_axes_of
from h5lightning.planning.encoded_field import differs_by_row
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.passes.row_blocks import RowBlock
from h5lightning.planning.passes.rows_of_field import (
    Block,
    is_by_entry,
    is_by_row,
    rows_plan,
    with_stored_type,
)
from h5lightning.storage.readers.protocol import Reader

__all__ = ["BlockReader", "BlockValues"]

Array = npt.NDArray[Any]

_MOST_KEPT = 64  # sizes of blocks whose readers are kept


@dataclass(frozen=True, slots=True, eq=False)
class BlockValues:
    """The values of one field in a block.

    Args:
        arrays: values of one shape each, ``(N, *row_shape)``; several if rows have different shapes. Of a field that
            has one value for many rows, that of the first row, ``(1, *shape)``.
        is_by_row: whether each row has a value of its own, in the order of the rows. If windows lie along several axes,
            or a row is an entry of an index, a row has several entries of ``arrays``.
        places: where the values of each array belong, ascending: the rows of the block; None for one array of all rows,
            and where rows of a block have one shape.
    """

    arrays: tuple[Array, ...]
    is_by_row: bool
    places: tuple[Int64Array, ...] | None = None

    def of(self, rows: slice | Int64Array) -> BlockValues:
        """The values of some of the rows, ascending, where each row has one entry."""
        if not self.is_by_row:
            return self
        if self.places is None:
            (array,) = self.arrays
            return BlockValues((array[rows],), is_by_row=True)
        count = sum(map(len, self.places))
        new_place = np.full(count, -1)
        wanted = np.arange(count)[rows]
        new_place[wanted] = np.arange(len(wanted))
        which = [np.flatnonzero(new_place[places] >= 0) for places in self.places]
        return BlockValues(
            tuple(array[own] for array, own in zip(self.arrays, which, strict=True)),
            is_by_row=True,
            places=tuple(new_place[places[own]] for places, own in zip(self.places, which, strict=True)),
        )


class BlockReader:
    """Reads blocks; any number of threads may use it.

    Args:
        index: of rows.
        plans: the fields, as training has them.
        reader: reads rows into buffers.
        cache_bytes: for values that many rows share.
        other_lengths: entries of each unit along the other axes of windows, ``(units, axes)``; None for none.
        tiles: entries along the first of them that are read together, in each unit, ``(units,)``; None for all.
    """

    def __init__(
        self,
        index: SampleIndex,
        plans: Sequence[FieldPlan],
        reader: Reader,
        *,
        cache_bytes: int,
        other_lengths: Int64Array | None = None,
        tiles: Int64Array | None = None,
    ) -> None:
        self._index = index
        self._reader = reader
        self._paths = FilePaths(index)
        self._plans = [with_stored_type(plan) for plan in plans]
        self._other_lengths, self._tiles = other_lengths, tiles
        self._context = ReadContext(reader, ConstantCache(cache_bytes, len(index.rows_of_units)))
        self._kept: dict[Block, list[FieldReader]] = {}

    def read(self, block: RowBlock) -> Iterator[dict[str, BlockValues]]:
        """The values of all fields in a block; in tiles, if there are any, one after the other.

        Raises:
            H5LightningError: a file cannot be read, or a number represents a missing value in a field without
                ``decode``.
        """
        located, first = (LocatedBatch.of(ids, self._paths) for ids in (block.ids, block.ids[:1]))
        if self._other_lengths is None:
            yield self._of_block(block, Block(block.run), located, first)
            return
        unit = int(located.units[0])
        length, *lengths = self._other_lengths[unit].tolist()
        step = length if self._tiles is None else int(self._tiles[unit])
        for start in range(0, length, max(1, step)):
            others = min(step, length - start), *lengths
            starts = np.zeros((len(block.ids), len(others)), np.int64)
            starts[:, 0] = start
            tile = Block(block.run, others)
            yield self._of_block(block, tile, replace(located, others=starts), first)

    def _of_block(
        self, block: RowBlock, read: Block, located: LocatedBatch, first: LocatedBatch
    ) -> dict[str, BlockValues]:
        readers = self._readers(read)
        by_row = [one for one in readers if is_by_row(one.plan) and not differs_by_row(one.plan)]
        shared = [one for one in readers if not is_by_row(one.plan)]
        found = self._of(located, by_row) | (self._of(first, shared) if shared else {})
        return found | self._of_each(block) if len(found) < len(readers) else found

    def read_shared(self, ids: Int64Array) -> dict[str, BlockValues]:
        """The values of the fields that are the same for many rows, one for each id, ``(N, *shape)``.

        Ids ascend. If values have different shapes, they are grouped by shape: ask for one id at a time then.
        """
        located = LocatedBatch.of(ids, self._paths)
        return self._of(located, [one for one in self._readers(Block(1)) if not is_by_row(one.plan)])

    def _of_each(self, block: RowBlock) -> dict[str, BlockValues]:
        """The values of the fields whose rows have different shapes in one unit."""
        located = LocatedBatch.of(replace(block, chosen=None).row_ids(), self._paths)
        return self._of(located, [one for one in self._readers(Block(1)) if differs_by_row(one.plan)])

    def _of(self, located: LocatedBatch, readers: Sequence[FieldReader]) -> dict[str, BlockValues]:
        layouts = {one.key: one.layout(located) for one in readers}
        buffers = {one.key: one.buffer_for(located) for one in readers}
        read_fields(self._reader, readers, buffers, located)
        return {one.key: _values(one.plan, buffers[one.key], layouts[one.key]) for one in readers}

    def _readers(self, block: Block) -> list[FieldReader]:
        readers = self._kept.get(block)
        if readers is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept = {}
            plans = (rows_plan(plan, block) for plan in self._plans)
            readers = self._kept[block] = [make_field_reader(plan, self._context_of(plan)) for plan in plans]
        return readers

    def _context_of(self, plan: FieldPlan) -> ReadContext:
        """Numbers that may be missing values are checked while they are read."""
        return replace(self._context, checks_each=plan.mask is not None)


def _values(plan: FieldPlan, buffer: Array, layout: RaggedLayout | None) -> BlockValues:
    """The values of a filled buffer, with the axes of windows as one axis before those of a row."""
    if not is_by_row(plan):
        return BlockValues(_by_shape(buffer, layout), is_by_row=False)
    if is_by_entry(plan):
        inner = tuple(length for length in plan.spec.shape[1:] if length is not None)
        if layout is not None and len(inner) < len(plan.spec.shape) - 1:
            arrays = _by_shape(buffer, layout)
            return BlockValues(tuple(one.reshape(-1, *one.shape[2:]) for one in arrays), is_by_row=True)
        return BlockValues((buffer.reshape(-1, *inner),), is_by_row=True)
    axes = tuple(axis + 1 for axis in window_axes_of(plan))
    found = []
    places = None
    if layout is not None and differs_by_row(plan):
        which = np.unique(layout.shapes, axis=0, return_inverse=True)[1].reshape(-1)
        places = tuple(np.flatnonzero(which == number) for number in range(int(which.max(initial=0)) + 1))
    for array in _by_shape(buffer, layout):
        moved = np.moveaxis(array, axes, range(1, len(axes) + 1))
        first = math.prod(moved.shape[: len(axes) + 1])
        found.append(moved.reshape(first, *moved.shape[len(axes) + 1 :]))
    return BlockValues(tuple(found), is_by_row=True, places=places)


def _by_shape(buffer: Array, layout: RaggedLayout | None) -> tuple[Array, ...]:
    """Samples of one shape each, ``(N, *shape)``; in the order of the samples where they all have one shape."""
    if layout is None:
        return (buffer,)
    shapes, which = np.unique(layout.shapes, axis=0, return_inverse=True)
    found = []
    for number, shape in enumerate(shapes.tolist()):
        size = math.prod(shape)
        starts = layout.starts[which.reshape(-1) == number]
        is_run = len(starts) < 2 or bool((np.diff(starts) == size).all())
        flat = (
            buffer[starts[0] : starts[0] + size * len(starts)]
            if is_run
            else buffer[(starts[:, None] + np.arange(size)).reshape(-1)]
        )
        found.append(flat.reshape(len(starts), *shape))
    return tuple(found)
