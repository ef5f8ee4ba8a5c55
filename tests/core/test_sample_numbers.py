"""Which values are accepted as numbers of samples."""

import array
import collections
import decimal
import enum

import numpy as np
import pytest
import torch

from h5lightning.core.sample_numbers import to_number, to_numbers


class Place(enum.IntEnum):
    FIRST = 0
    SECOND = 1


INTEGER_TYPES = [
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    ">i4",
    ">i8",
    ">u8",
]
TENSOR_TYPES = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint64]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param((), [], id="an empty tuple"),
        pytest.param([3, 0, 3], [3, 0, 3], id="list"),
        pytest.param(
            (1, np.int32(2), torch.tensor(3), np.array(4)), [1, 2, 3, 4], id="integers of all kinds"
        ),
        pytest.param([Place.FIRST, Place.SECOND], [0, 1], id="integers with names"),
        pytest.param(range(4), [0, 1, 2, 3], id="range"),
        pytest.param(range(9, 0, -4), [9, 5, 1], id="range backwards"),
        pytest.param(range(5, 5), [], id="empty range"),
        pytest.param(range(2**63 - 1, 2**63 + 5, 9), [2**63 - 1], id="range whose end int64 cannot hold"),
        pytest.param(np.array([1, 2], dtype=object), [1, 2], id="array of objects"),
        pytest.param(array.array("H", [1, 2]), [1, 2], id="array of the standard library"),
        pytest.param(collections.deque([1, 2]), [1, 2], id="another sequence"),
        pytest.param([-1, 2**63 - 1, -(2**63)], [-1, 2**63 - 1, -(2**63)], id="all that int64 holds"),
        pytest.param(np.arange(6)[::-2], [5, 3, 1], id="strided array"),
        pytest.param(torch.arange(6)[::2], [0, 2, 4], id="strided tensor"),
        *[pytest.param(np.array([0, 7], kind), [0, 7], id=f"array of {kind}") for kind in INTEGER_TYPES],
        *[
            pytest.param(torch.tensor([0, 7], dtype=kind), [0, 7], id=f"tensor of {kind}")
            for kind in TENSOR_TYPES
        ],
    ],
)
def test_whole_numbers_are_numbers(given, expected):
    found = to_numbers(given, "positions")
    assert (found.dtype, found.dtype.isnative) == (np.int64, True)
    assert found.tolist() == expected


