"""Which axes of samples vary, and what is planned of their lengths, against shapes compared one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import ALL, GRID, X, Y, catalog_of, changed, message_of, rows_of

from h5lightning.errors import FieldError, OptionError, SchemaError
from h5lightning.options import Field, Rows, Whole, Windows
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.ragged import RowShapes
from h5lightning.planning.ragged_fields import DerivedField, RunField


def plan(fields, *files, samples=None, **options):
    """The plans of some fields; of one field alone, its plan."""
    named = fields if isinstance(fields, dict) else {"f": fields}
    if samples is None:
        named = {"y": Field("y"), **named}
    plans = plan_fields(catalog_of(*files), named, samples or Rows(), **options).plans
    return plans[-1] if not isinstance(fields, dict) else [one for one in plans if one.key != "y"]


SHAPES = st.integers(1, 3).flatmap(
    lambda axes: st.lists(st.lists(st.integers(0, 3), min_size=axes, max_size=axes), min_size=1, max_size=6)
)


@given(SHAPES, st.data())
def test_row_shapes_tell_that_of_each_unit_and_what_all_share(shapes, data):
    more = data.draw(st.integers(0, 3))
    units = np.sort(data.draw(st.permutations(range(len(shapes) + more)))[: len(shapes)])
    found = RowShapes.of(np.asarray(shapes, np.int64), units, len(shapes) + more)
    if len(set(map(tuple, shapes))) == 1:
        assert found is None
        return
    assert [found.shape_in(unit) for unit in units.tolist()] == [tuple(shape) for shape in shapes]
    assert found.common == tuple(
        lengths[0] if len(set(lengths)) == 1 else None for lengths in zip(*shapes, strict=True)
    )
    assert found.mean_numbers(units) == pytest.approx(np.mean([np.prod(shape) for shape in shapes]))


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    st.none() | st.integers(1, 9),
    st.sampled_from(["error", "list", "stack", "pad", "concat"]),
)
def test_lengths_of_whole_series(lengths, take, mode):
    files = [rows_of(length, X, Y) for length in lengths]
    samples, field = Whole(take=take), Field("x", ragged=mode)
    counts = [min(length, take or 99) for length in lengths if length]
    if mode == "error" and len(set(counts)) > 1:
        assert "Field('x', ragged='list')" in message_of(
            SchemaError, plan, field, *files, samples=samples, allow_empty=True
        )
        return
    found = plan(field, *files, samples=samples, allow_empty=True)
    assert found.spec.shape == (counts[0] if len(set(counts)) == 1 else None, 4, 2)
    assert found.spec.varies == (len(set(counts)) > 1)
    assert (found.ragged is None) == (mode == "error")
    assert found.mean_numbers == pytest.approx(8 * np.mean(counts))
    is_drawn = take is not None and max(lengths) > take
    assert isinstance(found, RunField) == (is_drawn or mode != "error")


@pytest.mark.parametrize("samples", [Rows(), Windows(2), Whole()], ids=lambda samples: samples.kind)
def test_rows_of_different_shapes(samples):
    wide = changed(X, shape=(9, 4, 7))
    files = [(X, Y), (wide, Y), (X, Y)]
    before = {"rows": (), "windows": (2,), "whole": (9,)}[samples.kind]
    found = plan(Field("x", ragged="pad"), *files, samples=samples)
    assert found.spec.shape == (*before, 4, None)
    assert [found.shapes.shape_in(unit) for unit in range(3)] == [(4, 2), (4, 7), (4, 2)]
    assert "ragged='concat' puts samples one after the other" in message_of(
        FieldError, plan, Field("x", ragged="concat"), *files, samples=samples
    )
    other = changed(X, shape=(9, 4, 7, 1))
    assert "has rows of shape (4, 7, 1), expected (4, 2)" in message_of(
        SchemaError, plan, Field("x", ragged="pad"), (X, Y), (other, Y), samples=samples
    )


def test_constants_of_different_lengths_and_widths():
    files = [(GRID, Y), (*rows_of(5, GRID), Y)]
    found = plan(Field("grid", constant=True, ragged="concat"), *files)
    assert found.spec.shape == (None, *GRID.shape[1:])
    one = plan(Field("grid", constant=True, ragged="list"), *files[:1])
    assert (one.spec.shape, one.shapes) == (GRID.shape, None)


def test_a_length_tells_of_the_axis_that_varies():
    wide = changed(X, shape=(9, 4, 7))
    fields = {"x": Field("x", ragged="pad"), "n": Field("length:x"), "p": Field("pad:x")}
    _, length, padding = plan(fields, (X, Y), (wide, Y))
    assert isinstance(length, DerivedField)
    assert (length.axis, length.spec.shape, length.spec.dtype) == (1, (), "int64")
    assert (padding.axis, padding.spec.shape, padding.spec.dtype) == (1, (None,), "bool")
    assert plan(fields, (X, Y))[1].axis == 0


def test_windows_of_one_shape_are_not_ragged():
    assert "all windows have the shape (2, 4, 2): remove ragged" in message_of(
        OptionError, plan, Field("x", ragged="list"), ALL, samples=Windows(2)
    )
