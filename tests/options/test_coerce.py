"""Options from mappings, instances and None; samples, fields and splits from what a user writes."""

import pytest
from omegaconf import OmegaConf

from h5lightning.errors import OptionError
from h5lightning.options import Access, Field, Rows, Split, Whole, Windows
from h5lightning.options.coerce import coerce, coerce_fields, coerce_samples, split_for

KNOWN_OF_ACCESS = (
    "; known: allow_external, cache_bytes, locking, max_bad_fraction, max_open_files, max_padded_bytes, memory_map, "
    "on_bad_file, on_missing, on_nonfinite, same, verify"
)


def test_an_instance_is_taken_as_it_is():
    access = Access(locking=True)
    assert coerce(Access, access, "access") is access


def test_nothing_means_the_defaults():
    assert coerce(Access, None, "access") == coerce(Access, {}, "access") == Access()


@pytest.mark.parametrize(
    ("key", "rest"),
    [
        ("lockin", "; did you mean 'locking'?"),
        (
            "zzz",
            KNOWN_OF_ACCESS,
        ),
        (
            3,
            KNOWN_OF_ACCESS,
        ),
    ],
    ids=["near", "far", "no text"],
)
def test_an_unknown_key_names_the_nearest(key, rest):
    with pytest.raises(OptionError) as caught:
        coerce(Access, {key: True}, "access")
    assert str(caught.value) == f"access has no option {key!r}{rest}"


def test_a_key_that_must_be_given_is_named():
    with pytest.raises(OptionError, match=r"samples needs 'length', found {'stride': 2}"):
        coerce(Windows, {"stride": 2}, "samples")


@pytest.mark.parametrize("value", [3, "locking", [("locking", True)]], ids=["number", "text", "list"])
def test_what_is_no_mapping_is_refused(value):
    with pytest.raises(OptionError, match="access must be Access or a mapping with its keys, found "):
        coerce(Access, value, "access")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Rows()),
        (Whole(), Whole()),
        ({"kind": "rows"}, Rows()),
        ({"kind": "whole"}, Whole()),
        ({"kind": "windows", "length": 3, "dilation": 2}, Windows(3, dilation=2)),
        ({"length": 3}, Windows(3)),
        (OmegaConf.create({"length": 3}), Windows(3)),
    ],
    ids=["none", "instance", "rows", "whole", "windows", "length implies windows", "omegaconf"],
)
def test_samples_from_what_a_user_writes(value, expected):
    assert coerce_samples(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"trian": Windows(3)}, "samples has a layout for 'trian', which is no stage; did you mean 'train'"),
        (
            {},
            "samples needs a kind, one of 'rows', 'windows', 'whole', or a length, which makes windows; found {}",
        ),
        ({"kind": "window", "length": 3}, "samples.kind must be one of .* found 'window'"),
        ({"kind": "windows"}, "samples needs 'length'"),
        ({"kind": "rows", "length": 3}, "samples has no option 'length'; known: axis$"),
        ({"length": 3, "strid": 1}, "samples has no option 'strid'; did you mean 'stride'"),
        ({"length": 3, "axis": 1.5}, "samples.axis must be an integer, found 1.5"),
        ({"length": 3, "pad": "wrap"}, "samples.pad must be one of 'edge', 'zero'; found 'wrap'"),
        ("windows", "samples must be Rows, Windows, Whole or a mapping with 'kind', found 'windows'"),
    ],
    ids=[
        "stage",
        "empty",
        "unknown kind",
        "no length",
        "rows with length",
        "unknown key",
        "axis",
        "pad",
        "text",
    ],
)
def test_samples_that_are_refused(value, message):
    with pytest.raises(OptionError, match=message):
        coerce_samples(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("/images", {"images": Field("images")}),
        (["/a/x", "y"], {"a/x": Field("a/x"), "y": Field("y")}),
        (("y", "x"), {"y": Field("y"), "x": Field("x")}),
        ({"x": "images", "y": Field("labels")}, {"x": Field("images"), "y": Field("labels")}),
        ({"x": "attr:fps"}, {"x": Field(attr="fps")}),
        ({"x": {"path": "x", "steps": [0, 2]}}, {"x": Field("x", steps=(0, 2))}),
        ({3: "x"}, {"3": Field("x")}),
        (OmegaConf.create(["x"]), {"x": Field("x")}),
        (OmegaConf.create({"x": {"path": "x", "steps": [0, 2]}}), {"x": Field("x", steps=(0, 2))}),
    ],
    ids=[
        "none",
        "text",
        "list",
        "tuple",
        "mapping",
        "attr",
        "options",
        "key that is no text",
        "omegaconf list",
        "omegaconf mapping",
    ],
)
def test_fields_from_what_a_user_writes(value, expected):
    found = coerce_fields(value)
    assert found == expected
    assert list(found or ()) == list(expected or ())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "fields is empty"),
        ([], "fields is empty"),
        (3, "fields must map keys to paths or list paths, found 3"),
        (["x", 3], r"a list of fields may hold only paths, which become the keys; found \['x', 3\]"),
        ({"sample_id": "x"}, "the key 'sample_id' is reserved for provenance=True"),
        (["/sample_id"], "the key 'sample_id' is reserved for provenance=True"),
        ({"x": 3}, "fields.x must be a path, 'attr:NAME', a Field or a mapping, found 3"),
        ({"x": "attr:"}, "a field needs a path, or attr="),
        ({"x": {"pth": "x"}}, "fields.x has no option 'pth'; did you mean 'path'"),
        ({"x": {"path": 3}}, "field.path must be text, found 3"),
    ],
    ids=[
        "empty mapping",
        "empty list",
        "number",
        "list of more than paths",
        "reserved",
        "reserved in a list",
        "entry",
        "attr without name",
        "unknown key",
        "value of an option",
    ],
)
def test_fields_that_are_refused(value, message):
    with pytest.raises(OptionError, match=message):
        coerce_fields(value)


