"""Where the windows of samples begin, drawn or not, and which of their entries are padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.planning.borders import Borders, Room
from h5lightning.planning.box_field import window_axes_of
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.fields import FieldPlan, Fields, row_field_of
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.split_plan import Segments

__all__ = ["SampleStarts"]


@dataclass(frozen=True, slots=True, eq=False)
class SampleStarts:
    """The starts of the samples of an index.

    Args:
        index: the samples.
        borders: where rows that belong together end; None if windows are neither padded nor drawn.
        zeroed: the fields whose padding is zeros.
    """

    index: SampleIndex
    borders: Borders | None
    zeroed: Mapping[str, FieldPlan]

    @classmethod
    def of(cls, index: SampleIndex, fields: Fields, parts: Iterable[Segments]) -> SampleStarts:
        """The starts of samples of these fields; windows end at the borders of ``parts``, and with their series."""
        pad = index.reach.pad
        borders = Borders.of(index, parts) if pad is not None or index.samples.jitter else None
        rows = [plan for plan in fields.plans if row_field_of(plan) is not None]
        # Of encoded bytes that are delivered as a list, the reader takes care.
        is_zeroed = (plan for plan in rows if pad == "zero" and plan.spec.dtype != BYTES)
        return cls(index, borders, {plan.key: plan for plan in is_zeroed})

    def __call__(self, ids: Int64Array, draws: SampleDraws | None = None) -> Int64Array:
        """The first entry of samples along each axis of a window, ``(N, axes)``: the row in its series, then others.

        Args:
            ids: numbers of the samples in the index, ``(N,)``.
            draws: what is drawn for each sample; None for the cells that they are numbered by.
        """
        starts = self.index.starts(self.index.locate(ids))
        room = self._drawn_room(ids, draws)
        if room is not None and room.shift is not None:
            starts[:, 0] += room.shift
            if room.others is not None:
                starts[:, 1:] = room.others
        return starts

    def shifts(self, draws: SampleDraws | None) -> Callable[[Int64Array], Int64Array] | None:
        """Ids of samples → rows from the start of the cell of each to its drawn start; None where none is drawn."""
        is_drawn = draws is not None and draws.jitters and self.index.samples.jitter
        return partial(self._shifts, draws=draws) if is_drawn else None

    def put_zeros(
        self, batch: Mapping[str, torch.Tensor | RaggedValues], ids: Int64Array, draws: SampleDraws | None
    ) -> None:
        """Put zeros where entries of the windows of a batch are padding."""
        keys = batch.keys() & self.zeroed.keys()
        if keys and self.borders is not None:
            room = self.borders.room(ids, draws)
            for key in keys:
                _put_zeros(batch[key], self.zeroed[key], room)

    def _shifts(self, ids: Int64Array, draws: SampleDraws | None) -> Int64Array:
        room = self._drawn_room(ids, draws)
        return np.zeros_like(ids) if room is None or room.shift is None else room.shift

    def _drawn_room(self, ids: Int64Array, draws: SampleDraws | None) -> Room | None:
        is_drawn = draws is not None and draws.jitters
        return self.borders.room(ids, draws) if is_drawn and self.borders is not None else None


def _put_zeros(values: torch.Tensor | RaggedValues, plan: FieldPlan, room: Room) -> None:
    """Put zeros where entries of windows are padding, ``(N, …)``."""
    field, axes = row_field_of(plan), window_axes_of(plan)
    if field is None or not axes:
        return
    is_padding = torch.from_numpy(room.padding_of(field))
    if isinstance(values, RaggedValues):  # windows along one axis, the first one
        for view, is_zero in zip(values.views(), is_padding, strict=True):
            view[is_zero] = 0
        return
    entries = torch.movedim(values, [axis + 1 for axis in axes], list(range(1, len(axes) + 1)))
    entries[is_padding] = 0
