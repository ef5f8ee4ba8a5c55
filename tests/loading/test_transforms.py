"""Transforms: chosen by stage, given info if they take it, random by sample and by nothing else."""

import functools
import pickle
import random

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from h5lightning.errors import OptionError
from h5lightning.loading.transforms import STAGES, BatchInfo, SampleInfo, Transforms

INFO = SampleInfo(id=5, path="a.h5", series="", row=2, stage="train", epoch=1, seed=7)
BATCH_INFO = BatchInfo(ids=(5, 9), stage="train", epoch=1, seed=7)


def double(sample):
    return 2 * sample


def add_row(sample, info):
    return sample + info.row


def scale(sample, factor=10):
    return sample * factor


def add_row_if_told(sample, info=None):
    return sample if info is None else sample + info.row


class AddRow:
    def __call__(self, sample, info):
        return sample + info.row

    def method(self, sample, info):
        return sample + info.row


class Double(torch.nn.Module):
    def forward(self, sample):
        return 2 * sample


class AddRowModule(torch.nn.Module):
    def forward(self, sample, info):
        return sample + info.row


# ── which transforms, and what they are given ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (double, 6),
        (scale, 30),
        (lambda sample, *rest, **more: (sample, rest, more), (3, (), {})),
        (str, "3"),
        (float, 3.0),
        (Double(), 6),
        (functools.partial(scale, factor=2), 6),
        (add_row, 5),
        (add_row_if_told, 5),
        (AddRow(), 5),
        (AddRow().method, 5),
        (AddRowModule(), 5),
        (lambda sample, about: sample + about.row, 5),
        (functools.partial(lambda more, sample, info: more + sample + info.row, 1), 6),
    ],
    ids=[
        "function",
        "default that is no info",
        "any arguments",
        "builtin without a signature",
        "builtin with a signature",
        "module",
        "partial",
        "function with info",
        "info with a default",
        "callable with info",
        "method with info",
        "module with info",
        "second argument of any name",
        "partial with info",
    ],
)
def test_a_transform_gets_what_it_takes(transform, expected):
    assert Transforms.of(transform, "train")(3, INFO) == expected


@pytest.mark.parametrize(
    ("option", "takes_info"), [([double, add_row], True), ([double, scale], False), (None, False)]
)
def test_infos_are_made_only_for_transforms_that_take_them(option, takes_info):
    transforms = Transforms.of(option, "train")
    assert transforms.takes_info is takes_info
    if not takes_info:
        assert transforms(3) == transforms(3, INFO)


def test_infos_of_many_samples_are_those_of_each():
    infos = SampleInfo.of_samples(
        [5, 9], ["a.h5", "b.h5"], ["", "run"], [2, 3], stage="train", epoch=1, seed=7
    )
    other = SampleInfo(id=9, path="b.h5", series="run", row=3, stage="train", epoch=1, seed=7)
    assert list(infos) == [INFO, other]


def test_transforms_are_applied_in_order():
    assert Transforms.of([double, add_row, double], "train")(3, INFO) == (2 * 3 + 2) * 2


def test_batches_pass_through_the_same_way():
    transforms = Transforms.of([lambda batch, info: [*batch, *info.ids]], "train", "batch_transform")
    assert transforms([0], BATCH_INFO) == [0, 5, 9]


@pytest.mark.parametrize(
    "option",
    [None, [], {}, {"val": double}, {"train": None}],
    ids=["none", "no list", "no mapping", "another stage", "none of the stage"],
)
def test_without_transforms_data_stay_what_they_are(option):
    transforms = Transforms.of(option, "train")
    assert not transforms
    sample = object()
    assert transforms(sample, INFO) is sample


@pytest.mark.parametrize("stage", STAGES)
def test_a_mapping_gives_each_stage_its_own(stage):
    option = {name: functools.partial(scale, factor=place) for place, name in enumerate(STAGES)}
    transforms = Transforms.of(option, stage)
    assert transforms
    assert transforms(1, INFO) == STAGES.index(stage)


