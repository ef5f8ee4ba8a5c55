"""Conversions keep values: each pair of types, against exact arithmetic, from real files through both readers."""

from __future__ import annotations

import math
from fractions import Fraction

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5Dataset, Windows
from h5lightning.errors import FieldError
from h5lightning.options import DTYPES
from h5lightning.planning.values.conversions import assign, buffer_dtype, first_lost, wider_type

FLOATS = {"float16": (11, 15), "bfloat16": (8, 127), "float32": (24, 127), "float64": (53, 1023)}
PART = {"complex64": "float32", "complex128": "float64"}
STORED = ["|b1", "|i1", "|u1", *(f"{order}{kind}" for order in "<>" for kind in
          ("i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"))]  # fmt: skip
READERS = ["auto", "h5py"]


@pytest.fixture
def open_dataset():
    """Makes a dataset that is closed after the test."""
    opened = []

    def make(*args, **kwargs):
        opened.append(H5Dataset(*args, **kwargs))
        return opened[-1]

    yield make
    for dataset in opened:
        dataset.close()


# ── exact arithmetic, without NumPy ──────────────────────────────────────────────────────────────────


def rounded(number, precision, largest_exponent):
    """A fraction to the nearest float, ties to even; None if that is infinite."""
    if not number:
        return number
    exponent = (
        math.floor(math.log2(abs(number)))
        if abs(number) < 2**900
        else abs(number).numerator.bit_length() - abs(number).denominator.bit_length()
    )
    while abs(number) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(number) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, 1 - largest_exponent) - precision + 1)
    nearest = round(number / step) * step
    return nearest if abs(nearest) < Fraction(2) ** (largest_exponent + 1) else None


def exact(value):
    """A delivered or stored number as a fraction; text for what is no number."""
    value = value.item()
    if isinstance(value, (bool, int)) or math.isfinite(value):
        return Fraction(value)
    return str(value)


def expected(value, delivered, *, is_float):
    """What a real value must be delivered as; None where that is an error."""
    if not isinstance(value, Fraction):
        return value if delivered in FLOATS else None
    if delivered == "bool":
        return value if value in (0, 1) else None
    if delivered not in FLOATS:
        info = np.iinfo(delivered)
        return value if value.denominator == 1 and info.min <= value <= info.max else None
    if delivered == "bfloat16" and is_float:  # by way of float32, as torch does it
        value = rounded(value, *FLOATS["float32"])
    nearest = rounded(value, *FLOATS[delivered]) if value is not None else None
    return nearest if is_float or nearest == value else None


# ── values ───────────────────────────────────────────────────────────────────────────────────────────


def boundaries(stored):
    """Values of a type on both sides of every border that some other type has."""
    dtype = np.dtype(stored).newbyteorder("=")
    if dtype.kind == "b":
        return np.asarray([False, True])
    bits = (0, 1, 7, 8, 11, 15, 16, 24, 31, 32, 53, 62, 63, 64)
    near = [sign * (2**bit + step) for bit in bits for step in (-1, 0, 1) for sign in (1, -1)]
    near += [65504, 65519, 65520, 257, 1001, 2**63 - 512, 2**64 - 2048]
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.unique(np.asarray([n for n in near if info.min <= n <= info.max], dtype))
    part = np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype
    borders = [0.5, 1.5, -0.0, 0.1, 1e-8, 1e-40, 1e-310, 65504.0, 65519.999, 65520.0, 2.0**128 - 2.0**119,
               2.0**128 - 2.0**120, 2.0**128 - 2.0**103, 3.4028234663852886e38, 1e39, 1.7e308, math.inf, -math.inf,
               math.nan]  # fmt: skip
    with np.errstate(all="ignore"):
        values = np.asarray([*(float(n) for n in near), *borders]).astype(part)
        values = np.concatenate(
            [values, np.nextafter(values, part.type(np.inf)), np.nextafter(values, -part.type(np.inf))]
        )
    _, first = np.unique(values.view(f"u{part.itemsize}"), return_index=True)
    values = values[first]
    return (
        values
        if dtype.kind == "f"
        else np.concatenate([values + 0j, 1j * values[np.isfinite(values)]]).astype(dtype)
    )


