"""Epochs counted sample by sample; and orders and shares that are wrong, which must be found."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cases import case_of, ignore, with_order

from h5lightning.options import Shuffle
from h5lightning.tools.check.epoch_check import prove_evaluation, prove_orders, prove_training
from h5lightning.tools.check.run import CheckRun


@pytest.fixture
def case(write_files):
    with case_of(write_files()) as found:
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

    def positions(self, rank, start, stop, lanes_of=None):
        return self.move(rank, self.shards.indices(rank, start, stop, lanes_of))


class WrongCase(CheckRun):
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
    "by how it is asked for": (
        lambda order, epoch, positions: order.samples(epoch, np.sort(positions)),
        "epoch 1: the order depends on how it is asked for",
    ),
}


@pytest.mark.parametrize("shuffle", ["full", "block", "none"])
@pytest.mark.parametrize("prove", [prove_orders, prove_training, prove_evaluation])
def test_what_is_right_passes(write_files, shuffle, prove):
    files = write_files(options={"chunks": (8, 2, 3), "compression": "gzip"})
    with case_of(files, shuffle=Shuffle(shuffle, 2000)) as case:
        assert prove(case, ignore).failures == ()


@pytest.mark.parametrize("mode", ["full", "block"])
@pytest.mark.parametrize("prove", [prove_orders, prove_training])
def test_draws_by_weight_pass(write_files, mode, prove):
    with case_of(write_files(), shuffle=Shuffle(mode, balance="y")) as case:
        outcome = prove(case, ignore)
    assert outcome.failures == ()
    assert outcome.name in ("each epoch draws by weight", "training: exactly once over all ranks")


@pytest.mark.parametrize(("spoil", "message"), ORDERS.values(), ids=ORDERS)
def test_a_wrong_order_is_found(case, spoil, message):
    outcome = prove_orders(with_order(case, Wrong(case.order, spoil)), ignore)
    assert any(message in failure for failure in outcome.failures), outcome.failures


def test_wrong_draws_are_found(write_files):
    with case_of(write_files(), shuffle=Shuffle(balance="y")) as case:
        other = replace(
            case, weights=np.where(np.arange(len(case.weights)) == 5, 9 * case.weights, case.weights)
        )
        failures = prove_orders(other, ignore).failures
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
    kind = type("Moved", (WrongCase,), {"move": staticmethod(move)})
    with case_of(write_files(), kind=kind) as case:
        outcome = prove_training(case, ignore)
    assert {failure.split(":")[0] for failure in outcome.failures} == {
        f"{ranks} ranks, epoch {epoch}" for ranks in (2, 3, 4, 8) for epoch in (0, 1)
    }
    assert any(message in failure for failure in outcome.failures)


def test_ranks_that_would_wait_for_each_other_are_found(write_files):
    kind = type("Longer", (WrongCase,), {"longer": 7})
    with case_of(write_files(), kind=kind) as case:
        failures = prove_training(case, ignore).failures
    assert "2 ranks: ranks take 14, 15 steps: they would wait for each other" in failures


def test_what_is_left_out_on_purpose_is_a_note(write_files):
    with case_of(write_files((40, 25, 33, 10, 52, 18, 27, 36)), ranks=[1, 4], drop_last=True) as case:
        outcome = prove_training(case, ignore)
    assert outcome.failures == ()
    assert "dropped" in outcome.note


@pytest.mark.parametrize("prove", [prove_training, prove_evaluation])
def test_too_many_ranks_are_found(write_files, prove):
    with case_of(write_files((10, 9)), ranks=[1, 40]) as case:
        (*_, failure) = prove(case, ignore).failures
    assert "40 ranks" in failure
    assert "Use fewer ranks" in failure


def test_wrong_evaluation_is_found(write_files):
    kind = type("Moved", (WrongCase,), {"move": staticmethod(lambda rank, positions: positions[rank:])})
    with case_of(write_files(), kind=kind, ranks=[1, 2]) as case:
        outcome = prove_evaluation(case, ignore)
    assert outcome.scope == "val, test, predict"
    assert [failure.partition(" missing")[0] for failure in outcome.failures] == [
        f"{stage}, 2 ranks: 1 samples" for stage in ("val", "test", "predict")
    ]
