"""Samples are views into their batch; what is collated of them is what torch collates, in memory of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import default_collate
from torch.utils.data._utils.collate import default_collate_fn_map

from h5lightning import H5Dataset
from h5lightning.loading import sample_views as module
from h5lightning.loading.sample_views import as_samples, collate_changed

LARGE = (5, 1024)  # of values that are checked before they are stacked
HUGE = (5, 7001)  # of values that torch would stack in several threads


class Pair(NamedTuple):
    """A sample of a type of its own."""

    first: torch.Tensor
    second: torch.Tensor


def make(size: int, shape: tuple[int, ...] = LARGE) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(size)
    return {
        "x": torch.from_numpy(rng.standard_normal((size, *shape)).astype("f4")),
        "z": torch.from_numpy(rng.standard_normal((size, *shape)).astype("c8")),
        "y": torch.arange(size),
    }


def assert_same(found, expected) -> None:
    """The same tree of the same values."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert (found.shape, found.dtype, found.requires_grad) == (
            expected.shape,
            expected.dtype,
            expected.requires_grad,
        )
        assert found.is_contiguous()
        np.testing.assert_array_equal(found.detach().resolve_conj(), expected.detach().resolve_conj())
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def outcome(make_it):
    """What a function returns, or the error that it raises."""
    try:
        return make_it()
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        return type(error), str(error)


def assert_collated_alike(change, size: int = 4, shape: tuple[int, ...] = LARGE) -> None:
    expected = outcome(lambda: default_collate(change(as_samples(make(size, shape)))))
    assert_same(outcome(lambda: collate_changed(make(size, shape), change)), expected)


def set_data(sample, change):
    sample["x"].data = change(sample["x"].data)
    return sample


def conjugated(sample):
    sample["z"].data = sample["z"].data.conj()
    return sample


def in_place(name, *args):
    def change(sample):
        getattr(sample["x"], name)(*args)
        return sample

    return change


CHANGES = {
    "nothing": lambda sample: sample,
    "a new dict": dict,
    "a value": in_place("mul_", 2),
    "one element": lambda sample: sample["x"].view(-1)[3:4].zero_() is None or sample,
    "an axis in place": in_place("unsqueeze_", 0),
    "the order of axes in place": in_place("t_"),
    "the size in place": in_place("as_strided_", (5, 7), (1024, 1)),
    "a gradient in place": in_place("requires_grad_"),
    "another memory": lambda sample: set_data(sample, torch.clone),
    "another view": lambda sample: set_data(sample, torch.t),
    "the type of the same memory": lambda sample: set_data(sample, lambda x: x.view(torch.int32)),
    "a conjugate": conjugated,
    "the type": lambda sample: sample | {"x": sample["x"].double()},
    "one more": lambda sample: sample | {"sum": sample["x"].sum()},
    "one less": lambda sample: {"x": sample["x"]},
    "the order": lambda sample: dict(reversed(sample.items())),
    "the keys": lambda sample: {"x": sample["z"], "z": sample["x"]},
    "one key twice": lambda sample: sample | {"again": sample["x"], "and again": sample["x"]},
    "a view": lambda sample: sample | {"x": sample["x"].view(-1)},
    "a view of the same shape": lambda sample: sample | {"x": sample["x"][:]},
    "a part": lambda sample: sample | {"x": sample["x"][1:3, ::2]},
    "not contiguous": lambda sample: sample | {"x": sample["x"].transpose(0, -1)},
    "expanded": lambda sample: sample | {"x": sample["y"].expand(3, 4)},
    "a gradient": lambda sample: sample | {"x": sample["x"].clone().requires_grad_()},
    "an array": lambda sample: sample | {"x": sample["x"].numpy()},
    "numbers": lambda sample: sample | {"y": int(sample["y"]), "f": 0.5, "b": True, "n": np.float32(3)},
    "texts": lambda sample: sample | {"name": "a", "bytes": b"a"},
    "a tensor": lambda sample: sample["x"],
    "a tuple": lambda sample: (sample["x"], sample["y"]),
    "a list": lambda sample: [sample["x"], sample["x"]],
    "a named tuple": lambda sample: Pair(sample["x"], sample["z"]),
    "nested": lambda sample: {"in": {"x": sample["x"], "more": [sample["z"], sample["x"]]}},
    "another shape of each": lambda sample: sample | {"x": sample["x"][: int(sample["y"]) + 1]},
    "another key of each": lambda sample: {str(int(sample["y"])): sample["x"]},
    "what cannot be collated": lambda sample: sample | {"x": object()},
    "new values": lambda sample: sample | {"x": 2 * sample["x"], "z": sample["z"].conj()},
    "a parameter": lambda sample: sample | {"x": torch.nn.Parameter(sample["x"])},
    "another type of each": lambda sample: (
        sample | {"x": sample["x"].to([torch.float16, torch.float64][sample["y"] % 2])}
    ),
    "sparse": lambda sample: sample | {"x": sample["x"].to_sparse()},
}


