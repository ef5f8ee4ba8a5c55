"""How often samples were asked for: over workers of all kinds, and in copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from h5lightning.loading.requested_samples import RequestedSamples

pytestmark = pytest.mark.timeout(90)


class Counting(Dataset):
    def __init__(self) -> None:
        self.asked = RequestedSamples()

    def __len__(self) -> int:
        return 12

    def __getitem__(self, position: int) -> int:
        return self.asked.add(1, len(self))


def epochs(dataset: Counting, **options) -> list[int]:
    return torch.cat(list(DataLoader(dataset, 3, **options))).tolist()


def test_an_epoch_is_as_many_samples_as_there_are() -> None:
    asked = RequestedSamples()
    assert [asked.add(5, 10) for _ in range(5)] == [0, 0, 1, 1, 2]
    assert asked.epoch(10) == 2


@pytest.mark.parametrize(
    ("workers", "context", "persists"),
    [
        (0, None, False),
        (2, "fork", False),
        (2, "fork", True),
        # Workers that import everything again take seconds.
        pytest.param(2, "spawn", False, marks=pytest.mark.campaign),
        pytest.param(1, "spawn", True, marks=pytest.mark.slow),
    ],
    ids=["here", "fork", "fork-persistent", "spawn", "spawn-persistent"],
)
def test_each_pass_is_an_epoch_for_all_workers(workers, context, persists) -> None:
    dataset = Counting()
    options = {"num_workers": workers, "persistent_workers": persists and workers > 0}
    loader = DataLoader(dataset, 3, multiprocessing_context=context, **options)
    for epoch in range(3):
        assert torch.cat(list(loader)).tolist() == [epoch] * 12
    dataset.asked.set_epoch(7)
    assert torch.cat(list(loader)).tolist() == [7] * 12


def test_a_copy_counts_for_itself() -> None:
    dataset = Counting()
    assert epochs(dataset) == [0] * 12
    for other in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert epochs(other, num_workers=2) == [1] * 12
        assert epochs(other, num_workers=2) == [2] * 12
    assert epochs(dataset) == [1] * 12
