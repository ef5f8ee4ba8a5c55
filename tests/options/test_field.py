"""One entry of a sample: combinations that are refused, spellings of a path, a field as Python code."""

from pathlib import PurePosixPath

import pytest

from h5lightning.errors import OptionError
from h5lightning.options import Field


@pytest.mark.parametrize(
    "steps",
    [(), (0,), (0, 1, 2), (3, 3), (4, 3), (0.0, 3), (False, 3), "03", 5],
    ids=repr,
)
def test_steps_that_are_no_range_are_refused(steps):
    with pytest.raises(OptionError, match=r"field\.steps must be \(start, stop\) with start < stop, found"):
        Field("x", steps=steps)


@pytest.mark.parametrize(
    "options",
    [{"constant": True}, {"steps": (0, 1)}, {"member": "m"}],
    ids=["constant", "steps", "member"],
)
def test_an_attribute_has_no_rows(options):
    with pytest.raises(
        OptionError, match="the field of attribute 'fps' is the same for each sample of a file"
    ):
        Field(attr="fps", **options)


def test_a_constant_has_no_steps():
    with pytest.raises(OptionError, match="constant field 'grid' has no sample axis: remove steps"):
        Field("grid", constant=True, steps=(0, 1))


@pytest.mark.parametrize(
    "options",
    [{}, {"path": "//"}, {"path": None}, {"attr": ""}, {"path": "x", "attr": ""}],
    ids=["nothing", "slashes", "none", "empty attr", "empty attr of an object"],
)
def test_a_field_names_something(options):
    with pytest.raises(OptionError, match="a field needs a path, or attr= for an attribute; found path="):
        Field(**options)


@pytest.mark.parametrize("path", ["/a/b", "a/b/", "//a//b//", PurePosixPath("/a/b")], ids=repr)
def test_a_path_has_one_spelling(path):
    assert Field(path).path == "a/b"


@pytest.mark.parametrize(
    "field",
    [
        Field("x"),
        Field("a/b", constant=True, dtype="float64"),
        Field(attr="unit"),
        Field("x", attr="unit", dtype="int64"),
        Field("t", member="it's", steps=(0, 2), decode="stored"),
    ],
    ids=str,
)
def test_a_field_is_written_as_python_reads_it(field):
    assert eval(field.text(), {"Field": Field}) == field
    assert eval(field.text(dtype="float16"), {"Field": Field}).dtype == "float16"


def test_a_list_is_written_as_users_write_it():
    field = Field(["/t2m", "msl/"], member=("pt", "eta"), join="first")
    assert (field.path, field.member) == (("t2m", "msl"), ("pt", "eta"))
    assert field.text() == "Field(['t2m', 'msl'], member=['pt', 'eta'], join='first')"
    assert eval(field.text()) == field
    assert field.text(dtype="float32").endswith("dtype='float32', join='first')")


def test_parts_are_fields_of_one_dataset_and_column_each():
    field = Field(["a", "b"], member=["pt", "eta"], decode="stored", join="concat")
    assert [(part.path, part.member) for part in field.parts()] == [
        ("a", "pt"),
        ("a", "eta"),
        ("b", "pt"),
        ("b", "eta"),
    ]
    assert {part.decode for part in field.parts()} == {"stored"}
    assert {part.text() for part in field.parts()} == {field.text()}
    assert [part.text() for part in Field("a", member="pt").parts()] == ["Field('a', member='pt')"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": []}, r"field\.path is an empty list"),
        ({"path": "x", "member": []}, r"field\.member is an empty list"),
        ({"path": ["x", ""]}, r"field\.path must be a list of names, found ''"),
        ({"path": ["x", 3]}, r"field\.path must be a list of names, found 3"),
        (
            {"path": ["x", "y"], "join": "stack"},
            r"field\.join must be one of 'last', 'first', 'concat'; found 'stack'",
        ),
        (
            {"path": "x", "join": "first"},
            r"field\.join='first' is for a list of paths or members: found path='x'",
        ),
        (
            {"path": ["x", "y"], "attr": "a"},
            r"the attribute 'a' can be of one object: found the paths \['x', 'y'\]",
        ),
        (
            {"path": ["x", "y"], "constant": True, "steps": (0, 1)},
            r"\['x', 'y'\] has no sample axis: remove steps",
        ),
    ],
    ids=repr,
)
def test_lists_that_mean_nothing_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Field(**options)
