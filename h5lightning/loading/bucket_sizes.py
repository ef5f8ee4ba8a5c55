"""What training samples are bucketed by: the lengths of a ragged field, or the numbers of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.loading.number_fields import check_number_field, described_sample, read_numbers
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.options import Shuffle
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sample_lengths import SampleLengths, sample_lengths
from h5lightning.planning.selection import Selection

__all__ = ["FieldSizes", "LengthSizes", "bucket_field", "length_sizes", "read_sizes"]

_OPTION = "shuffle.bucket"
_LENGTH = "length:"  # before the key of a field, as in the path of a field


@dataclass(frozen=True, eq=False)
class FieldSizes(Frozen):
    """The numbers of a field, which were read.

    Args:
        values: the number of each sample of a split, ``(N,)``.
    """

    values: npt.NDArray[Any]

    def __call__(self, positions: Int64Array) -> npt.NDArray[Any]:
        """The number of each sample, by its position in the split, ``(N,)``."""
        return self.values[positions]


@dataclass(frozen=True, eq=False)
class LengthSizes(Frozen):
    """The lengths of the samples of a field.

    Args:
        lengths: those of all samples.
        selection: the samples of a split.
    """

    lengths: SampleLengths
    selection: Selection

    def __call__(self, positions: Int64Array) -> npt.NDArray[Any]:
        """The length of each sample, by its position in the split, ``(N,)``."""
        return self.lengths.sample_lengths(self.selection(positions))


def bucket_field(shuffle: Shuffle) -> str | None:
    """The field whose numbers samples are bucketed by; None without a bucket, and for lengths."""
    is_length = (shuffle.bucket or "").startswith(_LENGTH)
    return None if is_length else shuffle.bucket


def read_sizes(dataset: SampleDataset, shuffle: Shuffle) -> FieldSizes | None:
    """The numbers of the field that samples of a split are bucketed by; None where no field is named for it.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: it does not have one number for each sample, or one of them is NaN.
        BadFileError: a file cannot be read.
    """
    key = bucket_field(shuffle)
    if key is None or not len(dataset):
        return None
    check_number_field(dataset, key, _OPTION)
    values = read_numbers(dataset, key, "to bucket samples by")
    is_nan = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0, np.bool_)
    if is_nan.any():
        more = int(is_nan.sum()) - 1
        raise FieldError(
            f"{_OPTION}: field {key!r} is NaN at {described_sample(dataset, int(np.argmax(is_nan)))}"
            f"{f' (and for {more} more samples)' if more else ''}: samples cannot be sorted by it. Give each sample a "
            "number"
        )
    return FieldSizes(values)


def length_sizes(
    shuffle: Shuffle, plans: Sequence[FieldPlan], index: SampleIndex, selection: Selection
) -> LengthSizes | None:
    """The lengths that samples of a split are bucketed by; None where they are not bucketed by lengths.

    Args:
        shuffle: which field's lengths.
        plans: all fields.
        index: all samples.
        selection: the samples of the split.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: all of its samples have one length, or they differ along several axes.
    """
    if shuffle.bucket is None or not shuffle.bucket.startswith(_LENGTH):
        return None
    key = shuffle.bucket.removeprefix(_LENGTH)
    by_key = {plan.key: plan for plan in plans}
    if key not in by_key:
        raise MissingFieldError(
            f"{_OPTION}={shuffle.bucket!r} must name one of the fields, found {key!r}{did_you_mean(key, by_key)}"
        )
    shape = by_key[key].spec.shape
    if shape.count(None) > 1:
        raise FieldError(
            f"{_OPTION}={shuffle.bucket!r}: the samples of field {key!r} have the shape {shape}, but one axis must "
            "differ: name a field with one number for each sample"
        )
    lengths = sample_lengths(by_key[key], index)
    if lengths is None and by_key[key].ragged is not None and shape:
        return None  # in other files, they may differ
    if lengths is None:
        raise FieldError(
            f"{_OPTION}={shuffle.bucket!r}: all samples of field {key!r} have one length (their shape is {shape}), so "
            "that there is nothing to sort by: leave bucket out, or name a field with one number for each sample"
        )
    return LengthSizes(lengths, selection)
