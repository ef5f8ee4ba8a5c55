"""Rows in memory: the value of each row of each unit, whatever lists its file has."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.values.categories import Categories
from h5lightning.planning.values.category_decoder import Delivered


def of_rows(rows, size):
    """One unit with texts, some of them missing."""
    values = ValueList.of_texts(text for text in rows if text is not None)
    codes = np.asarray([-1 if text is None else values.names().index(text) for text in rows], np.int64)
    return RowValues.of_unit(values, codes, row_size=size)


def kept(values):
    union, numbers = values.vocabulary(np.arange(len(values.column_of)))
    return KeptRows(values.codes, values.first_code, values.first_value, numbers, tuple(union))


@st.composite
def units(draw):
    size = draw(st.integers(1, 3))
    text = st.one_of(st.none(), st.sampled_from(["b", "a", "é", "zz"]))
    return size, [
        draw(st.lists(text, min_size=size * rows, max_size=size * rows))
        for rows in draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    ]


@given(units(), st.data())
def test_each_row_has_its_value(case, data):
    size, texts = case
    rows = kept(RowValues.joined([of_rows(one, size) for one in texts]))
    where = [(unit, row) for unit, one in enumerate(texts) for row in range(len(one) // size)]
    asked = data.draw(st.lists(st.sampled_from(where), max_size=9)) if where else []
    categories = Categories.of(["zz", "a"], data.draw(st.sampled_from([None, 7])))
    places = rows.places(*(np.asarray([one[i] for one in asked], np.int64) for i in (0, 1)), size)
    found = Delivered(categories, "int16").table(rows.numbers(categories))[places]
    expected = [texts[unit][row * size : (row + 1) * size] for unit, row in asked]
    none = -1 if categories.unknown is None else 7
    assert found.tolist() == [[{"zz": 0, "a": 1}.get(text, none) for text in one] for one in expected]
    assert [[rows.value(place) for place in one] for one in places.tolist()] == expected


def test_a_column_of_a_table_is_delivered_as_it_is():
    """Two files have three lines of a table, one of them both."""
    lines = np.asarray([0.5, 1.5, 2.5], np.float32)
    rows = KeptRows(np.asarray([2, 0, 1], np.int8), np.asarray([0, 2]), np.asarray([0, 0]), lines)
    places = rows.places(np.asarray([1, 0, 0]), np.asarray([0, 1, 0]), 1)
    assert rows.plain_table()[places].tolist() == [[1.5], [0.5], [2.5]]
