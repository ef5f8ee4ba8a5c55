"""Weights of training samples for drawing: read from a field once, and checked.

They take 8 bytes for each sample; nothing else in this package takes memory by sample.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Float64Array
from h5lightning.core.progress import progress_bar
from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.options import Shuffle
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.fields import FieldSpec
from h5lightning.planning.sampling import class_weights

__all__ = ["read_weights"]


_AT_ONCE = 1 << 20  # samples read together: enough that rows drawn at random share their chunks


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
    _check_spec(dataset, key, option)
    values = _read(dataset, key)
    return class_weights(values) if shuffle.balance else _checked(values.astype(np.float64), dataset, key)


def _check_spec(dataset: SampleDataset, key: str, option: str) -> None:
    spec = dataset.field_spec.get(key)
    if spec is None:
        raise MissingFieldError(
            f"{option} must name one of the fields, found {key!r}{did_you_mean(key, dataset.field_spec)}"
        )
    if spec.varies or math.prod(spec.fixed_shape) != 1:
        raise FieldError(
            f"{option} needs one value for each sample, field {key!r} has the shape {spec.shape}. Where a sample has "
            "several rows, Field(path, steps=(0, 1)) gives that of the first"
        )
    _check_dtype(spec, key, option)


def _check_dtype(spec: FieldSpec, key: str, option: str) -> None:
    if spec.dtype.startswith("complex"):
        raise FieldError(f"{option} needs numbers that can be compared, field {key!r} is {spec.dtype}")
    if option == "shuffle.balance" and "float" in spec.dtype:
        raise FieldError(
            f"{option} needs classes, which are integers or booleans; field {key!r} is {spec.dtype}. "
            "Field(path, dtype='int64') converts whole numbers; weights go to shuffle.weights"
        )


def _read(dataset: SampleDataset, key: str) -> npt.NDArray[np.generic]:
    size = len(dataset)
    parts = []
    with progress_bar(f"reading {key!r} to draw samples by", size) as advance:
        for start in range(0, size, _AT_ONCE):
            positions = np.arange(start, min(start + _AT_ONCE, size))
            value = dataset.read_batch(positions, [key])[key]
            # NumPy has no bfloat16, and a batch's memory is recycled.
            wide = value.double() if value.is_floating_point() else value
            parts.append(wide.numpy().reshape(-1).copy())
            advance(len(positions))
    return np.concatenate(parts)


def _checked(weights: Float64Array, dataset: SampleDataset, key: str) -> Float64Array:
    is_wrong = ~(np.isfinite(weights) & (weights >= 0))
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        more = int(is_wrong.sum()) - 1
        raise FieldError(
            f"shuffle.weights: field {key!r} is {weights[first]:g} at {_describe(dataset, first)}"
            f"{f' (and wrong for {more} more samples)' if more else ''}: weights must be finite and at least 0"
        )
    if not weights.any():
        raise FieldError(
            f"shuffle.weights: field {key!r} is 0 for each of the {len(weights)} training samples, so that none can "
            "be drawn"
        )
    return weights


def _describe(dataset: SampleDataset, position: int) -> str:
    where = dataset.index.locate(dataset.sample_ids([position]))
    return f"row {int(where.row[0])} of {dataset.index.path(int(where.file[0]))}"
