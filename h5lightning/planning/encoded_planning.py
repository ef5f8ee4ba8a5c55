"""Plans of fields of encoded bytes: how files store them, and the size of their images, which the first ones tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.core.image_headers import ImageHeader, NoImageError, check_whole, read_header
from h5lightning.errors import FieldError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.options import Rows, Samples, SingleField, Windows
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.encoded_field import (
    BYTES,
    ByteForm,
    Encoded,
    EncodedField,
    EncodedRunField,
    size_remedy,
    size_text,
)
from h5lightning.planning.fields import FieldSpec, RowField
from h5lightning.planning.ragged import Ragged
from h5lightning.planning.ragged_planning import FieldRows

__all__ = ["check_encoded", "encoded_dtype", "plan_encoded"]

# Files whose first image is looked at; of more files, so many between the first and the last.
_MOST_LOOKED_AT = 4_096
_MOST_MEASURED = 64  # files, where bytes are not decoded


def check_encoded(key: str, field: SingleField, *, is_row: bool) -> None:
    """Raise unless the options of a field of encoded bytes go together.

    Args:
        key: the field's key.
        field: the field.
        is_row: whether it has rows along one leading axis.

    Raises:
        OptionError: they do not.
    """
    start = f"field {key!r}: decode={field.decode!r}"
    if not is_row or field.index is not None:
        raise OptionError(
            f"{start} is for rows along the first axis, each of which holds the bytes of an image: remove axis, index "
            "and constant"
        )
    if field.decode == BYTES and field.ragged not in ("error", "list"):
        raise OptionError(f"{start} delivers a list of bytes: remove ragged={field.ragged!r}")
    if field.decode == BYTES and (field.dtype is not None or field.whole is not None):
        raise OptionError(f"{start} delivers a list of bytes, which has no dtype and cannot be joined")
    if field.whole is not None and field.ragged != "error":
        raise OptionError(f"{start}: images of different sizes cannot be joined: make a field of each")


def encoded_dtype(field: SingleField) -> str:
    """The name of the type in which encoded bytes are delivered."""
    return BYTES if field.decode == BYTES else field.dtype or "uint8"


def plan_encoded(
    compared: ComparedFiles,
    key: str,
    field: SingleField,
    samples: Samples,
    rows: FieldRows,
    stored: dict[str, Any],
) -> RowField:
    """Plan a field of encoded bytes.

    Args:
        compared: the files.
        key: the field's key.
        field: the field.
        samples: how samples lie in a series.
        rows: the rows of each sample.
        stored: arguments of `RowField` but the shapes.

    Raises:
        UnsupportedFieldError: a dataset holds no bytes, or the first image of a file is none.
        SchemaError: images have different sizes, and the field does not say how they are delivered.
        OptionError: samples of several images of different sizes.
    """
    forms, form_of = _forms(compared, key, field)
    encoded = Encoded(
        forms, form_of, is_decoded=field.decode == "image", channels_first=field.layout == "CHW"
    )
    units, first = _first_entries(compared, key, field, encoded)
    before = () if rows.steps is None else (rows.count,)
    shape: tuple[int | None, ...]
    if encoded.is_decoded:
        may_differ = field.ragged != "error" and isinstance(samples, Rows)
        _check_windows(key, field, samples, encoded)
        encoded = _with_sizes(compared, key, field, encoded, units, first, may_differ=may_differ)
        image, mode = encoded.image_shape(encoded.size or (None, None)), field.ragged
        # Of images of different sizes, nothing knows the shape of a row: one of no pixels.
        row_shape = (*encoded.shape, *(length or 0 for length in image))
        shape = (*before, *encoded.shape, *image)
    else:
        encoded, mode = replace(encoded, numbers=float(np.mean([len(data) for data in first]))), BYTES
        row_shape, shape = encoded.shape, (*before, *encoded.shape)
    ragged = None if mode == "error" else Ragged(mode, rows.mean * encoded.decoded_row_bytes)
    stored = stored | {"row_shape": row_shape, "ragged": ragged}
    stored["spec"] = FieldSpec(shape, encoded_dtype(field))
    if rows.runs is None:
        return EncodedField(**stored, encoded=encoded)
    return EncodedRunField(**stored, encoded=encoded, runs=rows.runs)


def _forms(
    compared: ComparedFiles, key: str, field: SingleField
) -> tuple[tuple[ByteForm, ...], Int64Array | None]:
    """The ways in which files store the bytes, and the way of each unit."""
    catalog, files = compared.catalog, compared.files
    _, first, which = distinct(catalog.layout_of[files])
    numbers: dict[ByteForm, int] = {}
    of_layout = []
    for file in files[first].tolist():
        form = _form(compared, key, field, compared.dataset(key, field, file), file)
        of_layout.append(numbers.setdefault(form, len(numbers)))
    forms = tuple(numbers)
    if len({form.shape for form in forms}) > 1:
        raise SchemaError(
            f"field {key!r}: '/{field.path}' has rows of {' and '.join(str(form.shape) for form in forms[:2])} images "
            "in different files"
        )
    if len(forms) == 1:
        return forms, None
    form_of = np.zeros(catalog.unit_count, np.int64)
    form_of[files] = np.asarray(of_layout)[which]
    return forms, form_of


def _form(
    compared: ComparedFiles, key: str, field: SingleField, dataset: DatasetSchema, file: int
) -> ByteForm:
    dtype, row_shape = dataset.read_type(field.member), dataset.row_shape_of(field.member)
    if dataset.raw:
        return ByteForm(dataset.raw, row_shape, dataset.is_in_heap)
    if dtype in ("|u1", "|i1") and row_shape:
        return ByteForm(dtype, row_shape)
    raise UnsupportedFieldError(
        f"field {key!r}: decode={field.decode!r} needs bytes: of variable or fixed length, or uint8 along a last axis; "
        f"'/{field.path}' in {compared.catalog.where(file)} holds {dtype} in rows of shape {row_shape}. Remove decode "
        "to deliver its numbers"
    )


def _first_entries(
    compared: ComparedFiles, key: str, field: SingleField, encoded: Encoded
) -> tuple[Int64Array, Sequence[bytes]]:
    """Units, and the bytes of the first entry of each."""
    files = compared.files
    filled = files[compared.rows(key, field)[files] > 0]
    most = _MOST_LOOKED_AT if encoded.is_decoded else _MOST_MEASURED
    if len(filled) > most:
        filled = filled[np.linspace(0, len(filled) - 1, most).astype(np.int64)]
    if not len(filled) or not math.prod(encoded.shape):
        raise FieldError(f"field {key!r}: '/{field.path}' holds no bytes in any of the files")
    return filled, compared.first_bytes(key, field, encoded, filled)


def _check_windows(key: str, field: SingleField, samples: Samples, encoded: Encoded) -> None:
    """Raise `OptionError` if samples would hold several images, which may have different sizes."""
    if field.ragged == "error":
        return
    if isinstance(samples, Windows) or (isinstance(samples, Rows) and encoded.shape):
        raise OptionError(
            f"field {key!r}: ragged={field.ragged!r} is for samples of one image, whose size may differ; here, a "
            "sample has several: remove ragged, which needs images of one size, or use decode='bytes' and a transform"
        )


def _with_sizes(
    compared: ComparedFiles,
    key: str,
    field: SingleField,
    encoded: Encoded,
    units: Int64Array,
    first: Sequence[bytes],
    *,
    may_differ: bool,
) -> Encoded:
    """The field with the size and the channels of its images."""
    headers = [
        _header(compared, key, field, encoded, data, unit)
        for data, unit in zip(first, units.tolist(), strict=True)
    ]
    channels = max(header.channels for header in headers)
    sizes = np.asarray([header.size for header in headers], np.int64)
    numbers = float(sizes.prod(axis=1).mean()) * channels
    encoded = replace(encoded, channels=channels, numbers=numbers)
    if may_differ:
        return encoded
    catalog, differs = compared.catalog, np.flatnonzero((sizes != sizes[0]).any(axis=1))
    known_from = f"row 0 of {catalog.where(int(units[0]))}"
    if differs.size:
        other = int(differs[0])
        raise SchemaError(
            f"field {key!r}: the image at row 0 of '/{field.path}' in {catalog.where(int(units[other]))} has "
            f"{size_text(headers[other].size)}, expected {size_text(headers[0].size)} as in "
            f"{catalog.where(int(units[0]))}{catalog.more(units[differs])}. {size_remedy(field)}"
        )
    return replace(encoded, size=headers[0].size, known_from=known_from)


def _header(
    compared: ComparedFiles, key: str, field: SingleField, encoded: Encoded, data: bytes, unit: int
) -> ImageHeader:
    try:
        header = read_header(data)
        check_whole(data, header)
    except NoImageError as error:
        row_shape = encoded.forms[0].row_shape
        is_like_pixels = len(row_shape) > 1 and len(encoded.shape) == len(row_shape) - 1
        more = f". Rows of shape {row_shape} look like pixels: remove decode" if is_like_pixels else ""
        raise UnsupportedFieldError(
            f"field {key!r}: row 0 of '/{field.path}' in {compared.catalog.where(unit)} {error}{more}"
        ) from None
    return header
