"""All values of a dataset → a digest that is equal where the values are, whatever types and layout they are stored in.

A digest is a line of text: ``(3,) text 5f2a…``: the shape, what the values are, and their hash. Where none can be made
it is ``? …``, with the reason as what a sentence says of the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import xxhash
from h5py import h5d, h5f, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.hdf5.filters import NATIVE_FILTERS, filter_name
from h5lightning.storage.scanning.describe_dataset import dataset_paths
from h5lightning.storage.scanning.metadata_values import ValueReader, lies_in_heap

__all__ = ["blocks", "content_kind", "dataset_digest", "group_digest", "problem_of", "read_box"]

Array: TypeAlias = npt.NDArray[Any]
Box: TypeAlias = tuple[slice, ...]

_MOST_BYTES = 4 * 1024**3
_MOST_CHUNK_BYTES = 256 * 1024**2
_BLOCK_BYTES = 8 * 1024 * 1024
_MOST_ALIGNED = 8  # blocks: rather than to hold more, a chunk is decoded again
_HEAP_BLOCK_BYTES = 64 * 1024  # of pointers: the limit on processor time is one for each block
_LARGEST_EXACT = 2**53


def dataset_digest(opened: DatasetInfo, values: ValueReader) -> str:
    """The digest of all values of a dataset.

    Args:
        opened: the dataset.
        values: what says whether this process may read them.

    Raises:
        OSError: they are damaged.
        NeedsProcessError: this process must not read them.
    """
    if problem := problem_of(opened):
        return f"? {problem}"
    if opened.shape is None:
        return "empty"
    stream = _stream_of(h5py.Dataset(opened.did).dtype)
    for _, block in blocks(opened, values):
        stream.update(block)
    return f"{opened.shape} {content_kind(opened)} {stream.digest()}"


def group_digest(fid: h5f.FileID, path: str, values: ValueReader) -> str:
    """The digest of all datasets below a group, with their names; empty if there are none.

    Raises:
        OSError: they are damaged.
        NeedsProcessError: this process must not read them.
    """
    state, group = xxhash.xxh3_128(), object_at(fid, path)
    names = [] if group is None or isinstance(group, h5d.DatasetID) else dataset_paths(group)
    for name in names:
        found = object_at(fid, f"{path}/{name}")
        digest = dataset_digest(DatasetInfo.of(found), values) if isinstance(found, h5d.DatasetID) else ""
        if digest.startswith("? "):
            return f"? holds '{path}/{name}', which {digest[2:]}"
        state.update(f"{len(name)} {name} {digest}\n".encode("utf-8", "surrogateescape"))
    return f"{len(names)} datasets {state.hexdigest()}" if names else ""


def problem_of(opened: DatasetInfo) -> str:
    """Why values cannot be compared, as what a sentence says of the dataset; empty if they can."""
    if opened.storage in ("virtual", "external", "unknown"):
        return "takes its values from other files"
    nbytes = math.prod(opened.shape or ()) * opened.itemsize
    if nbytes > _MOST_BYTES:
        return f"takes {nbytes} bytes: a scan compares at most {_MOST_BYTES}"
    if opened.filters and opened.chunk_bytes > _MOST_CHUNK_BYTES:
        return (
            f"has chunks of {opened.chunk_bytes} bytes: a scan decodes at most {_MOST_CHUNK_BYTES} at a time"
        )
    # Plug-ins trust what they decode, and scanning processes have none.
    if plugins := [number for number, _ in opened.filters if number not in NATIVE_FILTERS]:
        return f"is written with {filter_name(plugins[0])}, which a scan does not decode: write it with gzip"
    return _type_problem(opened.did.get_type())


def _type_problem(tid: h5t.TypeID) -> str:
    kind = tid.get_class()
    if kind == h5t.REFERENCE:
        return "holds references to other objects, which mean something in their own file only"
    if kind == h5t.COMPOUND:
        parts = (_type_problem(tid.get_member_type(place)) for place in range(tid.get_nmembers()))
        return next((problem for problem in parts if problem), "")
    if kind in (h5t.ARRAY, h5t.VLEN):
        return _type_problem(tid.get_super())
    if kind == h5t.TIME:
        return "holds HDF5 times, which NumPy cannot represent"
    return ""


def content_kind(opened: DatasetInfo) -> str:
    """What the values are, in a word or two, without width and byte order."""
    return _kind_of(h5py.Dataset(opened.did).dtype)


def blocks(opened: DatasetInfo, values: ValueReader) -> Iterator[tuple[Box, Array]]:
    """All values in C order, in blocks of about 8 MiB, each with its place.

    Args:
        opened: the dataset.
        values: what says whether this process may read them.
    """
    in_heap, shape = lies_in_heap(opened.did.get_type()), opened.shape or ()
    if 0 in shape:
        return
    most = (_HEAP_BLOCK_BYTES if in_heap else _BLOCK_BYTES) // max(1, opened.itemsize)
    for box in _boxes(shape, opened.chunks or (1,) * len(shape), max(1, most)):
        yield box, read_box(opened, box, values)


def read_box(opened: DatasetInfo, box: Box, values: ValueReader) -> Array:
    """A part of a dataset.

    Raises:
        OSError: it is damaged.
        NeedsProcessError: this process must not read it.
    """
    dataset = h5py.Dataset(opened.did)
    with values.guarded(opened.did.get_type()):
        found = dataset[box]
    return found if opened.shape else _scalar(found, dataset.dtype)


def _scalar(value: Any, dtype: np.dtype[Any]) -> Array:
    block = np.empty((), dtype)
    block[()] = value
    return block


def _boxes(shape: tuple[int, ...], chunks: tuple[int, ...], most: int) -> Iterator[Box]:
    """Places that cover a shape in C order, of about ``most`` elements, of whole chunks along the axis that is cut."""
    if not shape:
        yield ()
        return
    row = math.prod(shape[1:])
    if row > most:
        for place in range(shape[0]):
            for box in _boxes(shape[1:], chunks[1:], most):
                yield (slice(place, place + 1), *box)
        return
    rows = max(1, most // max(1, row))
    if rows >= chunks[0] or chunks[0] * row <= _MOST_ALIGNED * most:
        rows = max(1, rows // chunks[0]) * chunks[0]
    whole = tuple(slice(0, length) for length in shape[1:])
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])), *whole)


# ── hashing by value ─────────────────────────────────────────────────────────────────────────────────


class _Stream(Protocol):
    """Takes values in blocks; how they are cut changes nothing."""

    def update(self, block: Array) -> None:
        """The next values."""
        ...

    def digest(self) -> str:
        """The hash of all so far."""
        ...


def _stream_of(dtype: np.dtype[Any]) -> _Stream:
    if dtype.subdtype is not None:
        return _stream_of(dtype.subdtype[0])
    if dtype.names is not None:
        return _Compound(dtype)
    if _is_text(dtype):
        return _Text()
    if (items := h5py.check_vlen_dtype(dtype)) is not None:
        return _Lists(np.dtype(items))
    if dtype.kind in "biufc" and _part_bytes(dtype) <= 8:
        return _Numbers()
    return _Bytes()


class _Numbers:
    """Numbers by value: as float64, with what that leaves of large integers beside it."""

    def __init__(self) -> None:
        self._values, self._rests, self._seen = xxhash.xxh3_128(), xxhash.xxh3_128(), 0

    def update(self, block: Array) -> None:
        flat = np.ascontiguousarray(block).reshape(-1)
        if flat.dtype.kind == "c":
            flat = flat.astype(np.complex128).view(np.float64)
        wide = flat.astype(np.float64) + 0.0  # no minus zero
        wide[np.isnan(wide)] = np.nan
        self._values.update(wide.data)
        if flat.dtype.kind in "iu" and flat.dtype.itemsize == 8:
            for place in np.flatnonzero(np.abs(wide) >= _LARGEST_EXACT).tolist():
                if rest := int(flat[place]) - int(wide[place]):
                    self._rests.update(f"{self._seen + place} {rest};".encode())
        self._seen += flat.size

    def digest(self) -> str:
        return self._values.hexdigest() + self._rests.hexdigest()


class _Text:
    """Text by its bytes, whether of fixed or of variable length."""

    def __init__(self) -> None:
        self._state = xxhash.xxh3_128()

    def update(self, block: Array) -> None:
        for word in block.reshape(-1).tolist():
            raw = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
            self._state.update(b"%d:%b" % (len(raw), raw))

    def digest(self) -> str:
        return self._state.hexdigest()


class _Lists:
    """Lists of numbers, of any length."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._items, self._lengths = _stream_of(dtype), xxhash.xxh3_128()

    def update(self, block: Array) -> None:
        for item in block.reshape(-1).tolist():
            self._items.update(np.asarray(item))
            self._lengths.update(b"%d;" % len(item))

    def digest(self) -> str:
        return self._items.digest() + self._lengths.hexdigest()


