"""Attributes of files: labels, groups of files that belong together, and the marks of MATLAB."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import h5py

from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.hdf5.file_checks import check_file
from h5lightning.storage.hdf5.open_file import opened_file

__all__ = ["Grouping", "attribute_names", "groupings", "is_of_matlab"]

_MAX_ATTRIBUTES = 32
_MAX_EXAMPLES = 4
_MATLAB_HEADER = b"MATLAB 7.3 MAT-file"


@dataclass(frozen=True, slots=True)
class Grouping:
    """An attribute that some files share.

    Args:
        attr: its name.
        values: number of its distinct values.
        examples: the first values.
    """

    attr: str
    values: int
    examples: tuple[str, ...]


def attribute_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of the attributes of the first readable file that are one number or one text."""
    for path in paths:
        with contextlib.suppress(BadFileError):
            check_file(path)
            with opened_file(path) as file:
                return tuple(name for name in file.attrs if _is_plain(file, name))[:_MAX_ATTRIBUTES]
    return ()


def groupings(catalog: Catalog) -> tuple[Grouping, ...]:
    """The attributes that all files have, and whose values several files share."""
    values: dict[str, list[Any]] = {}
    for file in range(len(catalog)):
        for name, value in catalog.attrs_of(file).items():
            values.setdefault(name.removeprefix("@"), []).append(value)
    found = []
    for name, all_values in values.items():
        distinct = sorted({str(value) for value in all_values})
        is_exact = not any(isinstance(value, (float, list)) for value in all_values)
        if is_exact and len(all_values) == len(catalog) and 1 < len(distinct) <= len(catalog) / 2:
            found.append(Grouping(name, len(distinct), tuple(distinct[:_MAX_EXAMPLES])))
    return tuple(found)


def is_of_matlab(path: str) -> bool:
    """Whether MATLAB wrote a file, or a program that writes the format of MATLAB."""
    with contextlib.suppress(OSError, RuntimeError, LookupError, ValueError):
        check_file(path)
        with open(path, "rb") as raw:
            if raw.read(len(_MATLAB_HEADER)) == _MATLAB_HEADER:
                return True
        with opened_file(path) as file:
            return any(_has_matlab_class(file, name) for name in islice(file, _MAX_ATTRIBUTES))
    return False


def _has_matlab_class(file: h5py.File, name: str) -> bool:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return False
    owner = name.encode("utf-8", "surrogateescape")
    return bool(h5py.h5a.exists(file.id, b"MATLAB_class", obj_name=owner))


def _is_plain(file: h5py.File, name: str) -> bool:
    attribute = file.attrs.get_id(name)
    plain = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
    return attribute.shape == () and attribute.get_type().get_class() in plain
