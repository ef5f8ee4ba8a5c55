"""Read the labels of an axis from a dataset, an attribute or a column of a table, as text or numbers.

The *source* of labels is written ``var/_index``, ``x@columns`` or ``var[index]``.
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
from h5py import h5a, h5d, h5f, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.metadata_values import AttributeOwner, ValueReader, decoded_text
from h5lightning.storage.scanning.scanned_dataset import dataset_at
from h5lightning.storage.scanning.stored_values import (
    MOST_CHUNK_BYTES,
    can_be_read,
    has_own_values,
    plugin_filter,
    read_rows,
)
from h5lightning.storage.scanning.value_hash import canonical_floats

__all__ = ["LabelValues", "Labels", "attribute_labels", "digests", "labels_at", "labels_in", "unpickled_list"]

LabelValues: TypeAlias = "list[str] | npt.NDArray[Any]"

_MOST_BYTES = 4 * 1024 * 1024
_MOST_ATTRIBUTE_BYTES = 64 * 1024
_COLUMN = re.compile(r"(?P<table>.+)\[(?P<column>[^\[\]]+)\]")

# A list of text and integers in `pickle`'s protocol 0, which is text. It is parsed here; `pickle` would run it.
_PICKLED_LIST = re.compile(rb"\(lp\d+\n(?:V[^\n]*\np\d+\na|[IL]-?\d+L?\na)*\.")
_PICKLED_ITEM = re.compile(rb"V([^\n]*)\np\d+\na|[IL](-?\d+)L?\na")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a source.

    Args:
        values: the labels; None if it has none, or they were not read.
        problem: why they were not read, as a phrase about the source; else empty.
    """

    values: LabelValues | None
    problem: str = ""


_NONE = Labels(None)


def labels_at(fid: h5f.FileID, source: str, reader: ValueReader) -> Labels:
    """The labels of a source of an open file.

    Raises:
        OSError: they are damaged.
    """
    if (did := dataset_at(fid, source)) is not None:
        return labels_in(did, reader)
    owner, _, attribute = source.rpartition("@")
    if owner and (did := dataset_at(fid, owner)) is not None:
        return attribute_labels(did, attribute, reader)
    column = _COLUMN.fullmatch(source)
    if column and (did := dataset_at(fid, column["table"])) is not None:
        return labels_in(did, reader, column["column"])
    return _NONE


def labels_in(did: h5d.DatasetID, reader: ValueReader, column: str | None = None) -> Labels:
    """The labels in a dataset with one axis, or in a column of it.

    Raises:
        OSError: they are damaged.
    """
    info, tid = DatasetInfo.of(did), did.get_type()
    kind, shape = tid.get_class(), info.shape or ()
    is_letters = len(shape) == 2 and kind == h5t.STRING and tid.get_size() == 1  # netCDF's text
    if (len(shape) != 1 and not is_letters) or not did.get_storage_size():
        return _NONE
    if problem := _problem(info):
        return Labels(None, problem)
    if column is not None:
        return _column_labels(did, column, reader)
    if is_letters:
        letters = np.ascontiguousarray(h5py.Dataset(did)[()])
        # Padded with zeros, which NumPy removes, or with spaces.
        return Labels(
            [decoded_text(word).rstrip(" ") for word in letters.view(f"S{shape[1]}").ravel().tolist()]
        )
    if kind == h5t.STRING:
        return Labels(list(reader.dataset(did)))
    is_number = can_be_read(info) and np.dtype(info.element.dtype).kind in "biuf"
    return Labels(read_rows(info, 0, shape[0])) if is_number else _NONE


def attribute_labels(owner: AttributeOwner, name: str, reader: ValueReader) -> Labels:
    """The labels that an attribute lists: text, or a list of text or integers that `pickle` wrote."""
    if not h5a.exists(owner, encoded(name)):
        return _NONE
    attribute = h5a.open(owner, encoded(name))
    tid, shape = attribute.get_type(), attribute.shape
    if tid.get_class() != h5t.STRING or shape is None:
        return _NONE
    if math.prod(shape) * tid.get_size() > _MOST_ATTRIBUTE_BYTES:
        return Labels(None, "is too large to be compared")
    value = reader.attribute(owner, name)
    if len(shape) == 1:
        return Labels([str(label) for label in value])
    return Labels(unpickled_list(str(value))) if not shape else _NONE


def unpickled_list(text: str) -> LabelValues | None:
    """The list of text or integers that `pickle` wrote as this text; None if the text is anything else."""
    raw = text.encode("utf-8", "surrogateescape")
    if not _PICKLED_LIST.fullmatch(raw):
        return None
    words = [match[1] for match in _PICKLED_ITEM.finditer(raw)]
    if None not in words:
        return [word.decode("raw-unicode-escape") for word in words]
    numbers = [match[2] for match in _PICKLED_ITEM.finditer(raw)]
    if None in numbers or any(abs(int(number)) >= 2**63 for number in numbers):
        return None
    return np.asarray([int(number) for number in numbers], np.int64)


def digests(labels: LabelValues) -> tuple[str, str]:
    """Digests of labels in their order and of the sorted labels; equal numbers of any type have equal digests."""
    if isinstance(labels, list):
        words = [label.encode("utf-8", "surrogatepass") for label in labels]
        return _text_digest(words), _text_digest(sorted(words))
    numbers = _comparable(labels)
    return _digest(numbers.dtype.str.encode(), numbers), _digest(numbers.dtype.str.encode(), np.sort(numbers))


def _problem(info: DatasetInfo) -> str:
    if not has_own_values(info):
        return "takes its values from other files"
    if plugin_filter(info):
        return "is written with a filter that a scan does not decode"
    nbytes = math.prod(info.shape or ()) * info.itemsize
    if nbytes > _MOST_BYTES or (info.filters and info.chunk_bytes > MOST_CHUNK_BYTES):
        return "is too large to be compared"
    return ""


def _column_labels(did: h5d.DatasetID, column: str, reader: ValueReader) -> Labels:
    tid = did.get_type()
    if tid.get_class() != h5t.COMPOUND:
        return _NONE
    names = [decoded_text(tid.get_member_name(number)) for number in range(tid.get_nmembers())]
    if column not in names:
        return _NONE
    kind = tid.get_member_type(names.index(column)).get_class()
    if kind == h5t.STRING:
        return Labels(list(reader.dataset(did, column)))
    return Labels(np.asarray(h5py.Dataset(did)[column])) if kind in (h5t.INTEGER, h5t.FLOAT) else _NONE


def _comparable(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers in one type: coordinates are float32 in some files, and float64 or integers in others."""
    if numbers.dtype.kind in "biu":
        is_large = numbers.dtype == np.uint64 and int(numbers.max(initial=0)) >= 2**63
        return numbers if is_large else numbers.astype(np.int64)
    wide = canonical_floats(numbers)
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
