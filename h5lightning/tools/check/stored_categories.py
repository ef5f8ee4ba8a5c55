"""What h5py and the attributes of a file say that the values of a dataset with categories are.

This shares no code with the scan, which reads them for training, so that it finds mistakes there. The scan has read the
same text before, in a process of its own.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.errors import H5LightningError
from h5lightning.storage.files.handle_pool import HandlePool

__all__ = ["stored_values"]

Array = npt.NDArray[Any]

_MOST_VALUES = 1 << 22


def stored_values(pool: HandlePool, path: str, name: str, member: str | None) -> Array | None:
    """The values of a dataset, a column, or a column of AnnData that is a group: text, numbers, None where missing.

    Args:
        pool: opens files.
        path: the file.
        name: the path in it.
        member: the column of a table.

    Returns:
        An array of objects; None if there are too many, or if nothing here knows what the numbers stand for.
    """
    places = (name, f"{name}/codes", f"{name}/values")
    found = (_values_at(pool, path, place, member) for place in places)
    return next((values for values in found if values is not None), None)


def _values_at(pool: HandlePool, path: str, place: str, member: str | None) -> Array | None:
    try:
        with pool.dataset(path, place) as dataset:
            return _values(dataset, member) if dataset.size <= _MOST_VALUES else None
    except H5LightningError:
        return None


def _values(dataset: h5py.Dataset, member: str | None) -> Array:
    stored = dataset[()] if member is None else dataset.fields(member)[()]
    dtype = dataset.dtype if member is None else dataset.dtype[member].base
    last = dataset.name.rpartition("/")[2]
    names: dict[Any, Any] | None = None
    if h5py.check_string_dtype(dtype) is not None:
        found = _objects([text.decode() if isinstance(text, bytes) else text for text in np.ravel(stored)])
    elif (members := h5py.check_enum_dtype(dtype)) is not None and sorted(members) != ["FALSE", "TRUE"]:
        names = {number: text for text, number in members.items()}
    elif member is None and (table := _table(dataset)) is not None:
        names = dict(enumerate(table))
    elif member is None and "flag_values" in dataset.attrs and "flag_meanings" in dataset.attrs:
        texts = dataset.attrs["flag_meanings"]
        names = dict(zip(np.ravel(dataset.attrs["flag_values"]).tolist(), str(texts).split(), strict=False))
    else:
        found = _objects([None if number != number else number for number in np.ravel(stored).tolist()])  # noqa: PLR0124
    if names is not None:
        found = _objects([names.get(number) for number in np.ravel(stored).tolist()])
    if last == "values" and "mask" in dataset.parent:
        found[np.ravel(dataset.parent["mask"][()])] = None
    shaped: Array = found.reshape(np.shape(stored))
    return shaped


def _table(dataset: h5py.Dataset) -> list[Any] | None:
    """The names of codes: of the group ``codes`` and ``categories``, or those that an attribute refers to."""
    table: Any = None
    if "categories" in dataset.attrs and isinstance(dataset.attrs["categories"], h5py.Reference):
        table = dataset.file[dataset.attrs["categories"]]
    elif dataset.name.endswith("/codes") and "categories" in dataset.parent:
        table = dataset.parent["categories"]
    if not isinstance(table, h5py.Dataset):
        return None
    is_text = h5py.check_string_dtype(table.dtype) is not None
    names: list[Any] = (table.asstr()[()] if is_text else table[()]).tolist()
    return names


def _objects(values: list[Any]) -> Array:
    found = np.empty(len(values), object)
    found[:] = values
    return found
