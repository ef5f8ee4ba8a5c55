"""Plans of each kind of field: steps, whole series, constants, and attributes that a tensor can hold."""

import numpy as np
import pytest
from planned import ALL, ATTRS, DT, GRID, X, Y, catalog_of, changed, message_of, plan, rows_of

from h5lightning.errors import MissingFieldError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.options import Field, Rows, Whole, Windows
from h5lightning.planning.fields import FieldSpec


def test_whole_series_need_one_length():
    files = [rows_of(length, X, Y) for length in (9, 9, 5, 4)]
    assert message_of(SchemaError, plan, Field("x"), *files, samples=Whole()) == (
        "samples='whole': /data/c.h5 has 5 rows, expected 9 as in /data/a.h5 (and 1 more file). "
        "A batch holds samples of one length: use Windows(length), or make the files equal; Field('y', ragged='list') "
        "delivers a list of tensors, ragged='pad' or 'concat' one tensor of them"
    )


def test_whole_series_without_rows_do_not_count():
    files = [rows_of(length, X, Y) for length in (0, 9, 0, 9)]
    found = plan(Field("x"), *files, samples=Whole(), allow_empty=True)
    assert found.spec.shape == (9, 4, 2)


def test_a_constant_has_one_shape_in_all_files():
    files = [(GRID, Y), (GRID, Y), (*rows_of(4, GRID), Y), (*rows_of(5, GRID), Y)]
    assert message_of(SchemaError, plan, Field("grid", constant=True), *files) == (
        "the constant field 'f': '/grid' in /data/c.h5 has length 4, expected 3 as in /data/a.h5 (and 1 more file). "
        "Field('grid', constant=True, ragged='list') delivers values of different lengths"
    )


def test_a_constant_is_a_scalar_in_all_files_or_in_none():
    files = [(DT, Y), (changed(DT, shape=(3,)), Y)]
    assert message_of(SchemaError, plan, Field("dt", constant=True), *files) == (
        "'/dt' in /data/b.h5 has rows, expected a scalar as in /data/a.h5 (1 of 2 files have this layout). "
        "Run 'h5lightning inspect' to list what differs"
    )


@pytest.mark.parametrize("samples", [Rows(), Whole()], ids=lambda samples: samples.kind)
def test_steps_need_windows(samples):
    assert message_of(OptionError, plan, Field("x", steps=(0, 1)), samples=samples) == (
        f"field 'f': steps need samples=Windows(length, ...), found {samples!r}"
    )


@pytest.mark.parametrize(
    ("steps", "span"), [((2, 3), (4, 5)), ((2, 9), (4, 17)), ((-3, -1), (-6, -3)), ((-1, 2), (-2, 3))]
)
def test_steps_may_lie_outside_of_the_window(steps, span):
    found = plan(Field("x", steps=steps), samples=Windows(3, dilation=2))
    assert (found.steps, found.span, found.spec.shape[0]) == (steps, span, steps[1] - steps[0])
    assert found.offsets.tolist() == list(range(span[0], span[1], 2))


def test_steps_that_no_row_number_can_reach_are_an_error():
    message = message_of(OptionError, plan, Field("x", steps=(-(2**60), 0)), samples=Windows(1, dilation=9))
    assert message.endswith("with dilation=9 reach further than rows can be counted")


def test_an_attribute_has_a_value_for_each_file():
    catalog = catalog_of(ALL, ALL, ALL, attrs=[{"@fps": 30}, {}, {"@fps": 25.5}])
    found = plan(Field(attr="fps"), catalog=catalog, files=np.array([0, 2]))
    assert found.values.tolist() == [30.0, 0.0, 25.5]
    assert (found.stored, found.spec) == ("<f8", FieldSpec((), "float64"))


@pytest.mark.parametrize(
    ("name", "attrs", "error", "expected"),
    [
        ("fps", [ATTRS, {}], MissingFieldError, "field 'f': /data/b.h5 lacks the attribute 'fps'"),
        (
            "fps",
            [ATTRS, {"@fps": [30, 31]}],
            SchemaError,
            "field 'f': the attribute 'fps' in /data/b.h5 has shape (2,), expected () as in /data/a.h5",
        ),
        (
            "name",
            [ATTRS, ATTRS],
            UnsupportedFieldError,
            (
                "field 'f': the attribute 'name' in /data/a.h5 is 'left', no tensor can hold it; "
                "numbers can be fields, Field(attr='name', categories=True) delivers the number of the category of "
                "text, and split.keep_together='attr:NAME' can use it"
            ),
        ),
    ],
    ids=["missing", "shape", "text"],
)
def test_attributes_that_do_not_fit(name, attrs, error, expected):
    catalog = catalog_of(ALL, ALL, attrs=attrs)
    assert message_of(error, plan, Field(attr=name), catalog=catalog) == expected


def test_a_missing_attribute_names_the_nearest_of_that_object():
    asked = []

    def attrs_in(file, owner):
        asked.append((file, owner))
        return ["unit", "scale"]

    assert message_of(MissingFieldError, plan, Field("x", attr="units"), attrs_in=attrs_in) == (
        "field 'f': /data/a.h5 lacks the attribute 'units' of 'x'; did you mean 'unit'?"
    )
    assert asked == [(0, "x")]
