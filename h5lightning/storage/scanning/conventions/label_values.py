"""The labels of an axis as a file holds them: a dataset, an attribute, a column of a table → text or numbers.

What holds them has a name in one line, its *source*: ``var/_index``, ``x@columns``, ``var[index]``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import xxhash
from h5py import h5a, h5d, h5f, h5g, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded, object_at
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.stored_values import MOST_CHUNK_BYTES, can_be_read, read_rows

__all__ = [
    "Named",
    "Object",
    "Values",
    "attribute_list",
    "digests",
    "frozen_list",
    "names_at",
    "names_in",
]

Values: TypeAlias = "list[str] | npt.NDArray[Any]"
Object: TypeAlias = h5g.GroupID | h5d.DatasetID

_MOST_BYTES = 4 * 1024 * 1024
_MOST_ATTRIBUTE_BYTES = 64 * 1024
_HERE = ("contiguous", "compact", "chunked")
_COLUMN = re.compile(r"(?P<table>.+)\[(?P<column>[^\[\]]+)\]")

# A list of text and integers as `pickle` writes it in its protocol 0, which is text; nothing of it is run.
_FROZEN_LIST = re.compile(rb"\(lp\d+\n(?:V[^\n]*\np\d+\na|[IL]-?\d+L?\na)*\.")
_FROZEN_ITEM = re.compile(rb"V([^\n]*)\np\d+\na|[IL](-?\d+)L?\na")


@dataclass(frozen=True, slots=True)
class Named:
    """What a source holds.

    Args:
        values: the labels; None where it holds none.
        problem: why they were not read, as what a sentence says of the source; empty if it holds none.
    """

    values: Values | None
    problem: str = ""


_NONE = Named(None)


def names_at(fid: h5f.FileID, source: str, values: ValueReader) -> Named:
    """The labels at a source of an open file.

    Args:
        fid: the open file.
        source: what holds them, see the module.
        values: what reads text.

    Raises:
        OSError: they are damaged.
    """
    found = object_at(fid, source)
    if isinstance(found, h5d.DatasetID):
        return names_in(found, values)
    owner, _, attribute = source.rpartition("@")
    if owner and isinstance(found := object_at(fid, owner), h5d.DatasetID):
        return attribute_list(found, attribute, values)
    column = _COLUMN.fullmatch(source)
    if column and isinstance(found := object_at(fid, column["table"]), h5d.DatasetID):
        return names_in(found, values, column["column"])
    return _NONE


def names_in(did: h5d.DatasetID, values: ValueReader, column: str | None = None) -> Named:
    """The labels that a dataset holds, one after the other, or in one column of it.

    Args:
        did: the dataset.
        values: what reads text.
        column: the column of a compound.

    Raises:
        OSError: they are damaged.
    """
    opened, tid = DatasetInfo.of(did), did.get_type()
    kind, shape = tid.get_class(), opened.shape or ()
    is_joined = len(shape) == 2 and kind == h5t.STRING and tid.get_size() == 1  # netCDF's text
    if (len(shape) != 1 and not is_joined) or not did.get_storage_size():
        return _NONE
    if problem := _problem(opened):
        return Named(None, problem)
    if column is not None:
        return _column(did, column, values)
    if is_joined:
        letters = np.ascontiguousarray(h5py.Dataset(did)[()])
        # Some programs fill up with spaces, some with zeros.
        return Named([_text(word).rstrip(" ") for word in letters.view(f"S{shape[1]}").ravel().tolist()])
    if kind == h5t.STRING:
        return Named(list(values.dataset(did)))
    is_number = can_be_read(opened) and np.dtype(opened.element.dtype).kind in "biuf"
    return Named(read_rows(opened, 0, shape[0])) if is_number else _NONE


def _problem(opened: DatasetInfo) -> str:
    if opened.storage not in _HERE:
        return "takes its values from other files"
    if not {number for number, _ in opened.filters} <= NATIVE_FILTERS:
        return "is written with a filter that a scan does not decode"
    nbytes = math.prod(opened.shape or ()) * opened.itemsize
    if nbytes > _MOST_BYTES or (opened.filters and opened.chunk_bytes > MOST_CHUNK_BYTES):
        return "is too large to be compared"
    return ""


def _column(did: h5d.DatasetID, column: str, values: ValueReader) -> Named:
    tid = did.get_type()
    if tid.get_class() != h5t.COMPOUND:
        return _NONE
    names = [_text(tid.get_member_name(place)) for place in range(tid.get_nmembers())]
    if column not in names:
        return _NONE
    with values.guarded(member := tid.get_member_type(names.index(column))):
        if member.get_class() == h5t.STRING:
            return Named([_text(name) for name in h5py.Dataset(did)[column].tolist()])
        if member.get_class() in (h5t.INTEGER, h5t.FLOAT):
            return Named(np.asarray(h5py.Dataset(did)[column]))
    return _NONE


def attribute_list(owner: Object, name: str, values: ValueReader) -> Named:
    """The labels that an attribute lists: text, or a list of text and integers that `pickle` wrote."""
    if not h5a.exists(owner, encoded(name)):
        return _NONE
    attribute = h5a.open(owner, encoded(name))
    tid, shape = attribute.get_type(), attribute.shape
    if tid.get_class() != h5t.STRING or shape is None:
        return _NONE
    if math.prod(shape) * tid.get_size() > _MOST_ATTRIBUTE_BYTES:
        return Named(None, "is too large to be compared")
    found = values.attribute(owner, name)
    if len(shape) == 1:
        return Named([str(label) for label in found])
    return Named(frozen_list(str(found))) if not shape else _NONE


def frozen_list(text: str) -> Values | None:
    """The list of text or integers that `pickle` wrote as this text, told by its form alone; None if it is none."""
    raw = text.encode("utf-8", "surrogateescape")
    if not _FROZEN_LIST.fullmatch(raw):
        return None
    words = [match[1] for match in _FROZEN_ITEM.finditer(raw)]
    if None not in words:
        return [word.decode("raw-unicode-escape") for word in words]
    numbers = [match[2] for match in _FROZEN_ITEM.finditer(raw)]
    if None in numbers or any(abs(int(number)) >= 2**63 for number in numbers):
        return None
    return np.asarray([int(number) for number in numbers], np.int64)


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────


def digests(labels: Values) -> tuple[str, str]:
    """Digests of labels in their order, and as a set; equal numbers of different types have equal ones."""
    if isinstance(labels, list):
        words = [label.encode("utf-8", "surrogatepass") for label in labels]
        return _text_digest(words), _text_digest(sorted(words))
    numbers = _comparable(labels)
    return _digest(numbers.dtype.str.encode(), numbers), _digest(numbers.dtype.str.encode(), np.sort(numbers))


def _comparable(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers in one type: coordinates are float32 in some files, float64 or integers in others."""
    if numbers.dtype.kind in "biu":
        is_large = numbers.dtype == np.uint64 and int(numbers.max(initial=0)) >= 2**63
        return numbers if is_large else numbers.astype(np.int64)
    wide = numbers.astype(np.float64) + 0.0  # no minus zero
    wide[np.isnan(wide)] = np.nan
    if bool((np.isfinite(wide) & (wide == np.floor(wide)) & (np.abs(wide) < 2**63)).all()):
        return wide.astype(np.int64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if np.unique(narrow).size == np.unique(wide).size else wide


def _text_digest(words: list[bytes]) -> str:
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    return _digest(b"".join(words), lengths)


def _digest(text: bytes, numbers: npt.NDArray[Any]) -> str:
    state = xxhash.xxh3_128(text)
    state.update(np.ascontiguousarray(numbers).data)
    return state.hexdigest()


def _text(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
