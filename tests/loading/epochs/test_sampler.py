"""The sampler: over all ranks each sample once, in any order, and from where a resumed run goes on."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from h5lightning import H5DataModule
from h5lightning.errors import ShardingError
from h5lightning.loading.epochs.evaluation_epochs import FixedEpochs
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.planning.sampling import BlockOrder, Blocks, FullOrder, PathOrder
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards

WORLDS, SIZES, BATCHES = (1, 2, 3, 4, 7, 8), (1, 7, 256, 1000, 1013), (1, 7, 32)


def blocks_of(size: int) -> Blocks:
    """Blocks of 13 samples, and what is left."""
    whole, rest = divmod(size, 13)
    return Blocks.of(np.array([0, 13 * whole]), np.array([whole, 1]), np.array([13, rest]))


ORDERS = {
    "path": PathOrder,
    "full": lambda size: FullOrder(size, seed=3),
    "block": lambda size: BlockOrder(blocks_of(size), window_samples=100, seed=3),
}


def delivered(size: int, order, shards, epoch: int, rest=None) -> list[int]:
    samples = []
    for rank in range(shards.world_size):
        sampler = ShardedSampler(range(size), FixedEpochs(order, shards, rank, rest=rest))
        sampler.set_epoch(epoch)
        one_by_one = list(sampler)
        assert len(one_by_one) == len(sampler)
        assert one_by_one == [
            number for stretch in sampler.stretches(multiple=7) for number in stretch.tolist()
        ]
        samples += one_by_one
    return samples


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("drop_last", [False, True], ids=["all", "drop_last"])
@pytest.mark.parametrize("size", SIZES)
def test_training_delivers_each_sample_once_over_all_ranks(size, drop_last, order) -> None:
    for world_size, batch_size in itertools.product(WORLDS, BATCHES):
        try:
            shards = TrainingShards(size, batch_size, world_size, drop_last=drop_last)
        except ShardingError:
            continue
        for epoch in range(2):
            counts = Counter(delivered(size, order(size), shards, epoch))
            assert set(counts.values()) == {1}
            assert len(counts) == size - shards.dropped
            assert set(counts) <= set(range(size))


@pytest.mark.parametrize("size", SIZES)
def test_evaluation_delivers_each_sample_once_over_all_ranks(size) -> None:
    for world_size in WORLDS:
        if size >= world_size:
            shards = EvaluationShards(size, world_size)
            assert delivered(size, PathOrder(size), shards, 0) == list(range(size))


def test_ranks_may_be_empty_if_that_is_allowed() -> None:
    shards = EvaluationShards(2, 3, allow_empty=True)
    assert delivered(2, PathOrder(2), shards, 0) == [0, 1]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_resumed_epoch_has_what_is_left_and_the_next_is_whole(order) -> None:
    size, before, after = 1013, TrainingShards(1013, 7, 4), TrainingShards(1013, 32, 3)
    made = order(size)
    first = [ShardedSampler(range(size), FixedEpochs(made, before, rank)) for rank in range(4)]
    consumed = []
    for sampler in first:
        sampler.set_epoch(2)
        consumed += list(sampler)[: 9 * 7]
    rest = TrainingProgress().after(2, 9, before).remaining_epoch(after)
    left = delivered(size, made, after, 2, rest)
    assert Counter(consumed + left) == Counter(range(size))
    assert Counter(delivered(size, made, after, 3, rest)) == Counter(range(size)) - Counter(
        made.samples(3, np.arange(size - after.dropped, size)).tolist()
    )


def test_steps_done_are_those_of_the_resumed_epoch_alone() -> None:
    shards = TrainingShards(100, 5)
    rest = TrainingProgress().after(2, 9, shards).remaining_epoch(shards)
    sampler = ShardedSampler(range(100), FixedEpochs(PathOrder(100), shards, rest=rest))
    sampler.set_epoch(2)
    assert (sampler.peek().steps_done, len(sampler)) == (9, 55)
    sampler.set_epoch(3)
    assert (sampler.peek().steps_done, len(sampler)) == (0, 100)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="9 samples and an order of 10"):
        ShardedSampler(range(9), FixedEpochs(PathOrder(10), TrainingShards(10, 2)))
    with pytest.raises(ValueError, match="an order of 9 samples and shards of 10"):
        FixedEpochs(PathOrder(9), TrainingShards(10, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_epoch_may_be_set_after_the_iterator_is_made(write_files, workers) -> None:
    """As Lightning does (lightning#21938)."""
    dm = H5DataModule(write_files(), ["x"], batch_size=7, provenance=True, num_workers=workers)
    dm.prepare_data()
    dm.setup()
    loader = dm.train_dataloader()
    late = iter(loader)
    loader.sampler.set_epoch(1)
    expected = torch.from_numpy(dm.train_dataset.sample_ids(np.concatenate(list(loader.sampler.stretches()))))
    found = torch.cat([batch["sample_id"] for batch in late])
    assert torch.equal(found, expected)
    loader.sampler.set_epoch(0)
    assert not torch.equal(torch.cat([batch["sample_id"] for batch in loader]), found)
    dm.teardown()


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_deliver_what_the_sampler_says(write_files, workers, context) -> None:
    files = write_files()
    for shuffle, batch_size, drop_last in itertools.product(("full", "none"), BATCHES, (False, True)):
        options = {
            "batch_size": batch_size,
            "drop_last": drop_last,
            "shuffle": shuffle,
            "num_workers": workers,
        }
        dm = H5DataModule(
            files, ["x"], provenance=True, **options, multiprocessing_context=context if workers else None
        )
        dm.prepare_data()
        dm.setup()
        loader = dm.train_dataloader()
        expected = dm.train_dataset.sample_ids(np.concatenate(list(loader.sampler.stretches())))
        found = torch.cat([batch["sample_id"] for batch in loader])
        assert np.array_equal(found, expected)
        dm.teardown()
