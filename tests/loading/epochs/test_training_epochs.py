"""Loops of users: which epoch a pass is, what begun epochs keep, and where a loader continues."""

from __future__ import annotations

import itertools
import json
import sys
import threading

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.data import _set_sampler_epoch
from passes import WAYS, epoch_of, ids_of, noise, numbers_of
from torch.utils.data import DataLoader

from h5lightning.errors import OptionError, ResumeError, WorkerError

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_each_pass_is_the_next_epoch(make, reference, options) -> None:
    dm = make(transform=noise, **options)
    loader = dm.train_dataloader()
    assert [epoch_of(loader) for _ in range(2)] == reference[:2]
    assert [epoch_of(dm.train_dataloader()) for _ in range(2)] == reference[2:], "of any loader"
    assert [numbers_of(epoch) for epoch in reference] == [{0}, {1}, {2}, {3}]
    assert len({tuple(batch[0][0] for batch in epoch) for epoch in reference}) == 4


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_pass_that_was_broken_off_was_an_epoch(make, reference, options) -> None:
    loader = make(transform=noise, **options).train_dataloader()
    assert epoch_of(itertools.islice(loader, 3)) == reference[0][:3]
    assert epoch_of(loader) == reference[1]


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_what_was_begun_stays_that_epoch(make, reference, options) -> None:
    dm = make(transform=noise, **options)
    loader = dm.train_dataloader()
    batches = iter(loader)
    found = epoch_of([next(batches)])
    loader.sampler.set_epoch(3)
    dm.set_epoch(2)
    dm.train_dataset.set_epoch(9)
    assert found + epoch_of(batches) == reference[0]
    assert epoch_of(loader) == reference[2], "what was set last counts"


@pytest.mark.parametrize("options", [WAYS["threads"], WAYS["when asked for"], WAYS["workers"]])
def test_two_iterators_are_two_epochs(make, reference, options) -> None:
    dm = make(transform=noise, **options)
    loader = dm.train_dataloader()
    first, second, third = iter(loader), iter(loader), iter(dm.train_dataloader())
    found = [[], [], []]
    for _ in range(13):
        for number, batches in enumerate((first, second, third)):
            found[number] += epoch_of([next(batches)])
    assert found == reference[:3]


def test_threads_that_begin_at_the_same_time_begin_different_epochs(make) -> None:
    interval = sys.getswitchinterval()
    dm, begun = make(threads=0), []
    loaders = [dm.train_dataloader() for _ in range(8)]
    start = threading.Barrier(8)

    def begin(loader) -> None:
        start.wait(30)
        begun.extend(loader.sampler.begin().epoch for _ in range(20))

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=begin, args=(loader,)) for loader in loaders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(begun) == list(range(160))


def test_an_older_iterator_of_persistent_workers_is_an_error(make, reference) -> None:
    loader = make(transform=noise, **WAYS["persistent workers"]).train_dataloader()
    first = iter(loader)
    next(first)
    second = iter(loader)
    assert epoch_of([next(second)]) == reference[1][:1]
    with pytest.raises(WorkerError, match=r"out of date.*persistent_workers=False"):
        next(first)
    assert epoch_of(second) == reference[1][1:]


@pytest.mark.parametrize("whose", ["module", "sampler"])
def test_a_number_that_was_set_decides_the_next_pass_and_those_after_it(make, reference, whose) -> None:
    dm = make(transform=noise)
    loader = dm.train_dataloader()
    (dm if whose == "module" else loader.sampler).set_epoch(2)
    assert [epoch_of(loader) for _ in range(2)] == reference[2:]
    (dm if whose == "module" else loader.sampler).set_epoch(0)
    assert epoch_of(loader) == reference[0]


def test_numbers_below_zero_are_refused(make) -> None:
    with pytest.raises(OptionError, match="epoch must be an integer of at least 0"):
        make().set_epoch(-1)


@pytest.mark.parametrize("workers", [0, 2])
def test_plain_loaders_draw_anew_in_each_pass(make, workers) -> None:
    """Over the dataset of a module too; reading batches by number counts nothing."""
    dataset = make(transform=noise).train_dataset
    loader = DataLoader(dataset, 5, num_workers=workers)
    passes = []
    for _ in range(3):
        passes.append([batch["noise"].tolist() for batch in loader])
        dataset.read_batch(range(20))
    assert len({tuple(map(tuple, one)) for one in passes}) == 3
    assert dataset.epoch == 3
    dataset.set_epoch(1)
    assert [batch["noise"].tolist() for batch in loader] == passes[1]


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("taken", [0, 1, 5, 12, 13])
def test_a_training_loader_goes_on_where_its_state_was_taken(make, reference, options, taken) -> None:
    loader = make(transform=noise, **options).train_dataloader()
    list(loader)
    batches = iter(loader)
    assert epoch_of(itertools.islice(batches, taken)) == reference[1][:taken]
    state = json.loads(json.dumps(loader.state_dict()))
    other = make(transform=noise, **options).train_dataloader()
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [epoch_of(other), epoch_of(other)] == [reference[1][taken:], reference[2]]


def test_behind_the_end_of_an_epoch_the_next_one_begins(make, reference) -> None:
    loader, other = make(transform=noise).train_dataloader(), make(transform=noise).train_dataloader()
    list(loader)
    other.load_state_dict(loader.state_dict())
    assert epoch_of(other) == reference[1]


