"""Normalises the numbers of a batch, block by block, so that each number is read from memory and written to it once.

A normalised number is ``(number - shift) / scale``. float32 holds seven digits: with a shift of 1e6, one of them would
be left of numbers around it. So the shift is divided into two float32 numbers, the second of which is what the first
one lacks. The difference from the first one is exact for numbers close to it, and what is far from it needs no more
digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Float64Array
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.planning.normalizing import Affine, NormalizedField
from h5lightning.planning.values.conversions import LostValueError, delivery_dtype

__all__ = ["Normalizer"]

Array = npt.NDArray[Any]

_BLOCK = 32 * 1024  # numbers: with their shifts and scales, they fit into the cache of a core
_LEAST_RUN = 256  # neighbouring numbers with one shift and scale, from which on these are not repeated
_MOST_SIZES = 16  # of batches whose blocks are kept
_EXACT_IN_FLOAT32 = ("float32", "float16", "int16", "uint16", "int8", "uint8")
_NEGLIGIBLE = 1e-7  # of the scale
_LARGEST, _SMALLEST = 1e30, 1e-30  # float32 computes with numbers between them


class _Block(NamedTuple):
    """Some neighbouring numbers: where they lie, their shape, and which shifts and scales belong to them."""

    numbers: slice
    shape: tuple[int, ...]
    constants: slice


class _Step(NamedTuple):
    """What is done with a block: numbers of a shape are subtracted and multiplied."""

    numbers: slice
    shape: tuple[int, ...]
    subtracted: list[Array]
    factor: Array


class Normalizer:
    """Normalises the samples of a field, which lie one after the other in memory.

    Args:
        field: the field.
        affine: shift and scale.

    Attributes:
        name: the delivered type.
        dtype: the type of the result; float32 for bfloat16, which NumPy lacks.
    """

    def __init__(self, field: NormalizedField, affine: Affine) -> None:
        self.name = field.dtype
        self.dtype = delivery_dtype(field.dtype)
        self._field, self._affine = field, affine
        axes, shape = field.axes, field.plan.spec.shape
        # Where only leading axes vary, the shifts and scales of samples are one pattern that repeats.
        self._is_pattern = not axes or None not in shape[axes[0] :]
        self._pattern = self._pattern_of(shape) if self._is_pattern else None

    def __call__(self, values: Array, out: Array, layout: RaggedLayout | None = None) -> None:
        """Normalise numbers.

        Args:
            values: the numbers of whole samples, contiguous, in the type that the field is read in.
            out: where the result goes, as many numbers of the type `dtype`; it may be the same array.
            layout: where samples of different shapes lie; None for samples of one shape.

        Raises:
            LostValueError: the type of the result cannot hold that of a finite number; with its flat position.
        """
        flat, flat_out = values.reshape(-1), out.reshape(-1)
        if self._pattern is not None:
            self._pattern.apply(flat, flat_out)
            return
        if layout is None:
            raise ValueError("samples of different shapes need a layout")
        patterns: dict[tuple[int, ...], _Pattern] = {}
        for start, size, shape in zip(
            layout.starts.tolist(), layout.sizes.tolist(), map(tuple, layout.shapes.tolist()), strict=True
        ):
            pattern = patterns.get(shape) or patterns.setdefault(shape, self._pattern_of(shape))
            part = slice(start, start + size)
            pattern.apply(flat[part], flat_out[part], start)

    def _pattern_of(self, shape: tuple[int | None, ...]) -> _Pattern:
        """The shifts and scales of a sample of this shape."""
        field, affine = self._field, self._affine
        read = delivery_dtype(field.plan.spec.dtype)
        if not field.axes:
            return _Pattern(affine.shift, affine.scale, None, read, self.dtype)
        first, stop = field.axes[0], field.axes[-1] + 1
        lengths = tuple(length or 0 for length in shape[first:])
        own = field.spread_shape[: stop - first]
        shift, scale = (
            np.broadcast_to(one.reshape(own), lengths[: stop - first]).ravel()
            for one in (affine.shift, affine.scale)
        )
        return _Pattern(shift, scale, math.prod(lengths[stop - first :]), read, self.dtype)


class _Pattern:
    """Shifts and scales that repeat.

    Args:
        shift: the shift of each run of numbers.
        scale: its scale.
        run: neighbouring numbers that share one; None if all numbers do.
        read: the type of the numbers.
        dtype: the type of the normalised numbers.
    """

    def __init__(
        self,
        shift: Float64Array,
        scale: Float64Array,
        run: int | None,
        read: np.dtype[Any],
        dtype: np.dtype[Any],
    ) -> None:
        self._constants, self._computed = _constants(shift, scale, read, dtype)
        self._run = run
        if run is not None and run < _LEAST_RUN:
            self._constants = [np.repeat(one, run) for one in self._constants]
            copies = max(1, _BLOCK // max(1, len(self._constants[0])))
            self._constants = [np.tile(one, copies) for one in self._constants]
            self._run = 1
        else:
            self._constants = [one.reshape(-1, 1) for one in self._constants]

        self._steps: dict[int, list[_Step]] = {}  # by how many numbers there are

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_steps": {}}

    def apply(self, values: Array, out: Array, offset: int = 0) -> None:
        """Normalise numbers, ``(N,)``; see `Normalizer`. ``offset`` is the position of the first one, for errors."""
        computed = self._computed
        scratch = None if out.dtype == computed else np.empty(min(values.size, _BLOCK), computed)
        is_converted = values.dtype != computed
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            for where, shape, subtracted, factor in self._steps_of(values.size):
                numbers = values[where].reshape(shape)
                target = out[where].reshape(shape)
                work = target if scratch is None else scratch[: numbers.size].reshape(shape)
                try:
                    if is_converted:
                        np.copyto(work, numbers)
                        numbers = work
                    for one in subtracted:
                        numbers = np.subtract(numbers, one, work)
                    np.multiply(work, factor, work)
                    if scratch is not None:
                        np.copyto(target, work, casting="same_kind")
                except FloatingPointError:
                    place = _first_lost(values[where], work.ravel(), out.dtype)
                    raise LostValueError((offset + where.start + place,)) from None

    def _steps_of(self, total: int) -> list[_Step]:
        """What is done with so many numbers; batches have one size, but for the last one."""
        steps = self._steps.get(total)
        if steps is None:
            steps = []
            for block in self._blocks(total):
                *subtracted, factor = [one[block.constants] for one in self._constants]
                steps.append(_Step(block.numbers, block.shape, subtracted, factor))
            if len(self._steps) >= _MOST_SIZES:
                self._steps = {}
            self._steps[total] = steps
        return steps

    def _blocks(self, total: int) -> Iterator[_Block]:
        if self._run == 1:
            return self._blocks_of_pattern(total, len(self._constants[0]))
        if self._run is None:
            return self._blocks_of_runs(total, max(1, total))
        return self._blocks_of_runs(total, self._run)

    @staticmethod
    def _blocks_of_pattern(total: int, period: int) -> Iterator[_Block]:
        """Blocks in which each number has its own shift and scale."""
        for base in range(0, total, max(1, period)):
            for start in range(0, min(period, total - base), _BLOCK):
                stop = min(start + _BLOCK, period, total - base)
                yield _Block(slice(base + start, base + stop), (stop - start,), slice(start, stop))

    def _blocks_of_runs(self, total: int, run: int) -> Iterator[_Block]:
        """Blocks of runs that share a shift and a scale: of several samples, of several runs, or of a part of one."""
        runs = len(self._constants[0])
        sample = runs * run
        if sample <= _BLOCK:
            step = _BLOCK // sample * sample
            for start in range(0, total, step):
                stop = min(start + step, total)
                yield _Block(slice(start, stop), (-1, runs, run), slice(None))
        elif run <= _BLOCK:
            most = _BLOCK // run
            for base in range(0, total, sample):
                for first in range(0, runs, most):
                    stop = min(first + most, runs)
                    numbers = slice(base + first * run, base + stop * run)
                    yield _Block(numbers, (-1, run), slice(first, stop))
        else:
            for number, base in enumerate(range(0, total, run)):
                constants = slice(number % runs, number % runs + 1)
                for start in range(base, base + run, _BLOCK):
                    yield _Block(slice(start, min(start + _BLOCK, base + run)), (1, -1), constants)


def _constants(
    shift: Float64Array, scale: Float64Array, read: np.dtype[Any], dtype: np.dtype[Any]
) -> tuple[list[Array], np.dtype[Any]]:
    """What is subtracted, in this order, and what is multiplied with last; and the type to compute in."""
    factor = 1 / scale
    sizes = np.abs([shift, scale, factor])
    is_short = read.name in _EXACT_IN_FLOAT32 and dtype.name != "float64" and bool((sizes < _LARGEST).all())
    if not is_short or (sizes[1:] < _SMALLEST).any():
        return [shift, factor], np.dtype(np.float64)
    first = shift.astype(np.float32)
    second = (shift - first).astype(np.float32)
    is_exact = bool((np.abs(second) <= _NEGLIGIBLE * scale).all())
    subtracted = [first] if is_exact else [first, second]
    return [*subtracted, factor.astype(np.float32)], np.dtype(np.float32)


def _first_lost(values: Array, normalized: Array, dtype: np.dtype[Any]) -> int:
    """The position of the first finite number whose normalised one a type cannot hold."""
    is_large = np.abs(normalized) > np.finfo(dtype).max
    is_lost = is_large & np.isfinite(values)
    # Where numbers were normalised in place, the lost one is not finite any more.
    return int((is_lost if is_lost.any() else is_large).argmax())
