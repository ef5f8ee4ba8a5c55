"""Planning of fields: what is delivered, which fields are chosen, and how many rows there are."""

import numpy as np
import pytest
from planned import ALL, DT, GRID, TEXT, X, Y, catalog_of, changed, message_of, plan, rows_of

from h5lightning.errors import (
    FieldError,
    SchemaError,
)
from h5lightning.options import Field, Rows, Whole, Windows
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import AttributeField, ConstantField, FieldSpec, RowField


@pytest.mark.parametrize(
    ("field", "samples", "kind", "stored", "row_shape", "steps", "spec"),
    [
        (Field("x"), Rows(), RowField, "<f8", (4, 2), None, FieldSpec((4, 2), "float64")),
        (Field("x"), Windows(3), RowField, "<f8", (4, 2), (0, 3), FieldSpec((3, 4, 2), "float64")),
        (
            Field("x", steps=(1, 3)),
            Windows(3),
            RowField,
            "<f8",
            (4, 2),
            (1, 3),
            FieldSpec((2, 4, 2), "float64"),
        ),
        (Field("x"), Whole(), RowField, "<f8", (4, 2), (0, 9), FieldSpec((9, 4, 2), "float64")),
        (Field("species"), Rows(), RowField, "|u1", (), None, FieldSpec((), "uint8", ("cat", "dog"))),
        (Field("table", member="id"), Rows(), RowField, ">i2", (), None, FieldSpec((), "int16")),
        (
            Field("grid", constant=True),
            Windows(3),
            ConstantField,
            "<f4",
            (3, 5),
            None,
            FieldSpec((3, 5), "float32"),
        ),
        (Field("dt", constant=True), Rows(), ConstantField, "<f4", (), None, FieldSpec((), "float32")),
        (Field("wave"), Rows(), RowField, "<c8", (), None, FieldSpec((), "complex64")),
        (Field(attr="fps"), Windows(3), AttributeField, "<i8", (), None, FieldSpec((), "int64")),
        (Field("x", attr="box"), Rows(), AttributeField, "<f8", (2, 2), None, FieldSpec((2, 2), "float64")),
    ],
    ids=[
        "rows",
        "window",
        "steps of a window",
        "whole",
        "categories",
        "column of a table",
        "constant",
        "constant scalar",
        "complex",
        "attribute of the file",
        "attribute of a dataset",
    ],
)
def test_a_field_is_planned(field, samples, kind, stored, row_shape, steps, spec):
    found = plan(field, ALL, ALL, samples=samples)
    assert (type(found), found.stored, found.path, found.spec) == (kind, stored, field.path, spec)
    if kind is AttributeField:
        assert found.values.shape == (2, *row_shape)
    else:
        assert (found.row_shape, found.member) == (row_shape, field.member)
    assert getattr(found, "steps", None) == steps


def test_fields_keep_the_order_of_the_user_and_count_rows():
    catalog = catalog_of(rows_of(9, X, Y), rows_of(4, X, Y), rows_of(1, X, Y))
    fields = plan_fields(catalog, {"b": Field("y"), "a": Field("x")}, Rows())
    assert list(fields.spec()) == ["b", "a"]
    assert fields.spec()["a"] == FieldSpec((4, 2), "float64")
    assert fields.rows.tolist() == [9, 4, 1]


def test_without_fields_all_that_fit_are_used():
    fields = plan_fields(catalog_of((X, TEXT, DT, Y)), None, Rows())
    assert [(one.key, one.path) for one in fields.plans] == [("x", "x"), ("y", "y")]


@pytest.mark.parametrize(
    ("datasets", "rest"),
    [
        ((TEXT, DT), "'/text' holds text of variable length; '/dt' is a scalar"),
        ((), "It holds none at all"),
    ],
    ids=["only refused", "nothing"],
)
def test_without_fields_a_file_must_hold_one(datasets, rest):
    expected = f"/data/a.h5 holds no dataset that can be a field. {rest}"
    assert message_of(FieldError, plan_fields, catalog_of(datasets), None, Rows()) == expected


