"""Find the labels of columns: dimension scales, the tables of AnnData and pandas, lists in attributes.

Labels of the sample axis are not read. The labels themselves are not kept: files are compared by digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from h5py import h5a, h5d, h5f, h5g, h5i, h5o, h5t

from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.conventions.bookkeeping import is_dimension_only
from h5lightning.storage.scanning.conventions.label_values import (
    Labels,
    attribute_labels,
    digests,
    labels_at,
    labels_in,
)
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import dataset_at, dereferenced

__all__ = ["LabelFinder"]

_Labelled: TypeAlias = Iterable[tuple[int, str, Labels]]  # axis, source, labels

# An attribute of this name lists the columns, if it has as many entries as there are columns.
_COLUMN_LISTS = frozenset(
    b"columns column_names col_names feature_names features channel_names channels ch_names var_names names".split()
)

# AnnData: the group in which a matrix lies, and the tables that name its rows and columns.
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
    """A dimension scale, and its labels once they were read."""

    path: str
    did: h5d.DatasetID
    labels: Labels | None = None


class LabelFinder:
    """Finds the labels of the axes of datasets of one file; what several of them share is read once.

    The first axis of a dataset is its sample axis, unless its path is one of ``constants``.
    """

    __slots__ = ("_constants", "_digests", "_fid", "_reader", "_scales", "_tables")

    def __init__(self, fid: h5f.FileID, reader: ValueReader, constants: tuple[str, ...] = ()) -> None:
        self._fid = fid
        self._reader = reader
        self._constants = constants
        self._scales: dict[int, _Scale | None] = {}
        self._tables: dict[str, tuple[str, Labels] | None] = {}
        self._digests: dict[str, tuple[str, str]] = {}  # by source

    def find(
        self, info: DatasetInfo, path: str, asked: str | None = None
    ) -> tuple[tuple[AxisLabels, ...], tuple[str, ...]]:
        """The labels of the axes of a dataset, and remarks about labels that cannot be compared.

        Args:
            info: the dataset.
            path: its path.
            asked: its path in the request, if it holds a ``*`` there.

        Raises:
            OSError: the labels are damaged.
        """
        shape, first = info.shape or (), 0 if (asked or path) in self._constants else 1
        members, names = info.element.members, info.attributes
        if len(shape) <= first and not members:
            return _NOTHING
        if not names and not _may_have_table(path):
            return _NOTHING
        labelled = [*self._of_table(path, first)]
        axes: list[AxisLabels] = []
        if names:
            labelled += self._of_attributes(info, path, first)
        if b"DIMENSION_LIST" in names:
            scales = self._scales_of(info.did)
            labelled += self._of_scales(info, path, scales, first)
            axes += self._axes(path, "DIMENSION_LIST", [_leaf(axis[0]) if axis else "" for axis in scales])
        if b"DIMENSION_LABELS" in names:
            axis_names = attribute_labels(info.did, "DIMENSION_LABELS", self._reader).values
            axes += self._axes(path, "DIMENSION_LABELS", axis_names if isinstance(axis_names, list) else [])
        if members and names:
            axes += self._of_members(info, path)
        labels = [
            one
            for axis, source, named in labelled
            if axis < len(shape) and (one := self._axis_labels(axis, source, named, shape[axis]))
        ]
        return tuple(dict.fromkeys((*labels, *axes))), tuple(dict.fromkeys(_remarks(labelled)))

    def _of_scales(self, info: DatasetInfo, path: str, scales: list[list[_Scale]], first: int) -> _Labelled:
        labelled = [
            (axis, scale.path, self._labels_of(scale))
            for axis, of_axis in enumerate(scales)
            for scale in of_axis
            if axis >= first
        ]
        if b"coordinates" in info.attributes:
            labelled += self._of_coordinates(info.did, path, scales, first)
        return labelled

    def _scales_of(self, did: h5d.DatasetID) -> list[list[_Scale]]:
        """The scales of each axis, without those that were deleted."""
        attribute = h5a.open(did, b"DIMENSION_LIST")
        tid = attribute.get_type()
        if tid.get_class() != h5t.VLEN or tid.get_super().get_class() != h5t.REFERENCE or not attribute.shape:
            return []
        lists = self._reader.attribute(did, "DIMENSION_LIST")
        return [[scale for ref in refs if (scale := self._scale(ref, did)) is not None] for refs in lists]

    def _scale(self, reference: object, owner: h5d.DatasetID) -> _Scale | None:
        did = dereferenced(reference, owner)
        if did is None:
            return None
        address = int(h5o.get_info(did).addr)
        if address not in self._scales:
            name = h5i.get_name(did)
            path = name.decode("utf-8", "surrogateescape").lstrip("/") if name else ""
            self._scales[address] = _Scale(path, did) if path else None
        return self._scales[address]

    def _labels_of(self, scale: _Scale) -> Labels:
        if scale.labels is None:
            is_unnamed = is_dimension_only(scale.did, self._reader)
            scale.labels = Labels(None) if is_unnamed else labels_in(scale.did, self._reader)
        return scale.labels

    def _of_coordinates(
        self, did: h5d.DatasetID, path: str, scales: list[list[_Scale]], first: int
    ) -> _Labelled:
        """The variables in the attribute ``coordinates``, each along one of the axes."""
        axis_of = {scale.path: axis for axis, of_axis in enumerate(scales) for scale in of_axis}
        for name in self._reader.text(did, "coordinates").split():
            variable = self._variable(path, name)
            if variable is None or not h5a.exists(variable[1], b"DIMENSION_LIST"):
                continue
            own = self._scales_of(variable[1])
            axis = axis_of.get(own[0][0].path, -1) if own and own[0] else -1
            if axis >= first:
                yield axis, variable[0], labels_in(variable[1], self._reader)

    def _variable(self, path: str, name: str) -> tuple[str, h5d.DatasetID] | None:
        """A variable in the group of a dataset, or in a group above it, with its path."""
        group = path.rpartition("/")[0]
        while True:
            variable = f"{group}/{name}".lstrip("/")
            if (did := dataset_at(self._fid, variable)) is not None:
                return variable, did
            if not group:
                return None
            group = group.rpartition("/")[0]

    def _axes(self, path: str, attribute: str, names: list[str]) -> Iterator[AxisLabels]:
        if any(names):
            in_order, as_set = digests(names)
            yield AxisLabels(-1, f"{path}@{attribute}", "axes", len(names), in_order, as_set)

    def _of_table(self, path: str, first: int) -> _Labelled:
        parent, _, leaf = path.rpartition("/")
        if leaf.startswith("block") and leaf.endswith("_values"):  # pandas
            source = f"{path[: -len('_values')]}_items"
            yield 1, source, labels_at(self._fid, source, self._reader)
            return
        base, _, group = parent.rpartition("/")
        tables = _MATRICES.get(group)
        if leaf == "X":
            base, tables = parent, ("obs", "var")
        for axis, table in enumerate(tables or ()):
            index = self._table(f"{base}/{table}".lstrip("/")) if table and axis >= first else None
            if index is not None:
                yield (axis, *index)

    def _table(self, path: str) -> tuple[str, Labels] | None:
        """The source and the labels of the rows of a table of AnnData."""
        if path not in self._tables:
            self._tables[path] = self._read_table(path)
        return self._tables[path]

    def _read_table(self, path: str) -> tuple[str, Labels] | None:
        table = object_at(self._fid, path)
        if table is None:
            return None
        index = self._reader.text(table, "_index")
        for name in (index, *_INDEX_NAMES) if index else _INDEX_NAMES:
            is_group = isinstance(table, h5g.GroupID)
            # Text that may be missing is a group of values and a mask.
            sources = (f"{path}/{name}", f"{path}/{name}/values") if is_group else (f"{path}[{name}]",)
            for source in sources:
                labels = labels_at(self._fid, source, self._reader)
                if labels.values is not None or labels.problem:
                    return source, labels
        return None

    def _of_attributes(self, info: DatasetInfo, path: str, first: int) -> _Labelled:
        shape = info.shape or ()
        for raw_name in _COLUMN_LISTS.intersection(info.attributes):
            attribute, name = h5a.open(info.did, raw_name), raw_name.decode()
            count = attribute.shape[0] if attribute.shape is not None and len(attribute.shape) == 1 else -1
            axes = (axis for axis in dict.fromkeys((first, len(shape) - 1)) if first <= axis < len(shape))
            axis = next((axis for axis in axes if shape[axis] == count), -1)
            if axis >= 0 and attribute.get_type().get_class() == h5t.STRING:
                yield axis, f"{path}@{name}", attribute_labels(info.did, name, self._reader)

    def _of_members(self, info: DatasetInfo, path: str) -> Iterator[AxisLabels]:
        """Labels of array columns of a table of pandas: the attribute ``values_block_0_kind`` lists them."""
        tid = info.did.get_type()
        for number in range(tid.get_nmembers()):
            member, element = tid.get_member_name(number), tid.get_member_type(number)
            if member + _KIND not in info.attributes or element.get_class() != h5t.ARRAY:
                continue
            shape, name = element.get_array_dims(), member.decode("utf-8", "surrogateescape")
            if len(shape) != 1:
                continue
            labels = attribute_labels(info.did, f"{name}_kind", self._reader)
            axis_labels = self._axis_labels(1, f"{path}@{name}_kind", labels, shape[0], name)
            if axis_labels is not None:
                yield axis_labels

    def _axis_labels(
        self, axis: int, source: str, labels: Labels, length: int, member: str | None = None
    ) -> AxisLabels | None:
        """The labels of an axis, if their number is its length."""
        if labels.values is None or len(labels.values) != length:
            return None
        if source not in self._digests:
            self._digests[source] = digests(labels.values)
        kind = "text" if isinstance(labels.values, list) else "numbers"
        return AxisLabels(axis, source, kind, length, *self._digests[source], member)


def _leaf(scale: _Scale) -> str:
    return scale.path.rpartition("/")[2]


def _may_have_table(path: str) -> bool:
    """Whether the path of a dataset is one of those whose columns a table beside it may name."""
    return path.endswith(("X", "_values")) or ("/" in path and path.rsplit("/", 2)[-2] in _MATRICES)


def _remarks(labelled: _Labelled) -> Iterator[str]:
    for axis, source, labels in labelled:
        if labels.problem:
            yield (
                f"is named along axis {axis} by '/{source}', which {labels.problem}: these labels are compared with "
                "those of other files only if access.same lists them"
            )
