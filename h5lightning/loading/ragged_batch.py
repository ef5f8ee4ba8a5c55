"""Samples of different shapes in one flat tensor, and what is delivered of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import bytes_text
from h5lightning.errors import FieldError, ResourceError
from h5lightning.loading.fields.ragged_layout import RaggedLayout

__all__ = ["RaggedValues", "ragged_part"]

Describe = Callable[[int], str]
Allocate = Callable[[int, torch.dtype], torch.Tensor]


class RaggedValues:
    """The samples of one field, each with its own shape.

    Args:
        flat: the numbers of all samples, ``(layout.total,)``.
        layout: where those of each sample lie.
    """

    __slots__ = ("flat", "layout")

    def __init__(self, flat: torch.Tensor, layout: RaggedLayout) -> None:
        self.flat = flat
        self.layout = layout

    @classmethod
    def of(cls, values: Sequence[torch.Tensor]) -> RaggedValues:
        """Copies of some tensors with as many axes, one after the other, in the type that holds all of them."""
        shapes = np.asarray([tuple(value.shape) for value in values], np.int64).reshape(len(values), -1)
        flat = torch.cat([value.reshape(-1) for value in values])
        return cls(flat, RaggedLayout.of(shapes))

    def __len__(self) -> int:
        return len(self.layout)

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers."""
        return self.flat.nbytes

    def views(self) -> list[torch.Tensor]:
        """The samples, as views of the flat tensor."""
        layout, sizes = self.layout, self.layout.sizes
        shapes = layout.shapes.tolist()
        if layout.is_in_order and layout.total and self._is_of_rows:
            rows = self.flat.view(-1, *shapes[0][1:])
            return list(torch.split(rows, layout.shapes[:, 0].tolist()))
        if layout.is_in_order:
            parts = torch.split(self.flat, sizes.tolist()) if len(sizes) else ()
            return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        each = zip(layout.starts.tolist(), sizes.tolist(), shapes, strict=True)
        return [self.flat[start : start + size].view(shape) for start, size, shape in each]

    @property
    def _is_of_rows(self) -> bool:
        """Whether samples have a first axis, and differ along it alone."""
        shapes = self.layout.shapes
        return shapes.shape[1] > 0 and not (shapes[1:, 1:] != shapes[:-1, 1:]).any()

    def part(self, samples: slice) -> RaggedValues:
        """Some neighbouring samples; they share memory with the others only if all lie in order."""
        layout = self.layout
        shapes, starts, sizes = layout.shapes[samples], layout.starts[samples], layout.sizes[samples]
        own = RaggedLayout.of(shapes)
        if layout.is_in_order or not len(starts):
            first = int(starts[0]) if len(starts) else 0
            return RaggedValues(self.flat[first : first + own.total], own)
        parts = [
            self.flat[start : start + size]
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
        ]
        return RaggedValues(torch.cat(parts), own)

    def in_order(self) -> RaggedValues:
        """The same samples one after the other."""
        return self if self.layout.is_in_order else self.part(slice(None))

    def concatenated(self) -> torch.Tensor:
        """The samples along their first axis, ``(sum of lengths, …)``; all other lengths must agree."""
        layout, flat = self.layout, self.in_order().flat
        rest = layout.shapes[0, 1:].tolist() if len(layout) else [0] * (layout.shapes.shape[1] - 1)
        numbers = math.prod(rest)
        rows = layout.total // numbers if numbers else int(layout.shapes[:, 0].sum())
        return flat.view(rows, *rest)

    def padded(self, allocate: Allocate, most_bytes: int, describe: Describe) -> torch.Tensor:
        """The samples with zeros behind them, ``(N, longest, …)``.

        Args:
            allocate: makes a flat tensor of arbitrary values: how many, and their type.
            most_bytes: bytes of the tensor, at most.
            describe: the number of a sample → where it comes from, for the error.

        Raises:
            ResourceError: the tensor would be larger.
        """
        shapes = self.layout.shapes
        longest = tuple(shapes.max(axis=0).tolist()) if len(shapes) else (0,) * shapes.shape[1]
        numbers = len(shapes) * math.prod(longest)
        if numbers * self.flat.itemsize > most_bytes:
            sample = int(shapes.prod(axis=1).argmax())
            raise ResourceError(
                f"a batch of {len(shapes)} samples padded to {longest} takes "
                f"{bytes_text(numbers * self.flat.itemsize)}, access.max_padded_bytes is {bytes_text(most_bytes)}. The "
                f"longest is {describe(sample)}, of shape {tuple(shapes[sample].tolist())}: use a smaller batch_size, "
                "Whole(take=…), shuffle.bucket, ragged='list' or 'concat', or a larger access.max_padded_bytes"
            )
        out = allocate(numbers, self.flat.dtype).view(len(shapes), *longest)
        if (shapes == shapes[:1]).all():
            if numbers:
                out.copy_(self.in_order().flat.view(out.shape))
            return out
        if self._is_of_rows and self.layout.is_in_order and self.layout.total:
            _fill_padded_rows(_bits(out), _bits(self.flat), self.layout.sizes)
        else:
            _fill_padded(_bits(out), [_bits(view) for view in self.views()])
        return out

    def stacked(self, title: str, describe: Describe) -> torch.Tensor:
        """The samples, which must have one shape, ``(N, …)``.

        Args:
            title: the field, for the error.
            describe: the number of a sample → where it comes from, for the error.

        Raises:
            FieldError: two samples differ.
        """
        shapes = self.layout.shapes
        differs = np.flatnonzero((shapes != shapes[:1]).any(axis=1))
        if differs.size:
            other = int(differs[0])
            first, second = (tuple(shapes[sample].tolist()) for sample in (0, other))
            others = "'list' or 'pad'" if first[1:] != second[1:] else "'list', 'pad' or 'concat'"
            raise FieldError(
                f"{title} has ragged='stack', but {describe(0)} has the shape {first}, and {describe(other)} {second}: "
                f"let the transform make them equal, or use ragged={others}"
            )
        rest = shapes[0].tolist() if len(shapes) else [0] * shapes.shape[1]
        return self.in_order().flat.view(len(shapes), *rest)

    def lengths(self, axis: int) -> Int64Array:
        """The length of each sample along an axis, ``(N,)``."""
        return np.ascontiguousarray(self.layout.shapes[:, axis])

    def padding(self, axis: int) -> BoolArray:
        """Which entries along an axis are padding, ``(N, longest)``."""
        lengths = self.lengths(axis)
        is_padding: BoolArray = np.arange(int(lengths.max(initial=0))) >= lengths[:, None]
        return is_padding


