"""Small files of every kind: formats, layouts, filters, types and structures, all with rows that can be told apart."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning import Field

__all__ = ["SPECIMENS", "Specimen"]

ROWS = 48
_CHUNKS = (8, 6, 4)


@dataclass(frozen=True)
class Specimen:
    """One kind of file.

    Args:
        name: what it is called.
        libver: the library versions that its format is for: ``earliest`` or ``latest``.
        fill: writes ``x`` and ``y`` into an open file.
        fields: what is read.
        userblock: bytes before the HDF5 part.
        is_checked: whether every byte of metadata and values has a checksum, so that no damage may go unnoticed.
            Not so with fletcher32 alone: that of zeros is zero, so that chunks which were lost to zeros pass.
    """

    name: str
    libver: str
    fill: Callable[[h5py.File], None]
    fields: Mapping[str, Field] = field(default_factory=lambda: {"x": Field("x"), "y": Field("y")})
    userblock: int = 0
    is_checked: bool = False

    def write(self, path: str) -> None:
        """Write the whole file."""
        with h5py.File(path, "w", libver=self.libver, userblock_size=self.userblock) as file:
            self.fill(file)


def values(dtype: str = "<f4", shape: tuple[int, ...] = (ROWS, 6, 4)) -> npt.NDArray[Any]:
    """Values that differ from place to place and compress a little."""
    if dtype == "|b1":
        return np.random.default_rng(0).integers(0, 2, shape).astype(bool)
    count = int(np.prod(shape))
    numbers = (np.arange(count) * 7 % 251 + np.arange(count) // 50).reshape(shape)
    return (numbers + 1j * numbers[::-1] if dtype[1] == "c" else numbers).astype(dtype)


def plain(dtype: str = "<f4", path: str = "x", **options: Any) -> Callable[[h5py.File], None]:
    """Writes ``x`` and ``y`` with the same options."""

    def fill(file: h5py.File) -> None:
        file.create_dataset(path, data=values(dtype), **options)
        rows = {**options, "chunks": (16,)} if "chunks" in options else options
        file.create_dataset("y", data=np.arange(ROWS, dtype="<i4") * 3, **{**rows, "maxshape": None})

    return fill


def compact(file: h5py.File) -> None:
    """Values inside of the headers."""
    for name, data in (("x", values(shape=(ROWS, 6))), ("y", np.arange(ROWS, dtype="<i4"))):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        tid, space = h5py.h5t.py_create(data.dtype), h5py.h5s.create_simple(data.shape)
        h5py.h5d.create(file.id, name.encode(), tid, space, plist).write(
            h5py.h5s.ALL, h5py.h5s.ALL, data, tid
        )


def table(**options: Any) -> Callable[[h5py.File], None]:
    """A compound of numbers and text."""

    def fill(file: h5py.File) -> None:
        rows = np.zeros(ROWS, np.dtype([("a", "<f4", (3,)), ("b", ">i8"), ("c", "S5"), ("d", "<f8")]))
        rows["b"], rows["c"], rows["d"] = np.arange(ROWS) * 9, b"text", np.arange(ROWS) / 8
        file.create_dataset("x", data=rows, **options)
        file.create_dataset("y", data=np.arange(ROWS, dtype="<i4"), **options)

    return fill


def crowd(file: h5py.File) -> None:
    """Many datasets in nested groups, with attributes."""
    for number in range(20):
        dataset = file.create_dataset(f"a/b/{number:02}/x", data=values(shape=(ROWS, 3)) + number)
        dataset.attrs["scale"] = number / 2
        dataset.attrs["title"] = np.bytes_(f"number {number}")
    file["y"] = np.arange(ROWS)


def variable(**options: Any) -> Callable[[h5py.File], None]:
    """Bytes of variable length, as images are stored."""

    def fill(file: h5py.File) -> None:
        dataset = file.create_dataset("x", (ROWS,), h5py.vlen_dtype("u1"), **options)
        for row in range(ROWS):
            dataset[row] = np.arange(row * row * 3 % 1_000, dtype="u1") + row
        file.create_dataset("y", data=np.arange(ROWS, dtype="<i4"))

    return fill


def enumeration(file: h5py.File) -> None:
    """Categories, and booleans."""
    kinds = h5py.enum_dtype({"CAT": 0, "DOG": 1, "EEL": 2}, basetype="<i2")
    file.create_dataset("x", data=np.arange(ROWS * 2).reshape(ROWS, 2) % 3, dtype=kinds, chunks=(8, 2))
    file.create_dataset("y", data=values("|b1", (ROWS,)))


def filtered(number: int, settings: tuple[int, ...] = (), dtype: str = "<f4") -> Callable[[h5py.File], None]:
    """One filter by its number; it may not be left out for a chunk."""
    return plain(dtype, chunks=_CHUNKS, compression=number, compression_opts=settings)


_CELL = Field("a/b/07/x")
_COLUMN = {"x": Field("x", member="d"), "b": Field("x", member="b"), "y": Field("y")}
_ENCODED = {"x": Field("x", decode="bytes"), "y": Field("y")}
_GZIP: dict[str, Any] = {"chunks": _CHUNKS, "compression": "gzip"}
_ALL_THREE: dict[str, Any] = {**_GZIP, "shuffle": True, "fletcher32": True}
_SUMMED: dict[str, Any] = {"chunks": _CHUNKS, "fletcher32": True}

_BUILT_IN = (
    Specimen("contiguous-earliest", "earliest", plain()),
    Specimen("contiguous-latest", "latest", plain()),
    Specimen("chunked-earliest", "earliest", plain(chunks=_CHUNKS)),
    Specimen("chunked-latest", "latest", plain(chunks=_CHUNKS)),
    Specimen("split-rows-earliest", "earliest", plain(">f8", chunks=(5, 4, 3))),
    Specimen("gzip-earliest", "earliest", plain(**_GZIP)),
    Specimen("gzip-latest", "latest", plain(**_GZIP), is_checked=True),
    Specimen("gzip-all-earliest", "earliest", plain(**_ALL_THREE)),
    Specimen("gzip-all-latest", "latest", plain("<i8", **_ALL_THREE), is_checked=True),
    Specimen("gzip-growing-latest", "latest", plain(**_GZIP, maxshape=(None, 6, 4)), is_checked=True),
    Specimen("gzip-growing-2-latest", "latest", plain(**_GZIP, maxshape=(None, None, 4)), is_checked=True),
    Specimen(
        "gzip-one-chunk-latest", "latest", plain(chunks=(ROWS, 6, 4), compression="gzip"), is_checked=True
    ),
    Specimen("gzip-edges-earliest", "earliest", plain("<u2", chunks=(7, 4, 4), compression="gzip")),
    Specimen("gzip-userblock-earliest", "earliest", plain(**_GZIP), userblock=512),
    Specimen("gzip-userblock-latest", "latest", plain(**_GZIP), userblock=512, is_checked=True),
    Specimen("fletcher32-earliest", "earliest", plain(**_SUMMED)),
    Specimen("fletcher32-latest", "latest", plain(">i2", **_SUMMED)),
    Specimen("lzf-earliest", "earliest", plain(chunks=_CHUNKS, compression="lzf", shuffle=True)),
    Specimen("lzf-latest", "latest", plain(chunks=_CHUNKS, compression="lzf")),
    Specimen("scaleoffset-latest", "latest", plain("<i4", chunks=_CHUNKS, scaleoffset=0)),
    Specimen("szip-latest", "latest", plain("<i4", chunks=_CHUNKS, compression="szip")),
    Specimen("compact-earliest", "earliest", compact),
    Specimen("compact-latest", "latest", compact),
    Specimen("table-earliest", "earliest", table(), fields=_COLUMN),
    Specimen(
        "table-gzip-latest",
        "latest",
        table(chunks=(16,), compression="gzip"),
        fields=_COLUMN,
        is_checked=True,
    ),
    Specimen("bytes-earliest", "earliest", variable(), fields=_ENCODED),
    Specimen(
        "bytes-gzip-userblock-latest",
        "latest",
        variable(chunks=(16,), compression="gzip"),
        fields=_ENCODED,
        userblock=512,
    ),
    Specimen("complex-earliest", "earliest", plain("<c8", chunks=_CHUNKS)),
    Specimen("enumeration-latest", "latest", enumeration),
    Specimen("groups-earliest", "earliest", crowd, fields={"x": _CELL, "y": Field("y")}),
    Specimen("groups-latest", "latest", crowd, fields={"x": _CELL, "y": Field("y")}),
)


def _plugins() -> tuple[Specimen, ...]:
    if importlib.util.find_spec("hdf5plugin") is None:
        return ()
    import hdf5plugin

    filters = {
        "zstd": hdf5plugin.Zstd(),
        "blosc": hdf5plugin.Blosc(cname="lz4"),
        "blosc-zstd": hdf5plugin.Blosc(cname="zstd", shuffle=2),
        "lz4": hdf5plugin.LZ4(nbytes=256),
        "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
        "bitshuffle-lz4": hdf5plugin.Bitshuffle(cname="lz4"),
        "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
        "blosc2": hdf5plugin.Blosc2(),
    }
    return tuple(
        Specimen(f"{name}-latest", "latest", filtered(item.filter_id, tuple(item.filter_options), "<i4"))
        for name, item in filters.items()
    )


SPECIMENS: dict[str, Specimen] = {item.name: item for item in (*_BUILT_IN, *_plugins())}
