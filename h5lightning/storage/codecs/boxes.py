"""Boxes of an array in a decoded chunk: their shapes come from the file, and are checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from h5lightning.core.boxes import boxes_along, unpack_boxes, with_larger_elements
from h5lightning.storage.codecs.decoder import Bytes, CodecError

__all__ = ["Boxes"]

# Padding may double each axis if boxes are nearly as large as the array, but adds little if they are small.
_MOST_TIMES = 4
_SMALL_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Boxes:
    """An array in boxes.

    Args:
        shape: shape of the array.
        box: shape of a box, which fits into the array.
        itemsize: bytes of an element.
    """

    shape: tuple[int, ...]
    box: tuple[int, ...]
    itemsize: int

    @classmethod
    def of(cls, shape: tuple[int, ...], box: tuple[int, ...], size: int) -> Boxes:
        """Boxes of an array of ``size`` bytes.

        Raises:
            CodecError: the shapes do not fit, or the boxes are mostly padding.
        """
        if not all(0 < part <= length for part, length in zip(box, shape, strict=True)):
            raise CodecError(f"boxes {box} of an array {shape}")
        itemsize, left_over = divmod(size, math.prod(shape))
        if left_over or not itemsize:
            raise CodecError(f"an array {shape} of {size} bytes")
        boxes = cls(shape, box, itemsize)
        if boxes.padded_bytes > _MOST_TIMES * size + _SMALL_BYTES:
            raise CodecError(f"boxes {box} of an array {shape}: mostly padding")
        return boxes

    @property
    def padded_bytes(self) -> int:
        """Bytes of all boxes."""
        return math.prod(self._grid) * math.prod(self.box) * self.itemsize

    @property
    def are_in_order(self) -> bool:
        """Whether the boxes, one after the other, are already the array."""
        shape, box = self.shape, self.box
        is_padded = any(length % part for length, part in zip(shape, box, strict=True))
        first = next((axis for axis, part in enumerate(box) if part > 1), len(box))
        return not is_padded and box[first + 1 :] == shape[first + 1 :]

    @property
    def _grid(self) -> tuple[int, ...]:
        return boxes_along(self.shape, self.box)

    def unpack(self, padded: Bytes, out: Bytes) -> None:
        """Copy the elements of the boxes to their places in the array.

        Args:
            padded: the boxes, ``(padded_bytes,)``.
            out: the array, as many bytes as it has.
        """
        shape, box, element = with_larger_elements(self.shape, self.box, self.itemsize)
        unpack_boxes(padded.view(element).reshape(self._grid + box), out.view(element).reshape(shape))
