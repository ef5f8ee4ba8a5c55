"""Reads whole files with h5py, orders names, and joins the parts of a field."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from judging.divisions import RefusedError
from judging.labels import meanings
from judging.options import FieldOption

__all__ = ["join", "natural", "read_all", "read_meaning"]

Array = npt.NDArray[Any]


def join(found: list[Array], field: FieldOption, time: tuple[int, ...]) -> Array:
    """The parts of a list as one array; another field as it is.

    Args:
        found: the parts.
        field: the field.
        time: the axes of parts that windows have; the others are those of a row.

    Raises:
        RefusedError: the shapes of the parts do not fit.
    """
    if not field.is_list:
        return found[0]
    try:
        return _joined(found, field, time)
    except ValueError as error:
        raise RefusedError("shapes that do not join") from error


def _joined(found: list[Array], field: FieldOption, time: tuple[int, ...]) -> Array:
    rank = min(one.ndim for one in found)
    row = [axis for axis in range(rank) if axis not in time]
    if field.join == "first" and any(time):  # a box: channels come before all axes of the window
        return np.concatenate([one if one.ndim > rank else one[None] for one in found], 0)
    if not row:  # scalars become channels
        return np.concatenate([one if one.ndim > rank else one[..., None] for one in found], -1)
    if field.join == "first":
        return np.stack(found, row[0])
    if field.join == "concat":
        return np.concatenate(found, row[-1])
    return np.concatenate([one if one.ndim > rank else one[..., None] for one in found], -1)


def natural(text: str) -> tuple[list[Any], str]:
    """A key that sorts ``demo_2`` before ``demo_10``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text)], text


def read_all(path: str) -> dict[str, Any]:
    """All datasets by their paths, and all attributes by ``path@name``."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            text = h5py.check_string_dtype(item.dtype)
            found[name] = item.asstr()[()] if text is not None else item[()]
        else:
            found.setdefault(name, None)
        found.update({f"{name}@{attr}": value for attr, value in item.attrs.items()})

    with h5py.File(path) as file:
        file.visititems(visit)
        found.update({f"@{attr}": value for attr, value in file.attrs.items()})
    return found


def read_meaning(path: str, name: str, member: str | None) -> Array | None:
    """What the values of one dataset or group mean, or of a column of it; None if the file has no such."""
    with h5py.File(path) as file:
        item = file.get(name)
        found = {} if item is None else dict(meanings(name, item))
        return found.get(name if member is None else f"{name}[{member}]")
