"""Weights of training samples for drawing: read from a field once, and checked."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Float64Array
from h5lightning.errors import FieldError
from h5lightning.loading.number_fields import check_number_field, described_sample, read_numbers
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.options import Shuffle
from h5lightning.planning.fields import FieldSpec
from h5lightning.planning.sampling import class_weights

__all__ = ["read_weights"]


def read_weights(dataset: SampleDataset, shuffle: Shuffle) -> Float64Array | None:
    """The weights of the samples of a split, ``(N,)``; None if each sample comes once.

    Args:
        dataset: the samples.
        shuffle: which field to draw by, and whether it holds weights or classes.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: it does not have one value for each sample, or its values are neither weights nor classes.
        BadFileError: a file cannot be read.
    """
    key = shuffle.drawn_by
    if key is None or not len(dataset):
        return None
    option = f"shuffle.{'weights' if shuffle.balance is None else 'balance'}"
    _check_dtype(check_number_field(dataset, key, option), key, option)
    values = read_numbers(dataset, key, "to draw samples by")
    return class_weights(values) if shuffle.balance else _checked(values.astype(np.float64), dataset, key)


def _check_dtype(spec: FieldSpec, key: str, option: str) -> None:
    if option == "shuffle.balance" and "float" in spec.dtype:
        raise FieldError(
            f"{option} needs classes, which are integers or booleans; field {key!r} is {spec.dtype}. "
            "Field(path, dtype='int64') converts whole numbers; weights go to shuffle.weights"
        )


def _checked(weights: Float64Array, dataset: SampleDataset, key: str) -> Float64Array:
    is_wrong = ~(np.isfinite(weights) & (weights >= 0))
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        more = int(is_wrong.sum()) - 1
        raise FieldError(
            f"shuffle.weights: field {key!r} is {weights[first]:g} at {described_sample(dataset, first)}"
            f"{f' (and wrong for {more} more samples)' if more else ''}: weights must be finite and at least 0"
        )
    if not weights.any():
        raise FieldError(
            f"shuffle.weights: field {key!r} is 0 for each of the {len(weights)} training samples, so that none can "
            "be drawn"
        )
    return weights
