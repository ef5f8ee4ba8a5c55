"""Attributes of the files themselves: labels, and what says which files belong together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py

from h5lightning.catalog import Catalog
from h5lightning.errors import BadFileError
from h5lightning.guarding import check_file
from h5lightning.opening import opened_file

__all__ = ["Grouping", "attribute_names", "groupings"]

_MOST_ATTRIBUTES = 32
_MOST_LISTED = 4


@dataclass(frozen=True, slots=True)
class Grouping:
    """An attribute that some files share.

    Args:
        attr: its name.
        values: how many values it has.
        examples: the first of them.
    """

    attr: str
    values: int
    examples: tuple[str, ...]


def attribute_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of the plain attributes of the first file that can be opened: one number or text each."""
    for path in paths:
        with contextlib.suppress(BadFileError):
            check_file(path)
            with opened_file(path) as file:
                return tuple(name for name in file.attrs if _is_plain(file, name))[:_MOST_ATTRIBUTES]
    return ()


def groupings(catalog: Catalog) -> tuple[Grouping, ...]:
    """The attributes that all files have, with values that several of them share."""
    values: dict[str, list[Any]] = {}
    for file in range(len(catalog)):
        for name, value in catalog.attrs_of(file).items():
            values.setdefault(name.removeprefix("@"), []).append(value)
    found = []
    for name, listed in values.items():
        distinct = sorted({str(value) for value in listed})
        is_exact = not any(isinstance(value, (float, list)) for value in listed)
        if is_exact and len(listed) == len(catalog) and 1 < len(distinct) <= len(catalog) / 2:
            found.append(Grouping(name, len(distinct), tuple(distinct[:_MOST_LISTED])))
    return tuple(found)


def _is_plain(file: h5py.File, name: str) -> bool:
    attribute = file.attrs.get_id(name)
    kind = attribute.get_type().get_class()
    return attribute.shape == () and kind in (
        h5py.h5t.INTEGER,
        h5py.h5t.FLOAT,
        h5py.h5t.STRING,
        h5py.h5t.ENUM,
    )
