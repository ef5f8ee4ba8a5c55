"""Epochs counted sample by sample; and orders and shares that are wrong, which must be found."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from check_runs import check_run, ignore, with_order

from h5lightning.options import Shuffle
from h5lightning.tools.check.epoch_check import check_evaluation, check_orders, check_training
from h5lightning.tools.check.run import CheckRun


@pytest.fixture
def run(write_files):
    with check_run(write_files()) as found:
        yield found


@dataclass
class Wrong:
    """An order that is another one's, spoiled."""

    order: Any
    spoil: Any
    lanes = 1

    @property
    def size(self):
        return self.order.size

    def lanes_of(self, positions):
        return np.zeros_like(positions)

    def samples(self, epoch, positions):
        return self.spoil(self.order, epoch, positions)


@dataclass
class WrongShards:
    """Shares that are another one's, with other positions or lengths."""

    shards: Any
    move: Any
    longer: int = 0

    def __getattr__(self, name):
        return getattr(self.shards, name)

    def length(self, rank):
        return self.shards.length(rank) + self.longer * (rank == 0)

    def batches(self, rank):
        full, tail = self.shards.batches(rank)
        return full, (*tail, 1) if self.longer and rank == 0 else tail

    def indices(self, rank, start, stop, lanes_of=None):
        return self.move(rank, self.shards.indices(rank, start, stop, lanes_of))


class WrongRun(CheckRun):
    move = staticmethod(lambda rank, positions: positions)
    longer = 0

    def training_shards(self, world_size):
        return WrongShards(super().training_shards(world_size), self.move, self.longer)

    def evaluation_shards(self, stage, world_size):
        return WrongShards(super().evaluation_shards(stage, world_size), self.move)


def twice(order, epoch, positions):
    """The first sample also at position 3."""
    return order.samples(epoch, np.where(positions == 3, 0, positions))


ORDERS = {
    "a sample twice": (twice, "epoch 0: 1 samples missing, expected 0: run-"),
    "never shuffled again": (
        lambda order, epoch, positions: order.samples(0, positions),
        "epochs 1 have the order of the epoch before",
    ),
    "by the way it is computed": (
        lambda order, epoch, positions: order.samples(epoch, np.sort(positions)),
        "epoch 1: the order depends on how it is computed",
    ),
}


@pytest.mark.parametrize("shuffle", ["full", "block", "none"])
@pytest.mark.parametrize("check", [check_orders, check_training, check_evaluation])
def test_what_is_right_passes(write_files, shuffle, check):
    files = write_files(options={"chunks": (8, 2, 3), "compression": "gzip"})
    with check_run(files, shuffle=Shuffle(shuffle, 2000)) as run:
        assert check(run, ignore).failures == ()


@pytest.mark.parametrize("check", [check_orders, check_training])
def test_buckets_pass(write_files, check):
    with check_run(write_files(), shuffle=Shuffle(bucket="y")) as run:
        assert check(run, ignore).failures == ()


@pytest.mark.parametrize("mode", ["full", "block"])
@pytest.mark.parametrize("check", [check_orders, check_training])
def test_draws_by_weight_pass(write_files, mode, check):
    with check_run(write_files(), shuffle=Shuffle(mode, balance="y")) as run:
        result = check(run, ignore)
    assert result.failures == ()
    assert result.name in ("each epoch draws by weight", "training: exactly once over all ranks")


@pytest.mark.parametrize(("spoil", "message"), ORDERS.values(), ids=ORDERS)
def test_a_wrong_order_is_found(run, spoil, message):
    result = check_orders(with_order(run, Wrong(run.order, spoil)), ignore)
    assert any(message in failure for failure in result.failures), result.failures


def test_wrong_draws_are_found(write_files):
    with check_run(write_files(), shuffle=Shuffle(balance="y")) as run:
        other = replace(run, weights=np.where(np.arange(len(run.weights)) == 5, 9 * run.weights, run.weights))
        failures = check_orders(other, ignore).failures
    assert any("comes" in failure and "by its weight" in failure for failure in failures)


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda rank, positions: positions[1:] if rank else positions, "samples missing, expected"),
        (lambda rank, positions: positions * 0 if rank == 1 else positions, "samples repeated, expected 0"),
    ],
    ids=["lost", "repeated"],
)
def test_wrong_shares_are_found(write_files, move, message):
    kind = type("Moved", (WrongRun,), {"move": staticmethod(move)})
    with check_run(write_files(), kind=kind) as run:
        result = check_training(run, ignore)
    assert {failure.split(":")[0] for failure in result.failures} == {
        f"{ranks} ranks, epoch {epoch}" for ranks in (2, 3, 4, 8) for epoch in (0, 1)
    }
    assert any(message in failure for failure in result.failures)


def test_ranks_that_would_wait_for_each_other_are_found(write_files):
    kind = type("Longer", (WrongRun,), {"longer": 7})
    with check_run(write_files(), kind=kind) as run:
        failures = check_training(run, ignore).failures
    assert "2 ranks: ranks take 14, 15 steps: they would wait for each other" in failures


def test_what_is_left_out_on_purpose_is_a_note(write_files):
    with check_run(write_files((40, 25, 33, 10, 52, 18, 27, 36)), ranks=[1, 4], drop_last=True) as run:
        result = check_training(run, ignore)
    assert result.failures == ()
    assert "dropped" in result.note


@pytest.mark.parametrize("check", [check_training, check_evaluation])
def test_too_many_ranks_are_found(write_files, check):
    with check_run(write_files((10, 9)), ranks=[1, 40]) as run:
        (*_, failure) = check(run, ignore).failures
    assert "40 ranks" in failure
    assert "Use fewer ranks" in failure


def test_wrong_evaluation_is_found(write_files):
    kind = type("Moved", (WrongRun,), {"move": staticmethod(lambda rank, positions: positions[rank:])})
    with check_run(write_files(), kind=kind, ranks=[1, 2]) as run:
        result = check_evaluation(run, ignore)
    assert result.scope == "val, test, predict"
    assert [failure.partition(" missing")[0] for failure in result.failures] == [
        f"{stage}, 2 ranks: 1 samples" for stage in ("val", "test", "predict")
    ]
