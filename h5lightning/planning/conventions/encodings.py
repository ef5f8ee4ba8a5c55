"""What the stored numbers of a field stand for, file by file: refused, looked at while reading, or decoded.

Planning only: what a file says was found by the scan. Two files that store one quantity with scales of their own hold
different numbers for equal values, so that stored numbers are delivered where they stand for themselves, or where the
user asks for them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import MissingDataError, OptionError, UnsupportedFieldError
from h5lightning.options import FLOAT_DTYPES, Field
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.fields import StoredForm

__all__ = ["DECODED_DTYPE", "check_encodings", "forms_of", "is_type_said", "remedy"]


DECODED_DTYPE = "float32"


def check_encodings(catalog: Catalog, files: Int64Array, key: str, field: Field) -> None:
    """Raise unless the numbers of a field can be delivered as the user asks for them.

    Args:
        catalog: what the files hold.
        files: the files that must agree, ascending.
        key: the sample's key.
        field: the field, which has rows or is constant.

    Raises:
        UnsupportedFieldError: without ``decode``, numbers that stand for others; with ``"cf"``, attributes that cannot
            be decoded.
        MissingDataError: without ``decode``, a number that stands for a missing value, in a row that was looked at.
        OptionError: ``decode="cf"`` for what it does not speak of.
    """
    if field.decode == "stored":
        return
    if field.decode == "cf" and field.member is not None:
        raise OptionError(
            f"field {key!r}: decode='cf' follows the attributes of a dataset, and the column {field.member!r} of "
            f"'/{field.path}' has none of its own: leave decode out, and convert in a transform"
        )
    for said, having in catalog.by_saying(field.path, files, lambda said: said).items():
        where = f"field {key!r}: '/{field.path}' in {catalog.path(int(having[0]))}"
        if said.encoding is not None:
            _check_encoding(where, field, said.encoding)
        if said.masked is not None and field.decode is None:
            raise MissingDataError(f"{where} {said.masked.what} (row {said.masked.row}). {remedy(field)}")


def forms_of(
    catalog: Catalog, files: Int64Array, field: Field
) -> tuple[tuple[StoredForm, ...], npt.NDArray[np.int32] | None]:
    """The ways in which files store a field, and which of them each file has, ``(files of the catalog,)``.

    The second is None where all have the first.

    Args:
        catalog: what the files hold.
        files: the files that must agree, ascending.
        field: the field, which has rows or is constant.
    """
    said_of, layout_of = catalog.annotations_of(field.path)[files], catalog.layout_of[files]
    pairs, which = np.unique(np.stack([layout_of, said_of]), axis=1, return_inverse=True)
    numbers: dict[StoredForm, int] = {}
    of_pair = [
        numbers.setdefault(_form(catalog, layout, said, field), len(numbers))
        for layout, said in pairs.T.tolist()
    ]
    if len(numbers) == 1:
        return tuple(numbers), None
    form_of = np.zeros(len(catalog), np.int32)
    form_of[files] = np.asarray(of_pair, np.int32)[which.ravel()]
    return tuple(numbers), form_of


def is_type_said(field: Field, dtype: str | None, *schemas: DatasetSchema) -> bool:
    """Whether the user says in which type numbers are delivered, whatever type each file stores them in.

    Args:
        field: the field.
        dtype: the type that floating fields are delivered in.
        schemas: datasets in some files.
    """
    if field.dtype is not None or field.decode == "cf":
        return True
    types = (schema.element(field.member) or "" for schema in schemas)
    return dtype is not None and all(text[1:2] == "f" for text in types)


def remedy(field: Field) -> str:
    """What to do about numbers that stand for others."""
    # No integer is a NaN.
    dtype = field.dtype if field.dtype in FLOAT_DTYPES else None
    return (
        f"{field.text(decode='cf', dtype=dtype)} delivers the values that they stand for, NaN where one is missing; "
        f"{field.text(decode='stored')} delivers the stored numbers"
    )


def _form(catalog: Catalog, layout: int, said: int, field: Field) -> StoredForm:
    schema = next(dataset for dataset in catalog.layouts[layout] if dataset.path == field.path)
    dtype = schema.element(field.member) or schema.dtype
    encoding = None if said < 0 or field.member is not None else catalog.annotations[said].encoding
    is_looked_at = encoding is not None and (field.decode == "cf" or encoding.is_masking)
    return StoredForm(dtype, encoding if is_looked_at and field.decode != "stored" else None)


def _check_encoding(where: str, field: Field, encoding: Encoding) -> None:
    said = ", ".join(encoding.said_by)
    if encoding.problem:
        raise UnsupportedFieldError(
            f"{where} {encoding.problem}. {field.text(decode='stored')} delivers the stored numbers"
        )
    if field.decode == "cf":
        if encoding.kind == "codes":
            raise OptionError(
                f"{where} holds numbers of categories ({said}), which decode='cf' does not speak of: leave decode out"
            )
    elif encoding.is_packed and field.member is None:
        raise UnsupportedFieldError(
            f"{where} is packed ({said}): its numbers stand for others, with factors of each file's own. "
            f"{remedy(field)}"
        )
