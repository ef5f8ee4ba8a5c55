"""The shape of joined values, compared with what NumPy makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.joined_fields import joined_shape

JOINS = ("last", "first", "concat")
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def neighbours(draw):
    """A list of shapes that often fit together: one base, with more axes or other sizes here and there."""
    base = draw(SHAPES)
    near = st.one_of(
        st.just(base),
        st.integers(0, 3).map(lambda size: (*base, size)),
        st.integers(0, 3).map(lambda size: (size, *base)),
        st.integers(0, 3).map(lambda size: (*base[:-1], size)),
        SHAPES,
    )
    return draw(st.lists(near, min_size=1, max_size=4))


def joined_by_numpy(join, parts):
    """Values joined one by one, as the documentation of `Field` says; ValueError if they do not fit."""
    if join == "concat":
        return np.concatenate([np.atleast_1d(part) for part in parts], -1)
    least = min(part.ndim for part in parts)
    axis = 0 if join == "first" else least
    return np.concatenate(
        [np.expand_dims(part, axis) if part.ndim == least else part for part in parts], axis
    )


@given(st.sampled_from(JOINS), neighbours())
def test_values_lie_where_numpy_puts_them(join, shapes):
    parts = [np.full(shape, number) for number, shape in enumerate(shapes)]
    joined = joined_shape(join, shapes)
    try:
        expected = joined_by_numpy(join, parts)
    except ValueError:
        assert joined is None
        return
    assert joined is not None
    assert joined.shape == expected.shape
    found = np.full(joined.shape, -1)
    for number, part in enumerate(parts):
        where = found[(slice(None),) * joined.axis + (slice(*joined.borders[number : number + 2]),)]
        where[...] = part.reshape(where.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("join", "shapes", "expected"),
    [
        ("last", [(4, 5), (4, 5), (4, 5, 2)], (4, 5, 4)),
        ("first", [(4, 5), (2, 4, 5)], (3, 4, 5)),
        ("concat", [(4, 5), (4, 7)], (4, 12)),
        ("last", [(), ()], (2,)),
        ("first", [(), (3,)], (4,)),
        ("concat", [(), ()], (2,)),
        ("last", [(7,)], (7, 1)),
    ],
)
def test_the_shapes_that_are_documented(join, shapes, expected):
    assert joined_shape(join, shapes).shape == expected
