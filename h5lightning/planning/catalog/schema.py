"""The contents of a file without opening it: types, shapes, chunks, filters.

A schema is data: the scan writes it, the index keeps it as JSON, and it is compared between files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from h5lightning.planning.catalog.annotations import NOTHING, Annotations, from_plain

__all__ = [
    "BOOKKEEPING",
    "HEAP_REFERENCE",
    "UNREAD",
    "VARIABLE_LENGTH",
    "DatasetSchema",
    "Member",
    "Stamp",
    "as_array",
    "member_text",
    "typed",
    "untyped",
]

BOOKKEEPING = "is bookkeeping of "  # begins the refusal of a dataset that a program keeps for itself
UNREAD = "not read: "  # begins a `vocabulary` that the scan does not read; the reason follows
VARIABLE_LENGTH = "variable-length"  # the type of sequences
HEAP_REFERENCE = "|V16"  # with `DatasetSchema.raw`: length, address of a global heap, and number in it

Stamp: TypeAlias = tuple[int, int, int, int]  # size in bytes, mtime_ns, ctime_ns and inode of a file


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One column of a compound.

    Args:
        dtype: NumPy's type string of an element, or a description of a refused type.
        shape: shape of one value of the column; ``()`` for a single number.
        categories: names of the values of an enumeration or of a table of categories.
        refusal: the reason why it cannot be a field, to follow its name; empty if it can.
        vocabulary: digest of a table of categories that is too long for `categories`; see `DatasetSchema`.
        category_values: of an enumeration whose values are not 0, 1, …: the values, in the order of `categories`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] | None = None
    refusal: str = ""
    vocabulary: str = ""
    category_values: tuple[int, ...] = ()

    @property
    def itemsize(self) -> int:
        """Bytes of one value; 0 for a refused type."""
        return 0 if self.refusal else math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetSchema:
    """One object that a field may name.

    Args:
        path: path in the file, without a leading slash.
        dtype: NumPy's type string with the byte order (``<f4``), ``compound``, or a description of a refused type.
        shape: all axes, the sample axis first; ``()`` for a scalar.
        chunks: shape of a chunk, or None.
        filters: the pipeline in the order of writing, such as ``("shuffle", "deflate(4)")``.
        storage: ``contiguous``, ``chunked``, ``compact``, ``virtual``, ``external`` or ``none``.
        stored_bytes: bytes of the values in the file.
        missing_chunks: chunks that were never written (1 for contiguous data that were never written).
        members: the columns of a compound, including those that cannot be fields.
        categories: names of the values of an enumeration or of a table of categories.
        is_converted: the stored bits differ from ``dtype``, and only HDF5 can convert them.
        refusal: the reason why it cannot be a field, to follow its name; empty if it can.
        annotations: what the file says about its numbers; no part of the layout.
        vocabulary: digest of a table of categories that is too long for `categories`, or `UNREAD` and the reason why
            the scan does not read it; otherwise empty.
        category_values: of an enumeration whose values are not 0, 1, …: the values, in the order of `categories`.
        raw: NumPy type string of an element as it lies in the file, where nothing but its type forbids that it is a
            field, and it may be an encoded image: ``|S9`` or ``|V9`` of fixed length, `HEAP_REFERENCE` for bytes of
            variable length; else empty. Opaque elements of 16 bytes have another ``dtype``.
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
    category_values: tuple[int, ...] = ()
    raw: str = ""

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
        """Whether a program keeps it for itself, as MATLAB keeps the contents of cells in ``#refs#``."""
        return self.refusal.startswith(BOOKKEEPING) or "#refs#" in self.path.split("/")

    @property
    def is_decoded_by_chunk(self) -> bool:
        """Whether reading one row means decoding a whole chunk."""
        return bool(self.filters) and self.storage == "chunked"

    @property
    def itemsize(self) -> int:
        """Bytes of one element as stored; 0 for a refused type, unless it may be an encoded image."""
        if self.refusal:
            return np.dtype(self.raw).itemsize if self.raw else 0
        return sum(member.itemsize for member in self.members) or np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, decoded."""
        return math.prod(self.row_shape) * self.itemsize

    @property
    def columns(self) -> tuple[Member, ...]:
        """The columns that can be fields."""
        return tuple(member for member in self.members if not member.refusal)

    def member(self, name: str | None) -> Member | None:
        """The column of that name, even if it cannot be a field; None if there is none."""
        return next((member for member in self.members if member.name == name), None)

    def value(self, member: str | None) -> Member | None:
        """The column that a field holds, or the whole element as a column; None if there is no such column."""
        if member is not None:
            return self.member(member)
        own = (self.categories, self.refusal, self.vocabulary, self.category_values)
        return Member("", self.dtype, (), *own)

    def row_shape_of(self, member: str | None) -> tuple[int, ...]:
        """Shape of one row of a column, or of the dataset."""
        value = self.value(member)
        return self.row_shape if value is None else self.row_shape + value.shape

    @property
    def is_in_heap(self) -> bool:
        """Whether its elements are bytes of variable length, which lie in global heaps of the file."""
        return self.raw == HEAP_REFERENCE and self.dtype == VARIABLE_LENGTH

    def seen_as(self, *, encoded: bool) -> DatasetSchema:
        """The dataset as a field sees it: one of encoded bytes accepts some types that no tensor can hold."""
        return dataclasses.replace(self, refusal="") if encoded and self.raw else self

    def read_type(self, member: str | None) -> str | None:
        """As `element`; of encoded bytes, the type that is read."""
        return self.raw if self.raw and member is None else self.element(member)

    def element(self, member: str | None) -> str | None:
        """NumPy type string of an element, or of a column that can be a field; None if there is no such column."""
        if member is None:
            return self.dtype
        return next((column.dtype for column in self.columns if column.name == member), None)

    def folded(self, leading: int) -> DatasetSchema:
        """The dataset with some leading axes as one axis of rows, as batches see it."""
        if leading == 1:
            return self
        shape = (math.prod(self.shape[:leading]), *self.shape[leading:])
        return dataclasses.replace(self, shape=shape, chunks=None)

    def without_axes(self, axes: Sequence[int]) -> DatasetSchema:
        """The dataset with one axis of rows in the place of some axes, whose lengths do not count."""
        others = (length for axis, length in enumerate(self.shape) if axis not in axes)
        return dataclasses.replace(self, shape=(0, *others), chunks=None)

    def layout(self) -> DatasetSchema:
        """The schema without the parts that differ between files: length, stored bytes, missing chunks, annotations."""
        return self._with((0, *self.shape[1:]) if self.shape else (), 0, 0, NOTHING)

    def layout_key(self) -> tuple[object, ...]:
        """The values by which layouts are compared; four times as fast as `layout`, for the scan of many datasets."""
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
            self.category_values,
            self.raw,
        )

    def facts(self) -> tuple[int, int, int]:
        """The numbers that `layout` leaves out: rows (-1 for a scalar), stored bytes, missing chunks."""
        return (self.shape[0] if self.shape else -1, self.stored_bytes, self.missing_chunks)

    def with_facts(self, facts: Sequence[int], annotations: Annotations = NOTHING) -> DatasetSchema:
        """The schema of a dataset that has this layout, these `facts` and annotations."""
        rows, stored_bytes, missing_chunks = facts
        shape = (rows, *self.shape[1:]) if rows >= 0 else ()
        return self._with(shape, stored_bytes, missing_chunks, annotations)

    def _with(
        self, shape: tuple[int, ...], stored_bytes: int, missing_chunks: int, annotations: Annotations
    ) -> DatasetSchema:
        # dataclasses.replace takes twice as long, and a scan calls this for each dataset of each file.
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
            self.category_values,
            self.raw,
        )

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        members = [dataclasses.asdict(member) for member in self.members]
        return {**plain, "members": members, "annotations": self.annotations.to_plain()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> DatasetSchema:
        """The schema that `to_plain` wrote."""
        values = {
            key: from_plain(value) for key, value in plain.items() if key not in ("members", "annotations")
        }
        annotations = Annotations.from_plain(plain["annotations"])
        return cls(**values, members=from_plain(plain["members"], Member), annotations=annotations)


def typed(value: Any, dtype: str | None) -> Any:
    """The value of an attribute for JSON, with its type if JSON cannot keep it (float32 would become float64)."""
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
