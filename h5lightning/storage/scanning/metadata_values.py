"""Read attributes and names of categories as plain JSON values.

Text of variable length is stored in the global heap of the file. If the heap is damaged, HDF5 may loop indefinitely in
C code that holds the GIL, where neither a thread nor Ctrl-C can end it. So such text is read only by a separate process
with a limit on its processor time.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5t

from h5lightning.errors import FieldError
from h5lightning.planning.catalog.schema import typed
from h5lightning.storage.hdf5.dtypes import element_type
from h5lightning.storage.hdf5.external import encoded, object_at

__all__ = [
    "AttributeOwner",
    "NeedsProcessError",
    "ValueReader",
    "attribute_value",
    "decoded_text",
    "lies_in_heap",
    "read_attributes",
]

AttributeOwner: TypeAlias = h5g.GroupID | h5d.DatasetID

_MOST_BYTES = 64 * 1024  # of an attribute
_MISSING = object()


class NeedsProcessError(Exception):
    """The file holds text that must be read by a scanning process."""


class ValueReader:
    """Reads values of attributes and datasets.

    Args:
        reads_text: False to raise `NeedsProcessError` instead of reading text of variable length.
        limit_cpu_s: processor time for one value; after that, SIGPROF kills this process. None for no limit.
    """

    def __init__(self, *, reads_text: bool, limit_cpu_s: float | None = None) -> None:
        self._reads_text = reads_text
        self._limit_cpu_s = limit_cpu_s

    def attribute(self, owner: AttributeOwner, name: str) -> Any:
        """The value of an attribute that exists."""
        attribute = h5a.open(owner, encoded(name))
        tid = attribute.get_type()
        if tid.get_class() == h5t.STRING and not tid.is_variable_str() and attribute.shape == ():
            return _fixed_text(attribute, tid)
        wrapped = h5py.Group(owner) if isinstance(owner, h5g.GroupID) else h5py.Dataset(owner)
        with self.guarded(tid):
            return _plain(h5py.AttributeManager(wrapped)[name])

    def text(self, owner: AttributeOwner, name: str) -> str:
        """The value of an attribute; empty if it does not exist or is not a single text."""
        if not h5a.exists(owner, encoded(name)):
            return ""
        attribute = h5a.open(owner, encoded(name))
        is_text = attribute.get_type().get_class() == h5t.STRING and attribute.shape == ()
        return str(self.attribute(owner, name)) if is_text else ""

    def dataset(self, did: h5d.DatasetID, column: str | None = None) -> Any:
        """All values of a dataset, or of one of its columns."""
        tid = did.get_type()
        if column is None:
            with self.guarded(tid):
                return _plain(h5py.Dataset(did)[()])
        with self.guarded(tid.get_member_type(tid.get_member_index(encoded(column)))):
            return _plain(h5py.Dataset(did).fields(column)[()])

    def guarded(self, tid: h5t.TypeID) -> AbstractContextManager[None]:
        """A context in which values of this type may be read.

        Raises:
            NeedsProcessError: this process must not read them.
        """
        if not lies_in_heap(tid):
            return nullcontext()
        if not self._reads_text:
            raise NeedsProcessError
        return nullcontext() if self._limit_cpu_s is None else _limited(self._limit_cpu_s)


def lies_in_heap(tid: h5t.TypeID) -> bool:
    """Whether values of a type, or parts of them, have variable length: text, lists, region references."""
    kind = tid.get_class()
    if kind == h5t.STRING:
        return bool(tid.is_variable_str())
    if kind == h5t.COMPOUND:
        return any(lies_in_heap(tid.get_member_type(number)) for number in range(tid.get_nmembers()))
    if kind == h5t.ARRAY:
        return lies_in_heap(tid.get_super())
    return kind == h5t.VLEN or (kind == h5t.REFERENCE and not tid.equal(h5t.STD_REF_OBJ))


def decoded_text(value: bytes) -> str:
    """Text of a file; bytes that are not UTF-8 are escaped."""
    return value.decode("utf-8", "backslashreplace")


@contextmanager
def _limited(cpu_s: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _fixed_text(attribute: h5a.AttrID, tid: h5t.TypeStringID) -> str:
    """Text of fixed length, read four times as fast as through h5py's mapping."""
    value = np.empty((), f"S{tid.get_size()}")
    attribute.read(value, tid)
    text: bytes = value.item()
    return decoded_text(text.partition(b"\0")[0] if tid.get_strpad() == h5t.STR_NULLTERM else text)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, list):
        return [decoded_text(item) if type(item) is bytes else _plain(item) for item in value]
    return decoded_text(value) if isinstance(value, bytes) else value


def read_attributes(fid: h5f.FileID, names: Iterable[str], file: str, reader: ValueReader) -> dict[str, Any]:
    """The values of the attributes that exist, named ``object@name``, or ``@name`` for the file's own.

    They are numbers, strings, and nested lists of them.

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
    return attribute_value(owner, name, file, reader)


def attribute_value(owner: AttributeOwner, name: str, file: str, reader: ValueReader) -> Any:
    """The value of an attribute that exists, named ``object@name``, of an open object, as `read_attributes` reads it.

    Raises:
        FieldError: it is neither number nor text, or is over 64 KiB.
    """
    attribute = name.rpartition("@")[2]
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
