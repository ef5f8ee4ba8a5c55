"""DataModules over files with `x` and `y`, and Trainers that print nothing."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from recording import Recorder

from h5lightning import H5DataModule

# These runs have no validation data, and no folder for checkpoints.
IDLE_WARNINGS = (
    "ignore:Total length of `list` across ranks is zero",
    "ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    "ignore:Checkpoint directory .* exists and is not empty",
)


def quiet_trainer(**options: Any) -> Trainer:
    """A Trainer that prints, logs and saves nothing."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", enable_model_summary=False, **{**quiet, **options})


def training(files: str, **options: Any) -> H5DataModule:
    """A DataModule whose samples are for training, but for the fraction ``val``."""
    split = {"val": options.pop("val", 0), "test": 0, "by": "sample"}
    return H5DataModule(files, ["x", "y"], provenance=True, split=split, **{"batch_size": 8, **options})


def set_up(files: str, **options: Any) -> H5DataModule:
    """The same, set up for a loop without a Trainer."""
    dm = training(files, **options)
    dm.prepare_data()
    dm.setup()
    return dm


def ids_of(batches: Any) -> list[int]:
    """The ids of the samples of some batches."""
    return [number for batch in batches for number in batch["sample_id"].tolist()]


def trained(model: Recorder) -> list[int]:
    """The ids of the samples that a model was trained with, epoch after epoch."""
    return [number for epoch in model.seen["train"] for number in epoch]