@pytest.mark.parametrize("option", [double, [double]], ids=["one", "list"])
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_no_mapping_is_for_each_stage(option, stage):
    assert Transforms.of(option, stage)(3, INFO) == 6


def test_a_stage_may_have_a_list():
    assert Transforms.of({"train": (double, double)}, "train")(3, INFO) == 12


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"trian": double}, "transform has no stage 'trian'; did you mean 'train'?"),
        ({"fit": double}, "transform has no stage 'fit'; known: predict, test, train, val"),
        ("flip", "transform must be callable, found 'flip'"),
        (3, "transform must be callable, found 3"),
        ([double, "flip"], "transform must be callable, found 'flip'"),
        (OmegaConf.create({"train": ["flip"]}), "transform must be callable, found 'flip'"),
    ],
    ids=["near stage", "unknown stage", "text", "number", "list with text", "configuration without a target"],
)
def test_what_cannot_be_applied_is_refused(option, message):
    with pytest.raises(OptionError) as caught:
        Transforms.of(option, "train")
    assert str(caught.value) == message


@pytest.mark.parametrize(("info", "what"), [(INFO, "sample"), (BATCH_INFO, "batch")], ids=["sample", "batch"])
def test_a_transform_that_returns_nothing_is_named(info, what):
    forgets = Transforms.of([double, print], "train")
    with pytest.raises(OptionError, match=rf"<built-in function print> returned None, expected the {what}$"):
        forgets(3, info)


def test_the_argument_is_called_what_the_user_calls_it():
    with pytest.raises(OptionError, match=r"^batch_transform must be callable"):
        Transforms.of(3, "train", "batch_transform")


def test_survives_a_pickle():
    copy = pickle.loads(pickle.dumps(Transforms.of([double, AddRow()], "train")))
    assert copy(3, INFO) == 8


# ── randomness ───────────────────────────────────────────────────────────────────────────────────────


def draw(info):
    return torch.rand(4, generator=info.generator).tolist()


def with_changes(info, **changes):
    values = {name: getattr(info, name) for name in type(info).__slots__}
    return type(info)(**{**values, **changes})


@pytest.mark.parametrize("info", [INFO, BATCH_INFO], ids=["sample", "batch"])
def test_the_same_place_draws_the_same_numbers(info):
    assert draw(info) == draw(with_changes(info))


@pytest.mark.parametrize(
    ("info", "changes"),
    [
        (INFO, {"seed": 8}),
        (INFO, {"epoch": 2}),
        (INFO, {"id": 6}),
        (INFO, {"seed": 1, "epoch": 7}),
        (BATCH_INFO, {"seed": 8}),
        (BATCH_INFO, {"epoch": 2}),
        (BATCH_INFO, {"ids": (9, 5)}),
        (BATCH_INFO, {"ids": (5,)}),
    ],
    ids=[
        "seed",
        "epoch",
        "sample",
        "seed and epoch exchanged",
        "seed of a batch",
        "epoch of a batch",
        "order of a batch",
        "size of a batch",
    ],
)
def test_another_place_draws_others(info, changes):
    assert draw(info) != draw(with_changes(info, **changes))


def test_a_batch_of_one_is_not_the_sample():
    assert draw(INFO) != draw(with_changes(BATCH_INFO, ids=(5,)))


@pytest.mark.parametrize("changes", [{"path": "/scratch/a.h5"}, {"stage": "val"}], ids=["path", "stage"])
def test_numbers_do_not_depend_on_where_the_data_lie(changes):
    assert draw(INFO) == draw(with_changes(INFO, **changes))


# Augmentations of a resumed run depend on these values: they never change.
@pytest.mark.parametrize(
    ("info", "seed"),
    [(INFO, 311517938226963480), (BATCH_INFO, 1648755351406994817)],
    ids=["sample", "batch"],
)
def test_generators_are_seeded_as_ever(info, seed):
    assert info.generator.initial_seed() == seed


@pytest.mark.parametrize("info", [INFO, BATCH_INFO], ids=["sample", "batch"])
def test_the_global_random_state_is_left_alone(info):
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    draw(info)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002
