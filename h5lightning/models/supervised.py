"""The base of the models: it builds a network for the shapes of the data, and optimises it."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from h5lightning.errors import FieldError, NotSetUpError, UnsupportedFieldError
from h5lightning.planning.fields import FieldSpec

__all__ = ["Batch", "PlainSpec", "Specs", "SupervisedModel", "plain_spec"]

Batch: TypeAlias = dict[str, Tensor]
Specs: TypeAlias = Mapping[str, FieldSpec | Mapping[str, Any]]
PlainSpec: TypeAlias = dict[str, dict[str, Any]]

_WARM_UP_SHARE = 0.1
_LONGEST_WARM_UP_STEPS = 500


class SupervisedModel(LightningModule):
    """Predicts the field ``y`` of a batch from the field ``x``.

    `configure_model` makes the network when the shapes are known: from the argument ``spec``, or from the
    ``sample_spec`` of the Trainer's DataModule. The shapes become hyperparameters, so that a checkpoint can be loaded
    without any data.

    Args:
        x: key of the input.
        y: key of the target.
        width: size of the network.
        lr: highest learning rate.
        spec: shapes of the fields; None for those of the Trainer's DataModule.
    """

    def __init__(
        self, x: str = "x", y: str = "y", *, width: int = 32, lr: float = 1e-3, spec: Specs | None = None
    ) -> None:
        super().__init__()
        self.x_key, self.y_key, self.width, self.lr = x, y, width, lr
        self.spec = None if spec is None else plain_spec(spec)
        self._is_built = False
        self.save_hyperparameters({"x": x, "y": y, "width": width, "lr": lr, "spec": self.spec})

    @abstractmethod
    def build(self, x: FieldSpec, y: FieldSpec) -> None:
        """Make the network and the metrics."""

    def configure_model(self) -> None:
        """Build the network, once.

        Raises:
            NotSetUpError: there is neither a ``spec`` nor a DataModule with a ``sample_spec``.
            FieldError: ``x`` or ``y`` is not among the fields.
        """
        if self._is_built:
            return
        self.spec = self.spec or plain_spec(self._spec_of_datamodule())
        self.hparams["spec"] = self.spec
        self.build(_field_spec(self.spec, self.x_key), _field_spec(self.spec, self.y_key))
        self._is_built = True

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, with a learning rate that rises to ``lr`` and then falls to 0 along a cosine."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        factor = _warm_up_then_cosine(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def predict_step(self, batch: Batch) -> Tensor:
        """What ``forward`` predicts for the samples of a batch."""
        prediction: Tensor = self.forward(self.field(batch, self.x_key))
        return prediction

    def field(self, batch: object, key: str) -> Tensor:
        """One field of a batch, ``(N, ...)``.

        Raises:
            FieldError: the batch has no such field.
        """
        if not isinstance(batch, Mapping) or key not in batch:
            found = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
            raise FieldError(
                f"{type(self).__name__} reads the field {key!r} of a batch, found {found}. Name the fields "
                "with the model's x= and y=, and remove as_tuple"
            )
        values: Tensor = batch[key]
        return values

    def _spec_of_datamodule(self) -> Specs:
        datamodule = getattr(self.trainer, "datamodule", None) if self._trainer is not None else None
        spec: Specs | None = getattr(datamodule, "sample_spec", None)
        if spec is None:
            raise NotSetUpError(
                f"{type(self).__name__} builds its network from the shapes of the data. Train it with "
                "Trainer.fit(model, datamodule=...), or give it spec=datamodule.sample_spec"
            )
        return spec


def plain_spec(spec: Specs) -> PlainSpec:
    """Specs as mappings of plain types, which a checkpoint with ``weights_only`` may hold."""
    return {key: _plain(field) for key, field in spec.items()}


def _field_spec(spec: PlainSpec, key: str) -> FieldSpec:
    if key not in spec:
        raise FieldError(
            f"the model uses the field {key!r}, found {sorted(spec)}. Name the fields with the "
            "model's x= and y="
        )
    plain = spec[key]
    classes = None if plain["classes"] is None else tuple(plain["classes"])
    if None in plain["shape"]:
        raise UnsupportedFieldError(
            f"the samples of field {key!r} have different shapes, {tuple(plain['shape'])}, and this model takes "
            "one: make them equal in a transform with ragged='stack', or use a model of your own"
        )
    return FieldSpec(tuple(plain["shape"]), plain["dtype"], classes)


def _plain(field: FieldSpec | Mapping[str, Any]) -> dict[str, Any]:
    entries = dict(field) if isinstance(field, Mapping) else dataclasses.asdict(field)
    classes = entries.get("classes")
    return {
        "shape": [None if size is None else int(size) for size in entries["shape"]],
        "dtype": str(entries["dtype"]),
        "classes": None if classes is None else [str(name) for name in classes],
    }


def _warm_up_then_cosine(steps: float) -> Callable[[int], float]:
    """The factor of the learning rate at each step; constant after the warm-up if ``steps`` is infinite."""
    warm_up = min(_LONGEST_WARM_UP_STEPS, 1 + _WARM_UP_SHARE * steps)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        if math.isinf(steps):
            return 1.0
        progress = min(1.0, (step - warm_up) / max(1.0, steps - warm_up))
        return 0.5 * (1 + math.cos(math.pi * progress))

    return factor
