"""One object of an open file → its `DatasetSchema`. A reason against using it is written down, not raised."""

from __future__ import annotations

import math
from itertools import islice

from h5py import h5d, h5f, h5g, h5l, h5o

from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import Sources, encoded, link_problem
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.filters import DEFLATE, filter_name
from h5lightning.storage.hdf5.open_dataset import filter_problem
from h5lightning.storage.scanning.bookkeeping import bookkeeping_refusal
from h5lightning.storage.scanning.conventions.group_attributes import sparse_format, sparse_refusal
from h5lightning.storage.scanning.conventions.vocabularies import Vocabulary, vocabulary_of, with_vocabularies
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["dataset_paths", "describe", "find"]

_MOST_LISTED = 8
_INT64_MAX = 2**63 - 1

# Their values lie in other files, which are looked at as a whole.
_FOREIGN = ("virtual", "external")


def find(
    fid: h5f.FileID,
    path: str,
    values: ValueReader,
    *,
    file: str = "",
    allow_external: str | None = None,
    sources: Sources | None = None,
) -> DatasetInfo | DatasetSchema | None:
    """The dataset at ``path``; the schema of what is none, with the reason; None if there is nothing.

    Args:
        fid: the open file.
        path: path without a leading slash.
        values: what reads attributes.
        file: where the file lies.
        allow_external: the directory that external links may lead to; None for nowhere.
        sources: takes the files that such links lead to.
    """
    link = link_problem(fid, file, path, allow_external, sources=sources)
    if link is None:
        return None
    if link:
        return _refused(path, "link", link)
    found = h5o.open(fid, encoded(path))
    if isinstance(found, h5g.GroupID):
        return _refused(path, "group", _group_refusal(found, path, values))
    if not isinstance(found, h5d.DatasetID):
        return _refused(path, "named type", "is a named type, which holds no data")
    return DatasetInfo.of(found)


def describe(
    fid: h5f.FileID,
    opened: DatasetInfo,
    path: str,
    values: ValueReader,
    *,
    allow_external: str | None = None,
    sources: Sources | None = None,
) -> DatasetSchema:
    """The schema of an opened dataset.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path, without a leading slash.
        values: what reads the names of categories.
        allow_external: the directory that other files with its values may lie in; None for nowhere.
        sources: takes those files.

    Raises:
        ValueError: it is of a size that makes no sense.
    """
    did, element, shape, storage = opened.did, opened.element, opened.shape, opened.storage
    _check_size(opened)
    refusal = (
        bookkeeping_refusal(fid, opened, path, values)
        or element.refusal
        or (storage in _FOREIGN and storage_problem(did, allow_external, sources))
        or filter_problem([number for number, _ in opened.filters])
        or _null_refusal(shape)
        or sparse_refusal(fid, path, values)
    )
    members = (
        with_vocabularies(fid, opened, path, values) if element.members and not refusal else element.members
    )
    is_asked = not (refusal or element.members or element.categories)
    vocabulary = vocabulary_of(fid, opened, path, values) if is_asked else Vocabulary(element.categories)
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
        members=members,
        categories=vocabulary.names,
        is_converted=element.is_converted,
        refusal=refusal,
        vocabulary=vocabulary.text,
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


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────


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
    name = filter_name(number)
    return f"{name}({values[0]})" if number == DEFLATE and values else name


def _check_size(opened: DatasetInfo) -> None:
    """Raise unless the declared size is one that can be, and agrees with what is stored."""
    declared = math.prod(opened.shape or ()) * opened.itemsize
    if max(declared, opened.chunk_bytes) > _INT64_MAX:
        raise ValueError(f"it says that it has shape {opened.shape}, which would take {declared} bytes")
    is_whole = opened.storage in ("contiguous", "compact") and opened.shape is not None
    if is_whole and not opened.element.refusal:  # text of variable length lies elsewhere
        stored = opened.did.get_storage_size()
        if stored not in (0, declared):
            raise ValueError(f"its values take {stored} bytes, expected {declared} for shape {opened.shape}")


def _missing_chunks(did: h5d.DatasetID, shape: tuple[int, ...], chunks: tuple[int, ...] | None) -> int:
    if chunks is not None:
        return _expected_chunks(shape, chunks) - int(did.get_num_chunks())
    return int(math.prod(shape) > 0 and did.get_storage_size() == 0)


def _expected_chunks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    return math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
