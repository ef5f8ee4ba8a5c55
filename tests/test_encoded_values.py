"""What stored numbers stand for: every stored type, at its edges, against Python's exact numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from h5lightning import encoded_values
from h5lightning.annotations import Encoding
from h5lightning.encoded_values import as_read, decoded, first_missing, is_missing

INTEGERS = [f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)]
FLOATS = ["f2", "f4", "f8"]
DELIVERED = ["float16", "float32", "float64"]
SIGNS = [None, True, False]


def edges(dtype):
    """Numbers of a type where comparisons and roundings go wrong."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info = np.finfo(kind)
        numbers = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            0.1,
            255.0,
            65504.0,
            info.max,
            info.min,
            info.tiny,
            math.inf,
            -math.inf,
        ]
        return np.array([*numbers, math.nan], kind)
    info = np.iinfo(kind)
    near = {0, 1, 2, 127, 128, 200, 255, 2**15, 2**24 + 1, 2**53 + 1, 2**63 - 1, info.max - 1, info.max}
    near |= {-1, -2, -128, info.min, info.min + 1, -(2**24) - 1, -(2**53) - 1}
    return np.array(sorted(number for number in near if info.min <= number <= info.max), kind)


def as_python(number, is_unsigned):
    """The value of a stored number, with the sign that was asked for, by arithmetic."""
    value = number.item()
    bits = 8 * number.dtype.itemsize
    if is_unsigned and number.dtype.kind == "i":
        return value % 2**bits
    if is_unsigned is False and number.dtype.kind == "u" and value >= 2 ** (bits - 1):
        return value - 2**bits
    return value


def stands_for_nothing(value, encoding):
    if encoding.kind == "codes" and math.isnan(value):
        return True
    below = encoding.low is not None and value < encoding.low
    above = encoding.high is not None and value > encoding.high
    return value in encoding.fills or below or above


def sign_of(dtype, is_unsigned):
    return is_unsigned if np.dtype(dtype).kind in "iu" else None


def encodings_of(dtype, is_unsigned):
    """Encodings whose fills and bounds lie at, beside and beyond the ends of the type."""
    values = [as_python(number, is_unsigned) for number in edges(dtype)]
    yield from (
        Encoding("cf", fills=(value,), is_unsigned=is_unsigned) for value in values if not math.isnan(value)
    )
    beyond = [-(2**64), -(2**63) - 1, -1, 0, 200, 2**63, 2**64 - 1, 2**70]
    bounds = [*beyond, *(value for value in values if not math.isnan(value))]
    if np.dtype(dtype).kind == "f":
        largest = float(np.finfo(dtype).max)
        bounds = [bound for bound in bounds if math.isinf(bound) or abs(bound) <= largest]
    else:
        bounds += [0.5, -0.5, 1e300, -1e300, math.inf, -math.inf]
    for bound in bounds:
        yield Encoding("cf", low=bound, is_unsigned=is_unsigned)
        yield Encoding("cf", high=bound, is_unsigned=is_unsigned)
    yield Encoding("cf", fills=(values[0], values[2]), low=0, high=200, is_unsigned=is_unsigned)
    yield Encoding("codes", low=0, high=2, is_unsigned=is_unsigned)


@pytest.mark.parametrize("is_unsigned", SIGNS)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_what_is_missing_is_found_as_exact_numbers_say(dtype, is_unsigned):
    stored = edges(dtype)
    for encoding in encodings_of(dtype, sign_of(dtype, is_unsigned)):
        wanted = [stands_for_nothing(as_python(number, encoding.is_unsigned), encoding) for number in stored]
        assert is_missing(stored, encoding).tolist() == wanted, encoding
        first = (wanted.index(True),) if any(wanted) else None
        assert first_missing(stored, encoding) == first, encoding


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
def test_values_of_which_nothing_is_computed_are_rounded_once(dtype, is_unsigned, delivered):
    is_unsigned = sign_of(dtype, is_unsigned)
    for number in edges(dtype):
        check(number, Encoding("cf", 1.0, 0.0, is_unsigned), as_python(number, is_unsigned), delivered)


