"""Read the attributes that a scan was asked for, as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from h5py import h5a, h5f, h5t

from h5lightning.errors import FieldError
from h5lightning.planning.catalog.schema import typed
from h5lightning.storage.hdf5.dtypes import element_type
from h5lightning.storage.hdf5.external import encoded, object_at
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["read_attributes"]

_MOST_BYTES = 64 * 1024
_MISSING = object()


def read_attributes(fid: h5f.FileID, names: Iterable[str], file: str, reader: ValueReader) -> dict[str, Any]:
    """The values of the attributes that exist: numbers, strings, and nested lists of them.

    Args:
        fid: the open file.
        names: ``object@name``, or ``@name`` for the file's own.
        file: the name of the file in errors.
        reader: reads the values.

    Raises:
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
    """
    values = {name: _value(fid, name, file, reader) for name in names}
    return {name: value for name, value in values.items() if value is not _MISSING}


def _value(fid: h5f.FileID, name: str, file: str, reader: ValueReader) -> Any:
    path, _, attribute = name.rpartition("@")
    owner = object_at(fid, path)
    if owner is None or not h5a.exists(owner, encoded(attribute)):
        return _MISSING
    attribute_id = h5a.open(owner, encoded(attribute))
    if problem := _problem(attribute_id):
        raise FieldError(f"the attribute {name!r} of {file} {problem}")
    value = reader.attribute(owner, attribute)
    # The size of text of variable length is known only now.
    if len(str(value)) > 2 * _MOST_BYTES:
        raise FieldError(f"the attribute {name!r} of {file} {_too_large(len(str(value)))}")
    return typed(value, _number_type(attribute_id))


def _number_type(attribute: h5a.AttrID) -> str | None:
    """NumPy's name of the type; None for text."""
    tid = attribute.get_type()
    return None if tid.get_class() == h5t.STRING else np.dtype(element_type(tid).dtype).name


def _problem(attribute: h5a.AttrID) -> str:
    """Why the value cannot be used, before it is read; empty if it can."""
    tid = attribute.get_type()
    if attribute.shape is None:
        return "is empty: it has a type, but no value"
    # h5py's get_storage_size fails if there are no elements.
    size = math.prod(attribute.shape) * tid.get_size()
    if size > _MOST_BYTES:
        return _too_large(size)
    if tid.get_class() == h5t.STRING:
        return ""
    element = element_type(tid)
    if element.refusal:
        return element.refusal
    if element.members or np.dtype(element.dtype).kind == "c":
        return f"is {element.dtype}, expected numbers or text"
    return ""


def _too_large(size: int) -> str:
    return f"takes {size} bytes, over {_MOST_BYTES}: store it as a dataset"
