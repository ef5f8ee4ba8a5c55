"""Hashes of values, block by block, and the kinds of values."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.scanning.value_hash import canonical_floats, hash_for, kind_of

TABLE = np.dtype([("b", "<i2"), ("a", "S3")])
KINDS = {
    "numbers": (np.dtype(">i4"), "numbers"),
    "complex": (np.dtype("c8"), "complex numbers"),
    "text": (np.dtype("S4"), "text"),
    "variable text": (h5py.string_dtype(), "text"),
    "array": (np.dtype(("f4", (2, 3))), "(2, 3) numbers"),
    "lists": (h5py.vlen_dtype(np.dtype("i8")), "lists of numbers"),
    "enumeration": (h5py.enum_dtype({"off": 0, "on": 1}), "enumeration {off=0, on=1}"),
    "table": (TABLE, "compound {a: text, b: numbers}"),
    "other": (np.dtype("V3"), "bytes of |V3"),
}
VALUES = {
    "numbers": np.arange(100, dtype="i2"),
    "large": np.arange(2**53, 2**53 + 100),
    "complex": np.arange(100) * (1 + 1j),
    "text": np.array([b"%d" % number for number in range(100)]),
    "bytes": np.arange(100, dtype="u4").view("V4"),
    "table": np.array([(number, b"a") for number in range(100)], TABLE),
}


@pytest.mark.parametrize(("dtype", "kind"), KINDS.values(), ids=KINDS)
def test_kinds_leave_out_width_and_byte_order(dtype, kind):
    assert kind_of(dtype) == kind


def digest(values, size):
    value_hash = hash_for(values.dtype)
    for start in range(0, len(values), size):
        value_hash.update(values[start : start + size])
    return value_hash.digest()


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_blocks_do_not_change_the_hash(values):
    assert digest(values, 7) == digest(values, 100)
    changed = values.copy()
    changed[-1] = values[0]
    assert digest(changed, 7) != digest(values, 7)


def test_there_is_one_zero_and_one_nan():
    floats = canonical_floats(np.array([-0.0, -np.nan, 1.5], "f4"))
    assert floats.tobytes() == np.array([0.0, np.nan, 1.5]).tobytes()
