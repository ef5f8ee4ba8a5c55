"""The order of the training samples, made when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h5lightning.core.arrays import Float64Array
from h5lightning.datamodule.distributed import from_first_rank
from h5lightning.datamodule.setup import PreparedData
from h5lightning.loading.sample_weights import read_weights
from h5lightning.options import Shuffle
from h5lightning.planning.sampling import Order

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["TrainingOrder"]


class TrainingOrder:
    """The order of the training samples, and the weights that they are drawn by, if they are drawn.

    Args:
        data: what `setup` prepared.
        shuffle: the kind of order.
    """

    def __init__(self, data: PreparedData, shuffle: Shuffle) -> None:
        self._data = data
        self._shuffle = shuffle
        self._weights: Float64Array | None = None
        self._order: Order | None = None

    @property
    def has_weights(self) -> bool:
        """Whether `share_weights` has read weights."""
        return self._weights is not None

    def share_weights(self, trainer: Trainer | None) -> None:
        """Read the weights on rank 0, for all ranks; each rank must call this, once or more often."""
        dataset = self._data.datasets.get("train")
        if self._weights is None and dataset and self._shuffle.drawn_by is not None:
            self._weights = from_first_rank(trainer, lambda: read_weights(dataset, self._shuffle))

    def get(self) -> Order:
        """The order."""
        if self._order is None:
            dataset, weights = self._data.datasets.get("train"), self._weights
            if weights is None and dataset is not None:
                # Set up for another stage than fit: the weights were not shared, and other ranks may not ask for them.
                weights = read_weights(dataset, self._shuffle)
            self._order = self._data.training_order(self._shuffle, weights)
        return self._order
