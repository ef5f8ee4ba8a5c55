"""Scan the files that can be read, and find out what their attributes say."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import h5py
import numpy as np

from h5lightning.errors import BadFileError, FieldError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.storage.discovery import Discovered
from h5lightning.storage.hdf5.file_checks import check_file
from h5lightning.storage.hdf5.open_file import opened_file
from h5lightning.storage.scanning import ScanRequest, scan_files

__all__ = ["Grouping", "groupings", "is_of_matlab", "scan_readable", "shared_attrs"]

_MAX_ATTRIBUTES = 32
_MAX_EXAMPLES = 4
_MATLAB_HEADER = b"MATLAB 7.3 MAT-file"


def scan_readable(discovered: Discovered, *, processes: int | None, progress: bool) -> Catalog:
    """The catalog of the files that can be read; ``skipped`` lists the others, and folders that cannot be listed.

    Args:
        discovered: the files.
        processes: scanning processes for many files; None for one per core.
        progress: show a progress bar if stderr is a terminal.
    """
    paths = [discovered.path(file) for file in range(len(discovered))]
    attrs = tuple(f"@{name}" for name in _attribute_names(paths))
    try:
        outcomes = scan_files(
            paths, ScanRequest(None, attrs, most_chunks=0), processes=processes, progress=progress
        )
    except FieldError:
        # An attribute has another type in some file: then it does not say which files belong together.
        outcomes = scan_files(paths, ScanRequest(None, most_chunks=0), processes=processes, progress=progress)
    good = [file for file, outcome in enumerate(outcomes) if isinstance(outcome, FileSchema)]
    bad = [
        SkippedFile(name, str(outcome))
        for name, outcome in zip(discovered.names, outcomes, strict=True)
        if isinstance(outcome, BadFileError)
    ]
    return Catalog.of(
        discovered.root,
        [discovered.names[file] for file in good],
        discovered.stamps[np.asarray(good, dtype=np.int64)],
        [outcome for outcome in outcomes if isinstance(outcome, FileSchema)],
        [*discovered.unlisted, *bad],
    )


def shared_attrs(catalog: Catalog) -> Mapping[str, Any]:
    """The attributes that all files have, with the values of the first file."""
    if not len(catalog):
        return {}
    shared = set.intersection(*(set(catalog.attrs_of(file)) for file in range(len(catalog))))
    return {name.removeprefix("@"): catalog.attrs_of(0)[name] for name in sorted(shared)}


@dataclass(frozen=True, slots=True)
class Grouping:
    """An attribute that some files share: its name, the number of its distinct values, and the first of them."""

    attr: str
    values: int
    examples: tuple[str, ...]


def _attribute_names(paths: Sequence[str]) -> tuple[str, ...]:
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
