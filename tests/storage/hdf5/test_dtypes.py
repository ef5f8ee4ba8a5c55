"""HDF5 types: those that a tensor can hold, with the type that h5py delivers, and the reasons for all others."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from h5lightning.planning.catalog.schema import Member
from h5lightning.storage.hdf5.dtypes import element_type

NUMBERS = ["u1", "<u2", ">u2", "<u4", "<u8", "i1", "<i2", "<i4", ">i8", "<f2", "<f4", ">f4", "<f8", ">f8"]
NUMBERS = [*NUMBERS, "<c8", ">c8", "<c16", "?"]


def changed(tid, **settings):
    tid = tid.copy()
    for name, values in settings.items():
        getattr(tid, f"set_{name}")(*values)
    return tid


def enum(base, **values):
    tid = h5t.enum_create(base)
    for name, value in values.items():
        tid.enum_insert(name.encode(), value)
    return tid


def compound(*columns):
    size = sum(tid.get_size() for _, tid in columns)
    tid = h5t.create(h5t.COMPOUND, size)
    offset = 0
    for name, column in columns:
        tid.insert(name.encode(), offset, column)
        offset += column.get_size()
    return tid


def brain_float():
    tid = h5t.IEEE_F32LE.copy()
    tid.set_fields(15, 7, 8, 0, 7)
    tid.set_size(2)
    tid.set_ebias(127)
    return tid


def variable_text():
    return h5t.py_create(h5py.string_dtype(), logical=True)


def read_dtype(tmp_path, tid):
    """The type of the array that h5py reads."""
    with h5py.File(tmp_path / "t.h5", "w") as file:
        did = h5d.create(file.id, b"x", tid, h5s.create_simple((2,)))
        return h5py.Dataset(did)[()].dtype


@pytest.mark.parametrize("dtype", NUMBERS)
def test_plain_numbers(tmp_path, dtype):
    tid = h5t.py_create(np.dtype(dtype), logical=True)
    found = element_type(tid)
    assert found.dtype == np.dtype(dtype).str == read_dtype(tmp_path, tid).str
    assert not found.refusal
    assert not found.is_converted


CONVERTED = {
    "12-bits": (changed(h5t.STD_I16LE, precision=(12,)), "<i2"),
    "bfloat16": (brain_float(), "<f4"),
    "wide-bool": (enum(h5t.STD_I32LE, FALSE=0, TRUE=1), "|b1"),
}


@pytest.mark.parametrize(("tid", "dtype"), CONVERTED.values(), ids=CONVERTED)
def test_numbers_that_only_hdf5_can_convert(tmp_path, tid, dtype):
    found = element_type(tid)
    assert (found.dtype, found.is_converted, found.refusal) == (dtype, True, "")
    assert read_dtype(tmp_path, tid).str == dtype


BITS = {"b8": (h5t.STD_B8LE, "|u1"), "b16": (h5t.STD_B16LE, "<u2")}


@pytest.mark.parametrize(("tid", "dtype"), BITS.values(), ids=BITS)
def test_bit_fields_are_integers(tmp_path, tid, dtype):
    assert element_type(tid).dtype == dtype == read_dtype(tmp_path, tid).str
    assert not element_type(tid).is_converted


@pytest.mark.skipif(not hasattr(h5t, "COMPLEX"), reason="HDF5 before 2.0 has no class for complex numbers")
def test_complex_class_of_hdf5_2(tmp_path):
    for tid, dtype in ((h5t.COMPLEX_IEEE_F32LE, "<c8"), (h5t.COMPLEX_IEEE_F64BE, ">c16")):
        assert element_type(tid).dtype == dtype == read_dtype(tmp_path, tid).str


ENUMS = {
    "from-zero": (enum(h5t.STD_U8LE, cat=0, dog=1, eel=2), "|u1", ("cat", "dog", "eel")),
    "in-value-order": (enum(h5t.STD_I16BE, dog=1, cat=0), ">i2", ("cat", "dog")),
    "with-gaps": (enum(h5t.STD_I32LE, background=0, dog=5), "<i4", ("background=0", "dog=5")),
    "negative": (enum(h5t.STD_I8LE, unknown=-1, known=0), "|i1", ("unknown=-1", "known=0")),
}


@pytest.mark.parametrize(("tid", "dtype", "categories"), ENUMS.values(), ids=ENUMS)
def test_enumerations_are_integers_with_names(tmp_path, tid, dtype, categories):
    found = element_type(tid)
    assert (found.dtype, found.categories) == (dtype, categories)
    assert read_dtype(tmp_path, tid).str == dtype


def test_compound_lists_the_columns_that_are_plain_numbers():
    inner = compound(("a", h5t.IEEE_F32LE))
    tid = compound(
        ("t", h5t.IEEE_F64LE),
        ("name", h5t.py_create(np.dtype("S8"))),
        ("id", h5t.STD_U16BE),
        ("text", variable_text()),
        ("inner", inner),
        ("ok", enum(h5t.STD_I8LE, FALSE=0, TRUE=1)),
    )
    found = element_type(tid)
    assert found.dtype == "compound"
    columns = [(column.name, column.dtype) for column in found.members if not column.refusal]
    assert columns == [("t", "<f8"), ("id", ">u2"), ("ok", "|b1")]
    assert not found.refusal


ARRAYS = {
    "floats": (h5t.array_create(h5t.IEEE_F32BE, (3,)), Member("a", ">f4", (3,))),
    "two-axes": (h5t.array_create(h5t.STD_I64LE, (2, 4)), Member("a", "<i8", (2, 4))),
    "nested": (h5t.array_create(h5t.array_create(h5t.STD_U8LE, (2,)), (3,)), Member("a", "|u1", (3, 2))),
    "bool": (h5t.array_create(enum(h5t.STD_I8LE, FALSE=0, TRUE=1), (2,)), Member("a", "|b1", (2,))),
    "bits": (h5t.array_create(h5t.STD_B8LE, (2,)), Member("a", "|u1", (2,))),
    "complex": (h5t.array_create(h5t.py_create(np.dtype(">c8")), (2,)), Member("a", ">c8", (2,))),
    "enumeration": (
        h5t.array_create(enum(h5t.STD_I16LE, cat=0, dog=1), (2,)),
        Member("a", "<i2", (2,), ("cat", "dog")),
    ),
}


@pytest.mark.parametrize(("tid", "member"), ARRAYS.values(), ids=ARRAYS)
def test_columns_may_be_arrays(tmp_path, tid, member):
    table = compound(("a", tid), ("b", h5t.IEEE_F32LE))
    assert element_type(table).members == (member, Member("b", "<f4"))
    found = read_dtype(tmp_path, table)["a"]
    assert (np.zeros(1, found).dtype.str, np.zeros(1, found).shape[1:]) == (member.dtype, member.shape)


INNER = compound(("p", h5t.IEEE_F32LE), ("q", h5t.py_create(np.dtype("S2"))))
REFUSED_COLUMNS = {
    "text": (h5t.py_create(np.dtype("S8")), "text of 8 bytes", "holds text of 8 bytes"),
    "variable text": (variable_text(), "text of variable length", "holds text of variable length"),
    "array of text": (h5t.array_create(h5t.py_create(np.dtype("S2")), (3,)), "text of 2 bytes", "of 2 bytes"),
    "nested": (INNER, "table {p: <f4, q: text of 2 bytes}", "is a table itself"),
    "array of nested": (h5t.array_create(INNER, (2,)), "table {p: <f4, q: text of 2 bytes}", "table itself"),
    "reference": (h5t.STD_REF_OBJ, "reference", "references"),
    "sequences": (h5t.vlen_create(h5t.IEEE_F32LE), "variable-length", "different length"),
    "opaque": (h5t.create(h5t.OPAQUE, 8), "opaque", "opaque bytes"),
    "time": (h5t.UNIX_D64LE, "time", "HDF5 times"),
    "bits": (h5t.STD_B8BE, "bits", "bit fields"),
}


@pytest.mark.parametrize(("tid", "dtype", "words"), REFUSED_COLUMNS.values(), ids=REFUSED_COLUMNS)
def test_columns_that_no_tensor_can_hold_are_listed_with_the_reason(tid, dtype, words):
    found = element_type(compound(("a", tid), ("b", h5t.IEEE_F32LE))).members
    assert [member.name for member in found] == ["a", "b"]
    assert found[0].dtype == dtype
    assert words in found[0].refusal
    assert found[1] == Member("b", "<f4")


def test_arrays_of_equal_parts_are_no_complex_number():
    pair = h5t.array_create(h5t.IEEE_F32LE, (3,))
    assert element_type(compound(("r", pair), ("i", pair))).dtype == "compound"


REFUSED = {
    "fixed-text": (h5t.py_create(np.dtype("S8")), "holds text of 8 bytes"),
    "text": (variable_text(), "holds text of variable length"),
    "sequences": (h5t.vlen_create(h5t.IEEE_F32LE), "sequences of different length"),
    "array": (h5t.array_create(h5t.IEEE_F32LE, (3,)), "elements that are arrays"),
    "reference": (h5t.STD_REF_OBJ, "references"),
    "region": (h5t.STD_REF_DSETREG, "references"),
    "opaque": (h5t.create(h5t.OPAQUE, 8), "opaque bytes"),
    "time": (h5t.UNIX_D64LE, "HDF5 times"),
    "long-double": (h5t.NATIVE_LDOUBLE, "extended precision"),
    "24-bits": (changed(h5t.STD_I32LE, size=(3,)), "integers of 24 bits"),
    "128-bits": (changed(h5t.STD_I64LE, size=(16,)), "integers of 128 bits"),
    "big-endian-bits": (h5t.STD_B8BE, "bit fields"),
    "compound-of-text": (
        compound(("a", h5t.py_create(np.dtype("S8"))), ("b", variable_text())),
        "only a: text of 8 bytes, b: text of variable length",
    ),
}


@pytest.mark.parametrize(("tid", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_types_say_why(tid, words):
    found = element_type(tid)
    assert words in found.refusal
    assert found.dtype
    assert not found.members


def test_complex_needs_equal_parts():
    found = element_type(compound(("r", h5t.IEEE_F32LE), ("i", h5t.IEEE_F64LE)))
    assert [(column.name, column.dtype) for column in found.members] == [("r", "<f4"), ("i", "<f8")]