def test_the_number_of_a_resumed_epoch_may_be_set(make, reference) -> None:
    """As loops do that count epochs themselves."""
    loader = make(transform=noise).train_dataloader()
    list(loader)
    batches = iter(loader)
    next(batches)
    other = make(transform=noise).train_dataloader()
    other.load_state_dict(loader.state_dict())
    other.sampler.set_epoch(1)
    assert len(other) == 13
    assert epoch_of(other) == reference[1][1:]
    assert epoch_of(other) == reference[2]


def test_a_position_holds_for_other_numbers_of_ranks(make) -> None:
    dm = make()
    loader = dm.train_dataloader(rank=0, world_size=2)
    seen = ids_of(itertools.islice(loader, 2))
    partner = make().train_dataloader(rank=1, world_size=2)
    seen += ids_of(itertools.islice(partner, 2))
    alone = make(batch_size=3).train_dataloader()
    alone.load_state_dict(loader.state_dict())
    seen += ids_of(alone)
    assert sorted(number for batch in seen for number in batch) == list(range(25))


def test_one_process_may_read_all_parts(make) -> None:
    dm = make()
    for _ in range(2):
        parts = [ids_of(dm.train_dataloader(rank=rank, world_size=3)) for rank in range(3)]
        numbers = sorted(number for part in parts for batch in part for number in batch)
        assert len(numbers) == len(set(numbers)) == 25 - 1, "one sample is left for three ranks"
    first, second = dm.train_dataloader(rank=0, world_size=2), dm.train_dataloader(rank=1, world_size=2)
    both = [ids_of(pair) for pair in zip(first, second, strict=True)]
    numbers = [number for pair in both for batch in pair for number in batch]
    assert len(numbers) == len(set(numbers)) >= 24


class Wrapper:
    """As Fabric's, which numbers the passes over each loader that it wraps."""

    def __init__(self, loader) -> None:
        self.loader, self.passes = loader, 0

    def __iter__(self):
        _set_sampler_epoch(self.loader, self.passes)
        self.passes += 1
        yield from self.loader


def test_what_fabric_counts_for_each_wrapper_means_nothing(make, reference) -> None:
    fabric, dm = Fabric(accelerator="cpu", devices=1), make(transform=noise)
    passes = [epoch_of(fabric.setup_dataloaders(dm.train_dataloader())) for _ in range(2)]
    assert passes == reference[:2]
    loader, other = dm.train_dataloader(), make(transform=noise).train_dataloader()
    next(iter(fabric.setup_dataloaders(loader)))
    other.load_state_dict(loader.state_dict())
    assert epoch_of(fabric.setup_dataloaders(other)) == reference[2][1:]
    dm.set_epoch(1)
    assert epoch_of(fabric.setup_dataloaders(dm.train_dataloader())) == reference[1]


def test_a_wrapper_of_a_users_own_is_the_user(make, reference) -> None:
    dm = make(transform=noise)
    for _ in range(2):
        assert epoch_of(Wrapper(dm.train_dataloader())) == reference[0]


def test_a_number_that_is_set_behind_a_state_is_what_the_user_wants(make, reference) -> None:
    first = make(transform=noise).train_dataloader()
    list(first)
    next(batches := iter(first))
    state = first.state_dict()
    del batches
    for module, number, expected in [
        (False, 3, reference[3]), (True, 3, reference[3]), (False, 1, reference[1][1:]), (None, 0, reference[1][1:])
    ]:  # fmt: skip
        dm = make(transform=noise)
        loader = dm.train_dataloader()
        if module is None:
            loader.sampler.set_epoch(number)
        loader.load_state_dict(state)
        if module is not None:
            (dm if module else loader.sampler).set_epoch(number)
        assert epoch_of(loader) == expected


def test_numbers_of_epochs_are_whole_numbers(make) -> None:
    dm = make()
    for ask in (dm.set_epoch, dm.train_dataloader().sampler.set_epoch, dm.train_dataset.set_epoch):
        ask(np.int64(2))
        ask(torch.tensor(3))
        for wrong in (1.5, "1", True, None):
            with pytest.raises(TypeError, match="epoch must be a whole number"):
                ask(wrong)
        for wrong in (-1, 2**64):
            with pytest.raises(OptionError, match="epoch must be an integer of at"):
                ask(wrong)


WRONG_STATES = [{}, None, {"foo": 1}, {"version": 2}]


@pytest.mark.parametrize("state", WRONG_STATES, ids=str)
def test_what_is_no_state_is_refused(make, state) -> None:
    with pytest.raises(ResumeError):
        make().load_state_dict(state)


@pytest.mark.parametrize("change", [{"steps": -1}, {"samples": 10**6}, {"epoch": "x"}], ids=str)
def test_a_position_that_cannot_be_is_refused(make, change) -> None:
    loader = make().train_dataloader()
    next(iter(loader))
    state = loader.state_dict()
    with pytest.raises(ResumeError, match=r"not a position|the state has consumed"):
        loader.load_state_dict({**state, "position": {**state["position"], **change}})


def test_samples_that_another_loader_took_are_not_counted(make) -> None:
    dm = make()
    loader = dm.train_dataloader()
    other = DataLoader(dm.train_dataset, 5, sampler=loader.sampler)
    next(iter(other))
    for owner in (dm, loader):
        with pytest.raises(ResumeError, match="a loader of another library"):
            owner.state_dict()
