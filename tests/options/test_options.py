"""Options: what they refuse and how they say it, and that mappings, instances and plain data agree."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from h5lightning.errors import OptionError
from h5lightning.options import DTYPES, Access, Field, Rows, Shuffle, Split, Whole, Windows
from h5lightning.options.checks import to_plain
from h5lightning.options.coerce import coerce, coerce_samples

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


def refusals_of_integers(name, make, at_least, *, is_list_allowed=False):
    """One case for each value that an integer option must refuse."""
    values = {"below": at_least - 1, "bool": True, "float": 2.0, "text": "2", "nan": NAN}
    values |= {} if is_list_allowed else {"list": [2]}
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
            rf"split\.{name} must be a fraction of the rows in \[0, 1\] or None, found ",
        )
        for label, value in values.items()
    ]


def refusal_of_choice(name, make, choices):
    return case(name, lambda: make("rnadom"), f"{name} must be one of {choices}; found 'rnadom'")


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *refusals_of_integers("samples.length", Windows, 1, is_list_allowed=True),
        *refusals_of_integers(
            "samples.stride", lambda value: Windows(4, stride=value), 1, is_list_allowed=True
        ),
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
        refusal_of_choice(
            "field.ragged", lambda v: Field("x", ragged=v), "'error', 'list', 'stack', 'pad', 'concat'"
        ),
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
    ],
)
def test_a_value_is_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


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


@each_option
def test_pickles_that_name_the_package_are_read(option):
    # As written before each option had a module: by the package and the name of the class.
    kind = type(option)
    old = pickle.dumps(option, protocol=0).replace(kind.__module__.encode(), b"h5lightning.options")
    assert kind.__module__.encode() not in old
    assert pickle.loads(old) == option


def test_windows_along_several_axes_have_a_length_and_a_stride_for_each():
    box = Windows((4, 8, 8), stride=2, axis=(1, 2, -1))
    assert (box.axes, box.lengths, box.strides) == ((1, 2, -1), (4, 8, 8), (2, 2, 2))
    assert (box.rows, box.stride_rows, box.span_rows) == (4, 2, 4)
    assert Windows(64, axis=(0, 1)).lengths == (64, 64)


def test_lists_and_tuples_of_axes_are_the_same_option():
    listed = coerce_samples({"length": [4, 8], "stride": [1, 2], "axis": [0, 2]})
    assert listed == Windows((4, 8), (1, 2), axis=(0, 2))
    assert hash(listed) == hash(Windows((4, 8), (1, 2), axis=(0, 2)))
    assert Windows([5], axis=[-1]) == Windows(5, axis=-1)
    assert coerce_samples(to_plain(listed)) == listed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windows((4, 4)), r"samples.length=\[4, 4\] has 2 numbers, and samples.axis=0 names 1"),
        (lambda: Windows(4, axis=(0, 0)), "a list of different ones"),
        (lambda: Windows(4, axis=()), "a list of different ones"),
        (lambda: Windows((4, 0), axis=(0, 1)), "samples.length must be an integer of at least 1, found 0"),
        (lambda: Windows(4, dilation=2, axis=(0, 1)), "samples.dilation=2 is for windows along one axis"),
        (lambda: Windows(4, jitter="yes"), "samples.jitter must be true or false"),
        (lambda: Whole(take=0), "samples.take must be an integer of at least 1"),
        (lambda: Field("x", axis=(1, 1)), "field.axis names an axis twice"),
        (lambda: Field("x", layout="CHW"), "field.layout=.CHW. is for decode=.image., found decode=None"),
        (lambda: Field("x", index="ends", steps=(0, 2)), "remove attr, steps, axis and extra_rows"),
        (
            lambda: Field("x", index="ends", constant=True),
            r"Field\('x', constant=True, ragged='list', index='ends'\)",
        ),
        (lambda: Shuffle("none", bucket="length:x"), "shuffle.bucket='length:x' changes the order"),
    ],
)
def test_what_windows_rows_and_buckets_refuse(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_words_tell_of_another_field():
    assert (Field("length:x").length_of, Field("length:x").derived_from, Field("length:x").padding_of) == (
        "x",
        "x",
        None,
    )
    assert (Field("pad:x").padding_of, Field("pad:x").derived_from, Field("x").derived_from) == (
        "x",
        "x",
        None,
    )
    assert Field("length:x").parts() == ()
