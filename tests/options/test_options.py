"""Options: what they refuse and how they say it, and that mappings, instances and plain data agree."""

import dataclasses
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from h5lightning.errors import OptionError
from h5lightning.options import DTYPES, Access, Field, Rows, Shuffle, Split, Whole, Windows
from h5lightning.options.checks import check_choice, check_int, nearest
from h5lightning.options.coerce import coerce, coerce_fields, coerce_samples, split_for
from h5lightning.options.plain import to_plain

NAN = float("nan")
INSTANCES = [
    Rows(),
    Windows(8, stride=2, dilation=3),
    Whole(),
    Field("a/b", steps=(0, 3), member="m", dtype="float32"),
    Field(attr="fps"),
    Split(0.2, None, train=0.5, by="block", gap=3, keep_together="attr:subject", folds=5, fold=4, seed=7),
    Shuffle("block", 1024, weights="w"),
    Access(max_open_files=3, cache_bytes=0, locking=True, on_missing="fill", allow_external="/data"),
]
each_option = pytest.mark.parametrize("option", INSTANCES, ids=lambda option: repr(option)[:24])


def case(name, make, message):
    return pytest.param(make, message, id=name)


def refusals_of_integers(name, make, at_least):
    """One case for each value that an integer option must refuse."""
    values = {"below": at_least - 1, "bool": True, "float": 2.0, "text": "2", "nan": NAN, "list": [2]}
    return [
        case(
            f"{name}={label}",
            lambda value=value: make(value),
            f"{name} must be an integer of at least {at_least}",
        )
        for label, value in values.items()
    ]


def refusals_of_shares(name):
    values = {"below": -0.1, "above": 1.5, "nan": NAN, "inf": float("inf"), "bool": True, "text": "0.1"}
    return [
        case(
            f"split.{name}={label}",
            lambda value=value: Split(**{"val": None, "test": None, name: value}),
            rf"split\.{name} must be a share of the rows in \[0, 1\] or None, found ",
        )
        for label, value in values.items()
    ]


def refusal_of_choice(name, make, choices):
    return case(name, lambda: make("rnadom"), f"{name} must be one of {choices}; found 'rnadom'")


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *refusals_of_integers("samples.length", Windows, 1),
        *refusals_of_integers("samples.stride", lambda value: Windows(4, stride=value), 1),
        *refusals_of_integers("samples.dilation", lambda value: Windows(4, dilation=value), 1),
        *refusals_of_integers("split.gap", lambda value: Split(gap=value), 0),
        *refusals_of_integers("split.seed", lambda value: Split(seed=value), 0),
        *refusals_of_integers("split.folds", lambda value: Split(folds=value, fold=0), 2),
        *refusals_of_integers("split.fold", lambda value: Split(folds=2, fold=value), 0),
        *refusals_of_integers("shuffle.window_bytes", lambda value: Shuffle(window_bytes=value), 1),
        *refusals_of_integers("access.max_open_files", lambda value: Access(max_open_files=value), 1),
        *refusals_of_integers("access.cache_bytes", lambda value: Access(cache_bytes=value), 0),
        *refusals_of_shares("val"),
        *refusals_of_shares("test"),
        *refusals_of_shares("train"),
        refusal_of_choice("split.by", lambda v: Split(by=v), "'auto', 'file', 'series', 'block', 'sample'"),
        refusal_of_choice("split.order", lambda v: Split(order=v), "'random', 'path'"),
        refusal_of_choice("split.on_new", lambda v: Split(on_new=v), "'error', 'train', 'split'"),
        refusal_of_choice("shuffle.mode", Shuffle, "'auto', 'full', 'block', 'none'"),
        refusal_of_choice("access.on_bad_file", lambda v: Access(on_bad_file=v), "'raise', 'skip'"),
        refusal_of_choice("access.on_missing", lambda v: Access(on_missing=v), "'raise', 'fill'"),
        refusal_of_choice("access.on_nonfinite", lambda v: Access(on_nonfinite=v), "'ignore', 'raise'"),
        refusal_of_choice("field.dtype", lambda v: Field("x", dtype=v), ", ".join(map(repr, DTYPES))),
        refusal_of_choice("field.ragged", lambda v: Field("x", ragged=v), "'error'"),
        case(
            "access.locking", lambda: Access(locking="no"), "access.locking must be true or false, found 'no'"
        ),
        case(
            "field.constant", lambda: Field("x", constant=1), "field.constant must be true or false, found 1"
        ),
        case("field.path", lambda: Field(3), "field.path must be text, found 3"),
        case("field.attr", lambda: Field(attr=["a"]), r"field.attr must be text, found \['a'\]"),
        case("field.member", lambda: Field("x", member=1), "field.member must be text, found 1"),
        case(
            "access.allow_external",
            lambda: Access(allow_external=3),
            "access.allow_external must be text, found 3",
        ),
        case("split.manifest", lambda: Split(manifest=3), "split.manifest must be text, found 3"),
        case("shuffle.weights", lambda: Shuffle(weights=3), "shuffle.weights must be text, found 3"),
        case(
            "shuffle.balance", lambda: Shuffle(balance=["y"]), r"shuffle.balance must be text, found \['y'\]"
        ),
        case(
            "weights and balance",
            lambda: Shuffle(weights="w", balance="y"),
            "shuffle.weights='w' and shuffle.balance='y': give one of them",
        ),
        case(
            "draws in order",
            lambda: Shuffle("none", balance="y"),
            "shuffle.balance draws samples at random, shuffle.mode='none' keeps the order",
        ),
    ],
)
def test_a_value_is_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize(
    "steps",
    [(), (0,), (0, 1, 2), (3, 3), (4, 3), (-1, 3), (0.0, 3), (False, 3), "03", 5],
    ids=repr,
)
def test_steps_that_are_no_range_are_refused(steps):
    with pytest.raises(
        OptionError, match=r"field\.steps must be \(start, stop\) with 0 <= start < stop, found"
    ):
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
    with pytest.raises(OptionError, match="constant field 'grid' has no sample axis: leave out steps"):
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


