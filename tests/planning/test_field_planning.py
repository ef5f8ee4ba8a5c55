"""Planning of fields: what is delivered, and which files and fields do not fit together."""

import dataclasses

import h5py
import numpy as np
import pytest

from h5lightning import H5Dataset
from h5lightning.errors import (
    FieldError,
    MissingDataError,
    MissingFieldError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import FLOAT_DTYPES, Field, Rows, Whole, Windows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema, FileSchema, Member
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import AttributeField, ConstantField, FieldSpec, RowField, check_dtype

X = DatasetSchema("x", "<f8", (9, 4, 2))
Y = DatasetSchema("y", "<i4", (9,))
SPECIES = DatasetSchema("species", "|u1", (9,), categories=("cat", "dog"))
TABLE = DatasetSchema("table", "compound", (9,), members=(Member("t", "<f8"), Member("id", ">i2")))
GRID = DatasetSchema("grid", "<f4", (3, 5))
DT = DatasetSchema("dt", "<f4", ())
WAVE = DatasetSchema("wave", "<c8", (9,))
TEXT = DatasetSchema("text", "text", (9,), refusal="holds text of variable length")
ALL = (X, Y, SPECIES, TABLE, GRID, DT, WAVE, TEXT)
ATTRS = {"@fps": 30, "@name": "left", "x@box": [[0.5, 1.0], [2.0, 3.0]]}


def changed(schema, **changes):
    return dataclasses.replace(schema, **changes)


def catalog_of(*files, attrs=None):
    """A catalog of a.h5, b.h5, … with these datasets, and attributes where given."""
    attrs = [ATTRS] * len(files) if attrs is None else attrs
    schemas = [FileSchema(tuple(datasets), values) for datasets, values in zip(files, attrs, strict=True)]
    names = [f"{chr(ord('a') + number)}.h5" for number in range(len(files))]
    return Catalog.of("/data", names, np.zeros((len(files), 4)), schemas)


def rows_of(count, *schemas):
    return tuple(changed(schema, shape=(count, *schema.shape[1:])) for schema in schemas)


def plan(field, *files, samples=None, **options):
    """The plan of a single field ``f`` beside the rows of ``y``."""
    catalog = options.pop("catalog", None) or catalog_of(*(files or [ALL]))
    fields = plan_fields(catalog, {"y": Field("y"), "f": field}, samples or Rows(), **options)
    assert [one.key for one in fields.plans] == ["y", "f"]
    return fields.plans[1]


def message_of(error, call, *arguments, **options):
    """The text of the error, whose class must be exactly this one."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert type(caught.value) is error
    return str(caught.value)


# ── what is delivered ────────────────────────────────────────────────────────────────────────────────


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


@pytest.mark.parametrize(
    ("field", "row_bytes", "is_floating"),
    [
        (Field("x"), 64, True),
        (Field("y"), 4, False),
        (Field("wave"), 8, True),
        (Field("table", member="id"), 2, False),
    ],
    ids=["float", "integer", "complex", "column"],
)
def test_sizes_of_a_plan(field, row_bytes, is_floating):
    found = plan(field)
    assert (found.row_bytes, found.is_floating) == (row_bytes, is_floating)


def test_fields_keep_the_order_of_the_user_and_count_rows():
    catalog = catalog_of(rows_of(9, X, Y), rows_of(4, X, Y), rows_of(1, X, Y))
    fields = plan_fields(catalog, {"b": Field("y"), "a": Field("x")}, Rows())
    assert list(fields.spec()) == ["b", "a"]
    assert fields.spec()["a"] == FieldSpec((4, 2), "float64")
    assert fields.rows.tolist() == [9, 4, 1]


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


# ── fields=None ──────────────────────────────────────────────────────────────────────────────────────


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


# ── a field that is not there, or cannot be one ──────────────────────────────────────────────────────


def test_a_missing_dataset_names_the_nearest_of_that_file():
    asked = []

    def names_in(file):
        asked.append(file)
        return ["images", "labels"]

    assert message_of(MissingFieldError, plan, Field("imges"), (X, Y), names_in=names_in) == (
        "field 'f': /data/a.h5 holds no dataset '/imges'; did you mean 'images'?"
    )
    assert asked == [0]


def test_a_star_is_said_to_come_later():
    assert message_of(MissingFieldError, plan, Field("data/*/x"), (X, Y)) == (
        "field 'f': /data/a.h5 holds no dataset '/data/*/x' ('*' in a path is not available yet)"
    )


def test_a_dataset_missing_in_one_file_names_the_file():
    assert message_of(MissingFieldError, plan, Field("x"), (X, Y), (X, Y), (Y,)) == (
        "field 'f': /data/c.h5 holds no dataset '/x'"
    )


def test_a_refused_dataset_says_why():
    assert message_of(UnsupportedFieldError, plan, Field("text")) == (
        "field 'f': '/text' in /data/a.h5 holds text of variable length"
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
ONE_LIST = (
    "One code means different things: write all files with one list. "
    "Field('species', decode='stored') delivers the stored numbers"
)


# ── files that differ ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "changes", "difference", "remedy"),
    [
        (X, {"dtype": "<i4", "shape": (9, 4, 3)}, "has dtype <i4, expected <f8", LIST),
        (X, {"shape": (9, 4, 3)}, "has rows of shape (4, 3), expected (4, 2)", LIST),
        (SPECIES, {"categories": ("dog",)}, "has categories [dog], expected [cat, dog]", ONE_LIST),
        (
            SPECIES,
            {"categories": None, "vocabulary": "9,999 names with the digest ab"},
            "has categories 9,999 names with the digest ab, expected [cat, dog]",
            ONE_LIST,
        ),
    ],
    ids=["dtype", "shape", "categories", "many categories"],
)
def test_a_file_that_differs_is_named_with_both_sides(schema, changes, difference, remedy):
    other = changed(schema, **changes)
    files = [(schema, Y), (schema, Y), (other, Y), (other, Y)]
    assert message_of(SchemaError, plan, Field(schema.path), *files) == (
        f"'/{schema.path}' in /data/c.h5 {difference} as in /data/a.h5 (2 of 4 files have this layout). {remedy}"
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
    assert message_of(SchemaError, plan, Field("x"), *files) == expected


def test_whole_series_need_one_length():
    files = [rows_of(length, X, Y) for length in (9, 9, 5, 4)]
    assert message_of(SchemaError, plan, Field("x"), *files, samples=Whole()) == (
        "samples='whole': /data/c.h5 has 5 rows, expected 9 as in /data/a.h5 (and 1 more file). "
        "A batch holds samples of one length: use Windows(length), or make the files equal"
    )


def test_whole_series_without_rows_do_not_count():
    files = [rows_of(length, X, Y) for length in (0, 9, 0, 9)]
    found = plan(Field("x"), *files, samples=Whole(), allow_empty=True)
    assert found.spec.shape == (9, 4, 2)


def test_only_the_wanted_files_must_agree():
    catalog = catalog_of((X, Y), (changed(X, dtype="<f4"), Y), rows_of(4, X, Y), (Y,))
    fields = plan_fields(catalog, {"x": Field("x")}, Rows(), files=np.array([0, 2]))
    assert fields.rows.tolist() == [9, 9, 4, 0]
    assert message_of(
        SchemaError, plan_fields, catalog, {"x": Field("x")}, Rows(), files=np.array([2, 1])
    ) == (
        "'/x' in /data/b.h5 has dtype <f4, expected <f8 as in /data/c.h5 (1 of 2 files have this layout). "
        "Field('x', dtype='float64') delivers one type, whatever each file stores"
    )


# ── no rows, no data ─────────────────────────────────────────────────────────────────────────────────


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


@pytest.mark.parametrize(
    ("field", "schema"),
    [(Field("x"), X), (Field("grid", constant=True), GRID), (Field("dt", constant=True), DT)],
    ids=["rows", "constant", "scalar"],
)
@pytest.mark.parametrize(
    ("missing", "counted", "others"),
    [([1], "1 never written chunk", ""), ([3, 2], "3 never written chunks", " (and 1 more file)")],
    ids=["one", "more"],
)
def test_data_that_were_never_written_are_not_invented(field, schema, missing, counted, others):
    files = [(schema, Y), *((changed(schema, missing_chunks=number), Y) for number in missing)]
    assert message_of(MissingDataError, plan, field, *files) == (
        f"'/{schema.path}' in /data/b.h5 has {counted}{others}: HDF5 would return its fill value. Write them, leave "
        "the file out, or accept the fill value with access.on_missing='fill'"
    )
    assert plan(field, *files, on_missing="fill").stored == schema.dtype


# ── constants, attributes, steps ─────────────────────────────────────────────────────────────────────


def test_a_constant_has_one_shape_in_all_files():
    files = [(GRID, Y), (GRID, Y), (*rows_of(4, GRID), Y), (*rows_of(5, GRID), Y)]
    assert message_of(SchemaError, plan, Field("grid", constant=True), *files) == (
        "the constant field 'f': '/grid' in /data/c.h5 has length 4, expected 3 as in /data/a.h5 (and 1 more file)"
    )


def test_a_constant_is_a_scalar_in_all_files_or_in_none():
    files = [(DT, Y), (changed(DT, shape=(3,)), Y)]
    assert message_of(SchemaError, plan, Field("dt", constant=True), *files) == (
        "'/dt' in /data/b.h5 has rows, expected a scalar as in /data/a.h5 (1 of 2 files have this layout). "
        "Run 'h5lightning inspect' to list what differs"
    )


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
                "numbers can be fields, text can be used by split.keep_together='attr:NAME'"
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


@pytest.mark.parametrize("samples", [Rows(), Whole()], ids=lambda samples: samples.kind)
def test_steps_need_windows(samples):
    assert message_of(OptionError, plan, Field("x", steps=(0, 1)), samples=samples) == (
        f"field 'f': steps need samples=Windows(length, ...), found {samples!r}"
    )


def test_steps_end_inside_the_window():
    assert plan(Field("x", steps=(2, 3)), samples=Windows(3)).steps == (2, 3)
    assert message_of(OptionError, plan, Field("x", steps=(2, 4)), samples=Windows(3)) == (
        "field 'f': steps end at 4, the window has 3 rows"
    )


# ── the common dtype ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [None, *FLOAT_DTYPES], ids=str)
def test_floating_types_are_accepted(dtype):
    check_dtype(dtype)


@pytest.mark.parametrize("dtype", ["int32", "float", "f4", "complex64"])
def test_other_types_are_refused(dtype):
    assert message_of(OptionError, check_dtype, dtype) == (
        f"dtype is for floating fields: expected one of float16, bfloat16, float32, float64, found {dtype!r}"
    )


def test_what_a_type_does_not_mend_is_not_mended_by_the_type(tmp_path):
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
