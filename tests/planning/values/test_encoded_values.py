"""Which stored numbers stand for missing values: every stored type, at its edges, against Python's exact numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from number_edges import FLOATS, INTEGERS, SIGNS, as_python, edges, sign_of

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values import encoded_values
from h5lightning.planning.values.encoded_values import as_read, first_missing, is_missing


def stands_for_nothing(value, encoding):
    if encoding.kind == "codes" and math.isnan(value):
        return True
    below = encoding.low is not None and value < encoding.low
    above = encoding.high is not None and value > encoding.high
    return value in encoding.fills or below or above


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
        expected = [
            stands_for_nothing(as_python(number, encoding.is_unsigned), encoding) for number in stored
        ]
        assert is_missing(stored, encoding).tolist() == expected, encoding
        first = (expected.index(True),) if any(expected) else None
        assert first_missing(stored, encoding) == first, encoding


def test_nan_is_a_missing_code_and_no_other_missing_number():
    stored = np.array([0, math.nan, 1, 2], "f8")
    assert first_missing(stored, Encoding("codes", low=0, high=2)) == (1,)
    assert first_missing(stored, Encoding("codes")) == (1,)
    assert first_missing(stored, Encoding("cf", low=0, high=2, fills=(7.0,))) is None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 4)])
def test_arrays_of_any_shape(shape):
    stored, encoding = np.full(shape, -1, "i2"), Encoding("cf", 0.5, 1.0, fills=(-1,))
    assert is_missing(stored, encoding).shape == shape
    assert is_missing(stored, encoding).all()
    assert first_missing(stored, encoding) == (None if 0 in shape else (0,) * len(shape))


def test_arrays_that_are_no_rows_of_memory(monkeypatch):
    monkeypatch.setattr(encoded_values, "_BLOCK_BYTES", 64)
    stored = np.arange(600, dtype="i4").reshape(20, 30)
    encoding = Encoding("cf", 0.5, 1.0, fills=(597,), high=597)
    for seen in (stored, stored.T, stored[::-2, 1::3], np.asfortranarray(stored)):
        expected = seen >= 597
        np.testing.assert_array_equal(is_missing(seen, encoding), expected)
        assert first_missing(seen, encoding) == (tuple(np.argwhere(expected)[0]) if expected.any() else None)


def test_the_stored_bits_are_looked_at_in_place():
    stored = np.arange(-3, 3, dtype="i2")
    assert np.shares_memory(as_read(stored, Encoding("cf", is_unsigned=True)), stored)
    assert as_read(stored, Encoding("cf")) is stored
    assert as_read(np.zeros(3, "f4"), Encoding("cf", is_unsigned=True)).dtype == np.float32
