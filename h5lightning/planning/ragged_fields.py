"""Kinds of fields whose samples may have different shapes, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.planning.box_field import BoxField
from h5lightning.planning.fields import FieldPlan, RowField
from h5lightning.planning.ragged import UnitValues
from h5lightning.planning.row_runs import RowRuns

__all__ = ["BoxRunField", "RaggedAttributeField", "RunField", "ToldField"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunField(RowField):
    """A field whose samples have their own numbers of rows, or rows that are drawn.

    Args:
        runs: finds the rows of each sample.
    """

    runs: RowRuns


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BoxRunField(BoxField):
    """Whole series along another axis than the first, with their own numbers of rows, or rows that are drawn.

    Args:
        runs: finds the rows of each sample.
    """

    runs: RowRuns


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RaggedAttributeField(FieldPlan):
    """An attribute whose shape differs between files.

    Args:
        values: its value in each unit, in the type of delivery.
    """

    values: UnitValues


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ToldField(FieldPlan):
    """The lengths of the samples of another field along one axis, or which entries of the padded ones are padding.

    It is made of what is delivered of the other field, and reads nothing.

    Args:
        of: the key of the other field.
        axis: the axis of a sample.
        is_padding: whether it tells the padding.
    """

    of: str
    axis: int
    is_padding: bool

    @property
    def mean_numbers(self) -> float:
        """Numbers of one sample as it is read: none."""
        return 0.0
