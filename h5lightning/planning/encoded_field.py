"""Fields whose rows are encoded bytes: images, or anything that a transform decodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.options import SingleField
from h5lightning.planning.fields import FieldPlan, JoinedField, RowField
from h5lightning.planning.ragged_fields import RunField

__all__ = [
    "BYTES",
    "ByteForm",
    "Encoded",
    "EncodedField",
    "EncodedRunField",
    "FirstBytes",
    "differs_by_row",
    "encoded_of",
    "size_remedy",
    "size_text",
]

BYTES = "bytes"  # the type and the way of delivery of bytes that are not decoded


@dataclass(frozen=True, slots=True)
class ByteForm:
    """One of the ways in which files store the bytes of a row.

    Args:
        dtype: NumPy type string of what is read: a reference to bytes of variable length, bytes of fixed length, or
            ``|u1`` for numbers along a last axis.
        row_shape: shape of one row of these.
        is_in_heap: whether they are references.
    """

    dtype: str
    row_shape: tuple[int, ...]
    is_in_heap: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row, where each entry is the bytes of one image."""
        return self.row_shape[:-1] if np.dtype(self.dtype).kind in "iu" else self.row_shape

    @property
    def row_bytes(self) -> int:
        """Bytes of one row as it is read, without what references lead to."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Encoded(Frozen):
    """What the bytes of a field are, and how they are stored.

    Args:
        forms: the ways in which files store them, at least one; all have one `ByteForm.shape`.
        form_of: which of the forms each unit has, ``(units,)``; None where all have the first.
        is_decoded: deliver pixels, of the type uint8 as they are decoded; else bytes.
        channels: channels of the pixels, 1 or 3.
        channels_first: whether channels come before height and width.
        size: height and width of all images; None if they differ.
        known_from: the image that told this size, for messages.
        numbers: numbers of one image as it is delivered, or bytes of one entry, on average.
    """

    forms: tuple[ByteForm, ...]
    form_of: Int64Array | None
    is_decoded: bool
    channels: int = 1
    channels_first: bool = False
    size: tuple[int, int] | None = None
    known_from: str = ""
    numbers: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row, where each entry is one image."""
        return self.forms[0].shape

    @property
    def decoded_row_bytes(self) -> int:
        """Bytes of one row as it is decoded, on average."""
        return int(math.prod(self.shape) * self.numbers)

    def forms_in(self, units: Int64Array) -> Int64Array:
        """The number of the form of each of some units, ``(N,)``."""
        return np.zeros(len(units), np.int64) if self.form_of is None else self.form_of[units]

    def image_shape(self, size: tuple[int | None, int | None]) -> tuple[int | None, ...]:
        """The shape of the pixels of one image; gray ones have no axis of channels."""
        if self.channels == 1:
            return size
        return (self.channels, *size) if self.channels_first else (*size, self.channels)


class _EncodedRows:
    """Rows of encoded bytes, of each kind of samples."""

    __slots__ = ()
    encoded: Encoded

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored row, without what references lead to."""
        return self.encoded.forms[0].row_bytes

    @property
    def decoded_row_bytes(self) -> int:
        """Bytes of one row as it is decoded."""
        return self.encoded.decoded_row_bytes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodedField(_EncodedRows, RowField):
    """A field of encoded bytes, with values for each sample; `row_shape` is that of a row as it is delivered.

    Args:
        encoded: what the bytes are.
    """

    encoded: Encoded


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodedRunField(_EncodedRows, RunField):
    """As `EncodedField`, whose samples have their own numbers of rows.

    Args:
        encoded: what the bytes are.
    """

    encoded: Encoded


# The key of a field, the field, how its bytes are stored, and units → the bytes of the first entry of each unit.
FirstBytes = Callable[[str, SingleField, Encoded, Int64Array], Sequence[bytes]]


def differs_by_row(plan: FieldPlan) -> bool:
    """Whether the rows of one file may have different shapes."""
    encoded = encoded_of(plan)
    return encoded is not None and encoded.is_decoded and encoded.size is None


def size_text(size: tuple[int, int]) -> str:
    """The size of an image, for messages."""
    return f"{size[0]} × {size[1]} pixels (height × width)"


def size_remedy(field: SingleField) -> str:
    """What to do about images of different sizes."""
    if field.whole is not None:
        return "Write images of one size, or make a field of each dataset"
    return (
        f"{field.text(ragged='list')} delivers images of different sizes as a list, ragged='pad' one tensor of them "
        "with zeros; both need samples of one image"
    )


def encoded_of(plan: FieldPlan) -> Encoded | None:
    """What the bytes of a field are, or of the first part of a joined one; None for other fields."""
    first = plan.parts[0] if isinstance(plan, JoinedField) else plan
    return first.encoded if isinstance(first, (EncodedField, EncodedRunField)) else None
