"""Kinds of fields whose samples may have different shapes, and of their lengths and padding."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from h5lightning.planning.box_field import BoxField
from h5lightning.planning.catalog.row_index import RowIndex
from h5lightning.planning.fields import ConstantField, FieldPlan, RowField
from h5lightning.planning.ragged import UnitValues
from h5lightning.planning.row_runs import RowRuns

__all__ = ["BoxRunField", "DerivedField", "NestedField", "RaggedAttributeField", "RunField"]


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
class NestedField(ConstantField):
    """A dataset that an index divides: each sample of a file gets the list of all entries.

    Args:
        entries: the entries of each unit, which cover its dataset.
    """

    entries: RowIndex

    @classmethod
    def of(cls, whole: ConstantField, entries: RowIndex) -> NestedField:
        """The field from the plan of the whole dataset."""
        options = {item.name: getattr(whole, item.name) for item in fields(whole)}
        spec = replace(whole.spec, shape=(None, None, *whole.spec.shape[1:]))
        return cls(**options | {"spec": spec}, entries=entries)

    def lengths_in(self, unit: int) -> list[int]:
        """The lengths of the entries of a unit."""
        first = int(self.entries.first[unit])
        lengths: list[int] = self.entries.lengths[first : first + int(self.entries.counts[unit])].tolist()
        return lengths


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RaggedAttributeField(FieldPlan):
    """An attribute whose shape differs between files.

    Args:
        values: its value in each unit, in the type of delivery.
    """

    values: UnitValues


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DerivedField(FieldPlan):
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
