"""The fields of a batch: what each one is, where it is read, and what a model sees of it.

A kind of field is a class. Here it is data; `h5lightning.loading.fields` has the class that reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.errors import OptionError
from h5lightning.options import FLOAT_DTYPES, SingleField
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.field_spec import FieldSpec, StoredForm
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.ragged import Ragged, RowShapes
from h5lightning.planning.row_numbers import IN_UNIT, RowNumbers
from h5lightning.planning.values.categories import NO_CATEGORY, Categories

__all__ = [
    "AttributeField",
    "ConstantField",
    "FieldPlan",
    "FieldSpec",
    "Fields",
    "JoinedField",
    "PaddingField",
    "RowField",
    "SeriesField",
    "StoredField",
    "StoredForm",
    "check_dtype",
    "row_field_of",
    "single_plans",
]

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FieldPlan(Frozen):
    """How one field of a batch is made.

    Args:
        key: the sample's key.
        path: path of the dataset, or of the object that has the attribute.
        spec: what is delivered.
        forms: the ways in which files store it, at least one.
        form_of: which of the forms each file has, ``(files,)``; None where all have the first.
        is_decoded: deliver decoded values instead of the stored numbers.
        ragged: how samples of different shapes are delivered; None where all have one shape.
        categories: the categories whose numbers are delivered; None to deliver values.
    """

    key: str
    path: str
    spec: FieldSpec
    forms: tuple[StoredForm, ...]
    form_of: npt.NDArray[np.int32] | None = None
    is_decoded: bool = False
    ragged: Ragged | None = None
    categories: Categories | None = None

    @property
    def stored(self) -> str:
        """NumPy type string of the stored elements; of the first form, where there are several."""
        return self.forms[0].dtype

    @property
    def is_uniform(self) -> bool:
        """Whether all files store it alike, and stored numbers are delivered; `mask` may forbid some of them."""
        is_plain = self.forms[0].encoding is None or self.mask is not None
        return len(self.forms) == 1 and is_plain and not self.is_decoded and self.categories is None

    @property
    def is_floating(self) -> bool:
        """Whether what is delivered can be NaN or infinite."""
        if self.categories is not None:
            return False
        return self.is_decoded or any(np.dtype(form.dtype).kind in "fc" for form in self.forms)

    @property
    def mask(self) -> Encoding | None:
        """Which of the delivered numbers represent missing values, if the numbers themselves show it."""
        form = self.forms[0]
        is_kept = np.dtype(form.dtype).name == self.spec.dtype and not self.is_decoded
        return form.encoding if len(self.forms) == 1 and is_kept and self.categories is None else None

    @property
    def title(self) -> str:
        """The field and its dataset, for messages."""
        return f"field {self.key!r} ({_shown(self.path)})"

    @property
    def mean_numbers(self) -> float:
        """Numbers of one sample, on average."""
        return math.prod(self.spec.fixed_shape) if self.ragged is None else self.ragged.numbers

    def with_classes(self, names: Sequence[str]) -> Self:
        """The plan with other categories, such as those of a training; what is read stays as it is.

        Raises:
            OptionError: the type of delivery does not hold the numbers of all of them.
        """
        if self.categories is None:
            return self
        categories = replace(self.categories, names=tuple(names))
        categories.check_dtype(self.key, self.spec.dtype)
        return replace(self, categories=categories, spec=replace(self.spec, classes=categories.names))

    def marking_unknown(self) -> Self:
        """The plan that delivers -1 for each value that is no category, in int64; without categories, as it is."""
        if self.categories is None:
            return self
        spec = replace(self.spec, dtype="int64")
        return replace(self, spec=spec, categories=replace(self.categories, unknown=NO_CATEGORY))

    def form_in(self, file: int) -> int:
        """Number of the form that a file has."""
        return 0 if self.form_of is None else int(self.form_of[file])

    def forms_in(self, files: Int64Array) -> Int64Array:
        """The number of the form that each of some files has, ``(N,)``."""
        return (
            np.zeros(len(files), np.int64) if self.form_of is None else self.form_of[files].astype(np.int64)
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StoredField(FieldPlan):
    """A field that is read from a dataset.

    Args:
        member: column of a compound, or None.
        row_shape: shape of one stored row; of the whole dataset for a constant. Of one of the units, where they differ.
        shapes: the shape in each unit, where they differ.
        asked: the field as the user wrote it, for messages; None for a field without options.
        kept: its rows in memory, so that none is read; None for rows in files.
    """

    member: str | None
    row_shape: tuple[int, ...]
    shapes: RowShapes | None = None
    asked: SingleField | None = None
    kept: KeptRows | None = None

    @property
    def leading(self) -> int:
        """How many leading axes of the dataset make its rows."""
        return 1

    @property
    def as_asked(self) -> SingleField:
        """The field as the user wrote it."""
        return self.asked or SingleField(self.path)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowField(StoredField):
    """A field with values for each sample: one row, or the rows of some steps of a window.

    Args:
        steps: ``(start, stop)`` of the window's steps; None where a sample is one row.
        dilation: rows from one step to the next.
        extra_rows: rows that it has beyond those that all fields have; one number, or one for each unit, ``(units,)``.
        row_numbers: which rows of the dataset are those of a sample.
    """

    steps: tuple[int, int] | None
    dilation: int = 1
    extra_rows: int | Int64Array = 0
    row_numbers: RowNumbers = IN_UNIT

    @property
    def leading(self) -> int:
        """How many leading axes of the dataset make its rows."""
        return self.row_numbers.leading

    @property
    def span(self) -> tuple[int, int]:
        """The first row that a sample needs, counted from its own first row, and one past the last."""
        start, stop = self.steps or (0, 1)
        return start * self.dilation, (stop - 1) * self.dilation + 1

    def extra_rows_of(self, units: Int64Array) -> int | Int64Array:
        """Its rows beyond those of all fields, in some units."""
        return self.extra_rows if isinstance(self.extra_rows, int) else self.extra_rows[units]

    @property
    def offsets(self) -> Int64Array:
        """The row of each step, counted from the first row of the sample, ``(steps,)``."""
        start, stop = self.steps or (0, 1)
        return np.arange(start, stop) * self.dilation

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored row, decompressed."""
        return math.prod(self.row_shape) * np.dtype(self.stored).itemsize

    @property
    def decoded_row_bytes(self) -> int:
        """Bytes of one row once its image is decoded; `row_bytes` where there is none."""
        return self.row_bytes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConstantField(StoredField):
    """A dataset without a sample axis: each sample of a file gets all of it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeriesField(StoredField):
    """A dataset with one row for each series of a unit: each sample gets that of its series."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AttributeField(FieldPlan):
    """An attribute: each sample of a file gets its value.

    Args:
        values: the value in each file, ``(files, *shape)``, in the type of delivery.
    """

    values: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PaddingField(FieldPlan):
    """Which steps of another field are padding, ``(steps,)``.

    Args:
        of: the other field; of a joined one, its first part.
    """

    of: RowField


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JoinedField(FieldPlan):
    """One tensor of several datasets or columns; its form is what their values are delivered as.

    Args:
        parts: the plans of the datasets and columns, all of one kind.
        axis: the axis of a delivered sample along which they lie side by side.
        borders: where each part begins along this axis, and the last one ends, ``(parts + 1,)``.
    """

    parts: tuple[StoredField, ...]
    axis: int
    borders: tuple[int, ...]

    def with_classes(self, names: Sequence[str]) -> Self:
        """See `FieldPlan.with_classes`."""
        whole = super(JoinedField, self).with_classes(names)
        return replace(whole, parts=tuple(part.with_classes(names) for part in self.parts))

    def marking_unknown(self) -> Self:
        """See `FieldPlan.marking_unknown`."""
        whole = super(JoinedField, self).marking_unknown()
        if whole is self:
            return self
        return replace(whole, parts=tuple(part.marking_unknown() for part in self.parts))

    @property
    def title(self) -> str:
        """The field and its datasets, for messages."""
        paths = list(dict.fromkeys(_shown(part.path) for part in self.parts))
        more = f", … {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
        return f"field {self.key!r} ({', '.join(paths[:_MOST_NAMED])}{more})"


