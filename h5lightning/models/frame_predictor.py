"""The demo's model: it predicts the next frames of a periodic simulation from the previous frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError

from h5lightning.errors import SchemaError, UnsupportedFieldError
from h5lightning.models.networks import Standardise
from h5lightning.models.supervised import Batch, Specs, SupervisedModel
from h5lightning.planning.fields import FieldSpec

__all__ = ["FramePredictor"]


class FramePredictor(SupervisedModel):
    """Predicts the change from the last frame of ``x`` to each frame of ``y``.

    Both fields are steps of one window, ``(T, C, H, W)``, ``(T, H, W)`` or with more channel axes. The network is
    convolutional with periodic borders. It adds its output to the last frame, so that its baseline is "nothing
    changes". Metrics: ``train_loss``, ``val_loss`` (of the standardised change), ``test_mse``, and
    ``test_mse_persistence``, the error of the baseline.

    Args:
        x: key of the input frames.
        y: key of the following frames.
        width: channels of the hidden layers.
        lr: highest learning rate.
        spec: shapes of the fields; None for those of the Trainer's DataModule.
    """

    def __init__(
        self, x: str = "x", y: str = "y", *, width: int = 32, lr: float = 3e-3, spec: Specs | None = None
    ) -> None:
        super().__init__(x=x, y=y, width=width, lr=lr, spec=spec)

    def build(self, x: FieldSpec, y: FieldSpec) -> None:
        """Make the network and the metrics.

        Raises:
            SchemaError: the frames of ``x`` and ``y`` differ in shape.
            UnsupportedFieldError: the frames are complex.
        """
        self._check_frames(x, y)
        shape, target = x.fixed_shape, y.fixed_shape
        per_channel = (*shape[1:-2], 1, 1)
        self.input_scale = Standardise(per_channel)
        self.change_scale = Standardise(per_channel)
        inputs, outputs = math.prod(shape[:-2]), math.prod(target[:-2])
        fold = 1 if shape[-2] % 2 or shape[-1] % 2 else 2
        self.network = _convolutions(inputs, outputs, self.width, fold)
        self.val_loss = MeanMetric()
        self.test_mse = MeanSquaredError()
        self.test_mse_persistence = MeanSquaredError()

    def forward(self, x: Tensor) -> Tensor:
        """The following frames, ``(N, T_y, *frame)``, of frames ``(N, T_x, *frame)``."""
        following: Tensor = x[:, -1:] + self.change_scale.inverse(self._change(x))
        return following

    def training_step(self, batch: Batch) -> Tensor:
        """Squared error of the standardised change."""
        loss = self._squared_error(batch).mean()
        self.log("train_loss", loss, batch_size=len(batch[self.x_key]), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Count a batch in ``val_loss``."""
        self.val_loss.update(self._squared_error(batch))
        self.log("val_loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)

    def test_step(self, batch: Batch) -> None:
        """Count a batch in ``test_mse`` and ``test_mse_persistence``."""
        x, y = self.field(batch, self.x_key), self.field(batch, self.y_key)
        self.test_mse.update(self(x), y)
        self.test_mse_persistence.update(x[:, -1:].expand_as(y).contiguous(), y)
        self.log("test_mse", self.test_mse, on_step=False, on_epoch=True)
        self.log("test_mse_persistence", self.test_mse_persistence, on_step=False, on_epoch=True)

    def _squared_error(self, batch: Batch) -> Tensor:
        x, y = self.field(batch, self.x_key), self.field(batch, self.y_key)
        change: Tensor = self.change_scale(y - x[:, -1:])
        return (self._change(x) - change).square()

    def _change(self, x: Tensor) -> Tensor:
        """Standardised change from the last frame to each that follows, ``(N, T_y, *frame)``."""
        channels: Tensor = self.network(self.input_scale(x).flatten(1, -3))
        return channels.reshape(len(x), -1, *x.shape[2:])

    def _check_frames(self, x: FieldSpec, y: FieldSpec) -> None:
        keys = f"x={self.x_key!r} and y={self.y_key!r}"
        if len(x.shape) < 3 or x.shape[1:] != y.shape[1:]:
            raise SchemaError(
                f"{keys} have shapes {x.shape} and {y.shape} in each sample, expected frames of one shape: "
                "(T, C, H, W) or (T, H, W). Take both from one window, with steps=(0, 1) and steps=(1, 2)"
            )
        if not all(spec.dtype.startswith("float") for spec in (x, y)):
            raise UnsupportedFieldError(
                f"{keys} have dtypes {x.dtype} and {y.dtype}, expected floating numbers: set "
                "Field(dtype='float32')"
            )


def _convolutions(inputs: int, outputs: int, width: int, fold: int) -> nn.Sequential:
    """Four periodic convolutions, with squares of ``fold`` by ``fold`` points as channels.

    Folding needs a quarter of the work for the same reach: on the demo, 3 s instead of 10 s per epoch, and a smaller
    error.
    """
    area = fold**2

    def periodic(channels: int, filters: int) -> nn.Conv2d:
        return nn.Conv2d(channels, filters, 3, padding=1, padding_mode="circular")

    last = periodic(width, outputs * area)
    torch.nn.init.zeros_(last.weight)  # training starts at "nothing changes"
    return nn.Sequential(
        nn.PixelUnshuffle(fold),
        periodic(inputs * area, width),
        nn.SiLU(),
        periodic(width, width),
        nn.SiLU(),
        periodic(width, width),
        nn.SiLU(),
        last,
        nn.PixelShuffle(fold),
    )
