"""Stored numbers become the values that are delivered: converted exactly, or decoded in float64 and rounded once."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from number_edges import FLOATS, INTEGERS, SIGNS, as_python, edges, sign_of

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values.conversions import LostValueError, delivery_dtype
from h5lightning.planning.values.value_decoder import MissingValueError, ValueDecoder

PLAIN = Encoding("cf", fills=(-9,))
DELIVERED = ["float16", "float32", "float64"]


def one(values, encoding, delivered, *, is_decoded=True):
    array = np.asarray(values)
    which = np.zeros(len(array), np.int64)
    return ValueDecoder([encoding], delivered, is_decoded=is_decoded).of(array, which)


def test_values_are_scaled_in_float64_and_rounded_once():
    stored = np.arange(-32768, 32768, dtype="i2")
    encoding = Encoding("cf", scale=0.01, offset=280.0)
    expected = (stored.astype("f8") * 0.01 + 280.0).astype("f4")
    assert one(stored, encoding, "float32").tobytes() == expected.tobytes()
    assert one(stored, encoding, "float64").tobytes() == (stored * np.float64(0.01) + 280.0).tobytes()


def test_missing_values_are_nan_whatever_they_would_become():
    stored = np.asarray([1, 1e300, 2], "f8")
    encoding = Encoding("cf", scale=1e10, fills=(1e300,))
    np.testing.assert_array_equal(one(stored, encoding, "float32"), np.asarray([1e10, np.nan, 2e10], "f4"))


def test_each_row_has_the_factors_of_its_file():
    encodings = [Encoding("cf", scale=float(k + 1), offset=float(-k)) for k in range(50)]
    which = np.asarray([3, 49, 0, 7, 3])
    values = np.asarray([[1, 2]] * 5, "i2")
    found = ValueDecoder(encodings, "float32", is_decoded=True).of(values, which)
    assert found.tolist() == [[(k + 1) - k, 2 * (k + 1) - k] for k in which.tolist()]


def test_encodings_of_different_kinds_stand_side_by_side():
    encodings = [None, Encoding("cf", fills=(2,)), Encoding("cf", scale=2.0, is_unsigned=True)]
    values = np.asarray([-1, 2, -1, 2, 5], "i1")
    found = ValueDecoder(encodings, "float32", is_decoded=True).of(values, np.asarray([0, 1, 2, 0, 1]))
    np.testing.assert_array_equal(found, np.asarray([-1, np.nan, 510, 2, 5], "f4"))


def test_rows_that_are_larger_than_a_block_are_whole():
    values = np.arange(3 * 2**20, dtype="i4").reshape(3, -1) % 1000
    values[1, 77] = -9
    found = one(values, PLAIN, "float32")
    assert np.isnan(found[1, 77])
    assert np.isnan(found).sum() == 1
    assert (np.nan_to_num(found, nan=-9) == values).all()


def test_without_decoding_a_missing_value_is_an_error_with_its_place():
    values = np.zeros((2000, 300), "i4")
    values[1500, 7] = -9
    with pytest.raises(MissingValueError) as caught:
        one(values, PLAIN, "int32", is_decoded=False)
    assert caught.value.place == (1500, 7)


def test_without_decoding_nothing_is_computed():
    values = np.asarray([1, 2], "i2")
    assert one(values, Encoding("cf", fills=(-9,)), "int16", is_decoded=False).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "encoding", "delivered"),
    [
        (np.asarray([0, 2**24 + 1], "i4"), PLAIN, "float32"),
        (np.asarray([0, 2**24 + 1], "i4"), None, "float32"),
        (np.asarray([0, 1], "i2"), Encoding("cf", scale=0.5), "int16"),
        (np.asarray([0, -9], "i2"), PLAIN, "int16"),
        (np.asarray([0, 7], "i2"), Encoding("cf", scale=1e5), "float16"),
        (np.asarray([0, 1e300], "f8"), Encoding("cf", scale=1e300), "float64"),
        (np.asarray([0, 1e39], "f8"), Encoding("cf", offset=1.0), "float32"),
    ],
    ids=["masked integer", "integer", "half", "missing", "float16", "beyond float64", "beyond float32"],
)
def test_what_a_type_cannot_hold_is_an_error_with_its_place(values, encoding, delivered):
    with pytest.raises(LostValueError) as caught:
        one(values, encoding, delivered)
    assert caught.value.place == (1,)


def test_infinity_and_nan_that_are_stored_are_kept():
    stored = np.asarray([np.inf, -np.inf, np.nan, 1], "f4")
    np.testing.assert_array_equal(one(stored, Encoding("cf", scale=2.0), "float32"), stored * 2)


def test_bfloat16_comes_as_float32_for_torch():
    assert delivery_dtype("bfloat16") == np.float32
    assert one(np.asarray([1, 2], "i2"), Encoding("cf", scale=0.5), "bfloat16").dtype == np.float32


@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]),
    st.lists(st.integers(0, 127), min_size=1, max_size=30),
    st.sets(st.integers(0, 127), max_size=3),
    st.sampled_from([(1.0, 0.0), (0.5, 0.0), (1.0, 3.0), (-2.0, 0.25)]),
    st.sampled_from(["float32", "float64"]),
)
def test_the_result_is_the_plain_computation(stored, values, fills, factors, delivered):
    array = np.asarray(values, stored)
    scale, offset = factors
    encoding = Encoding("cf", scale=scale, offset=offset, fills=tuple(sorted(fills)))
    expected = [np.nan if value in fills else value * scale + offset for value in values]
    np.testing.assert_array_equal(one(array, encoding, delivered), np.asarray(expected, delivered))


def test_all_pairs_of_types_keep_their_values_or_say_so():
    edges = {
        "iu": lambda info: [info.min, info.max, 0, 1],
        "f": lambda info: [float(info.min), float(info.max), 0.0, 0.5, np.inf],
    }
    names = [
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
    for stored, delivered in itertools.product(names, names):
        kind = np.dtype(stored).kind
        info = np.finfo(stored) if kind == "f" else np.iinfo(stored)
        for value in edges["f" if kind == "f" else "iu"](info):
            array = np.asarray([value], stored)
            try:
                found = one(array, None, delivered, is_decoded=False)
            except LostValueError:
                assert not _is_held(array[0], delivered), (stored, value, delivered)
            else:
                assert _is_held(array[0], delivered), (stored, value, delivered)
                is_rounded = kind == "f" and np.dtype(delivered).kind == "f"
                assert is_rounded or found[0].item() == array[0].item()


def _is_held(value, delivered):
    """Whether a type holds a value, by Python's exact numbers; floats may be rounded to floats, but not overflow."""
    plain = value.item()
    if np.dtype(delivered).kind in "iu":
        info = np.iinfo(delivered)
        return np.isfinite(plain) and plain == int(plain) and info.min <= int(plain) <= info.max
    with np.errstate(over="ignore"):
        narrowed = np.asarray(plain).astype(delivered)
    if isinstance(plain, float):
        return np.isfinite(narrowed) == np.isfinite(plain)
    return np.isfinite(narrowed) and int(narrowed) == plain


