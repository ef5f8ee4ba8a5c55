"""What a field of a batch is: where it is read, and what a model sees of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.errors import OptionError
from h5lightning.options import FLOAT_DTYPES, Field
from h5lightning.planning.catalog.annotations import Encoding

__all__ = ["FieldPlan", "FieldSpec", "Fields", "StoredForm", "check_dtype"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What a model sees of a field.

    Args:
        shape: shape of one sample, without the batch axis.
        dtype: name of the tensor's type, such as ``float32``.
        classes: names of the values, where the field has categories.
    """

    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredForm:
    """One of the ways in which files store a field.

    Args:
        dtype: NumPy type string of the stored elements.
        encoding: how they stand for values, where that is looked at; None where they stand for themselves.
    """

    dtype: str
    encoding: Encoding | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlan(Frozen):
    """How one field of a batch is made.

    Args:
        key: the sample's key.
        kind: ``rows``, ``constant`` or ``attr``.
        path: path of the dataset.
        member: column of a compound, or None.
        forms: the ways in which files store it, at least one.
        row_shape: shape of one stored row; of the whole dataset or attribute for ``constant`` and ``attr``.
        steps: ``(start, stop)`` of the window's rows; None where a sample is one row.
        spec: what is delivered.
        values: value of the attribute in each file, ``(files, *row_shape)``.
        form_of: which of the forms each file has, ``(files,)``; None where all have the first.
        is_decoded: deliver what stored numbers stand for, in place of the numbers.
        asked: the field as the user wrote it, for messages; None for one of no options.
    """

    key: str
    kind: str
    path: str
    member: str | None
    forms: tuple[StoredForm, ...]
    row_shape: tuple[int, ...]
    steps: tuple[int, int] | None
    spec: FieldSpec
    values: npt.NDArray[Any] | None = None
    form_of: npt.NDArray[np.int32] | None = None
    is_decoded: bool = False
    asked: Field | None = None

    @property
    def as_asked(self) -> Field:
        """The field as the user wrote it."""
        return self.asked or Field(self.path)

    @property
    def stored(self) -> str:
        """NumPy type string of the stored elements; of the first form, where there are several."""
        return self.forms[0].dtype

    @property
    def is_uniform(self) -> bool:
        """Whether all files store it alike, as the numbers that are delivered; some may be forbidden by `mask`."""
        is_plain = self.forms[0].encoding is None or self.mask is not None
        return len(self.forms) == 1 and is_plain and not self.is_decoded

    @property
    def mask(self) -> Encoding | None:
        """Which of the delivered numbers stand for missing values, where that can be told from them as they are."""
        form = self.forms[0]
        is_kept = np.dtype(form.dtype).name == self.spec.dtype
        return form.encoding if len(self.forms) == 1 and is_kept and not self.is_decoded else None

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored row, decoded."""
        return math.prod(self.row_shape) * np.dtype(self.stored).itemsize

    @property
    def is_floating(self) -> bool:
        """Whether what is delivered can hold NaN or infinity."""
        return self.is_decoded or any(np.dtype(form.dtype).kind in "fc" for form in self.forms)


@dataclass(frozen=True, slots=True, eq=False)
class Fields(Frozen):
    """The fields of a batch, and how many rows each file has.

    Args:
        plans: one plan for each field, in the user's order.
        rows: length of the sample axis of each file, ``(files,)``.
        remarks: what else is to be known about them, in sentences.
    """

    plans: tuple[FieldPlan, ...]
    rows: Int64Array
    remarks: tuple[str, ...] = ()

    def spec(self) -> dict[str, FieldSpec]:
        """Sample key → what a model sees."""
        return {plan.key: plan.spec for plan in self.plans}


def check_dtype(dtype: object) -> None:
    """Raise `OptionError` unless ``dtype`` is None or names a floating type."""
    if dtype is not None and not (isinstance(dtype, str) and dtype in FLOAT_DTYPES):
        raise OptionError(
            f"dtype is for floating fields: expected one of {', '.join(FLOAT_DTYPES)}, found {dtype!r}"
        )
