"""From a worker process to the training loop: equal tensors, each with memory of its own."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from h5lightning.loading.batch_buffers import LEAST_SHARED_BYTES
from h5lightning.loading.collate import for_crossing

LARGE = torch.arange(LEAST_SHARED_BYTES // 8)
TENSORS = {
    "float": torch.rand(3, 2),
    "bfloat16": torch.rand(5).to(torch.bfloat16),
    "uint16": torch.arange(4).to(torch.uint16),
    "bool": torch.tensor([True, False]),
    "complex, conjugated": torch.rand(3, dtype=torch.complex64).conj(),
    "scalar": torch.tensor(7),
    "nothing": torch.zeros(0, 3),
    "a view": torch.arange(100)[10:20],
    "not contiguous": torch.arange(6).reshape(2, 3).T,
}


def crossed(batch):
    return pickle.loads(ForkingPickler.dumps(for_crossing(batch)))


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_small_tensors_are_copied(tensor) -> None:
    found = crossed({"x": tensor})["x"]
    assert found.dtype == tensor.dtype
    assert torch.equal(found, tensor)
    assert not found.is_shared()
    assert found.untyped_storage().nbytes() == tensor.nbytes


def test_what_came_over_may_be_written_to() -> None:
    found = crossed({"x": torch.zeros(3)})["x"]
    found += 1
    assert found.tolist() == [1, 1, 1]


def test_only_small_plain_tensors_are_copied() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    batch = {"x": LARGE, "parameter": parameter, "sparse": torch.zeros(2).to_sparse(), "text": "a", "n": 3}
    assert all(for_crossing(batch)[key] is value for key, value in batch.items())


@pytest.mark.parametrize("batch", [(torch.ones(2), 5), {"x": 1}, [torch.ones(1)], "text"], ids=str)
def test_the_kind_of_batch_is_kept(batch) -> None:
    assert str(crossed(batch)) == str(batch)
