"""Conditions on values of any type: as Python compares one element after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from h5lightning.errors import OptionError
from h5lightning.options import Field, Rows, Windows
from h5lightning.options.samples import StageSamples
from h5lightning.options.where import Range, coerce_where
from h5lightning.planning.fields import FieldSpec, RowField, StoredForm
from h5lightning.planning.row_conditions import RowTest, condition_fields

TYPES = st.sampled_from(["?", "u1", "i1", "i4", "u8", "i8", "f4", "f8"])
NUMBERS = st.one_of(st.integers(-300, 300), st.floats(-300, 300, width=32), st.booleans())


def plan(classes=None, key="x"):
    return RowField(
        key=key, path="x", spec=FieldSpec((), "float32", classes), forms=(StoredForm("<f4"),), member=None,
        row_shape=(), steps=None,
    )  # fmt: skip


def values_of(dtype, shape):
    if np.dtype(dtype).kind == "f":
        return arrays.arrays(
            dtype,
            shape,
            elements=st.one_of(st.sampled_from([np.nan, np.inf, 0.5]), st.floats(-300, 300, width=32)),
        )
    return arrays.arrays(dtype, shape, elements=st.integers(0, 1) if dtype == "?" else st.integers(0, 100))


@given(st.data(), TYPES, st.sampled_from([(5,), (4, 2), (3, 0), (0, 2)]))
def test_all_elements_of_a_row_must_fulfil_a_condition(data, dtype, shape):
    values = data.draw(values_of(dtype, shape))
    low, below = data.draw(st.tuples(*[st.none() | NUMBERS] * 2).filter(lambda pair: pair != (None, None)))
    listed = data.draw(st.lists(NUMBERS, min_size=1, max_size=4))
    kind = np.dtype(dtype).kind

    def every(fulfils):
        return [all(fulfils(one) for one in np.ravel(row).tolist()) for row in values]

    def rounded(value):
        return value if value is None or kind != "f" else float(np.dtype(dtype).type(value))

    def inside(one):
        return (low is None or one >= rounded(low)) and (below is None or one < rounded(below))

    in_range = every(lambda one: inside(one) and not np.isnan(one))
    assert RowTest.of("x", Range(low, below), plan())(values).tolist() == in_range
    assert RowTest.of("x", listed, plan())(values).tolist() == every(
        lambda one: one in [rounded(v) for v in listed]
    )
    assert RowTest.of("x", "finite", plan())(values).tolist() == every(np.isfinite)
    if kind == "f":
        with pytest.raises(OptionError, match=r"where\.x: True is for a mask"):
            RowTest.of("x", "true", plan())(values)
    else:
        assert RowTest.of("x", "true", plan())(values).tolist() == every(bool)


def test_categories_are_compared_by_their_values():
    numbers = np.asarray([0, 1, 2, -1, 3])
    names = ("-3", "0.5", "4")
    for condition, expected in (
        (Range(0), [1, 2]),
        ([4.0, -3], [0, 2]),
        ([4], [2]),
        ("finite", [0, 1, 2]),
    ):
        found = RowTest.of("x", condition, plan(names))(numbers)
        assert np.flatnonzero(found).tolist() == expected
    assert RowTest.of("x", ["b"], plan(("a", "b")))(numbers).tolist() == [False, True, False, False, False]
    with pytest.raises(OptionError, match=r"where\.x: no file has the value 'bb'; did you mean 'bbb'"):
        RowTest.of("x", ["bb"], plan(("a", "bbb", "b")))


def test_paths_that_are_no_fields_are_planned_beside_them():
    samples = StageSamples.all_of(Rows())
    where = coerce_where({"x": "finite", "obs/q": (0, 1), "t[c]": ["a", "b", "a"], "attr:acq": ["A"]})
    found = condition_fields(where, {"x": Field("x")}, samples)
    assert found == {
        "where.obs/q": Field("obs/q"),
        "where.t[c]": Field("t", member="c", categories=["a", "b"], unknown=-1),
        "where.attr:acq": Field(attr="acq", categories=["A"], unknown=-1),
    }
    assert condition_fields(None, None, StageSamples.all_of(Windows(2, 2, jitter=True))) == {}
    with pytest.raises(OptionError, match="name the fields too"):
        condition_fields(coerce_where({"table:case": ["a"]}), None, samples)
