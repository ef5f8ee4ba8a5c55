"""A picture of the predictions of the demo's model, drawn at the end of a test."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from h5lightning.core.visible import visible_logger
from h5lightning.plotting import plot_prediction

__all__ = ["FramePicture"]

FloatArray = npt.NDArray[np.floating[Any]]

_log = visible_logger(__name__)


class FramePicture(Callback):
    """Draws test samples of a model that predicts frames: input, truth, prediction, error.

    The samples are the first ones of batches that are spread over the test split of rank 0.

    Args:
        path: path of the picture; its suffix sets the format, and its directory is created.
        samples: number of samples.
        channel: channel of the frames; -1 for the last one.
        title: text above the picture.

    Attributes:
        drawn: input, truth and prediction of each sample, ``(3, H, W)``.
    """

    def __init__(self, path: str, samples: int = 3, channel: int = -1, title: str = "") -> None:
        self.path = Path(path)
        self.samples = samples
        self.channel = channel
        self.title = title
        self.drawn: list[FloatArray] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the samples of an earlier test."""
        self.drawn = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first sample of each chosen batch."""
        batches = int(trainer.num_test_batches[dataloader_idx])
        chosen = (np.arange(self.samples) + 0.5) * batches / self.samples
        if trainer.is_global_zero and batch_idx in chosen.astype(int):
            self.drawn.append(self._frames(pl_module, batch))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the samples that were kept."""
        if not self.drawn:
            return
        if importlib.util.find_spec("matplotlib") is None:
            _log.warning(
                "no picture is drawn, because matplotlib is not installed: pip install 'h5lightning[plot]'"
            )
            return
        x, y, prediction = np.stack(self.drawn, axis=1)
        labels = [f"test sample {number + 1}" for number in range(len(x))]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        plot_prediction(x, y, prediction, self.path, labels=labels, title=self.title)

    def _frames(self, model: Any, batch: Mapping[str, Tensor]) -> FloatArray:
        """Last frame of input, truth and prediction of the first sample of a batch, ``(3, H, W)``."""
        x, y = batch[model.x_key][:1], batch[model.y_key][:1]
        with torch.no_grad():
            prediction = model.predict_step({model.x_key: x})
        frames = torch.stack([x[0, -1], y[0, -1], prediction[0, -1]]).float().cpu().numpy()
        plane: FloatArray = frames[:, self.channel] if frames.ndim == 4 else frames
        return plane
