"""Datasets whose values lie in other files (virtual, external storage): may they be read, and where do rows lie?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from h5py import h5d, h5i, h5o, h5p, h5s, h5t

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.hdf5.external import (
    Sources,
    beside,
    encoded,
    hdf5_source_problem,
    link_problem,
    other_name_problem,
    source_problem,
)
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.hdf5.stored_sizes import stored_size

__all__ = ["RowSources", "storage_problem"]

_UNLIMITED_BYTES = 2**64 - 1
_MOST_ROWS = 2**63 - 1


def storage_problem(did: h5d.DatasetID, allowed: str | None, sources: Sources | None = None) -> str:
    """The reason why the values of a dataset may not be read, as the predicate of a sentence; empty if they may.

    Their sources may lie in the allowed directory; None for no directory. ``sources`` collects them.
    """
    plist, sources = did.get_create_plist(), sources or Sources()
    if plist.get_external_count():
        return _external_problem(did, plist, allowed, sources)
    return _virtual_problem(did, plist, allowed, sources) if plist.get_layout() == h5d.VIRTUAL else ""


def _external_problem(did: h5d.DatasetID, plist: h5p.PropDCID, allowed: str | None, sources: Sources) -> str:
    if allowed is None:
        return (
            "keeps its values outside of the HDF5 file: copy them into a dataset, or set access.allow_external to "
            "the directory that they lie in"
        )
    missing = math.prod(did.shape or ()) * stored_size(did.get_type())
    for name, offset, size in _external_parts(plist):
        path, needed = os.path.abspath(name), missing if size == _UNLIMITED_BYTES else min(size, missing)
        if problem := source_problem(name, allowed, sources):
            return f"keeps its values in {path!r}, {problem}"
        file_bytes = os.stat(name).st_size
        if file_bytes < offset + needed:
            return f"keeps its values in {path!r}, which has {file_bytes} bytes, expected {offset + needed}"
        missing -= needed
    return f"lacks {missing} bytes of its values, which no external file holds" if missing else ""


def _external_parts(plist: h5p.PropDCID) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each part; HDF5 looks for it from the current directory."""
    for number in range(plist.get_external_count()):
        name, offset, size = plist.get_external(number)
        yield os.fsdecode(name), offset, size


def _virtual_problem(did: h5d.DatasetID, plist: h5p.PropDCID, allowed: str | None, sources: Sources) -> str:
    if allowed is None:
        return (
            "is a virtual dataset: its values lie in other files, and HDF5 returns fill values where one is missing. "
            "Name the files that hold the values, copy them into a dataset, or set access.allow_external to the "
            "directory that they lie in"
        )
    fid, mapped = h5i.get_file_id(did), 0
    file = os.fsdecode(fid.name)  # a link may have led to another file than the first
    elsewhere = other_name_problem(fid)
    for number in range(plist.get_virtual_count()):
        name, inside = plist.get_virtual_filename(number), plist.get_virtual_dsetname(number)
        space = plist.get_virtual_vspace(number)
        if "%" in name + inside or h5s.UNLIMITED in space.get_simple_extent_dims(True):
            return f"is a virtual dataset with an unlimited number of sources, {name!r}: list them one by one"
        if elsewhere and name != "." and not os.path.isabs(name):
            return f"is a virtual dataset with the source {name!r}{elsewhere}"
        path = file if name == "." else beside(file, name)
        problem = "" if path == file else hdf5_source_problem(path, allowed, sources)
        points = int(space.get_select_npoints())
        problem = problem or _dataset_problem(did, path, inside, plist.get_virtual_srcspace(number), points)
        if problem:
            return f"is a virtual dataset whose source '/{inside.lstrip('/')}' in {path!r}, {problem}"
        mapped += points
    total = math.prod(did.shape or ())
    return "" if mapped == total else f"is a virtual dataset with sources for {mapped} of its {total} values"


def _dataset_problem(did: h5d.DatasetID, path: str, name: str, selected: h5s.SpaceID, points: int) -> str:
    """The reason why a dataset cannot be the source of another, which takes the selected points of it."""
    with opened_id(path) as fid:
        if link := link_problem(fid, path, name, None):
            return f"which {link}"
        if link is None or h5o.get_info(fid, encoded(name)).type != h5o.TYPE_DATASET:
            return "which is not there"
        source = h5d.open(fid, encoded(name))
        plist, kind = source.get_create_plist(), source.get_type().get_class()
        if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
            return "which takes its values from other files itself"
        if kind != did.get_type().get_class() or kind == h5t.VLEN:
            return "which holds elements of another class"
        if not _covers(source.shape or (), selected, points):
            return f"which has shape {source.shape}, too small for the values that are taken from it"
        return "" if _is_written(source) else "of which parts were never written"


def _covers(shape: tuple[int, ...], selected: h5s.SpaceID, points: int) -> bool:
    """Whether a selection lies inside of a shape."""
    if selected.get_select_type() == h5s.SEL_ALL:
        return math.prod(shape) == points
    last = selected.get_select_bounds()[1]
    return len(last) == len(shape) and all(index < length for index, length in zip(last, shape, strict=True))


def _is_written(did: h5d.DatasetID) -> bool:
    plist, shape = did.get_create_plist(), did.shape or ()
    if plist.get_layout() != h5d.CHUNKED:
        return bool(did.get_storage_size() or not math.prod(shape))
    count = math.prod(-(-length // chunk) for length, chunk in zip(shape, plist.get_chunk(), strict=True))
    return bool(did.get_num_chunks() >= count)


@dataclass(frozen=True, slots=True, eq=False)
class RowSources:
    """The other files that rows of an opened dataset lie in.

    Args:
        always: files that every row needs: targets of links, external storage.
        paths: the source file of each part of a virtual dataset.
        starts: first row of each part, ``(parts,)``.
        stops: one past the last row of each part, ``(parts,)``.
    """

    always: tuple[str, ...]
    paths: tuple[str, ...]
    starts: Int64Array
    stops: Int64Array

    @classmethod
    def of(cls, did: h5d.DatasetID, sources: Sources) -> RowSources:
        """Describe a dataset that may be read, given all files that were checked for it."""
        plist, file = did.get_create_plist(), os.fsdecode(h5i.get_file_id(did).name)
        paths: list[str] = []
        bounds: list[tuple[int, int]] = []
        for number in range(plist.get_virtual_count() if plist.get_layout() == h5d.VIRTUAL else 0):
            name = plist.get_virtual_filename(number)
            if name != "." and beside(file, name) in sources.stamps:
                paths.append(beside(file, name))
                bounds.append(_rows_of(plist.get_virtual_vspace(number)))
        parts = np.asarray(bounds, dtype=np.int64).reshape(-1, 2)
        always = tuple(path for path in sources.stamps if path not in set(paths))
        return cls(always, tuple(paths), parts[:, 0], parts[:, 1])

    def touched(self, rows: Int64Array) -> list[str]:
        """The files that hold any of the rows, ``(N,)``, ascending."""
        if not self.paths:
            return [*self.always]
        has_some = np.searchsorted(rows, self.starts) < np.searchsorted(rows, self.stops)
        return [*self.always, *{self.paths[part]: None for part in np.flatnonzero(has_some).tolist()}]


def _rows_of(space: h5s.SpaceID) -> tuple[int, int]:
    """The first row of a selection, and one past its last row."""
    if not space.get_select_npoints():
        return 0, 0
    if space.get_select_type() == h5s.SEL_ALL or not space.get_simple_extent_ndims():
        return 0, _MOST_ROWS
    first, last = space.get_select_bounds()
    return int(first[0]), int(last[0]) + 1