def parts_of(value):
    value = np.asarray(value.item()) if isinstance(value, torch.Tensor) else value
    return (value.real, value.imag)


def check_one(value, found, delivered):
    """One value: what was delivered is what exact arithmetic expects, or it was refused where it must be."""
    kind, part = value.dtype.kind, PART.get(delivered, delivered)
    expected_parts = [expected(exact(one), part, is_float=kind in "fc") for one in parts_of(value)]
    if None in expected_parts:
        assert found is None, f"{value!r} was delivered as {found} in {delivered}"
        return
    assert found is not None, f"{value!r} was refused in {delivered}"
    assert str(found.dtype) == f"torch.{delivered}"
    got = torch.view_as_real(found.reshape(1))[0] if found.is_complex() else (found, torch.zeros(()))
    assert [exact(one) for one in got] == expected_parts, f"{value!r} was delivered as {found} in {delivered}"


def read_one(dataset, position, name):
    """The value at a position in a type; None if it is refused."""
    try:
        return dataset.read_batch([position], [name])[name][0]
    except FieldError as error:
        said = str(error)
    missing = [words for words in (f"at row {position} of", f"{name} cannot hold") if words not in said]
    assert not missing, said
    return None


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("stored", STORED)
def test_each_pair_of_types_keeps_each_value_or_refuses_it(tmp_path, open_dataset, stored, reader):
    values = boundaries(stored)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values.astype(stored))
    types = [name for name in DTYPES if values.dtype.kind != "c" or name in PART]
    dataset = open_dataset(
        str(tmp_path / "a.h5"), {name: Field("x", dtype=name) for name in types}, reader=reader
    )
    for name in types:
        for position, value in enumerate(values):
            check_one(value, read_one(dataset, position, name), name)


# ── wherever values come from ────────────────────────────────────────────────────────────────────────

LOST = [
    pytest.param([1, 257], "<i8", "bfloat16", id="integer to bfloat16"),
    pytest.param([1, 2**53 + 1], "<i8", "float64", id="integer to float64"),
    pytest.param([1, 2**64 - 1], ">u8", "float64", id="big-endian unsigned to float64"),
    pytest.param([1, 1e39], "<f8", "float32", id="float64 to float32"),
    pytest.param([1, -1e39], ">f8", "bfloat16", id="big-endian float64 to bfloat16"),
    pytest.param([1, 3.4e38], "<f4", "bfloat16", id="float32 to bfloat16"),
    pytest.param([1, 7e4], ">f4", "float16", id="big-endian float32 to float16"),
    pytest.param([1, 2.0**63], "<f8", "int64", id="float to int64"),
    pytest.param([1, 2], "|u1", "bool", id="integer to bool"),
]
LAYOUTS = {
    "contiguous": {},
    "chunks": {"chunks": (2, 3)},
    "chunks of parts of rows": {"chunks": (3, 2)},
    "filtered": {"chunks": (4, 3), "compression": "gzip"},
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize(("values", "stored", "delivered"), LOST)
def test_a_lost_value_is_found_in_every_layout_and_named(
    tmp_path, open_dataset, values, stored, delivered, layout, reader
):
    rows = np.full((20, 3), values[0], stored)
    rows[13, 1] = values[1]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=rows, **LAYOUTS[layout])
    dataset = open_dataset(str(tmp_path / "a.h5"), {"x": Field("x", dtype=delivered)}, reader=reader)
    others = [position for position in range(20) if position != 13]
    for positions in ([*others], others[::-1], others[::2]):
        assert (dataset.read_batch(positions)["x"] == 1).all()
    for positions in (range(20), [19, 13, 0, 4], [13], range(19, -1, -1)):
        with pytest.raises(
            FieldError, match=rf"field 'x' \('/x'\) holds .* at row 13 of .*, which {delivered} cannot"
        ):
            dataset.read_batch(positions)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["steps", "shared steps", "constant", "attr", "member"])
