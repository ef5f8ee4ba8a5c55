"""Extents of one dataset, and of many in flat arrays: what is left out, equal to a list of them, never pickled."""

import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_extents import FILTERS, extents_of

from h5lightning.planning.catalog.extents import Extents, ExtentTable
from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout


@pytest.mark.parametrize(
    ("sizes", "masks", "kept"),
    [(None, None, 1), ([10, 4], None, 2), ([10, 4], [0, 1], 3), ([10, 10], [0, 1], 3)],
    ids=["alike", "sizes", "masks", "masks-alone"],
)
def test_what_goes_without_saying_is_left_out(sizes, masks, kept):
    found = extents_of([40, 20], sizes, masks, filters=FILTERS)
    assert found.numbers.shape == (kept, 2)
    assert found.offsets.tolist() == [40, 20]
    assert found.sizes(10).tolist() == (sizes or [10, 10])
    assert found.masks.tolist() == (masks or [0, 0])


def test_equal_by_value():
    assert extents_of([1, 20]) == extents_of([1, 20])
    assert extents_of([1, 20]) != extents_of([1, 21])
    assert extents_of([1, 20]) != extents_of([1, 20], filters=FILTERS)
    assert Extents.unreadable("is compact") != Extents.unreadable("holds bit fields")


NUMBERS = st.integers(0, 2**62)
RECORDS = st.none() | st.integers(4, 6).map(
    lambda size: RecordLayout(size, (RecordColumn("a", "<f4", (), 0, "holds bit fields"),))
)
ANY_FILTERS = st.sampled_from([(), ((1, (6,)),), ((2, (4,)), (1, (6,)))])


@st.composite
def stored(draw):
    parts, chunks = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    numbers = draw(st.lists(NUMBERS, min_size=parts * chunks, max_size=parts * chunks))
    array = np.asarray(numbers, dtype=np.int64).reshape(parts, chunks)
    return Extents(array, draw(ANY_FILTERS), record=draw(RECORDS))


EXTENTS = st.none() | stored() | st.sampled_from(["is compact", "holds bit fields"]).map(Extents.unreadable)
LISTS = st.lists(EXTENTS, max_size=8)


@given(LISTS, LISTS, st.data())
def test_equals_a_list(first, second, data):
    both = ExtentTable.concatenated([ExtentTable.of(first), ExtentTable.of(second)])
    listed = first + second
    assert [both[position] for position in range(len(both))] == listed
    assert both.known == sum(item is not None for item in listed)
    assert both.chunks == sum(item.numbers.shape[1] for item in listed if item is not None)
    positions = data.draw(st.lists(st.integers(0, len(listed) - 1), max_size=9)) if listed else []
    taken = both.take(np.asarray(positions, dtype=np.int64))
    assert [taken[position] for position in range(len(taken))] == [listed[position] for position in positions]


def test_contiguous_datasets_take_few_bytes():
    table = ExtentTable.of([Extents(np.array([[number]])) for number in range(1000)])
    assert table.nbytes == 20_000
    assert len(table.layouts) == 1


def test_parts_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"found parts of \(2, 3\), expected \(1, 2\)"):
        ExtentTable((), np.zeros(1, np.int32), np.asarray([1, 2]), np.zeros(3, np.int64))


def chunked(chunks):
    return ExtentTable.of([Extents(np.arange(chunks)[None]), None])


def gone():
    return None


@pytest.mark.parametrize(
    "origin", [None, gone, partial(ExtentTable.unknown, 7)], ids=["none", "gone", "other"]
)
def test_a_pickle_without_its_origin_knows_nothing(origin):
    table = ExtentTable.of([Extents(np.arange(5)[None]), None])
    copy = pickle.loads(
        pickle.dumps(ExtentTable(table.layouts, table.layout_of, table.ends, table.numbers, origin))
    )
    assert (len(copy), copy.known, copy[0]) == (2, 0, None)
    # Another process may find it all the same.
    assert (copy.origin is None) == (origin is None)


def test_a_pickle_holds_no_numbers():
    sizes = []
    for chunks in (10, 100_000):
        table = chunked(chunks)
        mapped = ExtentTable(
            table.layouts, table.layout_of, table.ends, table.numbers, partial(chunked, 12345)
        )
        sizes.append(len(pickle.dumps(mapped)))
        assert pickle.loads(pickle.dumps(mapped))[0].numbers.shape == (1, 12345)
    assert sizes[0] == sizes[1] < 300
