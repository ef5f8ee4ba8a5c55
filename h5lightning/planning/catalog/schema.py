"""What a file holds, in words that need no open file: types, shapes, chunks, filters.

A schema is data. It is written by the scan, kept in the index on disk as JSON, compared between files,
and explained to the user.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.planning.catalog.annotations import NOTHING, Annotations
from h5lightning.planning.catalog.extents import Extents

__all__ = [
    "BOOKKEEPING",
    "UNREAD",
    "DatasetSchema",
    "FileSchema",
    "Member",
    "Stamp",
    "as_array",
    "member_text",
    "typed",
    "untyped",
]

# How the refusal of a dataset begins that a program wrote for itself.
BOOKKEEPING = "is bookkeeping of "

Stamp: TypeAlias = tuple[int, int, int, int]  # size in bytes, mtime_ns, ctime_ns and inode of a file

UNREAD = "not read: "  # how a `vocabulary` begins that a scan does not read; the reason follows


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One column of a compound.

    Args:
        name: its name.
        dtype: NumPy's type string of an element, or words for a refused type.
        shape: shape of one value of the column; ``()`` for a single number.
        categories: names of its values, where it is an enumeration or has a table of categories.
        refusal: why no field can be made of it, as what a sentence says of it; empty if one can.
        vocabulary: digest of a table of categories, where it is not kept in `categories`; see `DatasetSchema`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] | None = None
    refusal: str = ""
    vocabulary: str = ""

    @property
    def itemsize(self) -> int:
        """Bytes of one value; 0 for a refused type."""
        return 0 if self.refusal else math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetSchema:
    """One object that a field may name.

    Args:
        path: path in the file, without a leading slash.
        dtype: NumPy's type string with the byte order (``<f4``), ``compound``, or words for a refused type.
        shape: all axes, the sample axis first; ``()`` for a scalar.
        chunks: shape of a chunk, or None.
        filters: the pipeline in the order of writing, such as ``("shuffle", "deflate(4)")``.
        storage: ``contiguous``, ``chunked``, ``compact``, ``virtual``, ``external`` or ``none``.
        stored_bytes: bytes that the values take in the file.
        missing_chunks: chunks that were never written (1 for contiguous data that were never written).
        members: the columns of a compound, also those that no field can be made of.
        categories: names of the values of an enumeration or of a table of categories.
        is_converted: the stored bits are not those of ``dtype``: only HDF5 can convert them.
        refusal: why no field can be made of it; empty if one can.
        annotations: what the file says around its numbers; no part of the layout.
        vocabulary: digest of a table of categories with too many names for `categories`, or `UNREAD` and the reason
            why a scan does not read it; empty where there is none, or `categories` says it.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None = None
    filters: tuple[str, ...] = ()
    storage: str = "contiguous"
    stored_bytes: int = 0
    missing_chunks: int = 0
    members: tuple[Member, ...] = ()
    categories: tuple[str, ...] | None = None
    is_converted: bool = False
    refusal: str = ""
    annotations: Annotations = NOTHING
    vocabulary: str = ""

    @property
    def rows(self) -> int | None:
        """Length of the sample axis, or None for a scalar."""
        return self.shape[0] if self.shape else None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[1:]

    @property
    def is_bookkeeping(self) -> bool:
        """Whether a program wrote it for itself: nobody misses it. MATLAB keeps the contents of cells in ``#refs#``."""
        return self.refusal.startswith(BOOKKEEPING) or "#refs#" in self.path.split("/")

    @property
    def is_decoded_by_chunk(self) -> bool:
        """Whether reading one row means decoding a whole chunk."""
        return bool(self.filters) and self.storage == "chunked"

    @property
    def itemsize(self) -> int:
        """Bytes of one element as stored; 0 for a refused type."""
        if self.refusal:
            return 0
        return sum(member.itemsize for member in self.members) or np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, decoded."""
        return math.prod(self.row_shape) * self.itemsize

    @property
    def columns(self) -> tuple[Member, ...]:
        """The columns that fields can be made of."""
        return tuple(member for member in self.members if not member.refusal)

    def member(self, name: str | None) -> Member | None:
        """The column of that name, usable or not; None if there is none."""
        return next((member for member in self.members if member.name == name), None)

    def value(self, member: str | None) -> Member | None:
        """What a field holds in each element: that column, or the element itself; None if there is no such column."""
        if member is not None:
            return self.member(member)
        return Member("", self.dtype, (), self.categories, self.refusal, self.vocabulary)

    def field_shape(self, member: str | None) -> tuple[int, ...]:
        """Shape of all values of a column, or of the dataset: the axes of the dataset, then those of a value."""
        found = self.value(member)
        return self.shape if found is None else self.shape + found.shape

    def row_shape_of(self, member: str | None) -> tuple[int, ...]:
        """Shape of one row of a column, or of the dataset."""
        found = self.value(member)
        return self.row_shape if found is None else self.row_shape + found.shape

    def element(self, member: str | None) -> str | None:
        """NumPy type string of an element, or of a column that can be a field; None if there is no such column."""
        if member is None:
            return self.dtype
        return next((column.dtype for column in self.columns if column.name == member), None)

    def layout(self) -> DatasetSchema:
        """The schema without what differs from file to file: length, stored bytes, missing chunks, annotations."""
        return self._with((0, *self.shape[1:]) if self.shape else (), 0, 0, NOTHING)

    def layout_key(self) -> tuple[object, ...]:
        """What `layout` compares by, made in a quarter of the time: a scan does so for each dataset of each file."""
        return (
            self.path,
            self.dtype,
            self.shape[1:] if self.shape else None,
            self.chunks,
            self.filters,
            self.storage,
            self.members,
            self.categories,
            self.is_converted,
            self.refusal,
            self.vocabulary,
        )

    def facts(self) -> tuple[int, int, int]:
        """What `layout` leaves out: rows (-1 for a scalar), stored bytes, missing chunks."""
        return (self.shape[0] if self.shape else -1, self.stored_bytes, self.missing_chunks)

    def with_facts(self, facts: Sequence[int], annotations: Annotations = NOTHING) -> DatasetSchema:
        """The schema of a dataset that has this layout, these `facts` and annotations."""
        rows, stored_bytes, missing_chunks = facts
        shape = (rows, *self.shape[1:]) if rows >= 0 else ()
        return self._with(shape, stored_bytes, missing_chunks, annotations)

    def _with(
        self, shape: tuple[int, ...], stored_bytes: int, missing_chunks: int, annotations: Annotations
    ) -> DatasetSchema:
        # dataclasses.replace takes twice as long, and a scan does this for each dataset of each file.
        return DatasetSchema(
            self.path,
            self.dtype,
            shape,
            self.chunks,
            self.filters,
            self.storage,
            stored_bytes,
            missing_chunks,
            self.members,
            self.categories,
            self.is_converted,
            self.refusal,
            annotations,
            self.vocabulary,
        )

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        members = [dataclasses.asdict(member) for member in self.members]
        return {**plain, "members": members, "annotations": self.annotations.to_plain()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> DatasetSchema:
        """The schema that `to_plain` wrote."""
        values = {key: _tuples(value) for key, value in plain.items() if key != "annotations"}
        values["members"] = tuple(
            Member(**{key: _tuples(value) for key, value in member.items()}) for member in plain["members"]
        )
        return cls(**values, annotations=Annotations.from_plain(plain["annotations"]))


@dataclasses.dataclass(frozen=True, slots=True)
class FileSchema:
    """What the scan found in one file.

    Args:
        datasets: the objects that were asked for and exist, or all datasets of the file.
        attrs: the attributes that were asked for and exist, by ``object@name`` (``@name`` for the file's
            own): numbers, strings, and nested lists of them, see `typed`.
        extents: where the values of each dataset lie, None where that is not known; empty if it was not asked for.
        sources: the other files that were looked at for their values, each with its stamp from before.
    """

    datasets: tuple[DatasetSchema, ...]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extents: tuple[Extents | None, ...] = dataclasses.field(default=(), compare=False, repr=False)
    sources: tuple[tuple[str, Stamp], ...] = ()

    def dataset(self, path: str) -> DatasetSchema | None:
        """The schema of ``path``, or None where the file lacks it."""
        return next((dataset for dataset in self.datasets if dataset.path == path), None)

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return {"datasets": [dataset.to_plain() for dataset in self.datasets], "attrs": dict(self.attrs)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FileSchema:
        """The schema that `to_plain` wrote."""
        datasets = tuple(DatasetSchema.from_plain(dataset) for dataset in plain["datasets"])
        return cls(datasets=datasets, attrs=dict(plain["attrs"]))


def typed(value: Any, dtype: str | None) -> Any:
    """An attribute's value for JSON; with its type where JSON would forget it (float32 would become float64)."""
    return value if dtype in (None, "bool", "int64", "float64") else {"dtype": dtype, "value": value}


def untyped(value: Any) -> Any:
    """The value of an attribute that `typed` wrote, without its type."""
    return value["value"] if isinstance(value, dict) else value


def as_array(value: Any) -> npt.NDArray[Any]:
    """The value of an attribute that `typed` wrote, in its own type."""
    return np.asarray(untyped(value), value["dtype"] if isinstance(value, dict) else None)


def member_text(member: Member) -> str:
    """Name and type of a column, such as ``values: (3,)<f8``."""
    return f"{member.name}: {member.shape or ''}{member.dtype}"


def _tuples(value: object) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
