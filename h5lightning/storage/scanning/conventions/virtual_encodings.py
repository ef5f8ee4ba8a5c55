"""What the sources of a virtual dataset say of its numbers: HDF5 takes their values, and leaves their attributes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from h5py import h5d, h5f, h5i

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import beside
from h5lightning.storage.hdf5.open_file import opened_id

__all__ = ["encoding_with_sources"]

_Find: TypeAlias = Callable[[h5f.FileID, DatasetInfo, str], Encoding | None]


def encoding_with_sources(opened: DatasetInfo, own: Encoding | None, find: _Find) -> Encoding | None:
    """How the numbers of a virtual dataset stand for values.

    What it says itself is believed. Where it says nothing of a packing, that of its sources counts; what stands for a
    missing value in one of them does so in it.

    Args:
        opened: a virtual dataset whose sources are all there.
        own: what its own attributes say.
        find: says how the numbers of a dataset of an open file stand for values.
    """
    if own is not None and (own.is_packed or own.kind != "cf"):
        return own
    found = dict.fromkeys(_found(opened, find))
    packed = [(where, one) for where, one in found if one is not None and one.is_packed]
    if not packed:
        return _joined(
            list(dict.fromkeys(one for one in (own, *(one for _, one in found)) if one is not None))
        )
    where, first = packed[0]
    if own is None and all(one == first for _, one in found):
        return first
    others = (
        "its own attributes say nothing of that" if own else "others of its sources are not, or are otherwise"
    )
    said = ", ".join(first.said_by) or first.problem
    problem = f"takes its values from {where}, which is packed ({said}), and {others}"
    return Encoding("cf", said_by=first.said_by, problem=problem)


def _joined(encodings: list[Encoding]) -> Encoding | None:
    """What only marks missing values, in one: what stands for one anywhere; bounds that all of them have."""
    if len(encodings) < 2:
        return encodings[0] if encodings else None
    first = encodings[0]
    is_bounded = {(one.low, one.high) for one in encodings} == {(first.low, first.high)}
    return dataclasses.replace(
        first,
        fills=tuple(dict.fromkeys(fill for one in encodings for fill in one.fills)),
        low=first.low if is_bounded else None,
        high=first.high if is_bounded else None,
        said_by=tuple(dict.fromkeys(text for one in encodings for text in one.said_by)),
    )


def _found(opened: DatasetInfo, find: _Find) -> Iterator[tuple[str, Encoding | None]]:
    file = os.fsdecode(h5i.get_file_id(opened.did).name)
    places = {
        (opened.plist.get_virtual_filename(number), opened.plist.get_virtual_dsetname(number).strip("/"))
        for number in range(opened.plist.get_virtual_count())
    }
    for name, inside in sorted(places):
        path = file if name == "." else beside(file, name)
        with opened_id(path) as fid:
            source = DatasetInfo.of(h5d.open(fid, inside.encode("utf-8", "surrogateescape")))
            found = find(fid, source, inside)
            if found is not None and found.is_unsigned is not None and source.itemsize != opened.itemsize:
                found = dataclasses.replace(found, problem="is read without the sign that it is stored with")
        yield f"'/{inside}' in {path!r}", found
