"""Describe one object of an open file as a `DatasetSchema`; why it cannot be a field is recorded, not raised."""

from __future__ import annotations

import math
from itertools import islice

from h5py import h5d, h5f, h5g, h5l, h5o

from h5lightning.core.families import families_text, fold
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import Sources, encoded, link_problem
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.filters import DEFLATE, filter_name
from h5lightning.storage.hdf5.open_dataset import filter_problem
from h5lightning.storage.scanning.conventions.bookkeeping import (
    bookkeeping_refusal,
    sparse_format,
    sparse_refusal,
)
from h5lightning.storage.scanning.conventions.cells import cells_shape, holds_cells
from h5lightning.storage.scanning.conventions.letters import holds_words
from h5lightning.storage.scanning.conventions.vocabularies import Vocabulary, vocabulary_of, with_vocabularies
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

__all__ = ["check_size", "dataset_paths", "describe_dataset", "find_dataset", "missing_chunks"]

_MOST_LISTED = 8
_MOST_FOLDED = 2_000
_INT64_MAX = 2**63 - 1

_IN_OTHER_FILES = ("virtual", "external")


def find_dataset(
    fid: h5f.FileID,
    path: str,
    reader: ValueReader,
    *,
    file: str = "",
    allow_external: str | None = None,
    sources: Sources | None = None,
) -> DatasetInfo | DatasetSchema | None:
    """The dataset at ``path``; for another object its schema with the reason; None if there is no object.

    Args:
        fid: the open file.
        path: path without a leading slash.
        reader: reads attributes.
        file: where the file lies.
        allow_external: the directory to which external links may lead; None to follow none.
        sources: collects the files to which such links lead.
    """
    link = link_problem(fid, file, path, allow_external, sources=sources)
    if link is None:
        return None
    if link:
        return _refused(path, "link", link)
    target = h5o.open(fid, encoded(path))
    if isinstance(target, h5g.GroupID):
        return _refused(path, "group", _group_refusal(target, path, reader))
    if not isinstance(target, h5d.DatasetID):
        return _refused(path, "named type", "is a named type, which holds no data")
    return DatasetInfo.of(target)


def describe_dataset(
    dataset: ScannedDataset, *, allow_external: str | None = None, sources: Sources | None = None
) -> DatasetSchema:
    """The schema of a dataset.

    Args:
        dataset: the dataset.
        allow_external: the directory in which other files with its values may lie; None for no such files.
        sources: collects those files.

    Raises:
        ValueError: its size is impossible.
    """
    info = dataset.info
    element, shape, chunks = info.element, info.shape, info.chunks
    check_size(info)
    refusal = (
        bookkeeping_refusal(dataset)
        or ("" if element.raw else element.refusal)
        or (info.storage in _IN_OTHER_FILES and storage_problem(info.did, allow_external, sources))
        or filter_problem([number for number, _ in info.filters])
        or ("is empty: it has a type, but no values" if shape is None else "")
        or sparse_refusal(dataset)
    )
    raw, refusal = ("" if refusal else element.raw), refusal or element.refusal
    may_have_names = not (refusal or element.members or element.categories)
    vocabulary = vocabulary_of(dataset) if may_have_names else Vocabulary(element.categories)
    if shape is not None and holds_words(dataset):
        shape, chunks, raw = shape[:-1], chunks and chunks[:-1], ""
    elif shape is not None and holds_cells(dataset):
        shape, chunks = cells_shape(shape), None
    return DatasetSchema(
        path=dataset.path,
        dtype=element.dtype,
        shape=shape or (),
        chunks=chunks,
        filters=tuple(_filter_text(number, client_values) for number, client_values in info.filters),
        storage="none" if shape is None else info.storage,
        stored_bytes=info.did.get_storage_size(),
        missing_chunks=missing_chunks(info),
        members=with_vocabularies(dataset) if element.members and not refusal else element.members,
        categories=vocabulary.names,
        is_converted=element.is_converted,
        refusal=refusal,
        vocabulary=vocabulary.text,
        category_values=element.category_values,
        raw=raw,
    )


def dataset_paths(group: h5f.FileID | h5g.GroupID, most: int | None = None) -> list[str]:
    """Paths of the datasets below a group to which hard links lead, relative to it, sorted; at most ``most``."""
    names: list[bytes] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        # An exception in here would end as a SystemError of h5py.
        if info.type == h5l.TYPE_HARD:
            names.append(name)

    group.links.visit(visit, info=True)
    names.sort()
    datasets = (name for name in names if h5o.get_info(group, name).type == h5o.TYPE_DATASET)
    return [name.decode("utf-8", "surrogateescape") for name in islice(datasets, most)]


def _group_refusal(group: h5g.GroupID, path: str, reader: ValueReader) -> str:
    if sparse := sparse_format(group, reader):
        return f"is a sparse matrix ({sparse}), whose stored values are not rows: store it densely to train on it"
    datasets = [f"{path}/{name}" for name in dataset_paths(group, most=_MOST_FOLDED)]
    if not datasets:
        return "is a group without datasets"
    families, others = fold(datasets)
    told = f". {families_text(families)}: a '*' makes each one a series" if families else ""
    if not others:
        return f"is a group{told}"
    shown = ", ".join(map(repr, others[:_MOST_LISTED]))
    return f"is a group; it holds: {shown}{', …' if len(others) > _MOST_LISTED else ''}{told}"


def _refused(path: str, dtype: str, refusal: str) -> DatasetSchema:
    return DatasetSchema(path=path, dtype=dtype, shape=(), storage="none", refusal=refusal)


def _filter_text(number: int, client_values: tuple[int, ...]) -> str:
    name = filter_name(number)
    return f"{name}({client_values[0]})" if number == DEFLATE and client_values else name


def check_size(info: DatasetInfo) -> None:
    """Raise unless the declared size is possible and agrees with the stored bytes."""
    declared = math.prod(info.shape or ()) * info.itemsize
    if max(declared, info.chunk_bytes) > _INT64_MAX:
        raise ValueError(f"it says that it has shape {info.shape}, which would take {declared} bytes")
    is_whole = info.storage in ("contiguous", "compact") and info.shape is not None
    if is_whole and not info.element.refusal:  # text of variable length is stored in the heap
        stored = info.did.get_storage_size()
        if stored not in (0, declared):
            raise ValueError(f"its values take {stored} bytes, expected {declared} for shape {info.shape}")


def missing_chunks(info: DatasetInfo) -> int:
    """Chunks that were never written; a dataset without chunks counts as one."""
    if info.storage in _IN_OTHER_FILES or info.shape is None:
        return 0
    if info.chunks is not None:
        return info.chunk_count - int(info.did.get_num_chunks())
    return int(math.prod(info.shape) > 0 and info.did.get_storage_size() == 0)
