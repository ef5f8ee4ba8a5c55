"""Attributes that are numbers, with their types; others are refused."""

import h5py
import numpy as np
import pytest
from h5py import h5a, h5s, h5t

from h5lightning.storage.scanning.conventions.number_attributes import (
    NotNumbersError,
    is_one_number,
    numbers_text,
    read_numbers,
)


@pytest.fixture
def dataset(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened.create_dataset("x", data=np.arange(3))


@pytest.mark.parametrize("dtype", ["i1", ">i2", "<u4", "u8", "f2", ">f4", "f8"])
@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_numbers_keep_their_type(dataset, dtype, shape):
    dataset.attrs["a"] = np.full(shape, 7, dtype)
    found = read_numbers(dataset.id, b"a")
    assert (found.dtype, found.tolist()) == (np.dtype(dtype).newbyteorder("="), [7] * int(np.prod(shape)))


@pytest.mark.parametrize("value", [h5py.Empty("f4"), np.zeros((0,)), np.zeros((2, 0), "i4")])
def test_empty_attributes_hold_no_number(dataset, value):
    dataset.attrs["a"] = value
    assert read_numbers(dataset.id, b"a").size == 0


OTHERS = {
    "text": ("0.01", "is text"),
    "fixed": (np.bytes_(b"0.01"), "is text"),
    "complex": (np.complex64(1), "is no number"),
    "bool": (np.True_, "is no number"),
    "many": (np.zeros(2000), r"has shape \(2000,\)"),
    "long double": (np.longdouble(1), "extended precision"),
}


@pytest.mark.parametrize(("value", "what"), OTHERS.values(), ids=OTHERS)
def test_other_attributes_are_no_numbers(dataset, value, what):
    dataset.attrs["a"] = value
    with pytest.raises(NotNumbersError, match=what):
        read_numbers(dataset.id, b"a")


def test_a_huge_attribute_is_not_read(dataset):
    space = h5s.create_simple((5000,))
    h5a.create(dataset.id, b"a", h5t.NATIVE_INT8, space)
    with pytest.raises(NotNumbersError, match="has shape"):
        read_numbers(dataset.id, b"a")


TEXTS = {
    "float32": (np.array([0.01], "f4"), "a=0.01"),
    "float64": (np.array([0.01]), "a=0.01"),
    "large": (np.array([1e20], "f4"), "a=1e+20"),
    "integer": (np.array([-32767], "i2"), "a=-32767"),
    "two": (np.array([0, 255], "u1"), "a=[0, 255]"),
    "many": (np.arange(9), "a=[0, 1, 2, 3, …]"),
    "none": (np.array([]), "a=[]"),
}


@pytest.mark.parametrize(("numbers", "text"), TEXTS.values(), ids=TEXTS)
def test_text_is_short(numbers, text):
    assert numbers_text("a", numbers) == text


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.ones((1, 1), ">i2")])
def test_one_number(dataset, value):
    dataset.attrs["a"] = value
    assert is_one_number(dataset.id, b"a")


@pytest.mark.parametrize("value", ["1", np.ones(2), h5py.Empty("f4"), np.True_, np.zeros(0)])
def test_what_is_not_one_number(dataset, value):
    dataset.attrs["a"] = value
    assert not is_one_number(dataset.id, b"a")