# ── every stored type, at its edges ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("is_unsigned", SIGNS)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_values_are_computed_in_float64_and_rounded_once(dtype, is_unsigned, delivered):
    scale, offset = 0.0009765625 + 2.0**-40, 3.25  # their products are rounded in every type
    is_unsigned = sign_of(dtype, is_unsigned)
    for number in edges(dtype):
        value = as_python(number, is_unsigned)
        encoding = Encoding("cf", scale, offset, is_unsigned)
        exact = np.float64(float(value)) * np.float64(scale) + np.float64(offset)
        check(number, encoding, float(exact), delivered)


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("is_unsigned", SIGNS)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_values_of_which_nothing_is_computed_are_exact_or_rounded_floats(dtype, is_unsigned, delivered):
    is_unsigned = sign_of(dtype, is_unsigned)
    for number in edges(dtype):
        check(number, Encoding("cf", 1.0, 0.0, is_unsigned), as_python(number, is_unsigned), delivered)


def check(number, encoding, value, delivered):
    """Hold one delivered value against Python's; one that the type cannot hold must be an error."""
    with np.errstate(over="ignore"):
        expected = np.dtype(delivered).type(value)
    stored = np.full((2, 3), number)
    is_rounded = isinstance(value, int) and (not np.isfinite(expected) or int(expected) != value)
    if is_rounded or (np.isinf(expected) and not math.isinf(value)):
        with pytest.raises(LostValueError):
            one(stored, encoding, delivered)
        return
    found = one(stored, encoding, delivered)
    assert (found.dtype, found.shape) == (np.dtype(delivered), (2, 3))
    np.testing.assert_array_equal(found, np.full((2, 3), expected))


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_missing_values_are_nan_even_if_they_are_too_large_to_be_delivered(dtype, delivered):
    info = np.finfo(dtype) if dtype in FLOATS else np.iinfo(dtype)
    stored = np.array([[1, 2], [info.max, 3]], dtype)
    encoding = Encoding(
        "cf", scale=2.0, offset=1.0, fills=(info.max.item() if dtype in FLOATS else info.max,)
    )
    np.testing.assert_array_equal(one(stored, encoding, delivered), [[3, 5], [math.nan, 7]])
    unpacked = Encoding("cf", fills=encoding.fills)
    np.testing.assert_array_equal(one(stored, unpacked, delivered), [[1, 2], [math.nan, 3]])
    assert stored[1, 0] == info.max


def test_nan_and_infinity_stay_what_they_are():
    stored = np.array([math.nan, math.inf, -math.inf], "f4")
    for encoding in (Encoding("cf", scale=2.0), Encoding("cf", fills=(1e20,)), Encoding("cf", low=-1.0)):
        found = one(stored, encoding, "float16")
        expected = [math.nan, math.inf, math.nan if encoding.low is not None else -math.inf]
        np.testing.assert_array_equal(found, expected)
