"""What fields ask for whose samples are boxes: rows along any axis, and windows along several axes.

Windows that lie inside of their borders are read together, straight into the batch. Of the others, the part inside is
read for each of them, and its last entries are repeated beyond the border.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.loading.fields.run_rows import RunRows
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import StoredForm
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray

__all__ = ["BoxRequests", "Boxes", "whole_boxes"]

Array = npt.NDArray[Any]


def whole_boxes(out: Array, plan: BoxField) -> Array:
    """A buffer ``(N, *shape)`` as one with all axes of the dataset, ``(N, *sizes, *element_shape)``."""
    return out.reshape(len(out), *plan.sizes, *plan.element_shape)


@dataclass(frozen=True, slots=True, eq=False)
class BoxRequests:
    """What a field asks for, and what is done once it was read.

    Args:
        asked: the boxes to read.
        finish: put boxes that reach beyond borders into the buffer.
    """

    asked: list[RowRequest]
    finish: list[Callable[[], None]]

    def add(self, request: RowRequest, put: Callable[[], None]) -> None:
        """Add a request, and what is done once it was read."""
        self.asked.append(request)
        self.finish.append(put)

    def extend(self, other: BoxRequests) -> None:
        """Add the requests of another one."""
        self.asked.extend(other.asked)
        self.finish.extend(other.finish)


class Boxes:
    """The boxes of some samples of a batch.

    Args:
        plan: the field.
        form: how their files store it.
        batch: the samples.
        out: the buffer, ``(M, *sizes, *element_shape)``, of any type that a reader can fill.
        which: the samples, by their index in the batch, ascending, ``(n,)``.
        slots: the slot of each in the buffer, ``(n,)``.
    """

    def __init__(
        self,
        plan: BoxField,
        form: StoredForm,
        batch: LocatedBatch,
        out: Array,
        which: Int64Array,
        slots: Int64Array,
    ) -> None:
        self._plan, self._batch, self._out = plan, batch, out
        self._which, self._slots = which, slots
        self._source = DatasetArray(plan.path, plan.member, form.dtype, len(plan.sizes), plan.element_shape)
        self._files = np.arange(len(batch.borders) - 1).repeat(batch.sizes)[which]
        numbers = plan.row_numbers
        self._starts = np.zeros((len(which), len(plan.sizes)), np.int64)
        self._starts[:, plan.row_axis] = numbers.first_rows(batch)[which]
        if numbers.series_axis is not None:
            self._starts[:, numbers.series_axis] = batch.series_numbers[which]
        if plan.other_axes and batch.others is not None:
            self._starts[:, plan.other_axes] = batch.others[which]
        # The row of each step, counted from the first row of a sample; those beyond borders are at the border.
        offsets = plan.offsets if plan.steps is not None else np.zeros(1, np.int64)
        room = batch.room
        clips = room is not None and plan.steps is not None
        self._offsets = (
            room.clipped(plan)[which] if clips and room is not None else offsets[None].repeat(len(which), 0)
        )

    def requests(self, runs: RunRows | None = None) -> BoxRequests:
        """What to read, and what to do with it; ``runs`` finds rows of files that go on where others end."""
        plan = self._plan
        if runs is not None and plan.steps is not None:
            return self._in_runs(runs)
        if plan.dilation > 1 and len(plan.offsets) > 1:
            return BoxRequests([self._step(number) for number in range(len(plan.offsets))], [])
        return self._windows()

    def _windows(self) -> BoxRequests:
        """Windows whose steps follow each other."""
        room = self._batch.room
        clipped = None if room is None else room.has_padding(self._plan)[self._which]
        if clipped is None or not clipped.any():
            return BoxRequests([self._request(slice(None))], [])
        inside = np.flatnonzero(~clipped)
        found = BoxRequests([self._request(inside)] if inside.size else [], [])
        for number in np.flatnonzero(clipped).tolist():
            found.add(*self._clipped(number))
        return found

    def _step(self, number: int) -> RowRequest:
        """One step of all windows."""
        starts = self._starts.copy()
        starts[:, self._plan.row_axis] += self._offsets[:, number]
        out, sizes = self._step_of(self._out, number)
        return self._boxes(self._files, starts, sizes, self._slots, out)

    def _in_runs(self, runs: RunRows) -> BoxRequests:
        """Windows that may reach into other files: those inside of their file, and single steps of the others."""
        plan, batch = self._plan, self._batch
        _, rows = runs.divided(batch, self._all_offsets(), plan.offsets)
        if rows is None:
            return self._windows()
        count = len(plan.offsets)
        number_of = np.full(len(batch.slots), -1)  # of each slot of the batch, among the samples
        number_of[batch.slots[self._which]] = np.arange(len(self._which))
        numbers, steps = number_of[rows.slots // count], rows.slots % count
        files = np.arange(len(rows.borders) - 1).repeat(rows.sizes)
        is_single = np.zeros(len(self._which), np.bool_)
        is_single[numbers[numbers >= 0]] = True
        is_cut = self._is_cut()
        found = BoxRequests([], [])
        inside = np.flatnonzero(~is_single & ~is_cut)
        if inside.size:
            found.asked.append(self._request(inside))
        for number in np.flatnonzero(~is_single & is_cut).tolist():
            found.add(*self._clipped(number))
        for one in range(count):
            chosen = np.flatnonzero((steps == one) & (numbers >= 0) & ~is_cut[numbers])
            if not chosen.size:
                continue
            starts = self._starts[numbers[chosen]]
            starts[:, plan.row_axis] = rows.rows[chosen]
            out, sizes = self._step_of(self._out, one)
            slots = self._slots[numbers[chosen]]
            found.asked.append(self._boxes(files[chosen], starts, sizes, slots, out, rows.paths))
        for number in np.flatnonzero(is_single & is_cut).tolist():
            own = np.flatnonzero(numbers == number)
            found.extend(self._cut_steps(number, steps[own], rows.rows[own], files[own], rows.paths))
        return found

    def _is_cut(self) -> BoolArray:
        """Which windows reach beyond the end of an axis beside that of the rows, ``(n,)``."""
        room, plan = self._batch.room, self._plan
        if room is None or room.others is None or room.other_lengths is None or not plan.other_axes:
            return np.zeros(len(self._which), np.bool_)
        sizes = np.asarray([plan.sizes[axis] for axis in plan.other_axes])
        is_cut: BoolArray = (room.others + sizes > room.other_lengths).any(axis=1)[self._which]
        return is_cut

    def _cut_steps(
        self, number: int, steps: Int64Array, rows: Int64Array, files: Int64Array, paths: Sequence[str]
    ) -> BoxRequests:
        """The steps of one window in some files, which reaches beyond the end of another axis."""
        plan = self._plan
        entries = self._entries(number)
        del entries[plan.row_axis]
        sizes, starts = list(plan.sizes), self._starts[number].copy()
        for axis, each in entries.items():
            starts[axis], sizes[axis] = each[0], int(each[-1] - each[0]) + 1
        inside = np.empty((1, *sizes, *plan.element_shape), self._out.dtype)
        target = self._out[self._slots[number] : self._slots[number] + 1]
        found = BoxRequests([], [partial(_repeat_ends, inside, target, entries)])
        zero = np.zeros(1, np.int64)
        for step, row, file in zip(steps.tolist(), rows.tolist(), files, strict=True):
            starts[plan.row_axis] = row
            out, _ = self._step_of(inside, step)
            shape = out.shape[1 : len(sizes) + 1]
            found.asked.append(self._boxes(np.asarray([file]), starts[None].copy(), shape, zero, out, paths))
        return found

    def _all_offsets(self) -> Int64Array:
        room = self._batch.room
        return self._plan.offsets if room is None else room.clipped(self._plan)

    def _step_of(self, out: Array, number: int) -> tuple[Array, tuple[int, ...]]:
        """The part of a buffer for one step, and the sizes of its boxes."""
        axis = self._plan.row_axis
        sizes = (*self._plan.sizes[:axis], 1, *self._plan.sizes[axis + 1 :])
        place = (slice(None),) * (axis + 1) + (slice(number, number + 1),)
        return out[place], sizes

    def _request(self, chosen: Int64Array | slice) -> RowRequest:
        """Whole windows of some samples."""
        starts = self._starts[chosen]
        if self._plan.steps is not None:
            starts = starts.copy()
            starts[:, self._plan.row_axis] += self._plan.offsets[0]
        return self._boxes(self._files[chosen], starts, self._plan.sizes, self._slots[chosen], self._out)

    def _boxes(
        self,
        files: Int64Array,
        starts: Int64Array,
        sizes: tuple[int, ...],
        slots: Int64Array,
        out: Array,
        paths: Sequence[str] | None = None,
    ) -> RowRequest:
        """A request for boxes of the files that they lie in.

        ``files`` are their indices among ``paths``, ascending; among those of the batch, if there are no others.
        """
        count = len(self._batch.borders) - 1 if paths is None else len(paths)
        sizes_of = np.bincount(files, minlength=count)
        used = np.flatnonzero(sizes_of)
        borders = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes_of[used])])
        request = BoxRequest(self._source, borders, starts, sizes, slots, out)
        return RowRequest(request, None if len(used) == count else tuple(used.tolist()), paths)

    def _clipped(self, number: int) -> tuple[RowRequest, Callable[[], None]]:
        """The part of one window inside of its borders, and what repeats its ends beyond them."""
        plan, entries = self._plan, self._entries(number)
        starts, sizes = self._starts[number].copy(), list(plan.sizes)
        for axis, each in entries.items():
            starts[axis], sizes[axis] = each[0], int(each[-1] - each[0]) + 1
        inside = np.empty((1, *sizes, *plan.element_shape), self._out.dtype)
        files = self._files[number : number + 1]
        request = self._boxes(files, starts[None], tuple(sizes), np.zeros(1, np.int64), inside)
        target = self._out[self._slots[number] : self._slots[number] + 1]
        return request, partial(_repeat_ends, inside, target, entries)

    def _entries(self, number: int) -> dict[int, Int64Array]:
        """Axis of the dataset → the entry along it of each entry of a window; beyond borders, that at the border."""
        plan, room = self._plan, self._batch.room
        entries = {plan.row_axis: self._starts[number, plan.row_axis] + self._offsets[number]}
        if room is not None and room.other_lengths is not None:
            lengths = room.other_lengths[self._which[number]].tolist()
            # A field may have windows along the rows alone.
            for axis, length in zip(plan.other_axes, lengths, strict=False):
                first = self._starts[number, axis]
                entries[axis] = np.arange(first, first + plan.sizes[axis]).clip(0, length - 1)
        return entries


def _repeat_ends(inside: Array, target: Array, entries: dict[int, Int64Array]) -> None:
    """Put the inside of a window into its place; entries beyond a border are those at the border."""
    for axis, each in entries.items():
        inside = inside.take(each - each[0], axis=axis + 1)
    target[...] = inside
