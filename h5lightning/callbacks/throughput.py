"""The speed of training, and the time that it waited for data."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from h5lightning.loading.batch_finisher import SAMPLE_ID

__all__ = ["ThroughputMeter", "samples_of"]


class ThroughputMeter(Callback):
    """Measures training epochs from their start to their last step, without validation.

    The time between the end of a step and the start of the next counts as waiting. An accelerator queues steps, so that
    their time appears in the call that waits for them; the rate is right all the same.

    Attributes:
        samples: number of samples in the training steps of this rank.
        waiting_s: seconds between training steps.
        stepping_s: seconds in training steps.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.waiting_s = 0.0
        self.stepping_s = 0.0
        self._mark_s = 0.0

    @property
    def samples_per_second(self) -> float:
        """Samples of this rank per second."""
        return self.samples / max(self.waiting_s + self.stepping_s, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Fraction of the time, in [0, 1], in which training waited for data."""
        return self.waiting_s / max(self.waiting_s + self.stepping_s, 1e-9)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: training waits for the first batch."""
        self._lap()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time until now as waiting."""
        self.waiting_s += self._lap()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the time until now as a step."""
        self.stepping_s += self._lap()
        self.samples += samples_of(batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out the time of validation."""
        self._lap()

    def _lap(self) -> float:
        before, self._mark_s = self._mark_s, time.perf_counter()
        return self._mark_s - before


def samples_of(batch: Any) -> int:
    """Number of samples in a batch: of their ids, if it holds them, else the length of its first tensor; 0 without one.

    Samples of different shapes come as a list, or one after the other in one tensor, whose lengths say nothing.
    """
    first = batch
    while isinstance(first, Mapping | Sequence) and len(first):
        if isinstance(first, Mapping):
            first = first[SAMPLE_ID] if SAMPLE_ID in first else next(iter(first.values()))
        else:
            first = first[0]
    return len(first) if getattr(first, "ndim", 0) else 0