class _Compound:
    """Each column by itself, in the order of their names."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._columns = {name: _stream_of(dtype[name]) for name in sorted(dtype.names or ())}

    def update(self, block: Array) -> None:
        for name, stream in self._columns.items():
            stream.update(block[name])

    def digest(self) -> str:
        parts = (f"{name}:{stream.digest()};" for name, stream in self._columns.items())
        return xxhash.xxh3_128("".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


class _Bytes:
    """What has no value of its own here: its bytes."""

    def __init__(self) -> None:
        self._state = xxhash.xxh3_128()

    def update(self, block: Array) -> None:
        self._state.update(block.tobytes())

    def digest(self) -> str:
        return self._state.hexdigest()


def _kind_of(dtype: np.dtype[Any]) -> str:
    if dtype.subdtype is not None:
        return f"{dtype.subdtype[1]} {_kind_of(dtype.subdtype[0])}"
    if dtype.names is not None:
        columns = (f"{name}: {_kind_of(dtype[name])}" for name in sorted(dtype.names))
        return f"compound {{{', '.join(columns)}}}"
    if _is_text(dtype):
        return "text"
    if (items := h5py.check_vlen_dtype(dtype)) is not None:
        return f"lists of {_kind_of(np.dtype(items))}"
    if (names := h5py.check_enum_dtype(dtype)) is not None:
        listed = sorted((int(value), name) for name, value in names.items())
        return f"enumeration {{{', '.join(f'{name}={value}' for value, name in listed)}}}"
    if dtype.kind in "biufc" and _part_bytes(dtype) <= 8:
        return "complex numbers" if dtype.kind == "c" else "numbers"
    return f"bytes of {dtype.str}"


def _is_text(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def _part_bytes(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
