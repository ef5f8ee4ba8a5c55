"""Replace datasets in a copy of a file by datasets with other storage; the rest of the copy stays the same.

The new dataset gets the attributes of the old one, all its hard links and its position among its neighbours, and all
references to the old one are redirected. Therefore dimension scales stay attached, and netCDF keeps the order of its
variables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5z

from h5lightning.errors import FieldError
from h5lightning.storage.hdf5.external_values import storage_problem
from h5lightning.tools.doctor.rewriting.hdf5_objects import (
    attribute_names,
    encoded,
    find_dataset,
    find_object,
    matching_datasets,
    redirect,
    visited_objects,
)
from h5lightning.tools.doctor.rewriting.raw_values import (
    Elements,
    copy_attributes,
    copy_rows,
    first_difference,
    written_rows,
)
from h5lightning.tools.doctor.rewriting.storage_options import (
    RowRanges,
    StorageOptions,
    creation_properties,
    narrow_fill_value,
)

__all__ = ["Plan", "check_values", "replace_datasets"]

_TEMPORARY = b".h5lightning"
# Readers of netCDF expect these attributes in the type of the values.
_TYPED_LIKE_VALUES = {
    b"_FillValue",
    b"missing_value",
    b"valid_min",
    b"valid_max",
    b"valid_range",
    b"actual_range",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The datasets that should be stored in another way.

    Args:
        stored: path of a dataset → how it should be stored.
        columns: path of a table → column → how it should be stored as a separate dataset.
    """

    stored: Mapping[str, StorageOptions] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, StorageOptions]] = field(default_factory=dict)

    def in_file(self, fid: h5f.FileID) -> Plan:
        """The plan with the datasets of a file in the place of paths with a ``*``."""
        stored = {path: one for name, one in self.stored.items() for path in matching_datasets(fid, name)}
        columns = {path: one for name, one in self.columns.items() for path in matching_datasets(fid, name)}
        return Plan(stored, columns)


@dataclass(frozen=True, slots=True)
class _Replacement:
    """A dataset of the original file, and the one in the copy that replaces it."""

    name: str
    old: h5d.DatasetID
    new: h5d.DatasetID
    elements: Elements
    ranges: RowRanges  # the rows that were written
    remark: str = ""  # what is lost


def replace_datasets(original: h5f.FileID, copy: h5f.FileID, plan: Plan, folder: str) -> list[str]:
    """Store datasets of a copy in another way.

    Args:
        original: the file, open for reading.
        copy: an exact copy of it, open for writing.
        plan: how to store which datasets. Datasets that the file lacks are ignored.
        folder: the folder of the original, where its source files may lie.

    Returns:
        Remarks about what is lost.

    Raises:
        FieldError: a dataset cannot be stored in this way without losing something.
    """
    replacements: dict[int, _Replacement] = {}
    for name, storage in plan.stored.items():
        found = find_dataset(copy, name)
        if found is not None and (address := int(h5o.get_info(found).addr)) not in replacements:
            replacements[address] = _replacement(original, copy, name, storage, folder)
    columns = [
        _column(original, copy, table, column, storage, folder)
        for table, storages in plan.columns.items()
        if find_dataset(copy, table) is not None
        for column, storage in storages.items()
    ]
    _replace(copy, replacements)
    for replacement in [*replacements.values(), *columns]:
        with _named(replacement.name):
            copy_rows(replacement.old, replacement.new, replacement.elements, replacement.ranges)
    return [replacement.remark for replacement in replacements.values() if replacement.remark]


def check_values(original: h5f.FileID, copy: h5f.FileID, plan: Plan) -> None:
    """Read the new datasets, and compare them with the original bit by bit.

    Raises:
        FieldError: a row differs.
    """
    columns = [
        (table, name, one) for table, storages in plan.columns.items() for name, one in storages.items()
    ]
    for source, member, storage in [*((name, None, one) for name, one in plan.stored.items()), *columns]:
        target = source if member is None else _column_path(source, member)
        old, new = find_dataset(original, source), find_dataset(copy, target)
        if old is None or new is None:
            continue
        elements = Elements.of(old.get_type(), member, storage.dtype)
        # All rows: rows that were never written must also be read as before.
        row = first_difference(old, new, elements, [(0, old.shape[0])] if math.prod(old.shape) else [])
        if row is not None:
            raise FieldError(
                f"row {row} of '/{target}' differs from the original after writing: check the disk"
            )