def ragged_part(array: npt.NDArray[Any], layout: RaggedLayout, samples: slice) -> RaggedValues:
    """Some neighbouring samples of an array, whose tensor has a storage of its own."""
    if not layout.is_in_order:
        return RaggedValues(torch.from_numpy(array), layout).part(samples)
    own, starts = RaggedLayout.of(layout.shapes[samples]), layout.starts[samples]
    first = int(starts[0]) if len(starts) else 0
    return RaggedValues(torch.from_numpy(array[first : first + own.total]), own)


def _bits(tensor: torch.Tensor) -> Any:
    """A NumPy array over the memory of a tensor; NumPy has no bfloat16."""
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy()
    return tensor.numpy()


def _fill_padded_rows(out: Any, flat: Any, sizes: Int64Array) -> None:
    """As `_fill_padded`, of samples that differ along their first axis alone."""
    itemsize, slot_bytes = flat.itemsize, out[0].nbytes
    # Slices of a memoryview take half the time of those of an array.
    into, values = out.reshape(-1).view(np.uint8).data, flat.view(np.uint8).data
    zeros = memoryview(bytes(slot_bytes))
    read, slot = 0, 0
    for size in (sizes * itemsize).tolist():
        into[slot : slot + size] = values[read : read + size]
        into[slot + size : slot + slot_bytes] = zeros[size:]
        read, slot = read + size, slot + slot_bytes


def _fill_padded(out: Any, samples: Sequence[Any]) -> None:
    """Put each sample into its slot, and zeros behind it along each axis."""
    for slot, sample in zip(out, samples, strict=True):
        shape = sample.shape
        slot[tuple(map(slice, shape))] = sample
        for axis, length in enumerate(shape):
            if length < slot.shape[axis]:
                # What is behind along an earlier axis is zero already.
                behind = *map(slice, shape[:axis]), slice(length, None)
                slot[behind] = 0
