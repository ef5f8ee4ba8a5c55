"""One rank's part of one epoch: the same samples in each form."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from h5lightning.planning.sampling import FullOrder, PathOrder
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.rank_epoch import EpochPosition, RankEpoch
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards

TRAINING = TrainingShards(50_003, 7, 3)
EPOCHS = {
    "training": RankEpoch(2, FullOrder(50_003, 1), TRAINING, 1),
    "last rank": RankEpoch(2, FullOrder(50_003, 1), TRAINING, 2),
    "uneven": RankEpoch(0, PathOrder(17), EvaluationShards(17, 2, 8)),
    "repeated": RankEpoch(0, PathOrder(17), EvaluationShards(17, 2, 8, "repeat")),
    "empty": RankEpoch(0, PathOrder(0), EvaluationShards(0, 2, 8)),
}


@pytest.mark.parametrize("epoch", EPOCHS.values(), ids=EPOCHS)
def test_all_forms_hold_the_same_samples(epoch) -> None:
    samples = np.concatenate([np.zeros(0, np.int64), *epoch.position_arrays()]).tolist()
    requests = list(epoch.requests())
    assert len(samples) == len(epoch)
    assert len(requests) == epoch.steps
    assert [one for request in requests for one in request.positions.tolist()] == samples
    assert [int(one) for one in epoch.positions()] == samples
    parts = [*epoch.full_batches(), *epoch.tail()]
    assert [one for part in parts for one in part.tolist()] == samples
    assert all(len(part) % epoch.shards.batch_size == 0 for part in epoch.full_batches())
    assert {request.epoch for request in requests} <= {epoch.epoch}


def test_repeated_samples_are_marked_in_all_forms() -> None:
    epoch = EPOCHS["repeated"]
    marks = [one for request in epoch.requests() for one in request.is_repeat.tolist()]
    assert marks == [one.is_repeat for one in epoch.positions()] == [False] * 8 + [True]
    assert [len(request) for request in epoch.requests()] == [8, 1]
    assert all(request.is_repeat is None for request in EPOCHS["uneven"].requests())


def test_a_resumed_epoch_is_the_tail_of_the_whole() -> None:
    whole, remaining = (
        EPOCHS["training"],
        TrainingProgress().after(2, 1000, TRAINING).remaining_epoch(TRAINING),
    )
    resumed = RankEpoch.of(2, whole.order, TRAINING, 1, remaining)
    assert (resumed.steps_done, resumed.steps) == (1000, whole.steps - 1000)
    tails = zip(list(whole.requests())[1000:], resumed.requests(), strict=True)
    assert all(one.positions.tolist() == other.positions.tolist() for one, other in tails)
    assert RankEpoch.of(3, whole.order, TRAINING, 1, remaining).steps == whole.steps


def test_a_number_keeps_its_epoch_on_its_way() -> None:
    number = pickle.loads(pickle.dumps(EpochPosition.of(7, 3, is_repeat=True)))
    assert (number, number.epoch, number.is_repeat) == (7, 3, True)
    assert isinstance(number, int)
