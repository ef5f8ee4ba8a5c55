"""Objects of an HDF5 file by their names, which h5py's low-level interface takes as bytes, and references to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5g, h5o, h5r, h5t

from h5lightning.core.star_paths import concrete, split_at_star
from h5lightning.errors import FieldError

__all__ = [
    "attribute_names",
    "encoded",
    "find_dataset",
    "find_object",
    "matching_datasets",
    "name_text",
    "redirect",
    "visited_objects",
]


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


def matching_datasets(fid: h5f.FileID, path: str) -> list[str]:
    """The paths of the datasets that a path with a ``*`` matches in this file; the path itself, if it is a name.

    The ``*`` stands for any text in a part of the path, as in fields.
    """
    if "*" not in path or find_dataset(fid, path) is not None:
        return [path]
    group, part, _ = split_at_star(path)
    start, stop = part.split("*", 1)
    found = find_object(fid, group or "/")
    names = [name_text(name) for name in found] if isinstance(found, h5g.GroupID) else []
    size = len(start) + len(stop)
    texts = [
        name[len(start) : len(name) - len(stop)]
        for name in names
        if name.startswith(start) and name.endswith(stop) and len(name) >= size
    ]
    paths = [concrete(path, text) for text in texts]
    return [one for one in paths if find_dataset(fid, one) is not None]


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


def redirect(fid: h5f.FileID, replaced: Mapping[int, h5d.DatasetID]) -> None:
    """Redirect all references to some objects, in attributes and datasets.

    Args:
        fid: a file that is open for writing.
        replaced: address of an object → the dataset that replaces it.

    Raises:
        FieldError: the file holds references of a kind that h5py cannot read.
    """
    renew = partial(_renewed, fid, replaced)
    for name, kind in visited_objects(fid):
        obj = h5o.open(fid, name)
        for attribute in attribute_names(obj):
            where = f"attribute {name_text(attribute)!r} of '/{name_text(name).lstrip('.')}'"
            _redirect_values(h5a.open(obj, attribute), where, renew)
        if kind == h5o.TYPE_DATASET:
            _redirect_values(obj, f"'/{name_text(name)}'", renew)


def _redirect_values(holder: Any, where: str, renew: Callable[[Any], Any]) -> None:
    """Rewrite the values of an attribute or a dataset if they refer to a replaced object."""
    tid, space = holder.get_type(), holder.get_space()
    if not tid.detect_class(h5t.REFERENCE) or not space.get_simple_extent_npoints():
        return
    try:
        dtype = holder.dtype
    except TypeError as error:
        raise FieldError(
            f"{where} holds references of a kind that h5py cannot read: rewrite this file with h5repack"
        ) from error
    values = np.empty(holder.shape, dtype)
    spaces = () if isinstance(holder, h5a.AttrID) else (h5py.h5s.ALL, h5py.h5s.ALL)
    holder.read(*spaces, values)
    if _replace_in(values, dtype, renew):
        holder.write(*spaces, values)


def _replace_in(values: npt.NDArray[Any], dtype: np.dtype[Any], renew: Callable[[Any], Any]) -> bool:
    """Replace references in an array, in place; whether there were any to replace."""
    if dtype.names is not None:
        return sum(_replace_in(values[name], dtype[name], renew) for name in dtype.names) > 0
    base = dtype.subdtype[0] if dtype.subdtype else dtype
    inner = h5py.check_vlen_dtype(base)
    if inner is not None and isinstance(inner, np.dtype):
        arrays = [element for element in values.flat if isinstance(element, np.ndarray)]
        return sum(_replace_in(array, inner, renew) for array in arrays) > 0
    if h5py.check_ref_dtype(base) is None:
        return False
    is_changed = False
    for index in np.ndindex(values.shape):
        reference = renew(values[index])
        if reference is not None:
            values[index], is_changed = reference, True
    return is_changed


def _renewed(fid: h5f.FileID, replaced: Mapping[int, h5d.DatasetID], reference: Any) -> Any:
    """The new reference; None if the old one stays."""
    if not reference:
        return None
    try:
        target = h5r.dereference(reference, fid)
        new = replaced.get(h5o.get_info(target).addr)
    except (ValueError, RuntimeError, KeyError, OSError):
        return None  # the reference was broken before
    if new is None:
        return None
    if isinstance(reference, h5r.RegionReference):
        return h5r.create(new, b".", h5r.DATASET_REGION, h5r.get_region(reference, fid))
    return h5r.create(new, b".", h5r.OBJECT)