def _column_path(table: str, column: str) -> str:
    """The path of a column of a table as a separate dataset."""
    return f"{table}_columns/{column}"


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the name of the dataset to an error."""
    try:
        yield
    except FieldError as error:
        raise FieldError(f"'/{name}' {error}") from error


def _replacement(
    original: h5f.FileID, copy: h5f.FileID, name: str, storage: StorageOptions, folder: str
) -> _Replacement:
    """Create the new dataset, without a name yet."""
    old, copied = h5d.open(original, encoded(name)), h5d.open(copy, encoded(name))
    with _named(name):
        _check(old, folder)
        elements = Elements.of(copied.get_type(), None, storage.dtype)
        ranges = written_rows(old)
        plist = creation_properties(old, storage, ranges, elements.itemsize)
        if elements.is_narrowed:
            narrow_fill_value(plist)
        new = h5d.create(copy, None, elements.stored, copied.get_space(), plist)
    is_lost = _has_checksums(old.get_create_plist()) and not _has_checksums(plist)
    remark = f"the checksums of '/{name}' (fletcher32) are lost" if is_lost else ""
    return _Replacement(name, old, new, elements, ranges, remark)


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
) -> _Replacement:
    """Create a dataset for a column, in a group beside the table, which stays as it is."""
    old = h5d.open(original, encoded(table))
    path = _column_path(table, column)
    with _named(table):
        _check(old, folder)
        names = [old.get_type().get_member_name(number) for number in range(old.get_type().get_nmembers())]
        if encoded(column) not in names or "/" in column:
            raise FieldError(f"has no column {column!r} whose name can be that of a dataset")
        if find_object(copy, path) is not None:
            raise FieldError(f"has a column {column!r}, but another object has the name '/{path}'")
        elements = Elements.of(old.get_type(), column, storage.dtype)
        ranges = written_rows(old)
        plist = h5p.create(h5p.DATASET_CREATE)
        table_plist = creation_properties(old, storage, ranges, elements.itemsize)
        if table_plist.get_layout() == h5d.CHUNKED:
            plist = _layout_of(table_plist)
        links = h5p.create(h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        new = h5d.create(copy, None, elements.stored, old.get_space(), plist)
        h5o.link(new, copy, encoded(path), lcpl=links)
    return _Replacement(path, old, new, elements, ranges)


def _layout_of(table_plist: h5p.PropDCID) -> h5p.PropDCID:
    """Chunks and filters only: the fill value of a table does not fit its columns."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk(table_plist.get_chunk())
    for number in range(table_plist.get_nfilters()):
        code, flags, values, _ = table_plist.get_filter(number)
        plist.set_filter(code, flags, values)
    return plist


def _replace(copy: h5f.FileID, replacements: Mapping[int, _Replacement]) -> None:
    """Replace the old datasets by the new ones."""
    if not replacements:
        return
    redirect(copy, {address: replacement.new for address, replacement in replacements.items()})
    for replacement in replacements.values():
        copy_attributes(h5d.open(copy, encoded(replacement.name)), replacement.new)
        if replacement.elements.is_narrowed:
            _narrow_attributes(replacement.new)
    for name, kind in visited_objects(copy):
        if kind == h5o.TYPE_GROUP:
            _relink(h5g.open(copy, name), replacements)


def _relink(group: h5g.GroupID, replacements: Mapping[int, _Replacement]) -> None:
    """Let the hard links of a group lead to the new datasets, and keep the order of the links."""
    infos = {name: group.links.get_info(name) for name in group}
    targets = {
        name: replacements[info.u]
        for name, info in infos.items()
        if info.type == h5l.TYPE_HARD and info.u in replacements
    }
    if not targets:
        return
    names = sorted(infos, key=lambda name: infos[name].corder)
    is_ordered = group.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    first = min(names.index(name) for name in targets)
    for name in names[first:] if is_ordered else targets:
        if name in targets:
            group.unlink(name)
            links = h5p.create(h5p.LINK_CREATE)
            links.set_char_encoding(infos[name].cset)
            h5o.link(targets[name].new, group, name, lcpl=links)
        else:
            # A moved link becomes the last one.
            group.links.move(name, group, _TEMPORARY)
            group.links.move(_TEMPORARY, group, name)


def _narrow_attributes(did: h5d.DatasetID) -> None:
    for name in _TYPED_LIKE_VALUES & set(attribute_names(did)):
        attribute = h5a.open(did, name)
        if attribute.dtype == np.dtype("f8"):
            values = np.zeros(attribute.shape, "f8")
            attribute.read(values)
            space = attribute.get_space()
            h5a.delete(did, name)
            narrowed = h5a.create(did, name, did.get_type(), space)
            narrowed.write(values.astype("f4"))
