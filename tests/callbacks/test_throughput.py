"""Speed and waiting, measured on a loader and a model whose times are known, by a clock that only they move."""

import pytest
import torch
from clocks import Clock
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset

from h5lightning.callbacks.throughput import ThroughputMeter, samples_of

CLOCK = Clock()


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    CLOCK.now_s = 0.0
    monkeypatch.setattr("h5lightning.callbacks.throughput.time", CLOCK)


class Slow(Dataset):
    """Samples that take their time."""

    def __init__(self, seconds, make):
        self.seconds, self.make = seconds, make

    def __len__(self):
        return 12

    def __getitem__(self, position):
        CLOCK.sleep(self.seconds)
        return self.make(torch.ones(3))


class Sleeper(LightningModule):
    """Steps that take their time, in validation too."""

    def __init__(self, step_s=0.0, validation_s=0.0):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.step_s, self.validation_s = step_s, validation_s

    def training_step(self, batch):
        CLOCK.sleep(self.step_s)
        first = batch
        while not isinstance(first, torch.Tensor):
            first = first["x"] if isinstance(first, dict) else first[0]
        return self.layer(first).mean()

    def validation_step(self, batch):
        CLOCK.sleep(self.validation_s)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def measured(dataset, model, tmp_path, **options):
    meter = ThroughputMeter()
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, callbacks=[meter], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        **options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(dataset, 4), DataLoader(dataset, 4))
    return meter


@pytest.mark.parametrize(
    "make",
    [lambda x: x, lambda x: {"x": x}, lambda x: (x, x), lambda x: {"x": (x,)}],
    ids=["tensor", "dict", "tuple", "nested"],
)
def test_every_sample_of_every_epoch_counts(make, tmp_path):
    assert measured(Slow(0, make), Sleeper(), tmp_path).samples == 24


def test_waiting_for_slow_data_is_seen(tmp_path):
    meter = measured(Slow(0.01, lambda x: x), Sleeper(), tmp_path)
    assert meter.waiting_share == 1
    assert meter.waiting_s == pytest.approx(24 * 0.01)
    assert meter.samples_per_second == pytest.approx(100)


def test_slow_steps_are_not_waiting(tmp_path):
    meter = measured(Slow(0.01, lambda x: x), Sleeper(step_s=0.05), tmp_path)
    assert meter.stepping_s == pytest.approx(6 * 0.05)
    assert meter.waiting_share == pytest.approx(24 * 0.01 / (24 * 0.01 + 6 * 0.05))


@pytest.mark.parametrize("interval", [1.0, 1], ids=["after-the-epoch", "after-each-step"])
def test_validation_does_not_count(interval, tmp_path):
    meter = measured(Slow(0, lambda x: x), Sleeper(validation_s=0.1), tmp_path, val_check_interval=interval)
    assert CLOCK.now_s >= 3 * 0.1
    assert meter.waiting_s + meter.stepping_s == 0


def test_nothing_trained_is_no_speed():
    meter = ThroughputMeter()
    assert (meter.samples_per_second, meter.waiting_share) == (0, 0)


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        ({"x": torch.zeros(7, 3), "sample_id": torch.arange(2)}, 2),  # samples one after the other
        ({"x": [torch.zeros(5, 3), torch.zeros(2, 3)] * 2, "sample_id": torch.arange(4)}, 4),
        ({"x": torch.zeros(4, 3)}, 4),
        ([torch.zeros(4, 3), torch.zeros(4)], 4),
        ({}, 0),
    ],
)
def test_samples_of_a_batch_are_counted_whatever_their_lengths(batch, samples):
    assert samples_of(batch) == samples