def test_a_name_may_be_given_in_pieces():
    pieces = ["$", "{oc.env:HOME}"]
    found = coerce_fields(
        {"x": {"path": pieces}, "y": {"path": "a", "member": pieces}, "z": {"attr": tuple(pieces)}}
    )
    name = "${oc.env:HOME}"
    assert found == {"x": Field(name), "y": Field("a", member=name), "z": Field(attr=name)}


def test_other_lists_are_lists_of_names():
    found = coerce_fields(
        {
            "x": {"path": ["t2m", "/msl/"]},
            "y": {"path": "jets", "member": ["pt", "${a}$", "{b}", "$"]},
            "z": {"path": ["$", "{b}", "c"]},
            "one": {"path": ["t2m"]},
            "missing": {"path": ["?", "??"]},
        }
    )
    assert found == {
        "x": Field(["t2m", "msl"]),
        "y": Field("jets", member=["pt", "${a}${b}", "$"]),
        "z": Field(["${b}", "c"]),
        "one": Field(["t2m"]),
        "missing": Field("???"),
    }


def test_names_are_text():
    with pytest.raises(OptionError, match=r"field\.path must be a list of names, found 1"):
        coerce_fields({"x": {"path": ["a", 1]}})


def test_a_list_of_fields_with_options_is_refused_with_the_mapping_to_write():
    with pytest.raises(OptionError, match=r"For options, use a mapping: \{'x': Field\('x', decode='cf'\)\}"):
        coerce_fields(["y", Field("x", decode="cf")])


@pytest.mark.parametrize(
    ("files", "value", "expected"),
    [
        ("*.h5", None, Split()),
        (["a.h5"], {"val": 0.2}, Split(val=0.2, test=0.1)),
        ({"train": "a"}, None, Split(val=None, test=None)),
        ({"train": "a"}, {"val": 0.2}, Split(val=0.2, test=None)),
        ({"train": "a", "val": "b"}, {"val": 0.2, "test": 0.3}, Split(val=None, test=0.3)),
        ({"train": "a", "val": "b"}, Split(val=0.2, test=0.3), Split(val=None, test=0.3)),
        ({"train": "a", "test": "b"}, Split(val=0.2, seed=3), Split(val=0.2, test=None, seed=3)),
    ],
    ids=["pattern", "list", "no sizes", "one size", "a size of a named split", "instance", "named test"],
)
def test_sizes_apply_to_what_the_files_do_not_name(files, value, expected):
    assert split_for(files, value) == expected


def test_a_typo_in_the_split_of_named_files_is_refused():
    with pytest.raises(OptionError, match="split has no option 'vall'; did you mean 'val'"):
        split_for({"train": "a"}, {"vall": 0.2})