def test_without_fields_lengths_must_agree():
    assert message_of(FieldError, plan_fields, catalog_of((Y, TEXT, GRID)), None, Rows()) == (
        "/data/a.h5 holds datasets of different lengths, so fields must say which to use. "
        "Candidates: 'y' (9,), 'grid' (3, 5). For example fields={'x': 'y'}"
    )


@pytest.mark.parametrize(
    ("lengths", "others"),
    [([8], ""), ([8, 7], " (and 1 more file)"), ([8, 7, 6], " (and 2 more files)")],
    ids=["one", "two", "three"],
)
def test_fields_of_a_file_need_one_length(lengths, others):
    files = [(X, Y), *((X, *rows_of(length, Y)) for length in lengths)]
    expected = (
        f"in /data/b.h5 '/x' has 9 rows and '/y' has 8{others}: fields of one sample need one length. "
        "A dataset without a sample axis is Field(path, constant=True)"
    )
    if len(lengths) == 1:
        expected += ". One row more, such as the last observation, is Field('x', extra_rows=1)"
    assert message_of(SchemaError, plan, Field("x"), *files) == expected


def test_only_the_chosen_files_must_agree():
    catalog = catalog_of((X, Y), (changed(X, dtype="<f4"), Y), rows_of(4, X, Y), (Y,))
    fields = plan_fields(catalog, {"x": Field("x")}, Rows(), files=np.array([0, 2]))
    assert fields.rows.tolist() == [9, 9, 4, 0]
    assert message_of(
        SchemaError, plan_fields, catalog, {"x": Field("x")}, Rows(), files=np.array([2, 1])
    ) == (
        "'/x' in /data/b.h5 has dtype <f4, expected <f8 as in /data/c.h5 (1 of 2 files have this layout). "
        "Field('x', dtype='float64') delivers one type, whatever each file stores"
    )


@pytest.mark.parametrize(
    ("lengths", "named"),
    [
        ([9, 0], "/data/b.h5 holds"),
        ([0, 9, 0], "/data/a.h5, /data/c.h5 hold"),
        ([0, 9, 0, 0, 0, 0], "/data/a.h5, /data/c.h5, /data/d.h5 and 2 more hold"),
    ],
    ids=["one", "two", "many"],
)
def test_files_without_rows_are_named(lengths, named):
    files = [rows_of(length, X, Y) for length in lengths]
    expected = (
        f"{named} no rows (the sample axis has length 0): write the file again, or leave it out with a '!' pattern "
        "or access.on_bad_file='skip'"
    )
    assert message_of(SchemaError, plan, Field("x"), *files) == expected
    assert plan(Field("x"), *files, allow_empty=True).spec.shape == (4, 2)


def test_some_file_must_hold_a_row():
    files = [rows_of(0, X, Y), rows_of(0, X, Y)]
    found = message_of(SchemaError, plan, Field("x"), *files, allow_empty=True)
    assert found == "none of the 2 files holds a row"


@pytest.mark.parametrize("fields", [None, {"x": Field("x")}], ids=["all", "named"])
def test_there_must_be_a_file(fields):
    no_files = np.zeros(0, dtype=np.int64)
    for catalog, files in [(catalog_of(), None), (catalog_of(ALL), no_files)]:
        found = message_of(FieldError, plan_fields, catalog, fields, Rows(), files=files)
        assert found == "there are no files to plan fields for"


@pytest.mark.parametrize(
    "fields",
    [{}, {"fps": Field(attr="fps")}, {"grid": Field("grid", constant=True)}],
    ids=["nothing", "attribute", "constant"],
)
def test_some_field_must_have_rows(fields):
    assert message_of(FieldError, plan_fields, catalog_of(ALL), fields, Rows()) == (
        "all fields are attributes or constants: at least one must have rows"
    )
