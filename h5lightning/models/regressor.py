"""A regressor from vectors, images and series to targets of any shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError
from torchmetrics.regression import R2Score

from h5lightning.errors import UnsupportedFieldError
from h5lightning.models.networks import Standardise, build_network
from h5lightning.models.supervised import Batch, SupervisedModel
from h5lightning.planning.fields import FieldSpec

__all__ = ["Regressor"]


class Regressor(SupervisedModel):
    """Predicts an array of numbers from vectors, images or series.

    The loss is the squared error of the standardised target, so that the unit of the target does not matter. Metrics:
    ``train_loss``, ``val_loss``, ``test_mse`` (in units of the target), and ``test_r2`` (mean over the elements of the
    target; NaN for a single sample).

    Args:
        x: key of the input.
        y: key of the target.
        width: size of the network.
        lr: highest learning rate.
        spec: shapes of the fields; None for those of the Trainer's DataModule.
    """

    def build(self, x: FieldSpec, y: FieldSpec) -> None:
        """Make the network and the metrics.

        Raises:
            UnsupportedFieldError: the target is complex or has no elements.
        """
        if "complex" in y.dtype or 0 in y.shape:
            raise UnsupportedFieldError(
                f"field {self.y_key!r} has shape {y.shape} and dtype {y.dtype}, expected real numbers"
            )
        self.target_shape = y.fixed_shape
        self.network = build_network(self.x_key, x, math.prod(self.target_shape), self.width)
        self.target_scale = Standardise((math.prod(self.target_shape),))
        self.val_loss = MeanMetric()
        self.test_mse = MeanSquaredError()
        self.test_r2 = _R2()

    def forward(self, x: Tensor) -> Tensor:
        """Predictions in the target's units, ``(N, *target)``, of inputs ``(N, *shape)``."""
        return self.target_scale.inverse(self.network(x)).reshape(len(x), *self.target_shape)

    def training_step(self, batch: Batch) -> Tensor:
        """Squared error of the standardised target of a batch."""
        prediction, target = self._standardised(batch)
        loss = nn.functional.mse_loss(prediction, target)
        self.log("train_loss", loss, batch_size=len(target), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Count a batch in ``val_loss``."""
        prediction, target = self._standardised(batch)
        self.val_loss.update((prediction - target).square())
        self.log("val_loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)

    def test_step(self, batch: Batch) -> None:
        """Count a batch in ``test_mse`` and ``test_r2``."""
        prediction, target = self._standardised(batch)
        inverse = self.target_scale.inverse
        self.test_mse.update(inverse(prediction), inverse(target))
        # The score does not depend on the unit; with standardised targets, its sums of squares are more accurate.
        self.test_r2.update(prediction, target)
        self.log("test_mse", self.test_mse, on_step=False, on_epoch=True)
        self.log("test_r2", self.test_r2, on_step=False, on_epoch=True)

    def _standardised(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Prediction and target, both ``(N, elements)``."""
        target = self.field(batch, self.y_key)
        elements = target.reshape(len(target), -1)
        return self.network(self.field(batch, self.x_key)), self.target_scale(elements)


class _R2(R2Score):
    def compute(self) -> Tensor:
        """The score, or NaN where a single sample leaves it undefined."""
        return super().compute() if self.total > 1 else torch.tensor(torch.nan, device=self.total.device)