def test_shares_over_one_name_the_way_out_in_hydra():
    with pytest.raises(OptionError) as caught:
        Split(val=0.2, train=0.8)
    assert str(caught.value) == (
        "split: the shares must sum to at most 1, found train 0.8 + val 0.2 + test 0.1 = 1.1. In Hydra a mapping "
        "is merged with the defaults (val 0.1, test 0.1): data.split.test=null takes one out"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"val": 0.3333333334, "test": 0.3333333334, "train": 0.3333333334},
        {"val": 1, "test": 0},
        {"val": 0.9, "test": 0.1, "folds": 3, "fold": 0, "train": 0.9},
    ],
    ids=["rounding", "all in val", "val of folds does not count"],
)
def test_shares_up_to_one_are_accepted(options):
    split = Split(**options)
    assert {name: getattr(split, name) for name in options} == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "folds and fold go together, found folds=5, fold=None"),
        ({"fold": 0}, "folds and fold go together, found folds=None, fold=0"),
        ({"folds": 5, "fold": 5}, "split.fold must be below split.folds, found fold=5, folds=5"),
    ],
    ids=["no fold", "no folds", "beyond"],
)
def test_folds_that_do_not_fit_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Split(**options)


@pytest.mark.parametrize(
    ("value", "hint"),
    [("subject", ""), ("path:", ""), ("file:x", ""), ("field:y", r" \('field:PATH' is not available yet\)")],
    ids=["bare", "empty", "unknown", "reserved"],
)
def test_keep_together_that_is_no_rule_is_refused(value, hint):
    message = f"split.keep_together must be 'path:REGEX' or 'attr:NAME', found '{value}'{hint}$"
    with pytest.raises(OptionError, match=message):
        Split(keep_together=value)


@pytest.mark.parametrize("value", [r"path:sub-(\d+)", "attr:subject"], ids=["path", "attr"])
def test_keep_together_rules_are_accepted(value):
    assert Split(keep_together=value).keep_together == value


# ── what they are ────────────────────────────────────────────────────────────────────────────────────


@each_option
def test_is_frozen(option):
    for field in dataclasses.fields(option):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(option, field.name, None)


@each_option
def test_is_not_slotted(option):
    # LightningCLI calls vars() on a default.
    assert vars(option) == dataclasses.asdict(option)


@each_option
def test_equals_the_option_of_its_mapping(option):
    assert coerce(type(option), dataclasses.asdict(option), "option") == option
    assert hash(coerce(type(option), dataclasses.asdict(option), "option")) == hash(option)


@each_option
def test_equals_the_option_of_its_omegaconf_mapping(option):
    config = OmegaConf.create(dataclasses.asdict(option))
    again = coerce(type(option), config, "option")
    assert again == option
    assert {key: type(value) for key, value in vars(again).items()} == {
        key: type(value) for key, value in vars(option).items()
    }


@each_option
def test_survives_a_checkpoint(option, tmp_path):
    torch.save(to_plain(option), tmp_path / "options.pt")
    plain = torch.load(tmp_path / "options.pt", weights_only=True)
    read = (
        coerce_samples
        if isinstance(option, Rows | Windows | Whole)
        else lambda value: coerce(type(option), value, "")
    )
    assert read(plain) == option


