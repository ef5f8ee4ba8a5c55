"""What users do with their own files: load them, train, and see that nothing leaks and that all values are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningModule, Trainer

from h5lightning import H5DataModule

__all__ = ["Place", "Sample", "check_user", "delivered", "train"]

Array = npt.NDArray[Any]
Place = tuple[str, str, int]  # name of the file, name of the series, row
Sample = Mapping[str, Array]
STAGES = ("train", "val", "test")


class _Tiny(LightningModule):
    """A model of one weight, which every floating field goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.steps = 0

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        self.steps += 1
        values = [value for value in batch.values() if value.is_floating_point()]
        return sum(((self.weight * value.float()).mean() - 1) ** 2 for value in values)  # type: ignore[return-value]

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        assert batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(dm: H5DataModule, steps: int = 2) -> None:
    """Train so many steps with a Trainer."""
    model = _Tiny()
    trainer = Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=dm)
    assert model.steps == steps


def delivered(dm: H5DataModule) -> dict[str, dict[Place, Sample]]:
    """Split → the samples that its loader delivers, each once, by where they lie."""
    found: dict[str, dict[Place, Sample]] = {}
    for stage in STAGES:
        samples: dict[Place, Sample] = {}
        for batch in getattr(dm, f"{stage}_dataloader")():
            ids = batch.pop("sample_id")
            for number, (file, series, row) in enumerate(dm.locate(ids)):
                place = (os.path.basename(file), series, row)
                assert place not in samples
                samples[place] = {key: value[number].numpy() for key, value in batch.items()}
        found[stage] = samples
    return found


def check_user(
    dm: H5DataModule,
    expected: Mapping[Place, Sample] | Callable[[Place], Sample],
    *,
    apart: Callable[[Place], Any] = lambda place: place[:2],
    count: int | None = None,
) -> dict[str, dict[Place, Sample]]:
    """Train two steps, read all splits, and compare each sample; no series is in two splits.

    Args:
        dm: with ``provenance=True``.
        expected: each sample as h5py reads it; or a function that reads one.
        apart: what must not be in two splits.
        count: samples of all splits, where ``expected`` is a function.

    Returns:
        The samples of each split.
    """
    train(dm)
    dm.prepare_data()
    dm.setup()
    found = delivered(dm)
    dm.teardown()
    owners: dict[Any, set[str]] = {}
    for stage, samples in found.items():
        for place, sample in samples.items():
            owners.setdefault(apart(place), set()).add(stage)
            _same(place, sample, expected(place) if callable(expected) else expected[place])
    assert all(len(stages) == 1 for stages in owners.values()), owners
    every = sum(len(samples) for samples in found.values())
    assert every == (count if callable(expected) else len(expected))
    assert len(found["train"]) > 0
    return found


def _same(place: Place, found: Sample, expected: Sample) -> None:
    assert set(found) == set(expected), place
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, (place, key)
        np.testing.assert_array_equal(found[key], value, err_msg=f"{place} {key}")
