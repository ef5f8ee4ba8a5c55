"""Objects of an HDF5 file by their names, which h5py's low-level interface takes as bytes."""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5a, h5d, h5f, h5o

__all__ = ["attribute_names", "encoded", "find_dataset", "find_object", "name_text", "visited_objects"]


def encoded(name: str) -> bytes:
    """A name as HDF5 stores it."""
    return name.encode("utf-8", "surrogateescape")


def name_text(name: bytes) -> str:
    """A stored name as text."""
    return name.decode("utf-8", "surrogateescape")


def find_object(fid: h5f.FileID, name: str) -> Any:
    """The object of that name; None if there is none."""
    try:
        return h5o.open(fid, encoded(name))
    except (KeyError, ValueError, OSError):
        return None


def find_dataset(fid: h5f.FileID, name: str) -> h5d.DatasetID | None:
    """The dataset of that name in this file; None if there is none, or if a link leads to another file."""
    found = find_object(fid, name)
    is_dataset = isinstance(found, h5d.DatasetID)
    return found if is_dataset and h5o.get_info(found).fileno == h5o.get_info(fid).fileno else None


def visited_objects(fid: h5f.FileID) -> list[tuple[bytes, int]]:
    """One path of each object of a file, and its kind; the root group is ``.``."""
    found: list[tuple[bytes, int]] = [(b".", h5o.TYPE_GROUP)]
    # The callback must not fail: h5py would raise a SystemError.
    h5o.visit(fid, lambda name, info: found.append((name, info.type)), info=True)
    return list(dict.fromkeys(found))


def attribute_names(obj: Any) -> list[bytes]:
    """The attributes of an object, in the order of their creation if the file tracks it."""
    is_tracked = isinstance(obj, h5d.DatasetID) and bool(
        obj.get_create_plist().get_attr_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    )
    order = h5py.h5.INDEX_CRT_ORDER if is_tracked else h5py.h5.INDEX_NAME
    count = h5a.get_num_attrs(obj)
    return [h5a.open(obj, index=number, index_type=order).name for number in range(count)]
