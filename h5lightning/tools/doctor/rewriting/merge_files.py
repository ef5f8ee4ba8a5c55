"""Many small files joined into fewer: what the program of `h5lightning doctor` calls for them.

The rows of the new files come from many, so that what was said by a file as a whole is said row by row:
``source_file`` is the number of the file that a row comes from, and ``episode_ends`` where its rows end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5g, h5i, h5o, h5p, h5s, h5t

from h5lightning.errors import FieldError
from h5lightning.storage.discovery import discover
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.tools.doctor.rewriting.output_files import opened_to_write
from h5lightning.tools.doctor.rewriting.raw_values import (
    Elements,
    attribute_names,
    copy_rows,
    first_difference,
    write_rows,
    written_rows,
)
from h5lightning.tools.doctor.rewriting.rewrite_files import check_unchanged, prepare, write_each

__all__ = ["ATTRIBUTES", "ENDS", "FILE_NAMES", "FILE_NUMBER", "merge_files"]

ENDS, FILE_NUMBER, FILE_NAMES, ATTRIBUTES = "episode_ends", "source_file", "source_files", "attributes"
_FILES = 500
_NUMBER_TYPES = {str(np.dtype(code)): np.dtype(code) for code in "?bhilqBHILQefdFD"}
# What these refer to does not come along.
_REFERRING = {b"DIMENSION_LIST", b"REFERENCE_LIST", b"CLASS", b"NAME", b"DIMENSION_LABELS"}
_REFERRING |= {b"_Netcdf4Dimid", b"_Netcdf4Coordinates", b"_nc3_strict", b"_NCProperties"}


def merge_files(
    files: str | Sequence[str],
    into: str,
    datasets: Sequence[str],
    *,
    is_stacked: bool = False,
    at_once: int = _FILES,
) -> None:
    """Write the rows of many files into fewer ones.

    Beside them are the number of the file that each row comes from (``source_file``, of ``source_files``), and where
    the rows of each end (``episode_ends``): for ``split.keep_together``, and so that no window runs over a border.

    Args:
        files: globs or paths; an entry with ``!`` leaves out.
        into: the folder of the new files. What is there is left alone.
        datasets: the datasets that are joined. Nothing else comes along but attributes that are equal in all files,
            and numbers that are attributes of files, row by row (``attributes/NAME``).
        is_stacked: all of a file is one row.
        at_once: files that are joined into one.

    Raises:
        OptionError: ``into`` lies where ``files`` would find it.
        ResourceError: the disk has no room.
        BadFileError: some files could not be written: the files differ, or lack something.
    """
    patterns = [files] if isinstance(files, str) else list(files)
    found, into = discover(patterns), os.path.abspath(into)
    jobs: dict[str, Callable[[str], list[str]]] = {}
    for first in range(0, len(found), at_once):
        numbers = range(first, min(first + at_once, len(found)))
        join = _Join(tuple(found.names[n] for n in numbers), found.root, first, tuple(datasets), is_stacked)
        jobs[os.path.join(into, f"{first:08}.h5")] = join.write
    prepare(into, jobs, patterns, 2 * int(found.stamps[:, 0].sum()))
    write_each(jobs, into)


@dataclass(frozen=True, slots=True)
class _Join:
    """Files that become one.

    Args:
        names: the files, relative to ``root``.
        root: where they lie.
        first: the number of the first one among all files.
        datasets: what is joined.
        is_stacked: all of a file is one row.
    """

    names: tuple[str, ...]
    root: str
    first: int
    datasets: tuple[str, ...]
    is_stacked: bool

    def write(self, path: str) -> list[str]:
        """Write the new file; what is not in it."""
        paths = [os.path.join(self.root, name) for name in self.names]
        before = [stamp(os.stat(one)) for one in paths]
        with opened_to_write(path, is_new=True) as new:
            rows = [self._join(new, name, paths) for name in self.datasets]
            self._check_rows(rows)
            self._note_sources(h5py.Group(h5g.open(new, b"/")), np.asarray(rows[0], np.int64))
            dropped = _join_file_attributes(new, paths, rows[0])
        for one, known in zip(paths, before, strict=True):
            check_unchanged(one, known)
        return (
            [f"file attributes that differ do not come along: {', '.join(map(repr, dropped))}"]
            if dropped
            else []
        )

    def _join(self, new: h5f.FileID, name: str, paths: Sequence[str]) -> list[int]:
        """Write one dataset; the rows that each file gave."""
        with opened_id(paths[0]) as fid:
            head = _Head.of(fid, name, self.is_stacked)
            rows = [1 if self.is_stacked else _rows_of(path, name) for path in paths]
            made = _create(new, name, head, (sum(rows), *head.row_shape))
            _copy_attributes(head.did, made)
            starts = np.cumsum([0, *rows]).tolist()
            for file, path, start in zip(self.names, paths, starts, strict=False):
                with opened_id(path) as other:
                    found = _Head.of(other, name, self.is_stacked)
                    if difference := head.difference(found):
                        raise FieldError(f"'/{name}' in {file!r} {difference} in {self.names[0]!r}")
                    if problem := _copy(found, made, start, self.is_stacked):
                        raise FieldError(f"'/{name}' in {file!r} {problem}")
        return rows

    def _check_rows(self, rows: Sequence[Sequence[int]]) -> None:
        for name, counts in zip(self.datasets, rows, strict=True):
            for file, found, expected in zip(self.names, counts, rows[0], strict=True):
                if found != expected:
                    raise FieldError(
                        f"{file!r} has {found} rows of '/{name}' and {expected} of '/{self.datasets[0]}': what is "
                        "joined must have the same rows"
                    )

    def _note_sources(self, new: h5py.Group, rows: Any) -> None:
        for name in (FILE_NUMBER, FILE_NAMES, ATTRIBUTES, *([] if self.is_stacked else [ENDS])):
            if name in new:
                raise FieldError(f"the files have a '/{name}' of their own: rename it")
        new[FILE_NUMBER] = np.repeat(np.arange(self.first, self.first + len(rows)), rows)
        new.create_dataset(
            FILE_NAMES, data=[os.fsencode(name) for name in self.names], dtype=h5py.string_dtype()
        )
        if not self.is_stacked:
            new[ENDS] = np.cumsum(rows)


@dataclass(frozen=True, slots=True)
class _Head:
    """A dataset of one file, and what must be the same in all."""

    did: h5d.DatasetID
    row_shape: tuple[int, ...]
    attributes: dict[bytes, tuple[str, bytes]]

    @classmethod
    def of(cls, fid: h5f.FileID, name: str, is_stacked: bool) -> _Head:
        try:
            did = h5d.open(fid, name.encode("utf-8", "surrogateescape"))
        except (KeyError, ValueError, OSError) as error:
            raise FieldError(f"{os.fsdecode(fid.name)!r} holds no dataset '/{name}'") from error
        if did.dtype.hasobject:
            raise FieldError(f"'/{name}' holds elements of variable length, which cannot be joined")
        shape = did.shape or ()
        return cls(did, shape if is_stacked else shape[1:], _attributes(did))

    def difference(self, other: _Head) -> str:
        """How another file differs, as what a sentence says of it; empty if it does not."""
        if not self.did.get_type().equal(other.did.get_type()):
            return f"is {other.did.dtype}, and {self.did.dtype}"
        if self.row_shape != other.row_shape:
            return f"has the shape {other.row_shape}, and {self.row_shape}"
        for name in sorted({*self.attributes, *other.attributes}):
            if self.attributes.get(name) != other.attributes.get(name):
                return f"has another attribute {name.decode('utf-8', 'replace')!r} than"
        return ""


def _attributes(did: Any) -> dict[bytes, tuple[str, bytes]]:
    """The attributes that say something of the values."""
    found = {}
    for name in attribute_names(did):
        attribute = h5a.open(did, name)
        if name in _REFERRING or attribute.get_type().detect_class(h5t.REFERENCE):
            continue
        found[name] = (str(attribute.dtype), _value(attribute))
    return found


def _value(attribute: h5a.AttrID) -> bytes:
    if not attribute.get_space().get_simple_extent_npoints():
        return b""
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    return repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()


def _rows_of(path: str, name: str) -> int:
    with opened_id(path) as fid:
        shape = _Head.of(fid, name, is_stacked=False).did.shape
        if not shape:
            raise FieldError(f"'/{name}' in {path!r} has no rows")
        return int(shape[0])


def _create(new: h5f.FileID, name: str, head: _Head, shape: tuple[int, ...]) -> h5d.DatasetID:
    links = h5p.create(h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    tid = head.did.get_type()
    tid = tid.copy() if tid.committed() else tid
    return h5d.create(new, name.encode("utf-8", "surrogateescape"), tid, h5s.create_simple(shape), lcpl=links)


def _copy_attributes(old: Any, new: Any, names: Sequence[bytes] | None = None) -> None:
    for name in _attributes(old) if names is None else names:
        attribute = h5a.open(old, name)
        tid, space = attribute.get_type(), attribute.get_space()
        made = h5a.create(new, name, tid.copy() if tid.committed() else tid, space)
        if space.get_simple_extent_npoints():
            values = np.empty(attribute.shape, attribute.dtype)
            attribute.read(values)
            made.write(values)


def _join_file_attributes(new: h5f.FileID, paths: Sequence[str], rows: Sequence[int]) -> list[str]:
    """Copy the attributes that are equal in all files, spread numbers over rows; the names of the others."""
    found = []
    for path in paths:
        with opened_id(path) as fid:
            found.append(_attributes(h5o.open(fid, b"/")))
    kept = [name for name, value in found[0].items() if all(one.get(name) == value for one in found)]
    with opened_id(paths[0]) as fid:
        _copy_attributes(h5o.open(fid, b"/"), h5o.open(new, b"/"), kept)
    dropped = []
    for name in sorted({name for one in found for name in one} - set(kept)):
        values = _numbers([one.get(name) for one in found])
        text = name.decode("utf-8", "replace")
        if values is None or "/" in text:
            dropped.append(text)
        else:
            h5py.Group(h5g.open(new, b"/"))[f"{ATTRIBUTES}/{text}"] = np.repeat(values, rows)
    return dropped


def _numbers(found: Sequence[tuple[str, bytes] | None]) -> npt.NDArray[Any] | None:
    """One number of each file, where all of them have one of the same type."""
    types = {one[0] for one in found if one is not None}
    if None in found or len(types) != 1:
        return None
    dtype = _NUMBER_TYPES.get(types.pop())
    if dtype is None or any(one is not None and len(one[1]) != dtype.itemsize for one in found):
        return None
    return np.frombuffer(b"".join(one[1] for one in found if one is not None), dtype)


def _copy(found: _Head, made: h5d.DatasetID, start: int, is_stacked: bool) -> str:
    """Copy the rows of one file; what is wrong with them, as what a sentence says of the dataset."""
    did, count = found.did, math.prod(found.did.shape or ())
    if problem := storage_problem(did, os.path.dirname(os.fsdecode(h5i.get_file_id(did).name))):
        return problem
    ranges = written_rows(did)
    if count and ranges != [(0, did.shape[0] if did.shape else 1)]:
        return "has rows that were never written: leave this file out with '!'"
    if is_stacked:
        values = np.zeros(did.shape, f"V{did.get_type().get_size()}")
        did.read(h5s.ALL, h5s.ALL, values, mtype=did.get_type())
        write_rows(made, start, start + 1, values[None], did.get_type())
        return ""
    elements = Elements.of(did.get_type(), None)
    copy_rows(did, made, elements, ranges, start)
    is_same = first_difference(did, made, elements, ranges, start) is None
    return "" if is_same else "was read back as something else: check the disk"
