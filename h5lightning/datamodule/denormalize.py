"""Statistics as tensors, and normalised tensors as the numbers that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from h5lightning.datamodule.run_statistics import UsedStatistics
from h5lightning.errors import FieldError
from h5lightning.planning.normalizing import Affine
from h5lightning.planning.statistics import FieldStatistics

__all__ = ["TensorStatistics", "denormalized", "denormalized_entries"]


@dataclass(frozen=True, slots=True, eq=False)
class TensorStatistics:
    """Statistics of a field over the rows of the train split, each once; tensors of the shape that ``per`` says.

    Values that are not finite, and those that ``where`` leaves out, do not count.

    Args:
        mean: means, float64.
        std: standard deviations, float64, divided by the number of values.
        min: least values, float64; NaN where no value counts.
        max: greatest values, float64.
        count: number of values, int64.
        nonfinite: number of values that are NaN or infinite, int64; missing values among them.
        masked: number of values that ``where`` leaves out, int64.
        quantiles: quantile, such as 0.01 → its value, float64; empty unless ``kind="quantile"`` needs it.
    """

    mean: torch.Tensor
    std: torch.Tensor
    min: torch.Tensor
    max: torch.Tensor
    count: torch.Tensor
    nonfinite: torch.Tensor
    masked: torch.Tensor
    quantiles: Mapping[float, torch.Tensor]

    @classmethod
    def of(cls, statistics: FieldStatistics) -> TensorStatistics:
        """Copies as tensors."""
        return cls(
            mean=torch.tensor(statistics.mean),
            std=torch.tensor(statistics.std),
            min=torch.tensor(statistics.min),
            max=torch.tensor(statistics.max),
            count=torch.tensor(statistics.count),
            nonfinite=torch.tensor(statistics.nonfinite),
            masked=torch.tensor(statistics.masked),
            quantiles={
                quantile: torch.tensor(value) for quantile, value in sorted(statistics.quantiles.items())
            },
        )


def denormalized_entries(entries: Mapping[str, Any], used: Mapping[str, UsedStatistics]) -> dict[str, Any]:
    """The entries of a batch, with those that are normalised as they were; see `denormalized`."""
    return {
        key: denormalized(value, key, used[key]) if key in used else value for key, value in entries.items()
    }


def denormalized(value: Any, key: str, used: UsedStatistics) -> Any:
    """The numbers that normalised ones were made of.

    Gradients pass through. Numbers of float16 and bfloat16 become float32, which can hold them.

    Args:
        value: a tensor on any device, whose last axes are those of a sample; or a list of them.
        key: the field.
        used: what normalised it.

    Raises:
        TypeError: it is something else.
        FieldError: a tensor of another shape.
    """
    if isinstance(value, (list, tuple)):
        return [denormalized(one, key, used) for one in value]
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        found = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(
            f"denormalize: {key!r} must be a tensor of floats, or a list of tensors; found {found}"
        )
    shape = used.shape
    own = tuple(value.shape[value.ndim - len(shape) :]) if value.ndim >= len(shape) else None
    if own is None or any(length not in (1, given) for length, given in zip(shape, own, strict=True)):
        raise FieldError(
            f"denormalize: a tensor of shape {tuple(value.shape)} does not have the last axes of field {key!r}, whose "
            f"statistics have the shape {shape}: give all its entries, in their order"
        )
    dtype = torch.promote_types(value.dtype, torch.float32)
    affine = Affine.by(used.statistics, used.option)
    shift, scale = (
        torch.from_numpy(one).to(dtype).to(value.device).reshape(shape)
        for one in (affine.shift, affine.scale)
    )
    return value.to(dtype) * scale + shift
