"""Passes over evaluation samples: all equal, and continued only with the same division."""

from __future__ import annotations

import json

import pytest
from passes import epoch_of, ids_of, noise, numbers_of

from h5lightning.errors import ResumeError
from h5lightning.loading.epochs.epoch_source import Division
from h5lightning.loading.epochs.evaluation_epochs import EvaluationEpochs
from h5lightning.planning.sampling import PathOrder
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Share

pytestmark = pytest.mark.timeout(120)


def test_evaluation_never_advances(make) -> None:
    dm = make(split={"val": 0.4, "test": 0, "by": "sample"}, transform=noise)
    loader = dm.val_dataloader()
    passes = [epoch_of(loader) for _ in range(3)]
    assert passes[0] == passes[1] == passes[2]
    assert numbers_of(passes[0]) == {0}
    list(dm.train_dataloader())
    assert epoch_of(dm.val_dataloader()) == passes[0]
    loader.sampler.set_epoch(4)
    assert numbers_of(epoch_of(loader)) == {4}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_goes_on(make, workers) -> None:
    options = {"split": {"val": 0.5, "test": 0, "by": "sample"}, "num_workers": workers}
    loader = make(**options).val_dataloader(rank=1, world_size=2)
    whole = ids_of(loader)
    batches = iter(loader)
    next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    del batches  # kept by the traceback of an error, torch would wait for its workers
    other = make(**options).val_dataloader(rank=1, world_size=2)
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [ids_of(other), ids_of(other)] == [whole[1:], whole]
    alone = make(**options).val_dataloader()
    alone.load_state_dict(state)
    with pytest.raises(ResumeError, match=r"rank is 0, was 1; world_size is 1, was 2"):
        next(iter(alone))


def test_the_share_is_found_when_an_epoch_begins() -> None:
    shares = [Share(0, 2)]
    division = Division(PathOrder(9), lambda world: EvaluationShards(9, world, 2), lambda _: shares[-1])
    epochs = EvaluationEpochs(division)
    assert len(epochs.peek()) == 4
    begun = epochs.begin()
    shares.append(Share(1, 3))
    assert len(epochs.begin()) == 3
    assert len(begun) == 4
