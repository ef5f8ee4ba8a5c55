"""A callback that keeps the best checkpoint of a run."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

__all__ = ["BestCheckpoint"]


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint by a validation metric; without a validation split, the latest one.

    Takes the arguments of `lightning.pytorch.callbacks.ModelCheckpoint`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Monitor no metric if there are no validation data."""
        datamodule = getattr(trainer, "datamodule", None)  # set up by now
        if stage == "fit" and getattr(datamodule, "val_dataset", True) is None:
            self.monitor = None
        super().setup(trainer, pl_module, stage)
