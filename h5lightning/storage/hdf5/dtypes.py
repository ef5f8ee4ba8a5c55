"""HDF5 element types: their NumPy types, or why a tensor cannot hold them.

The class of a type is read first: for some classes, other calls make h5py or HDF5 fail, hang or load plug-ins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from h5py import h5t

from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.planning.catalog.schema import HEAP_REFERENCE, VARIABLE_LENGTH, Member, member_text
from h5lightning.storage.hdf5.stored_sizes import growth_in_file, has_known_size, stored_size

__all__ = ["ElementType", "columns_type", "element_type"]


@dataclasses.dataclass(frozen=True, slots=True)
class ElementType:
    """The type of the elements of a dataset or attribute.

    Args:
        dtype: NumPy's type string, ``compound``, or a description of a refused type.
        members: the columns of a compound, including those that no tensor can hold; empty if no tensor can hold any.
        categories: names of the values of an enumeration, in the order of the values.
        category_values: the values of an enumeration, unless they are 0, 1, …
        is_converted: whether the stored bits differ from those of ``dtype``, so that HDF5 must convert them.
        refusal: why no tensor can hold it, as the predicate of a sentence about the dataset; empty if one can.
        hdf5_reason: why only HDF5 can read it, as above; empty if the stored bytes are those of ``dtype``.
        record: where the columns of a compound lie; None if no tensor can hold any, or where that is not known.
        raw: NumPy type string of an element as it lies in the file, where elements are encoded bytes, such as
            images: of variable length, opaque, or text of fixed length; else empty. See `DatasetSchema.raw`.
    """

    dtype: str
    members: tuple[Member, ...] = ()
    categories: tuple[str, ...] | None = None
    category_values: tuple[int, ...] = ()
    is_converted: bool = False
    refusal: str = ""
    hdf5_reason: str = ""
    record: RecordLayout | None = None
    raw: str = ""

    @property
    def columns(self) -> tuple[Member, ...]:
        """The columns that a tensor can hold."""
        return tuple(member for member in self.members if not member.refusal)


def element_type(tid: h5t.TypeID) -> ElementType:
    """Describe an HDF5 type."""
    kind = tid.get_class()
    if kind in _DESCRIBE:
        return _decoded(tid.encode())
    if kind == h5t.STRING:
        return _string(tid)
    if kind in (h5t.OPAQUE, h5t.VLEN) and (raw := _raw_type(tid)):
        return dataclasses.replace(_BYTES if kind == h5t.VLEN else _REFUSED[kind], raw=raw)
    return _REFUSED.get(kind, _refused("unknown", "holds elements of an unknown type"))


def columns_type(tid: h5t.TypeCompoundID, columns: Sequence[tuple[str, np.dtype[Any]]]) -> h5t.TypeCompoundID:
    """The memory type of some columns of a compound, packed.

    Args:
        tid: the type of the compound in its file.
        columns: names of the columns, and types of their numbers in memory; arrays keep their shape.
    """
    names = [name.encode("utf-8", "surrogateescape") for name, _ in columns]
    # Arrays are nested as in the file, otherwise HDF5 would not convert them.
    types = [
        _array_type(tid.get_member_type(tid.get_member_index(name)), dtype)
        for name, (_, dtype) in zip(names, columns, strict=True)
    ]
    compound, offset = h5t.create(h5t.COMPOUND, sum(item.get_size() for item in types)), 0
    for name, item in zip(names, types, strict=True):
        compound.insert(name, offset, item)
        offset += item.get_size()
    return compound


def _array_type(tid: h5t.TypeID, dtype: np.dtype[Any]) -> h5t.TypeID:
    if tid.get_class() != h5t.ARRAY:
        return h5t.py_create(dtype)
    return h5t.array_create(_array_type(tid.get_super(), dtype), tid.get_array_dims())


@lru_cache(maxsize=256)
def _decoded(encoded: bytes) -> ElementType:
    # The files of a data set share few types, and h5py takes 20 µs to find the NumPy type of one.
    tid = h5t.decode(encoded)
    element = _DESCRIBE[tid.get_class()](tid)
    return (
        element if element.refusal else dataclasses.replace(element, hdf5_reason=_hdf5_reason(tid, element))
    )


def _hdf5_reason(tid: h5t.TypeID, element: ElementType) -> str:
    kind = tid.get_class()
    if element.members:
        return "" if element.record else "is a table with references whose size in the file is not known"
    if kind == h5t.BITFIELD:
        return "holds bit fields"
    # The parts of complex numbers may lie in any order.
    is_swapped = kind == h5t.COMPOUND and tid.get_member_offset(0) > tid.get_member_offset(1)
    if element.is_converted or is_swapped or tid.get_size() != np.dtype(element.dtype).itemsize:
        return "holds elements that HDF5 must convert"
    return ""


def _integer(tid: h5t.TypeIntegerID) -> ElementType:
    if tid.get_size() not in (1, 2, 4, 8):
        return _refused("integer", f"holds integers of {8 * tid.get_size()} bits, which no tensor can hold")
    return _number(tid)


def _float(tid: h5t.TypeFloatID) -> ElementType:
    if tid.dtype.itemsize not in (2, 4, 8):
        return _refused(
            "long double",
            "holds floats of extended precision, which no tensor can hold: store them as float64",
        )
    return _number(tid)


def _number(tid: h5t.TypeID) -> ElementType:
    return ElementType(tid.dtype.str, is_converted=not tid.equal(h5t.py_create(tid.dtype)))


def _bits(tid: h5t.TypeBitfieldID) -> ElementType:
    # PyTables stores booleans as bit fields. HDF5 does not convert those of big-endian order.
    if not any(tid.equal(plain) for plain in (h5t.STD_B8LE, h5t.STD_B16LE, h5t.STD_B32LE, h5t.STD_B64LE)):
        return _refused(
            "bits", "holds bit fields of a kind that NumPy cannot represent: store them as integers"
        )
    return ElementType(tid.dtype.str)


def _complex(tid: h5t.TypeID) -> ElementType:
    part = _float(tid.get_super())
    if part.dtype not in _COMPLEX_OF:
        return _refused("complex", "holds complex numbers of a precision that no tensor can hold")
    return dataclasses.replace(part, dtype=_COMPLEX_OF[part.dtype])


def _enumeration(tid: h5t.TypeEnumID) -> ElementType:
    base = _integer(tid.get_super())
    if base.refusal:
        return base
    values = [(tid.get_member_value(i), _text(tid.get_member_name(i))) for i in range(tid.get_nmembers())]
    if sorted(values) == [(0, "FALSE"), (1, "TRUE")]:
        return ElementType("|b1", is_converted=tid.get_size() != 1)
    return _with_categories(base, sorted(values))


def _with_categories(base: ElementType, values: list[tuple[int, str]]) -> ElementType:
    if [value for value, _ in values] == list(range(len(values))):
        return dataclasses.replace(base, categories=tuple(name for _, name in values))
    # A name without its value would suggest that the value is its position.
    names = tuple(f"{name}={value}" for value, name in values)
    return dataclasses.replace(base, categories=names, category_values=tuple(value for value, _ in values))


def _compound(tid: h5t.TypeCompoundID) -> ElementType:
    columns = [
        _column(_text(tid.get_member_name(i)), tid.get_member_type(i)) for i in range(tid.get_nmembers())
    ]
    members = tuple(member for member, _ in columns)
    is_converted = any(is_converted for _, is_converted in columns)
    if _is_complex(members):
        return ElementType(_COMPLEX_OF[members[0].dtype], is_converted=is_converted)
    if all(member.refusal for member in members):
        listed = ", ".join(map(member_text, members))
        return _refused("compound", f"is a table (compound) without a column of numbers, only {listed}")
    return ElementType("compound", members=members, is_converted=is_converted, record=_record(tid, members))


def _record(tid: h5t.TypeCompoundID, members: Sequence[Member]) -> RecordLayout | None:
    """Where the columns of a compound lie in the file; None if HDF5 does not say it."""
    types = [tid.get_member_type(number) for number in range(tid.get_nmembers())]
    if not all(map(has_known_size, types)):
        return None
    offsets = [tid.get_member_offset(number) for number in range(len(types))]
    growth = 0
    for number in sorted(range(len(types)), key=offsets.__getitem__):
        offsets[number] += growth
        growth += growth_in_file(types[number])
    columns = (
        RecordColumn(member.name, member.dtype, member.shape, offset, _column_reason(own))
        for member, offset, own in zip(members, offsets, types, strict=True)
    )
    return RecordLayout(stored_size(tid), tuple(columns))


def _column_reason(tid: h5t.TypeID) -> str:
    """Why only HDF5 can read a column; see `ElementType.hdf5_reason`."""
    while tid.get_class() == h5t.ARRAY:
        tid = tid.get_super()
    return element_type(tid).hdf5_reason


def _column(name: str, tid: h5t.TypeID) -> tuple[Member, bool]:
    """A column, and whether HDF5 converts its bits."""
    shape: tuple[int, ...] = ()
    while tid.get_class() == h5t.ARRAY:
        shape, tid = shape + tid.get_array_dims(), tid.get_super()
    # Bytes of a column are no field, whatever they are.
    element = _REFUSED[h5t.VLEN] if tid.get_class() == h5t.VLEN else element_type(tid)
    if element.members or element.refusal:
        return Member(name, _refused_text(tid, element), shape, None, element.refusal or _NESTED), False
    member = Member(name, element.dtype, shape, element.categories, category_values=element.category_values)
    return member, element.is_converted


def _refused_text(tid: h5t.TypeID, element: ElementType) -> str:
    """The type of a column that no tensor can hold."""
    if element.dtype == "text":
        return f"text {_text_size(tid)}"
    return f"table {{{', '.join(map(member_text, element.members))}}}" if element.members else element.dtype


def _is_complex(members: tuple[Member, ...]) -> bool:
    parts = {(member.dtype, member.shape, member.refusal) for member in members}
    names = [member.name for member in members]
    return names == ["r", "i"] and parts in [{(dtype, (), "")} for dtype in _COMPLEX_OF]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _refused(dtype: str, refusal: str) -> ElementType:
    return ElementType(dtype, refusal=refusal)


def _string(tid: h5t.TypeStringID) -> ElementType:
    size = _text_size(tid)
    refused = _refused("text", f"holds text {size}: no tensor can hold text")
    return dataclasses.replace(refused, raw=_raw_type(tid))


def _raw_type(tid: h5t.TypeID) -> str:
    """NumPy type string of the stored bytes of an element that may be an encoded image; empty if it is none."""
    kind = tid.get_class()
    if kind == h5t.VLEN:
        base = tid.get_super()
        return HEAP_REFERENCE if (base.get_class(), base.get_size()) == (h5t.INTEGER, 1) else ""
    if kind == h5t.STRING:
        return "" if tid.is_variable_str() else f"|S{tid.get_size()}"
    return f"|V{tid.get_size()}"


def _text_size(tid: h5t.TypeStringID) -> str:
    return "of variable length" if tid.is_variable_str() else f"of {tid.get_size()} bytes"


_NESTED = "is a table itself (nested compound): store its columns beside the others"

_REFUSED = {
    h5t.VLEN: _refused(
        VARIABLE_LENGTH,
        "holds sequences of different length: store their values one after the other in one dataset, or pad them "
        "to one length",
    ),
    h5t.ARRAY: _refused("array", "has elements that are arrays: store them as further axes of the dataset"),
    h5t.REFERENCE: _refused("reference", "holds references to other objects, which are not numbers"),
    h5t.OPAQUE: _refused("opaque", "holds opaque bytes, such as NumPy dates: store them as integers"),
    h5t.TIME: _refused("time", "holds HDF5 times, which NumPy cannot represent: store them as integers"),
}

_BYTES = _refused(
    VARIABLE_LENGTH,
    "holds bytes of variable length: Field(path, decode='image') if they are JPEG or PNG images, decode='bytes' for a "
    "list of them",
)

_COMPLEX_OF = {"<f4": "<c8", ">f4": ">c8", "<f8": "<c16", ">f8": ">c16"}

_DESCRIBE: dict[int, Callable[[Any], ElementType]] = {
    h5t.INTEGER: _integer,
    h5t.FLOAT: _float,
    h5t.BITFIELD: _bits,
    h5t.ENUM: _enumeration,
    h5t.COMPOUND: _compound,
}
if hasattr(h5t, "COMPLEX"):  # since HDF5 2.0
    _DESCRIBE[h5t.COMPLEX] = _complex
