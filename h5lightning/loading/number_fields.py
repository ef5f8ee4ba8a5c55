"""One number for each sample of a split, read from a field once, at setup.

They take 8 bytes for each sample; nothing else in this package takes memory by sample.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.progress import progress_bar
from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.fields import FieldSpec
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.planning.sample_lengths import sample_lengths

__all__ = ["check_number_field", "described_sample", "read_numbers"]

_AT_ONCE = 1 << 20  # samples read together: enough that rows drawn at random share their chunks


def check_number_field(dataset: SampleDataset, key: str, option: str) -> FieldSpec:
    """What the samples have in a field, which must be one real number.

    Args:
        dataset: the samples.
        key: the field.
        option: the option that names the field, for messages.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: it has another number of values, or they cannot be compared.
    """
    spec = dataset.field_spec.get(key)
    if spec is None:
        raise MissingFieldError(
            f"{option} must name one of the fields, found {key!r}{did_you_mean(key, dataset.field_spec)}"
        )
    if spec.varies:
        raise FieldError(
            f"{option} needs one value for each sample, and samples of field {key!r} have the shape {spec.shape}: a "
            f"field with the path 'length:{key}' has their lengths"
        )
    if spec.dtype == BYTES:
        raise FieldError(f"{option} needs numbers, and field {key!r} is delivered as bytes (decode='bytes')")
    if math.prod(spec.fixed_shape) != 1:
        raise FieldError(
            f"{option} needs one value for each sample, field {key!r} has the shape {spec.shape}. Where a sample has "
            "several rows, Field(path, steps=(0, 1)) gives that of the first"
        )
    if spec.dtype.startswith("complex"):
        raise FieldError(f"{option} needs numbers that can be compared, field {key!r} is {spec.dtype}")
    return spec


def read_numbers(dataset: SampleDataset, key: str, purpose: str) -> npt.NDArray[np.generic]:
    """The value of a field in each sample, ``(N,)``; ``purpose`` says what for, where progress is shown.

    Raises:
        BadFileError: a file cannot be read.
    """
    size = len(dataset)
    plan = dataset.plans[key]
    if isinstance(plan, DerivedField):
        return _derived_lengths(dataset, plan)
    parts = []
    with progress_bar(f"reading {key!r} {purpose}", size) as advance:
        for start in range(0, size, _AT_ONCE):
            positions = np.arange(start, min(start + _AT_ONCE, size))
            value = dataset.read_values(positions, [key])[key]
            # NumPy has no bfloat16, and a batch's memory is recycled.
            wide = value.double() if value.is_floating_point() else value
            parts.append(wide.numpy().reshape(-1).copy())
            advance(len(positions))
    return np.concatenate(parts)


def _derived_lengths(dataset: SampleDataset, plan: DerivedField) -> Int64Array:
    """The lengths of the samples of another field, which are known without reading it."""
    target, size = dataset.plans[plan.of], len(dataset)
    lengths = sample_lengths(target, dataset.index)
    if lengths is None:  # all samples have one shape
        return np.full(size, target.spec.shape[plan.axis], np.int64)
    return lengths.sample_lengths(dataset.sample_ids(np.arange(size)))


def described_sample(dataset: SampleDataset, position: int) -> str:
    """The row and the file of a sample, for messages."""
    where = dataset.index.locate(dataset.sample_ids([position]))
    return f"row {int(where.row[0])} of {dataset.index.path(int(where.file[0]))}"
