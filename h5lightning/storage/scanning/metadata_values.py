"""Small values that a scan reads: attributes, and names of categories, as plain JSON values.

Text of variable length lies in the global heap of the file. Where that is damaged, HDF5 may never return, in
C code that holds the GIL: neither a thread nor Ctrl-C can end it. So such text is left to a process that may
die, with a limit on its processor time.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5t

__all__ = ["NeedsProcessError", "ValueReader", "lies_in_heap"]

Owner: TypeAlias = h5g.GroupID | h5d.DatasetID


class NeedsProcessError(Exception):
    """The file holds text that this process must not read."""


class ValueReader:
    """Reads values of attributes and datasets.

    Args:
        reads_text: False to raise `NeedsProcessError` rather than read text of variable length.
        limit_cpu_s: processor time for one value; after that, SIGPROF kills this process. None for no limit.
    """

    def __init__(self, *, reads_text: bool, limit_cpu_s: float | None = None) -> None:
        self._reads_text = reads_text
        self._limit_cpu_s = limit_cpu_s

    def attribute(self, owner: Owner, name: str) -> Any:
        """The value of an attribute that exists."""
        attribute = h5a.open(owner, name.encode("utf-8", "surrogateescape"))
        tid = attribute.get_type()
        if tid.get_class() == h5t.STRING and not tid.is_variable_str() and attribute.shape == ():
            return _fixed_text(attribute, tid)
        wrapped = h5py.Group(owner) if isinstance(owner, h5g.GroupID) else h5py.Dataset(owner)
        with self.guarded(tid):
            return _plain(h5py.AttributeManager(wrapped)[name])

    def dataset(self, did: h5d.DatasetID, member: str | None = None) -> Any:
        """All values of a dataset, or of a column of it."""
        tid = did.get_type()
        if member is None:
            with self.guarded(tid):
                return _plain(h5py.Dataset(did)[()])
        with self.guarded(
            tid.get_member_type(tid.get_member_index(member.encode("utf-8", "surrogateescape")))
        ):
            return _plain(h5py.Dataset(did).fields(member)[()])

    def guarded(self, tid: h5t.TypeID) -> AbstractContextManager[None]:
        """Inside of it, values of this type may be read.

        Raises:
            NeedsProcessError: not by this process.
        """
        if not lies_in_heap(tid):
            return nullcontext()
        if not self._reads_text:
            raise NeedsProcessError
        return nullcontext() if self._limit_cpu_s is None else _limited(self._limit_cpu_s)


def lies_in_heap(tid: h5t.TypeID) -> bool:
    """Whether values of a type, or parts of them, are of variable length: text, lists, such references."""
    kind = tid.get_class()
    if kind == h5t.STRING:
        return bool(tid.is_variable_str())
    if kind == h5t.COMPOUND:
        return any(lies_in_heap(tid.get_member_type(place)) for place in range(tid.get_nmembers()))
    if kind == h5t.ARRAY:
        return lies_in_heap(tid.get_super())
    return kind == h5t.VLEN or (kind == h5t.REFERENCE and not tid.equal(h5t.STD_REF_OBJ))


@contextmanager
def _limited(cpu_s: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _fixed_text(attribute: h5a.AttrID, tid: h5t.TypeStringID) -> str:
    """Text of fixed length, read in a quarter of the time that h5py's own mapping takes."""
    found = np.empty((), f"S{tid.get_size()}")
    attribute.read(found, tid)
    text: bytes = found.item()
    return _text(text.partition(b"\0")[0] if tid.get_strpad() == h5t.STR_NULLTERM else text)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, list):
        return [_text(item) if type(item) is bytes else _plain(item) for item in value]
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
