"""What a field of a batch is: where it is read, and what a model sees of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import OptionError
from h5lightning.frozen import Frozen
from h5lightning.options import FLOAT_DTYPES

__all__ = ["FieldPlan", "FieldSpec", "Fields", "check_dtype"]

Int64Array = npt.NDArray[np.int64]


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


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlan(Frozen):
    """How one field of a batch is made.

    Args:
        key: the sample's key.
        kind: ``rows``, ``constant`` or ``attr``.
        path: path of the dataset.
        member: column of a compound, or None.
        stored: NumPy type string of the stored elements.
        row_shape: shape of one stored row; of the whole dataset or attribute for ``constant`` and ``attr``.
        steps: ``(start, stop)`` of the window's rows; None where a sample is one row.
        spec: what is delivered.
        values: value of the attribute in each file, ``(files, *row_shape)``.
    """

    key: str
    kind: str
    path: str
    member: str | None
    stored: str
    row_shape: tuple[int, ...]
    steps: tuple[int, int] | None
    spec: FieldSpec
    values: npt.NDArray[Any] | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored row, decoded."""
        return math.prod(self.row_shape) * np.dtype(self.stored).itemsize

    @property
    def is_floating(self) -> bool:
        """Whether the field can hold NaN or infinity."""
        return np.dtype(self.stored).kind in "fc"


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
