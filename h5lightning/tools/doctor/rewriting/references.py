"""Redirect references to objects that are replaced by others in the same file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5o, h5r, h5t

from h5lightning.errors import FieldError
from h5lightning.tools.doctor.rewriting.hdf5_objects import attribute_names, name_text, visited_objects

__all__ = ["redirect"]


def redirect(fid: h5f.FileID, replaced: Mapping[int, h5d.DatasetID]) -> None:
    """Redirect all references to some objects, in attributes and datasets.

    Args:
        fid: a file that is open for writing.
        replaced: address of an object → the dataset that replaces it.

    Raises:
        FieldError: the file holds references of a kind that h5py cannot read.
    """
    redirector = _Redirector(fid, replaced)
    for name, kind in visited_objects(fid):
        obj = h5o.open(fid, name)
        for attribute in attribute_names(obj):
            where = f"attribute {name_text(attribute)!r} of '/{name_text(name).lstrip('.')}'"
            redirector.redirect(h5a.open(obj, attribute), where)
        if kind == h5o.TYPE_DATASET:
            redirector.redirect(obj, f"'/{name_text(name)}'")


class _Redirector:
    """Replaces references in attributes and datasets."""

    def __init__(self, fid: h5f.FileID, replaced: Mapping[int, h5d.DatasetID]) -> None:
        self._fid = fid
        self._replaced = replaced

    def redirect(self, holder: Any, where: str) -> None:
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
        if self._replace_in(values, dtype):
            holder.write(*spaces, values)

    def _replace_in(self, values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bool:
        """Replace references in an array, in place; whether there were any to replace."""
        if dtype.names is not None:
            return sum(self._replace_in(values[name], dtype[name]) for name in dtype.names) > 0
        base = dtype.subdtype[0] if dtype.subdtype else dtype
        inner = h5py.check_vlen_dtype(base)
        if inner is not None and isinstance(inner, np.dtype):
            arrays = [element for element in values.flat if isinstance(element, np.ndarray)]
            return sum(self._replace_in(array, inner) for array in arrays) > 0
        if h5py.check_ref_dtype(base) is None:
            return False
        is_changed = False
        for index in np.ndindex(values.shape):
            reference = self._new_reference(values[index])
            if reference is not None:
                values[index], is_changed = reference, True
        return is_changed

    def _new_reference(self, reference: Any) -> Any:
        """The new reference; None if the old one stays."""
        if not reference:
            return None
        try:
            target = h5r.dereference(reference, self._fid)
            new = self._replaced.get(h5o.get_info(target).addr)
        except (ValueError, RuntimeError, KeyError, OSError):
            return None  # the reference was broken before
        if new is None:
            return None
        if isinstance(reference, h5r.RegionReference):
            return h5r.create(new, b".", h5r.DATASET_REGION, h5r.get_region(reference, self._fid))
        return h5r.create(new, b".", h5r.OBJECT)
