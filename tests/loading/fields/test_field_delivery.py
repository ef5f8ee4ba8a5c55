"""Converted fields: the values of any length that torch and NumPy convert to, in recycled memory."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset
from h5lightning.loading.serial_copy import THREADED_NUMBERS, copy_serially

pytestmark = pytest.mark.timeout(120)
ROWS, WIDTH = 50, 1001
CONVERSIONS = [("f4", "bfloat16"), ("i8", "float32"), ("i8", "int32"), ("i2", "bfloat16"), ("f8", "int16")]


def values_of(stored):
    return np.random.default_rng(0).integers(-128, 128, (ROWS, WIDTH)).astype(stored)


@pytest.fixture
def write(tmp_path):
    def write(stored):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = values_of(stored)
        return str(tmp_path / "a.h5")

    return write


@pytest.mark.parametrize("count", [0, 1, THREADED_NUMBERS // 2, THREADED_NUMBERS, 5 * THREADED_NUMBERS + 3])
def test_copies_of_any_length(count) -> None:
    values = torch.randn(count)
    out = torch.empty(count, dtype=torch.bfloat16)
    copy_serially(out, values)
    assert torch.equal(out, values.to(torch.bfloat16))


@pytest.mark.parametrize(("stored", "delivered"), CONVERSIONS)
def test_a_long_batch_is_converted_as_torch_does(write, stored, delivered) -> None:
    dataset = H5Dataset(write(stored), {"x": Field("x", dtype=delivered)})
    order = np.random.default_rng(1).permutation(ROWS)
    expected = torch.from_numpy(values_of(stored)[order]).to(getattr(torch, delivered))
    for _ in range(3):
        batch = dataset.read_batch(order)
        assert torch.equal(batch["x"], expected)
        batch["x"].zero_()
    assert dataset.read_batch([])["x"].shape == (0, WIDTH)
    dataset.close()


@pytest.mark.parametrize(("stored", "delivered"), CONVERSIONS)
def test_converted_batches_lie_in_recycled_memory(write, stored, delivered) -> None:
    dataset = H5Dataset(write(stored), {"x": Field("x", dtype=delivered)})
    places = set()
    for _ in range(6):
        batch = dataset.read_batch(range(ROWS))
        places.add(batch["x"].data_ptr())
        del batch
    kept = dataset.read_batch(range(ROWS))["x"]
    again = dataset.read_batch(range(ROWS))["x"]
    assert kept.data_ptr() != again.data_ptr()
    assert len(places) <= 2
    dataset.close()


def test_worker_processes_send_converted_batches(write, ready) -> None:
    fields = {"x": Field("x", dtype="bfloat16")}
    dm = ready(
        H5DataModule(
            write("f4"),
            fields,
            batch_size=35,
            num_workers=1,
            provenance=True,
            split={"by": "block"},
        )
    )
    expected = torch.from_numpy(values_of("f4")).to(torch.bfloat16)
    batches = list(dm.train_dataloader())
    assert batches
    for batch in batches:
        assert torch.equal(batch["x"], expected[batch["sample_id"]])
