"""The kind of field whose samples are boxes of a dataset: rows along any axis, and windows along several axes."""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.planning.fields import FieldPlan, JoinedField, RowField, row_field_of
from h5lightning.planning.row_numbers import AlongAxes

__all__ = ["BoxField", "sample_axes", "window_axes_of"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BoxField(RowField):
    """Rows along another axis than the leading ones, or windows along several axes: a sample is a box of the dataset.

    Args:
        row_numbers: the axes of the dataset.
        sizes: entries that a sample has along each axis of the dataset; 1 along that of series, ``(ndim,)``.
        element_shape: shape of one value of a column that holds arrays; ``()`` for all else.
    """

    row_numbers: AlongAxes
    sizes: tuple[int, ...]
    element_shape: tuple[int, ...] = ()

    @property
    def row_axis(self) -> int:
        """The axis of the dataset along which its rows lie."""
        return self.row_numbers.axes[0]

    @property
    def other_axes(self) -> tuple[int, ...]:
        """The axes of the dataset along which windows lie too."""
        return self.row_numbers.axes[1:]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of a sample; of the longest one, where samples have their own numbers of rows."""
        return tuple(self.sizes[axis] for axis in self.sample_axes) + self.element_shape

    @property
    def sample_axes(self) -> tuple[int, ...]:
        """The axis of the dataset that each axis of a sample is, without those of array columns."""
        return sample_axes(len(self.sizes), self.row_numbers, has_steps=self.steps is not None)

    @property
    def window_axes(self) -> tuple[int, ...]:
        """The axes of a sample that are those of its window: that of the steps, and the other ones; else none."""
        kept = self.sample_axes
        return tuple(kept.index(axis) for axis in self.row_numbers.axes if axis in kept)


def sample_axes(ndim: int, numbers: AlongAxes, *, has_steps: bool) -> tuple[int, ...]:
    """The axes of a dataset that the samples of a field have: not that of series, and that of rows only for windows."""
    gone = {numbers.series_axis, *([] if has_steps else [numbers.axes[0]])}
    return tuple(axis for axis in range(ndim) if axis not in gone)


def window_axes_of(plan: FieldPlan) -> tuple[int, ...]:
    """The axes of a sample of a field that are those of its window; none for samples of one row."""
    first = row_field_of(plan)
    if first is None or first.steps is None:
        return ()
    axes = first.window_axes if isinstance(first, BoxField) else (0,)
    if isinstance(plan, JoinedField) and len(plan.spec.shape) > len(first.spec.shape):
        return tuple(axis + (axis >= plan.axis) for axis in axes)
    return axes
