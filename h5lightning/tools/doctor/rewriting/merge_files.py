"""Merge many small files into fewer ones.

The rows of a new file come from many files, so that facts about a file become facts about rows: ``source_file`` is the
number of the file that a row comes from, and ``episode_ends`` says where the rows of each file end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5g, h5i, h5o, h5p, h5s, h5t

from h5lightning.errors import FieldError
from h5lightning.storage.discovery import discover
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.tools.doctor.rewriting.hdf5_objects import attribute_names, encoded
from h5lightning.tools.doctor.rewriting.output_files import opened_to_write, prepare_folder
from h5lightning.tools.doctor.rewriting.raw_values import (
    Elements,
    copy_attributes,
    copy_rows,
    first_difference,
    write_rows,
    written_rows,
)
from h5lightning.tools.doctor.rewriting.write_files import check_unchanged, write_files

__all__ = ["merge_files"]

Attributes: TypeAlias = dict[bytes, tuple[str, bytes]]  # name → type and value

_ENDS, _FILE_NUMBER, _FILE_NAMES, _ATTRIBUTES = "episode_ends", "source_file", "source_files", "attributes"
_FILES_AT_ONCE = 500
_NUMBER_TYPES = {str(np.dtype(code)): np.dtype(code) for code in "?bhilqBHILQefdFD"}
# The objects that these attributes refer to are not merged.
_REFERRING = {b"DIMENSION_LIST", b"REFERENCE_LIST", b"CLASS", b"NAME", b"DIMENSION_LABELS"}
_REFERRING |= {b"_Netcdf4Dimid", b"_Netcdf4Coordinates", b"_nc3_strict", b"_NCProperties"}


def merge_files(
    files: str | Sequence[str],
    into: str,
    datasets: Sequence[str],
    *,
    is_stacked: bool = False,
    at_once: int = _FILES_AT_ONCE,
) -> None:
    """Write the rows of many files into fewer ones.

    Datasets are added: ``source_file`` is the number of the file that each row comes from, for
    ``split.keep_together``, and ``episode_ends`` says where the rows of each file end, so that no window crosses a
    border. ``source_files`` lists the names.

    Args:
        files: globs or paths; an entry with ``!`` leaves files out.
        into: the folder of the new files. Existing files are skipped.
        datasets: the datasets to merge. The only other content is attributes that are equal in all files, and numbers
            that are attributes of files, once per row (``attributes/NAME``).
        is_stacked: whether a whole file becomes one row.
        at_once: files that are merged into one.

    Raises:
        OptionError: ``files`` would match files in ``into``.
        ResourceError: the disk has too little space.
        BadFileError: some files could not be written: the input files differ, or lack something.
    """
    patterns = [files] if isinstance(files, str) else list(files)
    discovered, into = discover(patterns), os.path.abspath(into)
    jobs: dict[str, Callable[[str], list[str]]] = {}
    for first in range(0, len(discovered), at_once):
        numbers = range(first, min(first + at_once, len(discovered)))
        names = tuple(discovered.names[number] for number in numbers)
        merge = _Merge(names, discovered.root, first, tuple(datasets), is_stacked)
        jobs[os.path.join(into, f"{first:08}.h5")] = merge.write
    prepare_folder(into, jobs, patterns, 2 * int(discovered.stamps[:, 0].sum()))
    write_files(jobs, into)


@dataclass(frozen=True, slots=True)
class _Merge:
    """Files that become one."""

    names: tuple[str, ...]  # relative to the root
    root: str
    first: int  # number of the first file among all files
    datasets: tuple[str, ...]
    is_stacked: bool

    def write(self, path: str) -> list[str]:
        """Write the new file; return a remark about what is not in it."""
        paths = [os.path.join(self.root, name) for name in self.names]
        before = [stamp(os.stat(source)) for source in paths]
        with opened_to_write(path, is_new=True) as new:
            rows = [self._merge(new, name, paths) for name in self.datasets]
            self._check_rows(rows)
            self._write_sources(h5py.Group(h5g.open(new, b"/")), np.asarray(rows[0], np.int64))
            dropped = _merge_file_attributes(new, paths, rows[0])
        for source, file_stamp in zip(paths, before, strict=True):
            check_unchanged(source, file_stamp)
        names = ", ".join(map(repr, dropped))
        return [f"attributes that differ between files are not written: {names}"] if dropped else []

    def _merge(self, new: h5f.FileID, name: str, paths: Sequence[str]) -> list[int]:
        """Write one dataset; return the number of rows from each file."""
        with opened_id(paths[0]) as fid:
            expected = _Source.of(fid, name, self.is_stacked)
            rows = [1 if self.is_stacked else _rows_of(path, name) for path in paths]
            merged = _create(new, name, expected, (sum(rows), *expected.row_shape))
            copy_attributes(expected.did, merged, list(expected.attributes))
            starts = np.cumsum([0, *rows]).tolist()
            for file, path, start in zip(self.names, paths, starts, strict=False):
                with opened_id(path) as other:
                    source = _Source.of(other, name, self.is_stacked)
                    if difference := expected.difference(source):
                        raise FieldError(f"'/{name}' in {file!r} {difference} in {self.names[0]!r}")
                    if problem := _copy(source.did, merged, start, self.is_stacked):
                        raise FieldError(f"'/{name}' in {file!r} {problem}")
        return rows

    def _check_rows(self, rows: Sequence[Sequence[int]]) -> None:
        for name, counts in zip(self.datasets, rows, strict=True):
            for file, count, expected in zip(self.names, counts, rows[0], strict=True):
                if count != expected:
                    raise FieldError(
                        f"{file!r} has {count} rows of '/{name}' and {expected} of '/{self.datasets[0]}': merged "
                        "datasets must have the same rows"
                    )

    def _write_sources(self, new: h5py.Group, rows: Any) -> None:
        for name in (_FILE_NUMBER, _FILE_NAMES, _ATTRIBUTES, *([] if self.is_stacked else [_ENDS])):
            if name in new:
                raise FieldError(f"the files already have a '/{name}': rename it")
        new[_FILE_NUMBER] = np.repeat(np.arange(self.first, self.first + len(rows)), rows)
        names = [os.fsencode(name) for name in self.names]
        new.create_dataset(_FILE_NAMES, data=names, dtype=h5py.string_dtype())
        if not self.is_stacked:
            new[_ENDS] = np.cumsum(rows)


@dataclass(frozen=True, slots=True)
class _Source:
    """A dataset of one file, and what must be the same in all files."""

    did: h5d.DatasetID
    row_shape: tuple[int, ...]
    attributes: Attributes

    @classmethod
    def of(cls, fid: h5f.FileID, name: str, is_stacked: bool) -> _Source:
        try:
            did = h5d.open(fid, encoded(name))
        except (KeyError, ValueError, OSError) as error:
            raise FieldError(f"{os.fsdecode(fid.name)!r} holds no dataset '/{name}'") from error
        if did.dtype.hasobject:
            raise FieldError(f"'/{name}' holds elements of variable length, which cannot be merged")
        shape = did.shape or ()
        return cls(did, shape if is_stacked else shape[1:], _attributes(did))

    def difference(self, other: _Source) -> str:
        """How the dataset of another file differs, as a predicate; empty if it does not."""
        if not self.did.get_type().equal(other.did.get_type()):
            return f"is {other.did.dtype}, but {self.did.dtype}"
        if self.row_shape != other.row_shape:
            return f"has the shape {other.row_shape}, but {self.row_shape}"
        for name in sorted({*self.attributes, *other.attributes}):
            if self.attributes.get(name) != other.attributes.get(name):
                return f"has another attribute {name.decode('utf-8', 'replace')!r} than"
        return ""


def _rows_of(path: str, name: str) -> int:
    with opened_id(path) as fid:
        shape = _Source.of(fid, name, is_stacked=False).did.shape
        if not shape:
            raise FieldError(f"'/{name}' in {path!r} has no rows")
        return int(shape[0])


def _create(new: h5f.FileID, name: str, source: _Source, shape: tuple[int, ...]) -> h5d.DatasetID:
    links = h5p.create(h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    tid = source.did.get_type()
    tid = tid.copy() if tid.committed() else tid
    return h5d.create(new, encoded(name), tid, h5s.create_simple(shape), lcpl=links)


def _copy(did: h5d.DatasetID, merged: h5d.DatasetID, start: int, is_stacked: bool) -> str:
    """Copy the rows of one file; return a problem of the dataset as a predicate, or nothing."""
    count = math.prod(did.shape or ())
    if problem := storage_problem(did, os.path.dirname(os.fsdecode(h5i.get_file_id(did).name))):
        return problem
    ranges = written_rows(did)
    if count and ranges != [(0, did.shape[0] if did.shape else 1)]:
        return "has rows that were never written: leave this file out with '!'"
    if is_stacked:
        values = np.zeros(did.shape, f"V{did.get_type().get_size()}")
        did.read(h5s.ALL, h5s.ALL, values, mtype=did.get_type())
        write_rows(merged, start, start + 1, values[None], did.get_type())
        return ""
    elements = Elements.of(did.get_type(), None)
    copy_rows(did, merged, elements, ranges, start)
    is_same = first_difference(did, merged, elements, ranges, start) is None
    return "" if is_same else "differs from the original after writing: check the disk"


def _attributes(obj: Any) -> Attributes:
    """The attributes that describe the values."""
    found = {}
    for name in attribute_names(obj):
        attribute = h5a.open(obj, name)
        if name not in _REFERRING and not attribute.get_type().detect_class(h5t.REFERENCE):
            found[name] = (str(attribute.dtype), _value(attribute))
    return found


def _value(attribute: h5a.AttrID) -> bytes:
    if not attribute.get_space().get_simple_extent_npoints():
        return b""
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    return repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()


def _merge_file_attributes(new: h5f.FileID, paths: Sequence[str], rows: Sequence[int]) -> list[str]:
    """Copy attributes that are equal in all files, write numbers once per row; return the names of the others."""
    by_file = []
    for path in paths:
        with opened_id(path) as fid:
            by_file.append(_attributes(h5o.open(fid, b"/")))
    equal = [name for name, value in by_file[0].items() if all(other.get(name) == value for other in by_file)]
    with opened_id(paths[0]) as fid:
        copy_attributes(h5o.open(fid, b"/"), h5o.open(new, b"/"), equal)
    dropped = []
    for name in sorted({name for attributes in by_file for name in attributes} - set(equal)):
        numbers = _numbers([attributes.get(name) for attributes in by_file])
        text = name.decode("utf-8", "replace")
        if numbers is None or "/" in text:
            dropped.append(text)
        else:
            h5py.Group(h5g.open(new, b"/"))[f"{_ATTRIBUTES}/{text}"] = np.repeat(numbers, rows)
    return dropped


def _numbers(attributes: Sequence[tuple[str, bytes] | None]) -> npt.NDArray[Any] | None:
    """The number of each file, if all files have one number of the same type."""
    present = [attribute for attribute in attributes if attribute is not None]
    types = {type_name for type_name, _ in present}
    if len(present) < len(attributes) or len(types) != 1:
        return None
    dtype = _NUMBER_TYPES.get(types.pop())
    if dtype is None or any(len(value) != dtype.itemsize for _, value in present):
        return None
    return np.frombuffer(b"".join(value for _, value in present), dtype)