def test_numpy_values_become_plain():
    window = Windows(np.int64(4), stride=np.uint8(2), dilation=np.array(3))
    field = Field(np.str_("x"), steps=np.array([0, 3]))
    split = Split(val=np.float32(0.25), test=np.float64(0.5), manifest=Path("runs/split.json"))
    values = [*vars(window).values(), *vars(field).values(), *field.steps, *vars(split).values()]
    assert window == Windows(4, 2, 3)
    assert field == Field("x", steps=(0, 3))
    assert split == Split(val=0.25, test=0.5, manifest="runs/split.json")
    assert {type(value) for value in values} == {int, str, float, bool, tuple, type(None)}


def test_span_counts_the_rows_between():
    assert [Windows(1).span_rows, Windows(4).span_rows, Windows(4, stride=9, dilation=3).span_rows] == [
        1,
        4,
        10,
    ]


# ── mappings to options ──────────────────────────────────────────────────────────────────────────────


def test_an_instance_is_taken_as_it_is():
    access = Access(locking=True)
    assert coerce(Access, access, "access") is access


KNOWN_OF_ACCESS = (
    "; known: allow_external, cache_bytes, locking, max_bad_fraction, max_open_files, memory_map, on_bad_file, "
    "on_missing, on_nonfinite, same, verify"
)


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
        ({}, "samples.kind must be one of 'rows', 'windows', 'whole'; found None"),
        ({"kind": "window", "length": 3}, "samples.kind must be one of .* found 'window'"),
        ({"kind": "windows"}, "samples needs 'length'"),
        ({"kind": "rows", "length": 3}, "samples has no option 'length'$"),
        ({"length": 3, "strid": 1}, "samples has no option 'strid'; did you mean 'stride'"),
        ({"length": 3, "axis": 1}, "samples.axis is reserved and not available yet"),
        ({"kind": "whole", "pad": 1}, "samples.pad is reserved and not available yet"),
        ("windows", "samples must be Rows, Windows, Whole or a mapping with 'kind', found 'windows'"),
    ],
    ids=["empty", "unknown kind", "no length", "rows with length", "unknown key", "axis", "pad", "text"],
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
        ({}, "fields names nothing"),
        ([], "fields names nothing"),
        (3, "fields must map keys to paths or list paths, found 3"),
        (["x", 3], r"a list of fields holds paths, which become the keys; found \['x', 3\]"),
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


# ── the split of a mapping of files ──────────────────────────────────────────────────────────────────


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


# ── plain data ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Rows(), {"kind": "rows"}),
        (Windows(2), {"kind": "windows", "length": 2, "stride": 1, "dilation": 1}),
        (
            Shuffle(window_bytes=7),
            {"mode": "auto", "window_bytes": 7, "weights": None, "balance": None},
        ),
        ({"x": Field("x", steps=(0, 1))}, {"x": {**dataclasses.asdict(Field("x")), "steps": [0, 1]}}),
        (("a", PurePosixPath("b")), ["a", "b"]),
        (OmegaConf.create({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        ({1: np.float32(0.5)}, {"1": 0.5}),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(2), 2),
        (None, None),
    ],
    ids=["rows", "windows", "option", "fields", "paths", "omegaconf", "number", "array", "tensor", "none"],
)
def test_plain_data(value, expected):
    found = to_plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_plain_data_of_a_class_is_the_class():
    assert to_plain(Rows) is Rows


# ── words for errors ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("imges", ["labels", "images"], "; did you mean 'images'?"),
        ("IMAGE", ["labels", "Images"], "; did you mean 'Images'?"),
        ("u", ["labels", "images"], "; known: images, labels"),
        ("u", [], ""),
    ],
    ids=["near", "another case", "far", "nothing known"],
)
def test_nearest(name, known, expected):
    assert nearest(name, known) == expected


def test_what_is_allowed_passes_the_checks():
    check_choice("reader", "h5py", ("auto", "h5py"))
    check_int("batch_size", 1, at_least=1)


def test_a_name_may_be_given_in_pieces():
    pieces = ["$", "{oc.env:HOME}"]
    found = coerce_fields(
        {"x": {"path": pieces}, "y": {"path": "a", "member": pieces}, "z": {"attr": tuple(pieces)}}
    )
    name = "${oc.env:HOME}"
    assert found == {"x": Field(name), "y": Field("a", member=name), "z": Field(attr=name)}


def test_pieces_are_text():
    with pytest.raises(OptionError, match=r"field\.path must be text"):
        coerce_fields({"x": {"path": ["a", 1]}})


def test_a_list_of_fields_with_options_is_refused_with_the_mapping_to_write():
    with pytest.raises(OptionError, match=r"Options need a mapping: \{'x': Field\('x', decode='cf'\)\}"):
        coerce_fields(["y", Field("x", decode="cf")])


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
