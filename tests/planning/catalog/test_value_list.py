"""Lists of distinct values: their order, their union, and numbers that are equal by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.value_list import ValueList

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=8)
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=8)
FLOATS = st.lists(st.floats(width=32), max_size=8)


@given(TEXTS)
def test_texts_are_in_the_order_of_their_code_points(texts: list[str]) -> None:
    values = ValueList.of_texts(texts)
    assert list(values) == sorted(set(texts))
    assert values.positions(texts).tolist() == [sorted(set(texts)).index(text) for text in texts]
    assert values.kind == "text"


@given(st.lists(NUMBERS | FLOATS, min_size=1, max_size=4))
def test_a_union_of_numbers_keeps_each_value(lists: list[list[float]]) -> None:
    parts = [ValueList.of_numbers(np.asarray(one or [0])) for one in lists]
    union, positions = ValueList.union(parts)
    assert list(union) == sorted(set(union))
    for part, own in zip(parts, positions, strict=True):
        # Beside fractions, whole numbers beyond 2 ** 53 are rounded.
        expected = [float(value) if union.kind == "f8" else value for value in part]
        assert [union[position] for position in own.tolist()] == expected


@given(st.lists(TEXTS, max_size=4))
def test_a_union_of_texts_keeps_each_value(lists: list[list[str]]) -> None:
    parts = [ValueList.of_texts(one) for one in lists]
    union, positions = ValueList.union([*parts, ValueList.of_numbers(np.zeros(0))])
    assert list(union) == sorted({text for one in lists for text in one})
    for part, own in zip(parts, positions, strict=False):
        assert [union[position] for position in own.tolist()] == list(part)


def test_numbers_are_equal_by_value() -> None:
    one = [
        ValueList.of_numbers(np.asarray(numbers))
        for numbers in ([True, False], np.asarray([1, 0], np.uint8), [0.0, 1.0, np.nan, -0.0])
    ]
    assert one[0] == one[1] == one[2]
    assert {values.digest() for values in one} == {one[0].digest()}
    assert ValueList.of_numbers(np.asarray([0.5, 1])).names() == ("0.5", "1.0")
    largest = ValueList.of_numbers(np.asarray([2**64 - 1, 3], np.uint64))
    assert ValueList.union([largest, one[0]])[0].names() == ("0", "1", "3", str(2**64 - 1))
    assert one[0].positions([1, 1.0, "1", 7]).tolist() == [1, 1, -1, -1]


def test_text_and_numbers_have_no_union() -> None:
    with pytest.raises(ValueError, match="no union"):
        ValueList.union([ValueList.of_texts(["1"]), ValueList.of_numbers(np.asarray([1]))])
