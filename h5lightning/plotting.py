"""Pictures of what a model predicts."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

__all__ = ["FramePicture", "draw_frames"]

FloatArray = npt.NDArray[np.floating[Any]]

_log = logging.getLogger(__name__)


class FramePicture(Callback):
    """Draws some test samples of a model that predicts frames, beside what is true.

    The samples are spread over the test split, one from a batch. With several ranks, those of rank 0.

    Args:
        path: the picture, in a format that its suffix names.
        samples: how many are drawn.
        channel: of the frames; -1 for the last one.
    """

    def __init__(self, path: str, samples: int = 4, channel: int = -1) -> None:
        self.path = path
        self.samples = samples
        self.channel = channel
        self._rows: list[dict[str, FloatArray]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the samples of an earlier test."""
        self._rows = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first sample of every so many batches."""
        total = int(trainer.num_test_batches[dataloader_idx])
        if trainer.is_global_zero and batch_idx in np.linspace(0, total - 1, self.samples).astype(int):
            self._rows.append(self._frames(pl_module, batch))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was kept."""
        if not self._rows:
            return
        if importlib.util.find_spec("matplotlib") is None:
            _log.warning("no picture is drawn: matplotlib is missing. pip install 'h5lightning[plot]'")
            return
        draw_frames({name: np.stack([row[name] for row in self._rows]) for name in self._rows[0]}, self.path)

    def _frames(self, model: Any, batch: Mapping[str, Tensor]) -> dict[str, FloatArray]:
        """Title of a column → a frame ``(H, W)`` of the batch's first sample."""
        first = {key: value[:1] for key, value in batch.items()}
        with torch.no_grad():
            predicted = model.predict_step(first)
        last, following = first[model.x_key][0, -1], first[model.y_key][0, -1]
        frames = {"last frame given": last, "what follows": following, "prediction": predicted[0, -1]}
        return {title: self._plane(frame) for title, frame in frames.items()}

    def _plane(self, frame: Tensor) -> FloatArray:
        plane: FloatArray = (frame[self.channel] if frame.ndim == 3 else frame).float().cpu().numpy()
        return plane


def draw_frames(columns: Mapping[str, FloatArray], path: str) -> None:
    """Draw samples in rows; a row shares one scale of colours.

    Args:
        columns: title → frames ``(N, H, W)``.
        path: the picture; its directory is made.
    """
    # The figure without pyplot: no window system is asked for, no global state is left.
    from matplotlib.figure import Figure

    rows = len(next(iter(columns.values())))
    figure = Figure(figsize=(2.2 * len(columns), 2.2 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for row in range(rows):
        frames = [frames[row] for frames in columns.values()]
        scale = {"vmin": min(frame.min() for frame in frames), "vmax": max(frame.max() for frame in frames)}
        for axis, frame in zip(axes[row], frames, strict=True):
            axis.imshow(frame, **scale, cmap="viridis", interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
