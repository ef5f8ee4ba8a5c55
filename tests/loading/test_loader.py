"""The loader: by arrays where nothing was replaced, torch's way where something was, the same batches either way."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from h5lightning import H5DataModule
from h5lightning.loading.loader import H5DataLoader

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def make(write_files, ready):
    usual = {"batch_size": 7, "provenance": True}
    return lambda **options: ready(H5DataModule(write_files(), ["x", "y"], **(usual | options)))


def rebuilt(loader: H5DataLoader, **changes) -> H5DataLoader:
    """As Lightning makes a loader again."""
    kwargs = {"batch_size": loader.batch_size, "sampler": loader.sampler, "collate_fn": loader.collate_fn}
    return H5DataLoader(loader.dataset, **{**kwargs, **changes})


def assert_same(one, other) -> None:
    for found, expected in zip(one, other, strict=True):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize("threads", [0, 1], ids=["when asked for", "ahead"])
def test_arrays_and_torch_deliver_the_same(make, threads) -> None:
    dm = make(threads=threads)
    loader = dm.train_dataloader()
    assert loader._divides_itself
    plain = DataLoader(loader.dataset, batch_size=7, sampler=loader.sampler, collate_fn=loader.collate_fn)
    for _ in range(2):
        dm.set_epoch(3)
        batches = list(loader)
        dm.set_epoch(3)
        assert_same(batches, plain)


REPLACED = {
    "sampler": lambda loader: {"sampler": SequentialSampler(loader.dataset)},
    "collate function": lambda loader: {"collate_fn": lambda samples: samples.batch()},
    "batch sampler": lambda loader: {
        "batch_size": 1,
        "sampler": None,
        "batch_sampler": type("Own", (BatchSampler,), {})(loader.sampler, 7, drop_last=False),
    },
    "no batches": lambda loader: {"batch_size": None, "collate_fn": lambda sample: {"x": sample["x"][None]}},
}


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED)
def test_what_was_replaced_is_asked(make, replace) -> None:
    loader = make().val_dataloader()
    other = rebuilt(loader, **replace(loader))
    assert other._divides_itself == (replace is REPLACED["collate function"])
    expected = torch.cat([batch["x"] for batch in loader])
    assert torch.equal(torch.cat([batch["x"] for batch in other]), expected)


@pytest.mark.parametrize("size", [7, 25, 1000])
def test_an_incomplete_batch_is_dropped_if_torch_would(make, size) -> None:
    loader = make().train_dataloader()
    other = rebuilt(loader, batch_size=size, drop_last=True)
    assert [len(batch["x"]) for batch in other] == [size] * (len(loader.sampler) // size)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with an accelerator, torch does not warn")
def test_pinning_warns_where_there_is_nothing_to_pin_for(make) -> None:
    loader = make(pin_memory=True, threads=0).train_dataloader()
    assert loader._divides_itself
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator"):
        pinned = list(loader)
    assert_same(pinned, make().train_dataloader())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs an accelerator")
@pytest.mark.parametrize("transform", [None, lambda sample: sample], ids=["as-read", "transformed"])
def test_pinned_batches_are_page_locked(make, transform) -> None:
    batch = next(iter(make(pin_memory=True, transform=transform).train_dataloader()))
    assert all(tensor.is_pinned() for tensor in batch.values())
