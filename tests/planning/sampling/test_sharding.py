"""Shards: what both divisions have in common."""

import pickle

import numpy as np
import pytest

from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_shards import TrainingShards

BOTH = pytest.mark.parametrize(
    "shards", [TrainingShards(99, 7, 3), EvaluationShards(99, 3)], ids=["train", "eval"]
)


@BOTH
def test_survives_a_pickle(shards):
    assert pickle.loads(pickle.dumps(shards)) == shards


@BOTH
def test_all_ranks_together_have_the_epoch(shards):
    positions = [shards.indices(rank, 0, shards.size) for rank in range(shards.world_size)]
    assert sorted(np.concatenate(positions).tolist()) == list(range(99))


def test_a_process_alone_has_all():
    assert Share() == (0, 1)
