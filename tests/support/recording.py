"""A model that writes down which samples it was given, and checks their values against h5py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from lightning.pytorch import LightningModule

from h5lightning import H5DataModule


class Recorder(LightningModule):
    """Learns next to nothing; keeps the ids of each stage and epoch.

    Args:
        folder: where each rank writes ``STAGE-EPOCH-RANK.json`` when an epoch of a stage ends.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.folder = folder
        self.seen: dict[str, list[list[int]]] = {}
        self.batches: list[int] = []

    def _record(self, stage: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        check_values(self.trainer.datamodule, batch)
        self.batches.extend(batch["sample_id"].tolist())
        return self.weight * batch["x"].float().mean()

    def _end(self, stage: str) -> None:
        self.seen.setdefault(stage, []).append(self.batches)
        if self.folder is not None:
            name = f"{stage}-{len(self.seen[stage]) - 1}-{self.global_rank}.json"
            Path(self.folder, name).write_text(json.dumps(self.batches))
        self.batches = []

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        return self._record("train", batch)

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        self._record("val", batch)

    def test_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        self._record("test", batch)

    def predict_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        self._record("predict", batch)
        return batch["sample_id"]

    def on_train_epoch_end(self) -> None:
        self._end("train")

    def on_validation_epoch_end(self) -> None:
        self._set_aside("val")

    def on_test_epoch_end(self) -> None:
        self._end("test")

    def on_predict_epoch_end(self) -> None:
        self._end("predict")

    def _set_aside(self, stage: str) -> None:
        """Validation ends inside of a training epoch: only its own ids are taken."""
        size = len(self.trainer.val_dataloaders.sampler)
        training, self.batches = self.batches[:-size], self.batches[-size:]
        self._end(stage)
        self.batches = training

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def check_values(dm: H5DataModule, batch: dict[str, Any]) -> None:
    """Every value of a batch is the one that h5py reads at the place that `locate` tells."""
    for number, (path, _, row) in enumerate(dm.locate(batch["sample_id"])):
        with h5py.File(path, "r") as file:
            length = 1 if batch["x"].ndim == 3 else batch["x"].shape[1]
            step = dm.hparams.samples.get("dilation", 1)
            rows = row + np.arange(length) * step
            expected = file["x"][rows[0] : rows[-1] + 1][::step].reshape(batch["x"][number].shape)
            np.testing.assert_array_equal(batch["x"][number].numpy(), expected)
            if "y" in batch:
                labels = file["y"][rows[0] : rows[-1] + 1][::step].reshape(batch["y"][number].shape)
                np.testing.assert_array_equal(batch["y"][number].numpy(), labels)
