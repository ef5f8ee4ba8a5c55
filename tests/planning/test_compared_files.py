"""Files that must agree: what may differ, and errors that name the first difference."""

import h5py
import numpy as np
import pytest
from planned import DT, GRID, SPECIES, TEXT, X, Y, changed, message_of, plan, rows_of

from h5lightning import H5Dataset
from h5lightning.errors import (
    MissingDataError,
    MissingFieldError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import Field


@pytest.mark.parametrize(
    "changes",
    [{"chunks": (3, 4, 2), "filters": ("gzip",), "storage": "chunked"}, {"shape": (5, 4, 2)}],
    ids=["layout in the file", "length"],
)
def test_files_may_differ_in_what_a_batch_does_not_see(changes):
    other = changed(X, **changes)
    assert plan(Field("x"), (X, Y), (other, *rows_of(other.rows, Y))).spec.shape == (4, 2)


def test_other_datasets_of_a_file_do_not_matter():
    assert plan(Field("x"), (X, Y, TEXT), (Y, X, changed(GRID, dtype="<f8"))).spec.shape == (4, 2)


def test_a_missing_dataset_names_the_nearest_of_that_file():
    asked = []

    def names_in(file):
        asked.append(file)
        return ["images", "labels"]

    assert message_of(MissingFieldError, plan, Field("imges"), (X, Y), names_in=names_in) == (
        "field 'f': /data/a.h5 holds no dataset '/imges'; did you mean 'images'?"
    )
    assert asked == [0]


def test_a_dataset_missing_in_one_file_names_the_file():
    assert message_of(MissingFieldError, plan, Field("x"), (X, Y), (X, Y), (Y,)) == (
        "field 'f': /data/c.h5 holds no dataset '/x'"
    )


def test_a_refused_dataset_says_why():
    assert message_of(UnsupportedFieldError, plan, Field("text")) == (
        "field 'f': '/text' in /data/a.h5 holds text of variable length. Field('text', categories=True) delivers the "
        "number of the category of each value"
    )


def test_a_scalar_has_no_rows():
    assert message_of(UnsupportedFieldError, plan, Field("dt")) == (
        "field 'f': '/dt' in /data/a.h5 is a scalar, it has no sample axis; "
        "Field('dt', constant=True) gives it to each sample"
    )


def test_a_table_needs_a_column():
    assert message_of(UnsupportedFieldError, plan, Field("table")) == (
        "field 'f': '/table' in /data/a.h5 is a table (compound) with the columns t, id; "
        "choose one: Field('table', member='t')"
    )


@pytest.mark.parametrize(
    ("field", "rest"),
    [
        (Field("table", member="idx"), "'/table' in /data/a.h5 has no column 'idx'; did you mean 'id'?"),
        (
            Field("y", member="t"),
            "'/y' in /data/a.h5 holds <i4, it is no table with columns; leave out member",
        ),
    ],
    ids=["unknown", "no table"],
)
def test_a_column_must_exist(field, rest):
    assert message_of(MissingFieldError, plan, field) == f"field 'f': {rest}"


@pytest.mark.parametrize(
    "field", [Field("wave", dtype="float32"), Field("wave", dtype="bool")], ids=lambda f: f.dtype
)
def test_complex_numbers_stay_complex(field):
    assert message_of(OptionError, plan, field) == (
        f"field 'f': complex numbers cannot be delivered as {field.dtype}; use a transform"
    )


LIST = "Run 'h5lightning inspect' to list what differs"
RAGGED = (
    "Field('x', ragged='list') delivers samples of different shapes as a list, "
    "ragged='pad' one tensor of them with zeros"
)


ONE_LIST = (
    "One code means different things: Field('species', categories=True) gives each name one number in all files; "
    "Field('species', decode='stored') delivers the stored numbers; or write all files with one list"
)


@pytest.mark.parametrize(
    ("schema", "changes", "difference", "remedy"),
    [
        (X, {"dtype": "<i4", "shape": (9, 4, 3)}, "has dtype <i4, expected <f8", LIST),
        (X, {"shape": (9, 4, 3)}, "has rows of shape (4, 3), expected (4, 2)", RAGGED),
        (X, {"shape": (9, 4, 2, 1)}, "has rows of shape (4, 2, 1), expected (4, 2)", LIST),
        (SPECIES, {"categories": ("dog",)}, "has categories [dog], expected [cat, dog]", ONE_LIST),
        (
            SPECIES,
            {"categories": None, "vocabulary": "9,999 names with the digest ab"},
            "has categories 9,999 names with the digest ab, expected [cat, dog]",
            ONE_LIST,
        ),
    ],
    ids=["dtype", "shape", "axes", "categories", "many categories"],
)
def test_a_file_that_differs_is_named_with_both_sides(schema, changes, difference, remedy):
    other = changed(schema, **changes)
    files = [(schema, Y), (schema, Y), (other, Y), (other, Y)]
    assert message_of(SchemaError, plan, Field(schema.path), *files) == (
        f"'/{schema.path}' in /data/c.h5 {difference} as in /data/a.h5 (2 of 4 files have this layout). {remedy}"
    )


@pytest.mark.parametrize(
    ("field", "schema"),
    [(Field("x"), X), (Field("grid", constant=True), GRID), (Field("dt", constant=True), DT)],
    ids=["rows", "constant", "scalar"],
)
@pytest.mark.parametrize(
    ("missing", "counted", "others"),
    [([1], "1 chunk never written", ""), ([3, 2], "3 chunks never written", " (and 1 more file)")],
    ids=["one", "more"],
)
def test_data_that_were_never_written_are_not_invented(field, schema, missing, counted, others):
    files = [(schema, Y), *((changed(schema, missing_chunks=number), Y) for number in missing)]
    assert message_of(MissingDataError, plan, field, *files) == (
        f"'/{schema.path}' in /data/b.h5 has {counted}{others}: HDF5 would return its fill value. Write them, leave "
        "the file out, or accept the fill value with access.on_missing='fill'"
    )
    assert plan(field, *files, on_missing="fill").stored == schema.dtype


@pytest.mark.parametrize(
    ("field", "dtype", "expected"),
    [
        (Field("x"), None, "float64"),
        (Field("x"), "float32", "float32"),
        (Field("x"), "bfloat16", "bfloat16"),
        (Field("x", dtype="float16"), "float32", "float16"),
        (Field("x", dtype="int64"), "float32", "int64"),
        (Field("y"), "float32", "int32"),
        (Field("y", dtype="float32"), None, "float32"),
        (Field("table", member="t"), "float32", "float32"),
        (Field("table", member="id"), "float32", "int16"),
        (Field("wave"), "float32", "complex64"),
        (Field("wave", dtype="complex128"), None, "complex128"),
        (Field(attr="fps"), "float32", "int64"),
        (Field("x", attr="box"), "float32", "float32"),
    ],
    ids=[
        "as stored",
        "the common dtype",
        "bfloat16",
        "the field's own dtype wins",
        "even with another kind",
        "integers keep theirs",
        "unless the field says so",
        "floating column",
        "integer column",
        "complex keeps its own",
        "complex to complex",
        "integer attribute",
        "floating attribute",
    ],
)
def test_the_type_of_delivery(field, dtype, expected):
    assert plan(field, dtype=dtype).spec.dtype == expected


def test_a_type_is_no_remedy_for_other_differences(tmp_path):
    for number, names in enumerate(([b"A", b"B"], [b"B", b"A"])):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["g/codes"] = np.array([0, 1], f"i{number + 1}")
            file["g/categories"] = names
    with pytest.raises(SchemaError, match=r"Field\('g/codes', dtype='int16'\) delivers one type"):
        H5Dataset(tmp_path / "*.h5", ["g/codes"])
    with pytest.raises(SchemaError, match="One code means different things"):
        H5Dataset(tmp_path / "*.h5", {"y": Field("g/codes", dtype="int16")})


def test_a_scalar_is_refused_with_the_field_to_write(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["s"] = np.arange(3), 2.0
    with pytest.raises(UnsupportedFieldError, match=r"no sample axis; Field\('s', constant=True\) gives it"):
        H5Dataset(tmp_path / "a.h5", ["x", "s"])