def check(number, encoding, value, delivered):
    """Hold one delivered value against Python's; one too large for the type must be an error."""
    with np.errstate(over="ignore"):
        wanted = np.dtype(delivered).type(value)
    stored = np.full((2, 3), number)
    if np.isinf(wanted) and not math.isinf(value):
        with pytest.raises(FloatingPointError):
            decoded(stored, encoding, delivered)
        return
    found = decoded(stored, encoding, delivered)
    assert (found.dtype, found.shape) == (np.dtype(delivered), (2, 3))
    np.testing.assert_array_equal(found, np.full((2, 3), wanted))


def test_integers_without_packing_are_not_rounded_on_the_way_to_float32():
    # By way of float64 this would become 2**60, by one rounding it is the next float32 above.
    number = 2**60 + 2**36 + 1
    assert decoded(np.array([number]), Encoding("cf", fills=(0,)), "float32")[0] == np.float32(2**60 + 2**37)


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_missing_values_are_nan_even_if_they_are_too_large_to_be_delivered(dtype, delivered):
    info = np.finfo(dtype) if dtype in FLOATS else np.iinfo(dtype)
    stored = np.array([[1, 2], [info.max, 3]], dtype)
    encoding = Encoding(
        "cf", scale=2.0, offset=1.0, fills=(info.max.item() if dtype in FLOATS else info.max,)
    )
    np.testing.assert_array_equal(decoded(stored, encoding, delivered), [[3, 5], [math.nan, 7]])
    unpacked = Encoding("cf", fills=encoding.fills)
    np.testing.assert_array_equal(decoded(stored, unpacked, delivered), [[1, 2], [math.nan, 3]])
    assert stored[1, 0] == info.max


def test_nan_and_infinity_stay_what_they_are():
    stored = np.array([math.nan, math.inf, -math.inf], "f4")
    for encoding in (Encoding("cf", scale=2.0), Encoding("cf", fills=(1e20,)), Encoding("cf", low=-1.0)):
        found = decoded(stored, encoding, "float16")
        wanted = [math.nan, math.inf, math.nan if encoding.low is not None else -math.inf]
        np.testing.assert_array_equal(found, wanted)


def test_nan_is_a_missing_code_and_no_other_missing_number():
    stored = np.array([0, math.nan, 1, 2], "f8")
    assert first_missing(stored, Encoding("codes", low=0, high=2)) == (1,)
    assert first_missing(stored, Encoding("codes")) == (1,)
    assert first_missing(stored, Encoding("cf", low=0, high=2, fills=(7.0,))) is None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 4)])
def test_arrays_of_any_shape(shape):
    stored, encoding = np.full(shape, -1, "i2"), Encoding("cf", 0.5, 1.0, fills=(-1,))
    assert is_missing(stored, encoding).shape == decoded(stored, encoding, "float32").shape == shape
    assert is_missing(stored, encoding).all()
    assert np.isnan(decoded(stored, encoding, "float32")).all()
    assert first_missing(stored, encoding) == (None if 0 in shape else (0,) * len(shape))


def test_arrays_that_are_no_rows_of_memory(monkeypatch):
    monkeypatch.setattr(encoded_values, "_BLOCK_BYTES", 64)
    stored = np.arange(600, dtype="i4").reshape(20, 30)
    encoding = Encoding("cf", 0.5, 1.0, fills=(597,), high=597)
    for seen in (stored, stored.T, stored[::-2, 1::3], np.asfortranarray(stored)):
        wanted = seen >= 597
        np.testing.assert_array_equal(is_missing(seen, encoding), wanted)
        np.testing.assert_array_equal(
            decoded(seen, encoding, "float32"), np.where(wanted, np.nan, seen * 0.5 + 1)
        )
        assert first_missing(seen, encoding) == (tuple(np.argwhere(wanted)[0]) if wanted.any() else None)


def test_the_stored_bits_are_looked_at_in_place():
    stored = np.arange(-3, 3, dtype="i2")
    assert np.shares_memory(as_read(stored, Encoding("cf", is_unsigned=True)), stored)
    assert as_read(stored, Encoding("cf")) is stored
    assert as_read(np.zeros(3, "f4"), Encoding("cf", is_unsigned=True)).dtype == np.float32
