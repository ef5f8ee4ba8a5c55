"""References that must follow an object to its new place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5o, h5r, h5t

from h5lightning.errors import FieldError
from h5lightning.tools.doctor.rewriting.raw_values import attribute_names

__all__ = ["redirect", "visited_objects"]


def visited_objects(fid: h5f.FileID) -> list[tuple[bytes, int]]:
    """A path of each object of a file, and its kind; the root group is ``.``."""
    found: list[tuple[bytes, int]] = [(b".", h5o.TYPE_GROUP)]
    # Nothing may fail in there: h5py would end in a SystemError.
    h5o.visit(fid, lambda name, info: found.append((name, info.type)), info=True)
    return list(dict.fromkeys(found))


def redirect(fid: h5f.FileID, moved: Mapping[int, h5d.DatasetID]) -> None:
    """Make all references to some objects, in attributes and datasets, references to others.

    Args:
        fid: a file that may be written to.
        moved: address of an object → the dataset that takes its place.

    Raises:
        FieldError: references of a kind that cannot be read.
    """
    for name, kind in visited_objects(fid):
        obj = h5o.open(fid, name)
        for attribute in attribute_names(obj):
            where = f"attribute {_text(attribute)!r} of '/{_text(name).lstrip('.')}'"
            _redirect_one(fid, h5a.open(obj, attribute), moved, where)
        if kind == h5o.TYPE_DATASET:
            _redirect_one(fid, obj, moved, f"'/{_text(name)}'")


def _redirect_one(fid: h5f.FileID, holder: Any, moved: Mapping[int, h5d.DatasetID], where: str) -> None:
    """Where the values of an attribute or a dataset refer to something that moved, write them again."""
    tid, space = holder.get_type(), holder.get_space()
    if not tid.detect_class(h5t.REFERENCE) or not space.get_simple_extent_npoints():
        return
    try:
        dtype = holder.dtype
    except TypeError as error:
        raise FieldError(
            f"{where} holds references of a kind that h5py does not know: write this file again with h5repack"
        ) from error
    values = np.empty(holder.shape, dtype)
    is_attribute = isinstance(holder, h5a.AttrID)
    everything = () if is_attribute else (h5py.h5s.ALL, h5py.h5s.ALL)
    holder.read(*everything, values)
    if _Follower(fid, moved).follow(values, dtype):
        holder.write(*everything, values)


class _Follower:
    """Replaces references inside of arrays.

    Args:
        fid: the file.
        moved: address of an object → the dataset that takes its place.
    """

    def __init__(self, fid: h5f.FileID, moved: Mapping[int, h5d.DatasetID]) -> None:
        self._fid = fid
        self._moved = moved

    def follow(self, values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bool:
        """Replace, in place, what refers to something that moved; whether there was any."""
        if dtype.names is not None:
            return sum(self.follow(values[name], dtype[name]) for name in dtype.names) > 0
        base = dtype.subdtype[0] if dtype.subdtype else dtype
        inner = h5py.check_vlen_dtype(base)
        if inner is not None and isinstance(inner, np.dtype):
            return sum(self.follow(part, inner) for part in values.flat if isinstance(part, np.ndarray)) > 0
        if h5py.check_ref_dtype(base) is None:
            return False
        found = False
        for place in np.ndindex(values.shape):
            followed = self._followed(values[place])
            if followed is not None:
                values[place], found = followed, True
        return found

    def _followed(self, reference: Any) -> Any:
        """The new reference; None where the old one stays."""
        if not reference:
            return None
        try:
            target = h5r.dereference(reference, self._fid)
            new = self._moved.get(h5o.get_info(target).addr)
        except (ValueError, RuntimeError, KeyError, OSError):
            return None  # it led nowhere before, too
        if new is None:
            return None
        if isinstance(reference, h5r.RegionReference):
            return h5r.create(new, b".", h5r.DATASET_REGION, h5r.get_region(reference, self._fid))
        return h5r.create(new, b".", h5r.OBJECT)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