MASKS = {
    "array": np.array([True, False]),
    "empty array": np.zeros(0, dtype=bool),
    "list": [True, False],
    "bools of NumPy in a list": [np.True_, np.False_],
    "among numbers": [0, 1, True],
    "among objects": np.array([0, True], dtype=object),
    "bool": True,
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_mask_is_refused_with_what_makes_numbers_of_it(mask):
    with pytest.raises(TypeError, match=r"ids must be whole numbers, .*bool.*numpy\.flatnonzero\(mask\)"):
        to_numbers(mask, "ids", allow_scalar=True)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(torch.tensor([True, False]), "bool values in a tensor", id="mask in a tensor"),
        pytest.param([torch.tensor(True)], r"tensor\(True\)", id="tensor of one bool"),
        pytest.param([0.9, 1.99], r"0\.9 \(float\) among them", id="floats"),
        pytest.param([1, 2.0], r"2\.0 \(float\) among them", id="a whole float among integers"),
        pytest.param(np.array([1.0]), "float64 values in an array of shape (1,)", id="array of floats"),
        pytest.param(np.array([]), "float64 values", id="empty array of floats"),
        pytest.param(torch.tensor([1.0]), "float32 values in a tensor", id="tensor of floats"),
        pytest.param(torch.tensor([1.0]).bfloat16(), "bfloat16", id="tensor of bfloat16"),
        pytest.param(np.array([1j]), "complex128 values", id="complex"),
        pytest.param([decimal.Decimal(3)], r"Decimal\('3'\)", id="decimal"),
        pytest.param("3", "the text '3'", id="text"),
        pytest.param(["1", "2"], "the text '1' among them", id="texts"),
        pytest.param(np.array(["1"]), "str32 values", id="array of text"),
        pytest.param(b"\x01\x02", "the text b", id="bytes"),
        pytest.param(bytearray(b"ab"), "bytearray", id="bytearray"),
        pytest.param(memoryview(b"ab"), "memory", id="memoryview"),
        pytest.param(np.array(["2020"], "M8[Y]"), "datetime64", id="dates"),
        pytest.param(None, "None", id="None"),
        pytest.param([0, None], "None among them", id="None among numbers"),
        pytest.param([[0, 1]], r"\[0, 1\] \(list\) among them", id="nested lists"),
        pytest.param(np.zeros((2, 2), int), "array of shape (2, 2)", id="matrix"),
        pytest.param(torch.zeros((1, 2), dtype=int), "tensor of shape (1, 2)", id="matrix in a tensor"),
        pytest.param([torch.tensor([1])], "tensor", id="tensor with an axis in a list"),
        pytest.param(5, r"one number, 5 \(int\)", id="one number"),
        pytest.param(np.ma.array([1, 2], mask=[0, 1]), "a masked array", id="masked array"),
        pytest.param({1, 2}, "set", id="set, which has no order"),
        pytest.param({1: 2}, "dict", id="mapping"),
        pytest.param(iter([1]), "iterator", id="iterator, which can be read once"),
        pytest.param(torch.empty(2, dtype=int, device="meta"), "meta", id="tensor without values"),
    ],
)
def test_anything_else_is_a_type_error_that_says_what_was_found(given, found):
    escaped = found.replace("(1,)", r"\(1,\)").replace("(2, 2)", r"\(2, 2\)").replace("(1, 2)", r"\(1, 2\)")
    with pytest.raises(
        TypeError, match=rf"^positions must be whole numbers, \(N,\), such as .*; found .*{escaped}"
    ):
        to_numbers(given, "positions")


@pytest.mark.parametrize(
    "given",
    [[0, 2**63], [-(2**63) - 1], [2**100], np.array([2**63], "u8"), torch.tensor([2**63], dtype=torch.uint64),
     range(2**63, 2**63 + 1), np.array([2**64], object)],
    ids=["list", "negative", "huge", "array", "tensor", "range", "object"],
)  # fmt: skip
def test_what_int64_cannot_hold_is_no_number_of_a_sample(given):
    with pytest.raises(IndexError, match=r"ids must be numbers of samples, found -?[0-9]{19,}"):
        to_numbers(given, "ids")


@pytest.mark.parametrize(
    "given", [3, np.uint8(3), torch.tensor(3), np.array(3)], ids=lambda one: type(one).__name__
)
def test_a_single_number_where_it_is_allowed(given):
    assert to_numbers(given, "ids", allow_scalar=True).tolist() == [3]
    assert to_number(given, "position") == 3


@pytest.mark.parametrize(
    "given",
    [True, np.True_, torch.tensor(True), 3.0, "3", None, [3], np.array([3]), torch.tensor([3]), slice(2)],
)
def test_what_is_no_single_number(given):
    with pytest.raises(TypeError, match="the position must be a whole number, found"):
        to_number(given, "position")


def test_any_shape_where_it_is_allowed():
    assert to_numbers([[1, 2], [3, 4]], "ids", ndim=None).tolist() == [[1, 2], [3, 4]]
    assert to_numbers(np.zeros((2, 0), int), "ids", ndim=None).shape == (2, 0)
    assert to_numbers(7, "ids", ndim=None).shape == ()
    with pytest.raises(TypeError, match="lists of different length"):
        to_numbers([[1, 2], [3]], "ids", ndim=None)
    with pytest.raises(TypeError, match="True among them"):
        to_numbers([[1, 2], [3, True]], "ids", ndim=None)


def test_numbers_that_are_right_are_not_copied():
    numbers = np.arange(5)
    assert to_numbers(numbers, "ids") is numbers
