"""The numbers of training samples that decide their order, beside seed and options."""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.core.arrays import Float64Array
from h5lightning.loading.bucket_sizes import FieldSizes, bucket_field, read_sizes
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.loading.sample_weights import read_weights
from h5lightning.options import Shuffle

__all__ = ["OrderValues", "order_fields", "read_order_values"]


@dataclass(frozen=True, slots=True, eq=False)
class OrderValues:
    """What was read of the samples of a split.

    Args:
        weights: draw by these weights, ``(N,)``; None to deliver each sample once.
        sizes: the numbers of the field that they are bucketed by; None without such a field.
    """

    weights: Float64Array | None = None
    sizes: FieldSizes | None = None


def order_fields(shuffle: Shuffle) -> tuple[str, ...]:
    """The fields of which a number for each sample must be read to know the order."""
    return tuple(key for key in (shuffle.drawn_by, bucket_field(shuffle)) if key is not None)


def read_order_values(dataset: SampleDataset, shuffle: Shuffle) -> OrderValues:
    """Read what the order of the samples needs; see `read_weights` and `read_sizes` for the errors."""
    return OrderValues(read_weights(dataset, shuffle), read_sizes(dataset, shuffle))
