"""Compare delivered samples one by one with slices of h5py, and what is made of samples of different shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import torch

from h5lightning.errors import FieldError, H5LightningError, MissingDataError, ResourceError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.options import Windows
from h5lightning.planning.box_field import BoxField, window_axes_of
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import FieldPlan, JoinedField, PaddingField, StoredField
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.tools.check.run import CheckRun, DrawnUnit, describe_id
from h5lightning.tools.check.sliced_samples import Sliced, cell_starts, sliced_samples
from h5lightning.tools.check.wrong_values import ValueCheck, wrong_values

__all__ = ["SliceCheck", "as_numpy"]

Array = npt.NDArray[Any]


class SliceCheck(NamedTuple):
    """Compares the samples of one file.

    Args:
        run: the run.
        file: the number of the file.
        delivered: reads as training does.
        pool: opens the file.
    """

    run: CheckRun
    file: int
    delivered: BatchReader
    pool: HandlePool

    def check(
        self, checks: list[ValueCheck], whole: FieldPlan, part: int, plan: StoredField, drawn: DrawnUnit
    ) -> None:
        """Add to each check the failures of the samples of one unit.

        Args:
            checks: at least one.
            whole: the field.
            part: the number of the dataset that is compared, in a field that joins several.
            plan: the plan of this dataset.
            drawn: the samples.
        """
        draws = self._draws
        try:
            views = self._views(whole.key, drawn, draws)
            sliced = list(self._sliced(plan, drawn, self.delivered.starts(drawn.ids, draws)))
        except (MissingDataError, FieldError) as error:
            last = -1 if isinstance(error, MissingDataError) else 0
            checks[last].failures.append(f"{self.run.name_of(drawn.unit)}: {error}")
            return
        except (H5LightningError, OSError):
            return  # the check of both readers reports it
        if isinstance(whole, JoinedField):
            place = (slice(None),) * whole.axis + (slice(*whole.borders[part : part + 2]),)
            views = [view[place] for view in views]
        with self._open(self.run.path_in(plan, drawn.unit)) as dataset:
            for check in checks:
                for number, (view, one) in enumerate(zip(views, sliced, strict=True)):
                    if problem := self._problem(check.kind, dataset, view, one, plan, drawn.unit):
                        where = describe_id(self.run.index, int(drawn.ids[number]))
                        check.failures.append(f"{plan.title} {problem}, first in {where}")
                        break

    def check_starts(self, check: ValueCheck, drawn: DrawnUnit) -> None:
        """Add a failure if a window begins outside of its cell, or at another place than its cell without jitter."""
        samples = self.run.index.samples
        if not isinstance(samples, Windows):
            return
        try:
            cells = cell_starts(self.run, drawn, self._other_lengths(drawn.unit))
        except (H5LightningError, OSError):
            return  # the check of both readers reports it
        shifts = self.delivered.starts(drawn.ids, self._draws) - cells
        most = np.asarray(samples.strides) - 1 if samples.jitter else 0
        wrong = np.flatnonzero(((shifts < 0) | (shifts > most)).any(axis=1))
        if wrong.size:
            where = describe_id(self.run.index, int(drawn.ids[wrong[0]]))
            check.failures.append(
                f"a window begins {shifts[wrong[0]].tolist()} entries beyond its cell, first in {where}"
            )

    def check_told(self, check: ValueCheck, drawn: DrawnUnit) -> None:
        """Add the failures of what is made of whole batches: padding, and samples of different shapes put together."""
        try:
            for text in self._wrong_told(drawn):
                check.failures.append(f"{text}, in samples of {self.run.name_of(drawn.unit)}")
        except (H5LightningError, OSError):
            pass  # the check of both readers reports it

    def _wrong_told(self, drawn: DrawnUnit) -> Iterator[str]:
        draws, fields = self._draws, self.delivered.fields
        ids, starts = drawn.ids, self.delivered.starts(drawn.ids, draws)
        told = {plan.of: plan for plan in fields.plans if isinstance(plan, DerivedField)}
        for plan in fields.plans:
            if isinstance(plan, PaddingField):
                delivered = as_numpy(self.delivered.read(ids, [plan.key], draws=draws)[plan.key])
                sliced = self._sliced(plan.of, drawn, starts)
                expected = [_padding_of(plan, one.is_padding) for one in sliced]
                if not np.array_equal(delivered, np.stack(expected).reshape(delivered.shape)):
                    yield f"field {plan.key!r} does not tell which entries of {plan.of.key!r} are padding"
            elif plan.ragged is not None:
                batch = self.delivered.read(ids, [plan.key], draws=draws)
                views = [as_numpy(view) for view in _views_of(batch[plan.key])]
                try:
                    made = self.delivered.ragged_delivery().combined(batch, ids)
                except (FieldError, ResourceError):
                    continue  # a transform may change shapes, and a batch is not one of these
                yield from _wrong_batch(
                    plan, views, made, [one for key, one in told.items() if key == plan.key]
                )

    def _other_lengths(self, unit: int) -> npt.NDArray[np.int64]:
        """Entries of a unit along the axes of windows beside that of the rows."""
        for plan in self.run.fields_of(self.file).row_fields:
            if isinstance(plan, BoxField) and plan.other_axes:
                with self._open(self.run.path_in(plan, unit)) as dataset:
                    return np.asarray(dataset.shape, np.int64)[list(plan.other_axes)]
        return np.zeros(0, np.int64)

    @property
    def _draws(self) -> SampleDraws:
        return SampleDraws(self.run.data.seed, 0, jitters=True)

    def _views(self, key: str, drawn: DrawnUnit, draws: SampleDraws) -> list[Array]:
        values = self.delivered.read(drawn.ids, [key], draws=draws)[key]
        return [as_numpy(view) for view in _views_of(values)]

    def _sliced(self, plan: StoredField, drawn: DrawnUnit, starts: npt.NDArray[np.int64]) -> Iterator[Sliced]:
        return sliced_samples(self.run, self._open, plan, drawn, starts)

    def _open(self, path: str) -> AbstractContextManager[h5py.Dataset]:
        return self.pool.dataset(self.run.index.path(self.file), path)

    def _problem(
        self, kind: str, dataset: h5py.Dataset, view: Array, one: Sliced, plan: StoredField, unit: int
    ) -> str:
        """What is wrong with one sample; empty if nothing is."""
        if view.size != one.stored.size:
            return f"has the shape {view.shape}, where h5py slices {one.stored.shape}"
        view = view.reshape(one.stored.shape)
        stored = one.stored
        if one.is_padding.any() and self.run.index.reach.pad == "zero":
            if np.any(view[one.is_padding] != 0):
                return "has padding that is not zero"
            view, stored = view[~one.is_padding], stored[~one.is_padding]
        return next(
            (text for text, _ in wrong_values(kind, dataset, view[None], stored[None], plan, unit)), ""
        )


def as_numpy(tensor: torch.Tensor) -> Array:
    """The values of a tensor; NumPy has no bfloat16."""
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array


def _views_of(values: RaggedValues | torch.Tensor) -> list[torch.Tensor]:
    return values.views() if isinstance(values, RaggedValues) else list(values)


def _padding_of(plan: PaddingField, is_padding: Array) -> Array:
    """The padding of one sample along the axes of its window; along others, all entries are alike."""
    axes = window_axes_of(plan.of)
    moved = np.moveaxis(is_padding, axes, range(len(axes)))
    return moved.reshape(*moved.shape[: len(axes)], -1)[..., 0]


def _wrong_batch(
    plan: FieldPlan, views: list[Array], made: dict[str, Any], told: list[DerivedField]
) -> Iterator[str]:
    """What is wrong with a batch of samples of different shapes."""
    mode = "" if plan.ragged is None else plan.ragged.mode
    found = made[plan.key]
    parts = [as_numpy(one) for one in found] if mode == "list" else [as_numpy(found)]
    expected = _put_together(mode, views)
    same = len(parts) == len(expected) and all(map(_is_same, parts, expected))
    if not same:
        yield f"{plan.title} with ragged={mode!r} is not made of its samples"
    for one in told:
        lengths = np.asarray([view.shape[one.axis] for view in views])
        right = np.arange(lengths.max(initial=0)) >= lengths[:, None] if one.is_padding else lengths
        if not np.array_equal(as_numpy(made[one.key]), right):
            yield f"field {one.key!r} does not tell the {'padding' if one.is_padding else 'lengths'} of {plan.key!r}"


def _put_together(mode: str, views: list[Array]) -> list[Array]:
    if mode == "list":
        return views
    if mode == "concat":
        return [np.concatenate(views)]
    if mode == "stack":
        return [np.stack(views)]
    longest = np.max([view.shape for view in views], axis=0)
    padded = np.zeros((len(views), *longest), views[0].dtype)
    for number, view in enumerate(views):
        padded[number][tuple(map(slice, view.shape))] = view
    return [padded]


def _is_same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
