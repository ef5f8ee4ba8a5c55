"""Many strings in two arrays."""

import os
import pickle

import numpy as np
import pytest

from h5lightning.core.string_table import StringTable

TEXTS = {
    "none": [],
    "one empty": [""],
    "empty ones": ["", "a", "", "", "bc", ""],
    "unicode": ["ä/ö.h5", "日本", "🎈"],
    "not valid unicode": [os.fsdecode(b"run-\xff.h5"), "b"],
    "nul": ["a\0b", "c"],
}
each_list = pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)


@each_list
def test_is_a_sequence_of_its_texts(texts):
    table = StringTable.of(texts)
    assert len(table) == len(texts)
    assert list(table) == texts
    assert [table[place] for place in range(len(texts))] == texts
    assert [table[place] for place in range(-len(texts), 0)] == texts


@each_list
def test_survives_a_pickle(texts):
    assert pickle.loads(pickle.dumps(StringTable.of(texts))) == StringTable.of(texts)


@each_list
def test_joined_tables_hold_both(texts):
    both = StringTable.concatenated([StringTable.of(texts), StringTable.of(["x", *texts])])
    assert both == StringTable.of([*texts, "x", *texts])


@pytest.mark.parametrize("positions", [[], [2], [4, 1, 1], [5, 4, 3, 2, 1, 0]], ids=repr)
def test_takes_texts_in_any_order(positions):
    texts = TEXTS["empty ones"]
    taken = StringTable.of(texts).take(np.asarray(positions, dtype=np.int64))
    assert taken == StringTable.of([texts[position] for position in positions])


def test_takes_nothing_from_nothing():
    assert StringTable.of([]).take(np.zeros(0, dtype=np.int64)) == StringTable.of([])


def test_accepts_any_iterable():
    assert list(StringTable.of(name for name in ("a", "b"))) == ["a", "b"]


@pytest.mark.parametrize("place", [2, -3, 10**20], ids=str)
def test_a_position_outside_is_refused(place):
    with pytest.raises(IndexError, match=f"position {place} is outside of a table of 2 strings"):
        StringTable.of(["a", "b"])[place]


@pytest.mark.parametrize(
    "other", [["b", "a"], ["ab", ""], ["a"], ["a", "b", ""]], ids=["order", "border", "fewer", "more"]
)
def test_is_compared_by_value(other):
    assert StringTable.of(["a", "b"]) == StringTable.of(["a", "b"])
    assert StringTable.of(["a", "b"]) != StringTable.of(other)


def test_is_not_equal_to_a_list_and_not_hashable():
    assert StringTable.of(["a"]) != ["a"]
    with pytest.raises(TypeError, match="unhashable"):
        hash(StringTable.of(["a"]))


def test_bytes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a string table needs 3 bytes, found 2"):
        StringTable(np.zeros(2, dtype=np.uint8), np.array([1, 3]))
    with pytest.raises(ValueError, match="a string table needs 0 bytes, found 2"):
        StringTable(np.zeros(2, dtype=np.uint8), np.zeros(0, dtype=np.int64))


def test_takes_little_more_than_its_bytes():
    names = [f"session-{number:06}/run.h5" for number in range(10_000)]
    assert len(pickle.dumps(StringTable.of(names))) < sum(map(len, names)) + 8 * len(names) + 1000