@pytest.mark.parametrize("shape", [LARGE, HUGE])
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_collated_as_torch_does(what, size, shape) -> None:
    assert_collated_alike(lambda samples: [CHANGES[what](sample) for sample in samples], size, shape)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.bool, torch.uint16, torch.complex64, torch.float8_e5m2]
)
def test_long_values_of_any_type_are_stacked(dtype) -> None:
    def change(samples):
        return [{"x": sample["x"].to(dtype)} for sample in samples]

    expected = default_collate(change(as_samples(make(3, HUGE))))["x"]
    found = collate_changed(make(3, HUGE), change)["x"]
    assert found.dtype is dtype
    assert torch.equal(found.view(torch.uint8), expected.view(torch.uint8))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(sorted(CHANGES)), max_size=2), min_size=1, max_size=4))
def test_samples_may_be_changed_in_different_ways(names) -> None:
    def change(samples):
        changed = []
        for sample, listed in zip(samples, names, strict=True):
            for name in listed:
                sample = CHANGES[name](sample)  # noqa: PLW2901
            changed.append(sample)
        return changed

    def collates(collate):
        # Objects are told apart by their addresses.
        found = outcome(lambda: collate(make(len(names))))
        return (found[0],) if isinstance(found, tuple) and isinstance(found[0], type) else found

    assert_same(
        collates(lambda batch: collate_changed(batch, change)),
        collates(lambda batch: default_collate(change(as_samples(batch)))),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("xzy")), min_size=4, max_size=4))
def test_a_sample_may_return_tensors_of_others(picks) -> None:
    assert_collated_alike(
        lambda samples: [{"x": samples[slot]["x"], "p": samples[slot][key]} for slot, key in picks]
    )


@pytest.mark.parametrize("what", ["nothing", "a new dict", "a value", "the keys", "a tuple", "nested"])
def test_what_is_not_changed_is_not_copied(what) -> None:
    batch = make(4)
    places = {tensor.data_ptr() for key, tensor in batch.items() if key != "y"}
    collated = collate_changed(batch, lambda samples: [CHANGES[what](sample) for sample in samples])
    if what == "nested":
        collated = [collated["in"]["x"], collated["in"]["more"][0]]
    values = collated.values() if isinstance(collated, dict) else collated
    assert {value.data_ptr() for value in values} & places


@pytest.mark.parametrize("what", ["one key twice", "a list", "nested"])
def test_no_two_values_share_memory(what) -> None:
    collated = collate_changed(make(4), lambda samples: [CHANGES[what](sample) for sample in samples])
    if what == "nested":
        collated = {"x": collated["in"]["x"], "again": collated["in"]["more"][1]}
    first, second = list(collated.values())[-2:] if isinstance(collated, dict) else collated
    first.fill_(7)
    assert not (second == 7).any()


@pytest.mark.parametrize("counts_users", [True, False])
@pytest.mark.parametrize(
    ("keep", "values_of"),
    [
        (lambda sample: sample["x"], np.asarray),
        (lambda sample: sample["x"][1:2], np.asarray),
        (lambda sample: sample["x"].numpy(), np.asarray),
        (dict, lambda kept: kept["x"].numpy()),
        (lambda sample: lambda: sample, lambda kept: kept()["x"].numpy()),
    ],
    ids=["tensor", "view", "array", "dict", "closure"],
)
def test_what_a_transform_keeps_shares_no_memory_with_the_batch(
    monkeypatch, keep, values_of, counts_users
) -> None:
    if not counts_users:
        monkeypatch.setattr(module, "_use_count", None)
    kept = []

    def change(samples):
        kept.append(keep(samples[2]))
        return samples

    collated = collate_changed(make(4), change)
    np.testing.assert_array_equal(collated["x"], make(4)["x"])
    collated["x"].fill_(7)
    np.testing.assert_array_equal(values_of(kept[0]), values_of(keep(as_samples(make(4))[2])))


def test_memory_is_not_recycled_while_a_transform_keeps_a_sample(tmp_path, write_one) -> None:
    write_one(tmp_path / "a.h5", 3, 6000)
    kept = {}

    def keep(sample, info):
        kept[info.id] = sample["x"]
        return sample

    dataset = H5Dataset(str(tmp_path / "*.h5"), ["x"], transform=keep)
    for start in range(0, 6000, 3000):
        for _ in range(2):
            batch = dataset.read_batch(range(start, start + 3000))
            batch["x"].fill_(-1)
    dataset.close()
    found = torch.stack([kept[number] for number in range(6000)])
    again = H5Dataset(str(tmp_path / "*.h5"), ["x"])
    np.testing.assert_array_equal(found, again.read_batch(range(6000))["x"])
    again.close()


def test_torch_is_asked_how_to_stack(monkeypatch) -> None:
    monkeypatch.setitem(default_collate_fn_map, torch.Tensor, lambda values, collate_fn_map: len(values))
    assert collate_changed(make(4), lambda samples: samples) == {"x": 4, "z": 4, "y": 4}
