"""What names the columns of a dataset: dimension scales, the tables of AnnData and pandas, lists in attributes.

Only axes that are not the sample axis are looked at. The labels themselves are not kept, only digests: files are
compared by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from h5py import h5a, h5d, h5f, h5g, h5i, h5o, h5r, h5t

from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.conventions.label_values import (
    Named,
    Object,
    attribute_list,
    digests,
    names_at,
    names_in,
)
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["LabelFinder"]

_Found: TypeAlias = Iterable[tuple[int, str, Named]]  # axis, source, what it holds

# An attribute of this name lists the columns, if it has as many entries as there are.
_COLUMN_LISTS = frozenset(
    b"columns column_names col_names feature_names features channel_names channels ch_names var_names names".split()
)
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"

# AnnData: the group that a matrix lies in → the tables that name its rows and columns.
_MATRICES = {
    "layers": ("obs", "var"),
    "obsm": ("obs", ""),
    "obsp": ("obs", "obs"),
    "varm": ("var", ""),
    "varp": ("var", "var"),
}
_NOTHING: tuple[tuple[AxisLabels, ...], tuple[str, ...]] = ((), ())
_INDEX_NAMES = ("_index", "index")
_KIND = b"_kind"


@dataclass(slots=True)
class _Scale:
    """A dimension scale: what it is called, and the labels that it holds, once they were asked for."""

    path: str
    did: h5d.DatasetID
    named: Named | None = None


@dataclass(slots=True)
class _Digests:
    """Labels that several datasets share."""

    kind: str
    count: int
    in_order: str
    as_set: str


class LabelFinder:
    """Finds the labels of the axes of datasets of one file; what several of them share is read once.

    Args:
        fid: the open file.
        values: what reads text and references.
        constants: paths of datasets without a sample axis.
    """

    __slots__ = ("_constants", "_digests", "_fid", "_scales", "_tables", "_values")

    def __init__(self, fid: h5f.FileID, values: ValueReader, constants: tuple[str, ...] = ()) -> None:
        self._fid = fid
        self._values = values
        self._constants = constants
        self._scales: dict[int, _Scale | None] = {}
        self._tables: dict[str, tuple[str, Named] | None] = {}
        self._digests: dict[str, _Digests] = {}

    def find(self, opened: DatasetInfo, path: str) -> tuple[tuple[AxisLabels, ...], tuple[str, ...]]:
        """Labels of the axes of a dataset, and remarks about those that cannot be compared.

        Args:
            opened: the dataset.
            path: its path, without a leading slash.

        Raises:
            OSError: the labels are damaged.
        """
        shape, first = opened.shape or (), 0 if path in self._constants else 1
        members = opened.element.members
        if len(shape) <= first and not members:
            return _NOTHING
        names = opened.attributes
        if not names and not _may_have_table(path):
            return _NOTHING
        found = [*self._of_table(path, first)]
        axes: list[AxisLabels] = []
        if names:
            found += self._of_attributes(opened.did, path, shape, names, first)
        if b"DIMENSION_LIST" in names:
            scales = self._scales_of(opened.did)
            found += self._of_scales(opened.did, path, scales, names, first)
            axes += self._axes(path, "DIMENSION_LIST", [_leaf(axis[0]) if axis else "" for axis in scales])
        if b"DIMENSION_LABELS" in names:
            told = attribute_list(opened.did, "DIMENSION_LABELS", self._values).values
            axes += self._axes(path, "DIMENSION_LABELS", told if isinstance(told, list) else [])
        if members and names:
            axes += self._of_members(opened, path, names)
        labels = [
            one
            for axis, source, named in found
            if axis < len(shape) and (one := self._labels(axis, source, named, shape[axis]))
        ]
        return tuple(dict.fromkeys((*labels, *axes))), tuple(dict.fromkeys(_remarks(found)))

    # ── dimension scales ─────────────────────────────────────────────────────────────────────────────

    def _of_scales(
        self, did: h5d.DatasetID, path: str, scales: list[list[_Scale]], names: frozenset[bytes], first: int
    ) -> _Found:
        found = [
            (axis, scale.path, self._named(scale))
            for axis, several in enumerate(scales)
            for scale in several
            if axis >= first
        ]
        if b"coordinates" in names:
            found += self._of_coordinates(did, path, scales, first)
        return found

    def _scales_of(self, did: h5d.DatasetID) -> list[list[_Scale]]:
        """The scales of each axis; none of those that are no longer there."""
        attribute = h5a.open(did, b"DIMENSION_LIST")
        tid = attribute.get_type()
        if tid.get_class() != h5t.VLEN or tid.get_super().get_class() != h5t.REFERENCE or not attribute.shape:
            return []
        lists = self._values.attribute(did, "DIMENSION_LIST")
        return [[scale for ref in refs if (scale := self._scale(ref, did)) is not None] for refs in lists]

    def _scale(self, reference: object, did: h5d.DatasetID) -> _Scale | None:
        if not isinstance(reference, h5r.Reference) or not reference:
            return None
        try:
            found = h5r.dereference(reference, did)
        except (LookupError, ValueError, OSError, RuntimeError):
            return None  # a file that was copied without care: its references lead to nowhere
        if not isinstance(found, h5d.DatasetID):
            return None
        address = int(h5o.get_info(found).addr)
        if address not in self._scales:
            name = h5i.get_name(found)
            path = name.decode("utf-8", "surrogateescape").lstrip("/") if name else ""
            self._scales[address] = _Scale(path, found) if path else None
        return self._scales[address]

    def _named(self, scale: _Scale) -> Named:
        if scale.named is None:
            scale.named = Named(None) if self._is_bare(scale.did) else names_in(scale.did, self._values)
        return scale.named

    def _is_bare(self, did: h5d.DatasetID) -> bool:
        """Whether it is a dimension without a variable, which has numbers that nobody wrote."""
        return self._text(did, "NAME").startswith(_NO_VARIABLE)

    def _of_coordinates(
        self, did: h5d.DatasetID, path: str, scales: list[list[_Scale]], first: int
    ) -> _Found:
        """Further variables that the attribute ``coordinates`` names, each along one of the axes."""
        axis_of = {scale.path: axis for axis, several in enumerate(scales) for scale in several}
        for name in self._text(did, "coordinates").split():
            found = self._nearby(path, name)
            if found is None or not h5a.exists(found[1], b"DIMENSION_LIST"):
                continue
            own = self._scales_of(found[1])
            axis = axis_of.get(own[0][0].path, -1) if own and own[0] else -1
            if axis >= first:
                yield axis, found[0], names_in(found[1], self._values)

    def _nearby(self, path: str, name: str) -> tuple[str, h5d.DatasetID] | None:
        """A variable of the same group, or of one above it."""
        parent = path.rpartition("/")[0]
        while True:
            place = f"{parent}/{name}".lstrip("/")
            if isinstance(found := object_at(self._fid, place), h5d.DatasetID):
                return place, found
            if not parent:
                return None
            parent = parent.rpartition("/")[0]

    def _axes(self, path: str, attribute: str, names: list[str]) -> Iterator[AxisLabels]:
        if any(names):
            in_order, as_set = digests(names)
            yield AxisLabels(-1, f"{path}@{attribute}", "axes", len(names), in_order, as_set)

    # ── tables beside a matrix ───────────────────────────────────────────────────────────────────────

    def _of_table(self, path: str, first: int) -> _Found:
        parent, _, leaf = path.rpartition("/")
        if leaf.startswith("block") and leaf.endswith("_values"):  # pandas
            source = f"{path[: -len('_values')]}_items"
            yield 1, source, names_at(self._fid, source, self._values)
            return
        base, _, group = parent.rpartition("/")
        tables = _MATRICES.get(group)
        if leaf == "X":
            base, tables = parent, ("obs", "var")
        for axis, table in enumerate(tables or ()):
            found = self._table(f"{base}/{table}".lstrip("/")) if table and axis >= first else None
            if found is not None:
                yield (axis, *found)

    def _table(self, path: str) -> tuple[str, Named] | None:
        """The labels of the rows of one of AnnData's tables, with their source."""
        if path not in self._tables:
            self._tables[path] = self._read_table(path)
        return self._tables[path]

    def _read_table(self, path: str) -> tuple[str, Named] | None:
        table = object_at(self._fid, path)
        if table is None:
            return None
        told = self._text(table, "_index")
        for name in (told, *_INDEX_NAMES) if told else _INDEX_NAMES:
            is_group = isinstance(table, h5g.GroupID)
            # Text that may be missing is a group of values and a mask.
            sources = (f"{path}/{name}", f"{path}/{name}/values") if is_group else (f"{path}[{name}]",)
            for source in sources:
                named = names_at(self._fid, source, self._values)
                if named.values is not None or named.problem:
                    return source, named
        return None

    # ── attributes ───────────────────────────────────────────────────────────────────────────────────

    def _of_attributes(
        self, did: h5d.DatasetID, path: str, shape: tuple[int, ...], names: frozenset[bytes], first: int
    ) -> _Found:
        for name in _COLUMN_LISTS.intersection(names):
            attribute = h5a.open(did, name)
            count = attribute.shape[0] if attribute.shape is not None and len(attribute.shape) == 1 else -1
            axes = (axis for axis in dict.fromkeys((first, len(shape) - 1)) if first <= axis < len(shape))
            axis = next((axis for axis in axes if shape[axis] == count), -1)
            if axis >= 0 and attribute.get_type().get_class() == h5t.STRING:
                yield axis, f"{path}@{name.decode()}", attribute_list(did, name.decode(), self._values)

    def _of_members(self, opened: DatasetInfo, path: str, names: frozenset[bytes]) -> Iterator[AxisLabels]:
        """What pandas says of the columns of a table: ``values_block_0_kind`` lists what an array column holds."""
        tid = opened.did.get_type()
        for place in range(tid.get_nmembers()):
            member, element = tid.get_member_name(place), tid.get_member_type(place)
            if member + _KIND not in names or element.get_class() != h5t.ARRAY:
                continue
            shape, name = element.get_array_dims(), member.decode("utf-8", "surrogateescape")
            source = f"{path}@{name}_kind"
            named = attribute_list(opened.did, f"{name}_kind", self._values)
            found = self._labels(1, source, named, shape[0], name) if len(shape) == 1 else None
            if found is not None:
                yield found

    def _text(self, owner: Object, name: str) -> str:
        """The text of an attribute; empty if it has none."""
        if not h5a.exists(owner, name.encode()):
            return ""
        attribute = h5a.open(owner, name.encode())
        if attribute.get_type().get_class() != h5t.STRING or attribute.shape != ():
            return ""
        return str(self._values.attribute(owner, name))

    # ── digests ──────────────────────────────────────────────────────────────────────────────────────

    def _labels(
        self, axis: int, source: str, named: Named, length: int, member: str | None = None
    ) -> AxisLabels | None:
        """The labels of an axis, if there is one for each place along it."""
        if named.values is None or len(named.values) != length:
            return None
        if source not in self._digests:
            kind = "text" if isinstance(named.values, list) else "numbers"
            self._digests[source] = _Digests(kind, length, *digests(named.values))
        found = self._digests[source]
        return AxisLabels(axis, source, found.kind, found.count, found.in_order, found.as_set, member)


def _leaf(scale: _Scale) -> str:
    return scale.path.rpartition("/")[2]


def _may_have_table(path: str) -> bool:
    """Whether a table beside a dataset may name its columns, by its path alone."""
    return path.endswith(("X", "_values")) or ("/" in path and path.rsplit("/", 2)[-2] in _MATRICES)


def _remarks(found: _Found) -> Iterator[str]:
    for axis, source, named in found:
        if named.problem:
            yield (
                f"is named along axis {axis} by '/{source}', which {named.problem}: these labels are not held against "
                "those of other files, unless access.same lists them"
            )
