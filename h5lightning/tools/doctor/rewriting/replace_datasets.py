"""Datasets of one file stored in another way, in a copy of the file that keeps all else byte for byte.

The new dataset takes over the attributes of the old one, every hard link that leads to it and its place among its
neighbours, and every reference to it is made a reference to the new one. So the rest of the file never learns of it:
dimension scales stay attached, netCDF keeps the order of its variables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5z

from h5lightning.errors import FieldError
from h5lightning.storage.hdf5.external import storage_problem
from h5lightning.tools.doctor.rewriting.raw_values import (
    Elements,
    attribute_names,
    copy_attributes,
    copy_rows,
    first_difference,
    written_rows,
)
from h5lightning.tools.doctor.rewriting.references import redirect, visited_objects
from h5lightning.tools.doctor.rewriting.storage_options import (
    RowRanges,
    StorageOptions,
    creation_properties,
    narrow_fill_value,
)

__all__ = ["Plan", "check_values", "find_dataset", "replace_datasets"]

_TEMPORARY = b".h5lightning"
# netCDF's readers want these in the type of the values.
_LIKE_VALUES = (b"_FillValue", b"missing_value", b"valid_min", b"valid_max", b"valid_range", b"actual_range")


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be stored in another way.

    Args:
        stored: path of a dataset → how it should be stored.
        columns: path of a table → its columns that should be datasets of their own, each with its storage.
    """

    stored: Mapping[str, StorageOptions] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, StorageOptions]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Move:
    """A dataset on its way.

    Args:
        name: its path.
        old: the dataset of the original file.
        made: the dataset of the copy that holds its values from now on.
        elements: what is taken of each element.
        ranges: the rows that were written.
        remark: what does not come along.
    """

    name: str
    old: h5d.DatasetID
    made: h5d.DatasetID
    elements: Elements
    ranges: RowRanges
    remark: str = ""


def replace_datasets(original: h5f.FileID, copy: h5f.FileID, plan: Plan, folder: str) -> list[str]:
    """Store datasets of a copy in another way.

    Args:
        original: the file, open for reading.
        copy: a copy of it, byte for byte, open for writing.
        plan: what is to be stored how. Datasets that the file lacks are left out.
        folder: where files may lie that the original takes values from.

    Returns:
        Remarks about what did not come along.

    Raises:
        FieldError: something that cannot be stored so without losing something else.
    """
    moves: dict[int, _Move] = {}
    for name, storage in plan.stored.items():
        address = _address(copy, name)
        if address is not None and address not in moves:
            moves[address] = _begin(original, copy, name, storage, folder)
    columns = [
        _column(original, copy, table, column, storage, folder)
        for table, storages in plan.columns.items()
        if find_dataset(copy, table) is not None
        for column, storage in storages.items()
    ]
    _replace(copy, moves)
    for move in [*moves.values(), *columns]:
        with _named(move.name):
            copy_rows(move.old, move.made, move.elements, move.ranges)
    return [move.remark for move in moves.values() if move.remark]


def check_values(original: h5f.FileID, copy: h5f.FileID, plan: Plan) -> None:
    """Read what was written, and compare it bit for bit with the original.

    Raises:
        FieldError: a row differs.
    """
    pairs: list[tuple[str, str, str | None, StorageOptions]] = [
        (name, name, None, storage) for name, storage in plan.stored.items()
    ]
    for table, storages in plan.columns.items():
        pairs += [(table, column_path(table, name), name, storage) for name, storage in storages.items()]
    for source, target, member, storage in pairs:
        old, new = find_dataset(original, source), find_dataset(copy, target)
        if old is None or new is None:
            continue
        elements = Elements.of(old.get_type(), member, storage.dtype)
        # All rows: those that were never written must be read as they were, too.
        row = first_difference(old, new, elements, [(0, old.shape[0])] if math.prod(old.shape) else [])
        if row is not None:
            raise FieldError(
                f"row {row} of '/{target}' was read back as something else than the original holds: check the disk"
            )


def column_path(table: str, column: str) -> str:
    """Where a column of a table lies as a dataset of its own."""
    return f"{table}_columns/{column}"


# ── one dataset ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say of which dataset an error speaks."""
    try:
        yield
    except FieldError as error:
        raise FieldError(f"'/{name}' {error}") from error


def find_dataset(fid: h5f.FileID, name: str) -> h5d.DatasetID | None:
    """A dataset of this very file; None where the file has none of that name, or a link leads to another file."""
    try:
        found = h5o.open(fid, _encoded(name))
    except (KeyError, ValueError, OSError):
        return None
    is_here = h5o.get_info(found).fileno == h5o.get_info(fid).fileno
    return found if isinstance(found, h5d.DatasetID) and is_here else None


def _address(copy: h5f.FileID, name: str) -> int | None:
    found = find_dataset(copy, name)
    return None if found is None else int(h5o.get_info(found).addr)


