"""What one file stores of a field: the type of its elements may differ from file to file."""

from __future__ import annotations

from h5lightning.fields import FieldPlan
from h5lightning.proving.case import Case
from h5lightning.readers.protocol import RowSource
from h5lightning.schema import DatasetSchema

__all__ = ["schema_of", "source_of"]


def schema_of(case: Case, file: int, plan: FieldPlan) -> DatasetSchema | None:
    """The dataset of a field in one file; None where the file lacks it, or the field is an attribute."""
    return case.assembly.survey.catalog.schema(file).dataset(plan.path) if plan.kind != "attr" else None


def source_of(case: Case, file: int, plan: FieldPlan) -> RowSource:
    """What a reader reads of the field in one file."""
    schema = schema_of(case, file, plan)
    element = None if schema is None else schema.element(plan.member)
    return RowSource(plan.path, plan.member, element or plan.stored, plan.row_shape)
