"""Chooses what reads each field; a field of several datasets is read by the readers of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.box_reader import BoxReader
from h5lightning.loading.fields.box_run_reader import BoxRunReader
from h5lightning.loading.fields.category_attribute_reader import CategoryAttributeReader
from h5lightning.loading.fields.encoded_reader import make_encoded_reader
from h5lightning.loading.fields.field_reader import (
    AttributeReader,
    ConstantReader,
    FieldReader,
    PaddingReader,
    ReadContext,
    RowReader,
    SeriesReader,
)
from h5lightning.loading.fields.joined_parts import JoinedParts
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_readers import RunReader, make_ragged_reader
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.loading.fields.table_reader import TableReader
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.category_attributes import CategoryAttributeField
from h5lightning.planning.encoded_field import EncodedField, EncodedRunField
from h5lightning.planning.fields import (
    AttributeField,
    ConstantField,
    FieldPlan,
    JoinedField,
    PaddingField,
    RowField,
    SeriesField,
)
from h5lightning.planning.ragged_fields import BoxRunField, RunField
from h5lightning.planning.tables.column_fields import TableField

__all__ = ["make_field_reader"]

Array = npt.NDArray[Any]


def make_field_reader(plan: FieldPlan, context: ReadContext) -> FieldReader:
    """The reader of a field: a new kind is a plan, a reader, and a line in the table below."""
    if isinstance(plan, (EncodedField, EncodedRunField)):
        return make_encoded_reader(plan, context, make_field_reader)
    if plan.ragged is not None:
        return make_ragged_reader(plan, context, make_field_reader)
    return _READERS[type(plan)](plan, context)


class JoinedReader(FieldReader):
    """Reads several datasets or columns, and puts their values side by side."""

    def __init__(self, plan: JoinedField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self.plan: JoinedField = plan
        self._parts = JoinedParts(plan, self.dtype, make_field_reader, context)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        yield from self._parts.fill(batch, out, self.plan.axis + 1, is_stored=out.dtype != self.dtype)

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """See `JoinedParts.stored_dtype`."""
        return self._parts.stored_dtype


_READERS: dict[type[FieldPlan], Callable[[Any, ReadContext], FieldReader]] = {
    AttributeField: AttributeReader,
    BoxField: BoxReader,
    BoxRunField: BoxRunReader,
    CategoryAttributeField: CategoryAttributeReader,
    ConstantField: ConstantReader,
    JoinedField: JoinedReader,
    PaddingField: PaddingReader,
    RowField: RowReader,
    RunField: RunReader,
    SeriesField: SeriesReader,
    TableField: TableReader,
}