def _begin(original: h5f.FileID, copy: h5f.FileID, name: str, storage: StorageOptions, folder: str) -> _Move:
    """Make a dataset that has a place in the file, but no name yet."""
    old, was = h5d.open(original, _encoded(name)), h5d.open(copy, _encoded(name))
    with _named(name):
        _check(old, folder)
        elements = Elements.of(was.get_type(), None, storage.dtype)
        ranges = written_rows(old)
        plist = creation_properties(old, storage, ranges, elements.itemsize)
        if elements.is_narrowed:
            narrow_fill_value(plist)
        made = h5d.create(copy, None, elements.stored, was.get_space(), plist)
    is_lost = _has_checksums(old.get_create_plist()) and not _has_checksums(plist)
    remark = f"the checksums of '/{name}' (fletcher32) do not come along" if is_lost else ""
    return _Move(name, old, made, elements, ranges, remark)


def _check(old: h5d.DatasetID, folder: str) -> None:
    if problem := storage_problem(old, folder):
        raise FieldError(problem)
    if not old.shape:
        raise FieldError("has no rows")
    try:
        is_movable = not old.dtype.hasobject
    except TypeError:
        is_movable = False
    if not is_movable:
        raise FieldError("holds elements of variable length: leave it as it is")


def _has_checksums(plist: h5p.PropDCID) -> bool:
    return any(plist.get_filter(number)[0] == h5z.FILTER_FLETCHER32 for number in range(plist.get_nfilters()))


def _column(
    original: h5f.FileID, copy: h5f.FileID, table: str, column: str, storage: StorageOptions, folder: str
) -> _Move:
    """Make a dataset of a column, in a group beside the table, which stays as it is."""
    old = h5d.open(original, _encoded(table))
    path = column_path(table, column)
    with _named(table):
        _check(old, folder)
        names = [old.get_type().get_member_name(number) for number in range(old.get_type().get_nmembers())]
        if _encoded(column) not in names or "/" in column:
            raise FieldError(f"has no column {column!r} that could be the name of a dataset")
        if _exists(copy, path):
            raise FieldError(f"has a column {column!r}, and something else has the name '/{path}'")
        elements = Elements.of(old.get_type(), column, storage.dtype)
        ranges = written_rows(old)
        plist = h5p.create(h5p.DATASET_CREATE)
        listed = creation_properties(old, storage, ranges, elements.itemsize)
        if listed.get_layout() == h5d.CHUNKED:
            plist = _only_layout(listed)
        links = h5p.create(h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        made = h5d.create(copy, None, elements.stored, old.get_space(), plist)
        h5o.link(made, copy, _encoded(path), lcpl=links)
    return _Move(path, old, made, elements, ranges)


def _only_layout(listed: h5p.PropDCID) -> h5p.PropDCID:
    """Chunks and filters; the fill value of a table is none of its columns'."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(listed.get_chunk())
    for number in range(listed.get_nfilters()):
        code, flags, values, _ = listed.get_filter(number)
        plist.set_filter(code, flags, values)
    return plist


def _exists(fid: h5f.FileID, path: str) -> bool:
    try:
        h5o.open(fid, _encoded(path))
    except (KeyError, ValueError, OSError):
        return False
    return True


# ── its place in the file ────────────────────────────────────────────────────────────────────────────


def _replace(copy: h5f.FileID, moves: Mapping[int, _Move]) -> None:
    """Let the new datasets take the place of the old ones."""
    if not moves:
        return
    redirect(copy, {address: move.made for address, move in moves.items()})
    for move in moves.values():
        copy_attributes(h5d.open(copy, _encoded(move.name)), move.made)
        if move.elements.is_narrowed:
            _narrow_attributes(move.made)
    for name, kind in visited_objects(copy):
        if kind == h5o.TYPE_GROUP:
            _relink(h5g.open(copy, name), moves)


def _relink(group: h5g.GroupID, moves: Mapping[int, _Move]) -> None:
    """Make the hard links of a group lead to the new datasets, in the order that the links had."""
    infos = {name: group.links.get_info(name) for name in group}
    targets = {
        name: moves[info.u] for name, info in infos.items() if info.type == h5l.TYPE_HARD and info.u in moves
    }
    if not targets:
        return
    names = sorted(infos, key=lambda name: infos[name].corder)
    is_ordered = group.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    first = min(names.index(name) for name in targets)
    for name in names[first:] if is_ordered else targets:
        if name in targets:
            group.unlink(name)
            listed = h5p.create(h5p.LINK_CREATE)
            listed.set_char_encoding(infos[name].cset)
            h5o.link(targets[name].made, group, name, lcpl=listed)
        else:
            # A link that is moved becomes the last one.
            group.links.move(name, group, _TEMPORARY)
            group.links.move(_TEMPORARY, group, name)


def _narrow_attributes(did: h5d.DatasetID) -> None:
    for name in set(_LIKE_VALUES) & set(attribute_names(did)):
        attribute = h5a.open(did, name)
        if attribute.dtype == np.dtype("f8"):
            values = np.zeros(attribute.shape, "f8")
            attribute.read(values)
            space = attribute.get_space()
            h5a.delete(did, name)
            made = h5a.create(did, name, did.get_type(), space)
            made.write(values.astype("f4"))


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