@pytest.mark.parametrize(("values", "stored", "delivered"), LOST)
def test_a_lost_value_is_found_in_every_kind_of_field(
    tmp_path, open_dataset, values, stored, delivered, kind, reader
):
    rows = np.full(12, values[0], stored)
    rows[9] = values[1]
    table = np.zeros(12, [("a", "f4"), ("b", stored)])
    table["b"] = rows
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["table"], file["grid"] = rows, table, rows[8:11]
        file.attrs["number"] = rows[8:11]
    fields = {
        "steps": {"x": Field("x", steps=(0, 2), dtype=delivered)},
        "shared steps": {"x": Field("x", steps=(1, 2), dtype=delivered), "z": Field("x", steps=(0, 1))},
        "constant": {"x": Field("grid", constant=True, dtype=delivered), "z": Field("x")},
        "attr": {"x": Field(attr="number", dtype=delivered), "z": Field("x")},
        "member": {"x": Field("table", member="b", dtype=delivered)},
    }[kind]
    with pytest.raises(FieldError, match=rf"field 'x'.* {delivered} cannot hold"):
        open_dataset(str(tmp_path / "a.h5"), fields, Windows(2), reader=reader).read_batch(range(11))
    if kind in ("steps", "shared steps", "member"):
        dataset = open_dataset(str(tmp_path / "a.h5"), fields, Windows(2), reader=reader)
        assert (dataset.read_batch(range(8))["x"] == 1).all()


def test_infinity_and_nan_that_are_stored_are_kept(tmp_path, open_dataset):
    values = np.asarray([np.inf, -np.inf, np.nan, 1.0])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    dataset = open_dataset(
        str(tmp_path / "a.h5"), {name: Field("x", dtype=name) for name in (*FLOATS, "complex64")}
    )
    for name, found in dataset.read_batch(range(4)).items():
        wide = found.real if name == "complex64" else found
        assert np.array_equal(wide.double().numpy(), values, equal_nan=True), name


def test_batches_that_are_read_together_blame_the_one_with_the_value(tmp_path, open_dataset):
    values = np.ones(64)
    values[40] = 1e39
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    dataset = open_dataset(str(tmp_path / "a.h5"), {"x": Field("x", dtype="float32")})
    read = dataset.read_raw(np.arange(64), 16)
    assert [len(ids) for ids, _ in read.batches] == [16, 16]
    assert "1e+39 at row 40 of" in str(read.error)


# ── without files ────────────────────────────────────────────────────────────────────────────────────


def test_the_usual_conversions_are_made_while_reading():
    for stored, delivered in (("<f8", "float32"), (">f4", "float16"), ("<i2", "float32"), ("|u1", "float16")):
        assert buffer_dtype(stored, delivered) == np.dtype(delivered)
    for stored, delivered in (("<i8", "float64"), (">u8", "complex128"), ("<i4", "float32"), ("<f8", "int8")):
        assert buffer_dtype(stored, delivered) == np.dtype(stored).newbyteorder("=")


def test_nothing_is_lost_of_nothing():
    assert first_lost(np.zeros((0, 3)), "int8") is None


def test_where_the_first_lost_value_lies():
    values = np.ones((4, 3))
    values[2, 1] = values[3, 0] = 0.5
    assert first_lost(values, "int64") == (2, 1)


def test_what_the_user_set_for_floating_errors_changes_nothing():
    out = np.zeros(3, np.float32)
    with np.errstate(all="raise"):
        assign(out, slice(None), np.asarray([1e-310, np.nan, 0.1]))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError):
        assign(out, slice(None), np.asarray([1e39, 0, 0]))


@pytest.mark.parametrize("stored", [stored for stored in STORED if "c" not in stored])
def test_attributes_keep_each_value_on_their_way_through_the_index(tmp_path, open_dataset, stored):
    values = boundaries(stored)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1, 2, 3]
        file.attrs["a"] = values.astype(stored)
    for _ in range(2):  # from the file, then from the index
        dataset = open_dataset(str(tmp_path / "a.h5"), {"x": Field("x"), "a": Field(attr="a")})
        found = dataset.read_batch([1])["a"][0].numpy()
        assert found.dtype == values.dtype
        assert np.array_equal(found, values, equal_nan=values.dtype.kind == "f")


def test_the_type_for_integers_is_one_of_integers():
    assert [wider_type(*pair) for pair in (("<i8", "<u8"), ("<i4", "<f4"), ("|b1", "<i2"))] == [
        "int64",
        "float64",
        "int16",
    ]
