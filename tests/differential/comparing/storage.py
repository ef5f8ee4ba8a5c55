"""How one dataset is stored, and the values that are written to it."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

try:  # h5py reads through it, once it is imported
    import hdf5plugin
except ImportError:
    hdf5plugin = None

__all__ = ["Storage", "draw_storage", "values", "write_dataset"]

_ELSEWHERE = ("external", "virtual", "linked")


@dataclass(frozen=True)
class Storage:
    """How a dataset is stored.

    Args:
        layout: ``contiguous``, ``compact`` or ``chunked``; or in another file: ``external``, ``virtual``, ``linked``.
        chunks: shape of a chunk; its first number may be larger than the rows of a file, and is cut then.
        filters: options of `h5py.Group.create_dataset`.
        grows: the sample axis has no limit.
        plugin: name of a filter of hdf5plugin.
        is_partial: the last half of the rows is never written, so that HDF5 has a fill value for chunks of it.
    """

    layout: str = "contiguous"
    chunks: tuple[int, ...] | None = None
    filters: dict[str, Any] = field(default_factory=dict)
    grows: bool = False
    plugin: str | None = None
    is_partial: bool = False

    @property
    def is_elsewhere(self) -> bool:
        """Whether the values lie in another file."""
        return self.layout in _ELSEWHERE


def draw_storage(rng: random.Random, shape: tuple[int, ...], *, elsewhere: bool = False) -> Storage:
    """One way to store a dataset whose rows have a shape."""
    if elsewhere:
        return Storage(rng.choice(_ELSEWHERE))
    layout = rng.choices(("contiguous", "compact", "chunked"), (5, 1, 7))[0]
    if layout != "chunked":
        return Storage(layout)
    rows = rng.choice((1, 2, 3, 5, 8, 13, 16, 32, 64, 200))
    parts = tuple(max(1, size) if rng.random() < 0.7 else rng.randint(1, max(1, size)) for size in shape)
    plugin = rng.choice(_plugins()) if _plugins() and rng.random() < 0.12 else None
    filters = {} if plugin else _draw_filters(rng)
    return Storage("chunked", (rows, *parts), filters, rng.random() < 0.3, plugin)


def _draw_filters(rng: random.Random) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    kind = rng.choice(("", "", "gzip", "gzip", "gzip", "lzf"))
    if kind:
        filters["compression"] = kind
    if kind == "gzip":
        filters["compression_opts"] = rng.randint(0, 9)
    if rng.random() < 0.4:
        filters["shuffle"] = True
    if rng.random() < 0.25:
        filters["fletcher32"] = True
    return filters


def _plugins() -> tuple[str, ...]:
    return ("Zstd", "Blosc", "Blosc2", "LZ4", "Bitshuffle") if hdf5plugin else ()


def values(
    dtype: str, shape: tuple[int, ...], salt: int, *, first: int = 0, holes: bool = False
) -> npt.NDArray[Any]:
    """Numbers that follow from their place, and are exact in all types that may be asked for.

    Args:
        dtype: NumPy type string.
        shape: shape of the array.
        salt: what makes one dataset of one file differ from the others.
        first: added to the place.
        holes: some are NaN or infinity.
    """
    kind = np.dtype(dtype)
    place = np.arange(first, first + int(np.prod(shape)), dtype=np.uint64)
    mixed = (place + np.uint64(salt * 1_000_003)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    if kind.kind == "b":
        numbers = (mixed >> np.uint64(40)) % np.uint64(2) == 1
    elif kind.kind in "iu":
        # Not beyond 2**53, so that float64 holds them.
        numbers = (mixed >> np.uint64(11)) % np.uint64(2 ** min(8 * kind.itemsize - 1, 53))
    else:
        # Eight bits: exact in bfloat16 too.
        numbers = ((mixed >> np.uint64(30)) % np.uint64(256)).astype(np.float64) / 8 - 7
        if kind.kind == "c":
            numbers = numbers + 1j * ((mixed >> np.uint64(20)) % np.uint64(256)).astype(np.float64)
        elif holes:
            numbers = np.where(mixed % np.uint64(17) == 3, np.nan, numbers)
            numbers = np.where(mixed % np.uint64(23) == 5, -np.inf, numbers)
    return numbers.reshape(shape).astype(kind)


def write_dataset(group: h5py.Group, path: str, data: npt.NDArray[Any], storage: Storage) -> None:
    """Write a dataset as it is to be stored."""
    if storage.is_elsewhere:
        _write_elsewhere(group, path, data, storage.layout)
    elif storage.layout == "compact" and data.nbytes < 60_000:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        tid, space = h5py.h5t.py_create(data.dtype, logical=True), h5py.h5s.create_simple(data.shape)
        made = h5py.h5d.create(group.id, path.encode(), tid, space, plist, links)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(data), tid)
    elif storage.is_partial:
        made = group.create_dataset(path, data.shape, data.dtype, **_options(data.shape, storage))
        half = -(-len(data) // 2)
        made[:half] = data[:half]
    elif storage.chunks is not None:
        group.create_dataset(path, data=data, **_options(data.shape, storage))
    else:
        group.create_dataset(path, data=data)


def _options(shape: tuple[int, ...], storage: Storage) -> dict[str, Any]:
    chunks = storage.chunks or ()
    options: dict[str, Any] = dict(storage.filters)
    if storage.grows:
        options["maxshape"] = (None, *shape[1:])
    else:
        chunks = (min(chunks[0], shape[0]), *chunks[1:])
    if storage.plugin:
        options.update(getattr(hdf5plugin, storage.plugin)())
    return {**options, "chunks": tuple(max(1, part) for part in chunks)}


def _write_elsewhere(group: h5py.Group, path: str, data: npt.NDArray[Any], layout: str) -> None:
    source = source_of(group.file.filename, path)
    os.makedirs(os.path.dirname(source), exist_ok=True)
    if layout == "external":
        data.tofile(source)
        group.create_dataset(path, shape=data.shape, dtype=data.dtype, external=[(source, 0, data.nbytes)])
        return
    with h5py.File(source, "w") as file:
        file["d"] = data
    if layout == "linked":
        group[path] = h5py.ExternalLink(source, "d")
        return
    virtual = h5py.VirtualLayout(data.shape, data.dtype)
    virtual[...] = h5py.VirtualSource(source, "d", data.shape)
    group.create_virtual_dataset(path, virtual)


def source_of(file: str, path: str) -> str:
    """Where the values of a dataset lie that are not in its own file."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(folder, "sources", f"{name}-{path.replace('/', '-')}.source")