@dataclass(frozen=True, slots=True, eq=False)
class Fields(Frozen):
    """The fields of a batch, and how many rows each file has.

    Args:
        plans: one plan for each field, in the user's order.
        rows: length of the sample axis of each file, ``(files,)``.
        remarks: sentences for the user about the labels of the fields.
        other_lengths: entries of each unit along the axes of windows beside that of the rows, ``(units, axes)``; None
            for samples along one axis.
        row_remarks: sentences for the user about their rows.
    """

    plans: tuple[FieldPlan, ...]
    rows: Int64Array
    remarks: tuple[str, ...] = ()
    other_lengths: Int64Array | None = None
    row_remarks: tuple[str, ...] = ()

    @property
    def row_fields(self) -> tuple[RowField, ...]:
        """The fields with values for each sample; of joined fields, their parts."""
        return tuple(plan for plan in self.single_plans if isinstance(plan, RowField))

    @property
    def stored_fields(self) -> tuple[StoredField, ...]:
        """The fields that are read from datasets; of joined fields, their parts."""
        return tuple(plan for plan in self.single_plans if isinstance(plan, StoredField))

    @property
    def single_plans(self) -> tuple[FieldPlan, ...]:
        """The plans with the parts of joined fields in their place."""
        return tuple(single_plans(self.plans))

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> Fields:
        """The fields with other categories, by key; see `FieldPlan.with_classes`."""
        plans = (plan.with_classes(classes[plan.key]) if plan.key in classes else plan for plan in self.plans)
        return replace(self, plans=tuple(plans))

    def categories(self) -> dict[str, Categories]:
        """Sample key → categories, of the fields that have some."""
        return {plan.key: plan.categories for plan in self.plans if plan.categories is not None}

    def spec(self) -> dict[str, FieldSpec]:
        """Sample key → what a model sees."""
        return {plan.key: plan.spec for plan in self.plans}


def _shown(path: str) -> str:
    """A path for messages; or the column of a table."""
    return repr(path) if path.startswith("table:") else f"'/{path}'"


def single_plans(plans: Iterable[FieldPlan]) -> list[FieldPlan]:
    """The plans, with the parts of each joined field in its place."""
    return [one for plan in plans for one in (plan.parts if isinstance(plan, JoinedField) else (plan,))]


def row_field_of(plan: FieldPlan) -> RowField | None:
    """The plan of a field with values for each sample; of a joined one, its first part. None for other fields."""
    first = plan.parts[0] if isinstance(plan, JoinedField) else plan
    return first if isinstance(first, RowField) else None


def check_dtype(dtype: object) -> None:
    """Raise `OptionError` unless ``dtype`` is None or names a floating type."""
    if dtype is not None and not (isinstance(dtype, str) and dtype in FLOAT_DTYPES):
        raise OptionError(
            f"dtype is for floating fields: expected one of {', '.join(FLOAT_DTYPES)}, found {dtype!r}. The type of "
            "one field is Field(path, dtype=…)"
        )
