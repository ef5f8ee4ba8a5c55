"""One object of an open file → its `DatasetSchema`. A reason against using it is written down, not raised."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import islice

from h5py import h5d, h5f, h5g, h5l, h5o, h5z

from h5lightning.scanning.conventions import category_names, sparse_format, sparse_refusal
from h5lightning.scanning.opened import OpenedDataset
from h5lightning.scanning.small_values import ValueReader
from h5lightning.schema import DatasetSchema

__all__ = ["dataset_paths", "describe", "encoded", "find", "foreign_link"]

_MOST_LISTED = 8

# The numbers of https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md.
_FILTERS = {
    h5z.FILTER_DEFLATE: "deflate",
    h5z.FILTER_SHUFFLE: "shuffle",
    h5z.FILTER_FLETCHER32: "fletcher32",
    h5z.FILTER_SZIP: "szip",
    h5z.FILTER_NBIT: "nbit",
    h5z.FILTER_SCALEOFFSET: "scaleoffset",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}

_FOREIGN = {
    "virtual": "is a virtual dataset: its values lie in other files, and HDF5 invents those that it cannot "
    "find. Name the files that hold the values, or copy them to a dataset of its own",
    "external": "keeps its values outside of the HDF5 file: copy them to a dataset of its own",
}


def find(fid: h5f.FileID, path: str, values: ValueReader) -> OpenedDataset | DatasetSchema | None:
    """The dataset at ``path``; the schema of what is none, with the reason; None if there is nothing.

    Args:
        fid: the open file.
        path: path without a leading slash.
        values: what reads attributes.
    """
    link = foreign_link(fid, path)
    if link is None:
        return None
    if link:
        return _refused(path, "link", link)
    found = h5o.open(fid, encoded(path))
    if isinstance(found, h5g.GroupID):
        return _refused(path, "group", _group_refusal(found, path, values))
    if not isinstance(found, h5d.DatasetID):
        return _refused(path, "named type", "is a named type, which holds no data")
    return OpenedDataset.of(found)


def describe(fid: h5f.FileID, opened: OpenedDataset, path: str, values: ValueReader) -> DatasetSchema:
    """The schema of an opened dataset.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path, without a leading slash.
        values: what reads the names of categories.
    """
    did, element, shape, storage = opened.did, opened.element, opened.shape, opened.storage
    refusal = (
        element.refusal or _FOREIGN.get(storage) or _null_refusal(shape) or sparse_refusal(fid, path, values)
    )
    return DatasetSchema(
        path=path,
        dtype=element.dtype,
        shape=shape or (),
        chunks=opened.chunks,
        filters=tuple(_filter_text(number, values) for number, values in opened.filters),
        storage="none" if shape is None else storage,
        stored_bytes=did.get_storage_size(),
        missing_chunks=0
        if storage in _FOREIGN or shape is None
        else _missing_chunks(did, shape, opened.chunks),
        members=element.members,
        categories=element.categories or (None if refusal else category_names(fid, did, path, values)),
        is_converted=element.is_converted,
        refusal=refusal,
    )


def _null_refusal(shape: tuple[int, ...] | None) -> str:
    return "is empty: it has a type, but no values" if shape is None else ""


def dataset_paths(group: h5f.FileID | h5g.GroupID, most: int | None = None) -> list[str]:
    """Paths of the datasets below ``group`` that hard links lead to, relative to it, sorted.

    Args:
        group: an open file or group.
        most: stop after this many.
    """
    names: list[bytes] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        # Nothing may fail in here: h5py would end in a SystemError.
        if info.type == h5l.TYPE_HARD:
            names.append(name)

    group.links.visit(visit, info=True)
    names.sort()
    datasets = (name for name in names if h5o.get_info(group, name).type == h5o.TYPE_DATASET)
    return [name.decode("utf-8", "surrogateescape") for name in islice(datasets, most)]


def encoded(path: str) -> bytes:
    """The name that HDF5 knows; the file itself for an empty path."""
    return path.encode("utf-8", "surrogateescape") or b"/"


# ── links and groups ─────────────────────────────────────────────────────────────────────────────────


def foreign_link(fid: h5f.FileID, path: str) -> str | None:
    """Why the way to ``path`` cannot be followed; empty where it can, None where it ends early."""
    for prefix in _prefixes(path):
        if not _exists(fid, prefix):
            return None
        if fid.links.get_info(encoded(prefix)).type != h5l.TYPE_HARD:
            return _link_refusal(fid, prefix)
    return ""


def _prefixes(path: str) -> Iterator[str]:
    """``a``, ``a/b`` and ``a/b/c`` of ``a/b/c``."""
    return (path[:end] for end in (*(i for i, sign in enumerate(path) if sign == "/"), len(path)))


def _exists(fid: h5f.FileID, path: str) -> bool:
    try:
        return bool(fid.links.exists(encoded(path)))
    except (KeyError, RuntimeError):
        # HDF5 fails, rather than saying no, where the parent is a dataset.
        if h5o.get_info(fid, encoded(path.rpartition("/")[0])).type == h5o.TYPE_GROUP:
            raise
        return False


def _link_refusal(fid: h5f.FileID, path: str) -> str:
    target = fid.links.get_val(encoded(path))
    if isinstance(target, tuple):
        file, name = (os.fsdecode(part) for part in target)
        return (
            f"is reached through the external link '/{path}' to {name!r} in {file!r}: name that file in files"
        )
    return (
        f"is reached through the soft link '/{path}' to {os.fsdecode(target)!r}: name the data by that path"
    )


def _group_refusal(group: h5g.GroupID, path: str, values: ValueReader) -> str:
    if form := sparse_format(group, values):
        return (
            f"is a sparse matrix ({form}), whose stored values are not rows: store it densely to train on it"
        )
    held = dataset_paths(group, most=_MOST_LISTED + 1)
    if not held:
        return "is a group without datasets"
    listed = ", ".join(repr(f"{path}/{name}") for name in held[:_MOST_LISTED])
    return f"is a group; it holds: {listed}{', …' if len(held) > _MOST_LISTED else ''}"


def _refused(path: str, dtype: str, refusal: str) -> DatasetSchema:
    return DatasetSchema(path=path, dtype=dtype, shape=(), storage="none", refusal=refusal)


# ── storage ──────────────────────────────────────────────────────────────────────────────────────────


def _filter_text(number: int, values: tuple[int, ...]) -> str:
    name = _FILTERS.get(number, f"filter {number}")
    return f"{name}({values[0]})" if number == h5z.FILTER_DEFLATE else name


def _missing_chunks(did: h5d.DatasetID, shape: tuple[int, ...], chunks: tuple[int, ...] | None) -> int:
    if chunks is not None:
        return _expected_chunks(shape, chunks) - int(did.get_num_chunks())
    return int(math.prod(shape) > 0 and did.get_storage_size() == 0)


def _expected_chunks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    return math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
