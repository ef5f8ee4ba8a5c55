"""A classifier for vectors, images and series."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from h5lightning.core.formatting import listed
from h5lightning.errors import FieldError, NotSetUpError, OptionError
from h5lightning.models.networks import build_network
from h5lightning.models.supervised import Batch, Specs, SupervisedModel
from h5lightning.planning.fields import FieldSpec

__all__ = ["Classifier"]

_SCAN_SAMPLES = 65536  # labels to read at a time when the classes are counted
_SHOWN_LABELS = 8


class Classifier(SupervisedModel):
    """Predicts a class label from vectors, images or series.

    Labels are the numbers 0, 1, …, one per sample, of any integer, boolean or floating type. Metrics:
    ``train_loss``, ``val_loss``, ``val_acc``, ``test_loss``, ``test_acc``.

    Args:
        x: key of the input.
        y: key of the label.
        num_classes: number of classes; None to use the field's categories, or without categories, to read the labels
            of all splits once.
        width: size of the network.
        lr: highest learning rate.
        spec: shapes of the fields; None for those of the Trainer's DataModule.
    """

    def __init__(
        self,
        x: str = "x",
        y: str = "y",
        num_classes: int | None = None,
        *,
        width: int = 32,
        lr: float = 1e-3,
        spec: Specs | None = None,
    ) -> None:
        super().__init__(x=x, y=y, width=width, lr=lr, spec=spec)
        self.num_classes = num_classes or 0  # 0 until the network is built
        self.save_hyperparameters({"num_classes": num_classes})

    def build(self, x: FieldSpec, y: FieldSpec) -> None:
        """Make the network and the metrics.

        Raises:
            FieldError: ``y`` does not hold one label per sample.
            OptionError: there are fewer than two classes.
        """
        if y.shape not in ((), (1,)):
            raise FieldError(
                f"field {self.y_key!r} has shape {y.shape} in each sample, expected one label: () or "
                "(1,). From a window, take one row with Field(steps=(i, i + 1)); for real numbers use Regressor"
            )
        classes = self.num_classes or (len(y.classes) if y.classes else self._count_classes())
        if classes < 2:
            raise OptionError(f"a classifier needs at least two classes, found {classes}")
        self.num_classes = self.hparams["num_classes"] = classes
        self.network = build_network(self.x_key, x, classes, self.width)
        # These metrics sum over samples, so that a shorter last batch and unequal ranks count correctly.
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.val_acc = MulticlassAccuracy(classes, average="micro")
        self.test_acc = MulticlassAccuracy(classes, average="micro")

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, classes)`` of inputs ``(N, *shape)``."""
        scores: Tensor = self.network(x)
        return scores

    def training_step(self, batch: Batch) -> Tensor:
        """Cross-entropy of a batch."""
        labels = self.labels(batch)
        loss = nn.functional.cross_entropy(self(self.field(batch, self.x_key)), labels)
        self.log("train_loss", loss, batch_size=len(labels), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Count a batch in ``val_loss`` and ``val_acc``."""
        self._count(batch, self.val_loss, self.val_acc)
        self.log("val_loss", self.val_loss, on_step=False, on_epoch=True)
        self.log("val_acc", self.val_acc, on_step=False, on_epoch=True, prog_bar=True)

    def test_step(self, batch: Batch) -> None:
        """Count a batch in ``test_loss`` and ``test_acc``."""
        self._count(batch, self.test_loss, self.test_acc)
        self.log("test_loss", self.test_loss, on_step=False, on_epoch=True)
        self.log("test_acc", self.test_acc, on_step=False, on_epoch=True)

    def predict_step(self, batch: Batch) -> Tensor:
        """Probability of each class, ``(N, classes)``."""
        return self.forward(self.field(batch, self.x_key)).softmax(dim=1)

    def labels(self, batch: Batch) -> Tensor:
        """Labels of a batch, ``(N,)`` int64.

        Raises:
            FieldError: a label is not a number from 0 to ``num_classes`` - 1.
        """
        labels = _whole(self.field(batch, self.y_key).flatten(), self.y_key)
        is_wrong = (labels < 0) | (labels >= self.num_classes)
        if is_wrong.any():
            raise FieldError(
                f"field {self.y_key!r} holds the labels {_distinct(labels[is_wrong])}, expected 0 to "
                f"{self.num_classes - 1} (num_classes={self.num_classes}). Number the classes from 0, or correct "
                "num_classes"
            )
        return labels

    def _count(self, batch: Batch, loss: MeanMetric, accuracy: MulticlassAccuracy) -> None:
        labels = self.labels(batch)
        scores = self.forward(self.field(batch, self.x_key))
        loss.update(nn.functional.cross_entropy(scores, labels, reduction="none"))
        accuracy.update(scores, labels)

    def _count_classes(self) -> int:
        datamodule = getattr(self._trainer, "datamodule", None)
        if datamodule is None:
            raise NotSetUpError(
                "num_classes is not given, and there is no DataModule whose labels could be counted: give num_classes="
            )
        splits = [getattr(datamodule, f"{split}_dataset", None) for split in ("train", "val", "test")]
        datasets = [dataset for dataset in splits if dataset is not None and len(dataset)]
        return 1 + max(_largest_label(dataset, self.y_key) for dataset in datasets)


def _largest_label(dataset: Any, key: str) -> int:
    """The largest stored label; reads a bounded number of labels at a time."""
    if key not in dataset.field_spec:
        raise OptionError(
            f"the labels {key!r} are made by a transform and are no field of the files, so that they cannot be counted "
            "before training: give num_classes="
        )
    largest = 0
    for start in range(0, len(dataset), _SCAN_SAMPLES):
        positions = np.arange(start, min(start + _SCAN_SAMPLES, len(dataset)))
        labels = _whole(dataset.read_batch(positions, keys=(key,))[key].flatten(), key)
        if (labels < 0).any():
            raise FieldError(
                f"field {key!r} holds the labels {_distinct(labels)}, expected 0, 1, …. Number the classes from 0; "
                "if a transform does so, give num_classes="
            )
        largest = max(largest, int(labels.max()))
    return largest


def _whole(labels: Tensor, key: str) -> Tensor:
    """Labels of any type as int64."""
    whole = labels.long()
    is_wrong = whole.to(labels.dtype) != labels
    if is_wrong.any():
        raise FieldError(
            f"field {key!r} holds {_distinct(labels[is_wrong])}, expected whole numbers as class labels. For real "
            "numbers use Regressor (model=regressor)"
        )
    return whole


def _distinct(values: Tensor) -> str:
    """The first distinct values, in order."""
    return listed([f"{value:g}" for value in sorted(set(values.tolist()))], _SHOWN_LABELS)
