"""Tables from stored numbers to numbers of categories, against a search in Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values.categories import Categories, CodeNames
from h5lightning.planning.values.category_decoder import CategoryDecoder, UnknownCategoryError

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "b1")
NUMBERS = st.one_of(
    st.integers(-3, 9), st.integers(-(2**63), 2**64 - 1), st.sampled_from([255, 65535, 70000])
)


def held(value, dtype):
    """A value in a type, or None."""
    with np.errstate(all="ignore"):
        try:
            stored = np.asarray(value).astype(dtype)[()]
        except OverflowError:
            return None
    return stored if stored.item() == value else None


@st.composite
def cases(draw):
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    values = draw(st.lists(NUMBERS, min_size=1, max_size=8, unique=True))
    stored = [held(value, dtype) for value in draw(st.lists(st.one_of(st.sampled_from(values), NUMBERS)))]
    stored = [one for one in stored if one is not None]
    if dtype.kind == "f" and draw(st.booleans()):
        stored.append(dtype.type(np.nan))
    return (
        dtype,
        values,
        np.asarray(stored, dtype),
        draw(st.sampled_from(["int64", "uint16", "float32", "int8"])),
    )


@given(cases())
def test_stored_numbers_are_the_values(case):
    dtype, values, stored, delivered = case
    decoder = CategoryDecoder([dtype.str], [None], [None], Categories.of(values, 99), delivered)
    found = decoder.of(stored, np.zeros(len(stored), np.int64))
    expected = [values.index(one) if one in values else 99 for one in stored.tolist()]
    assert found.tolist() == expected
    assert found.dtype == delivered


@given(st.data())
def test_codes_of_each_form_have_names_of_their_own(data):
    names = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True)
    spread, dtype = data.draw(
        st.sampled_from([(1, "i1"), (1, "u1"), (1, "i2"), (1, "f4"), (1000, "i4"), (10**6, "i8")])
    )
    unknown = data.draw(st.sampled_from([-1, -100, 300, 0]))
    forms = [
        CodeNames(tuple(spread * n for n in range(len(one))), tuple(one))
        for one in data.draw(st.lists(names, min_size=1, max_size=4))
    ]
    categories = Categories.of(["c", "b", "a", "g"], unknown)
    which = np.asarray(data.draw(st.lists(st.integers(0, len(forms) - 1), max_size=30)), np.int64)
    stored = np.asarray(
        data.draw(
            st.lists(
                st.integers(-1 if dtype != "u1" else 0, 5), min_size=2 * len(which), max_size=2 * len(which)
            )
        )
    )
    stored = (stored * spread).reshape(-1, 2).astype(dtype)
    found = CategoryDecoder([dtype] * len(forms), forms, [None] * len(forms), categories, "int64").of(
        stored, which
    )

    def number(form, code):
        name = dict(zip(form.codes, form.names, strict=True)).get(code)
        return categories.names.index(name) if name in categories.names else unknown

    expected = [
        [number(forms[one], code) for code in row] for one, row in zip(which, stored.tolist(), strict=True)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
def test_a_value_without_category_is_named_by_its_place(dtype):
    stored = np.zeros((100_000, 3), dtype)
    stored[99_999, 1] = 7
    decoder = CategoryDecoder([dtype], [None], [None], Categories.of([0, 4]), "uint8")
    with pytest.raises(UnknownCategoryError) as caught:
        decoder.of(stored, np.zeros(len(stored), np.int64))
    assert caught.value.place == (99_999, 1)


def test_a_number_that_stands_for_a_missing_value_is_no_category():
    encoding = Encoding("cf", fills=(4,))
    decoder = CategoryDecoder(["<i2"], [None], [encoding], Categories.of([0, 4], 9), "int64")
    assert decoder.of(np.asarray([0, 4], "i2"), np.zeros(2, np.int64)).tolist() == [0, 9]


def test_forms_of_one_meaning_share_a_table():
    names = [CodeNames((0, 1), ("a", "b")) for _ in range(1000)]
    decoder = CategoryDecoder(["<i4"] * 1000, names, [None] * 1000, Categories.of(["b", "a"]), "int64")
    assert len(decoder._lookups) == 1
