"""From the filled buffer of a field to the tensor that is delivered: the last checks and the last conversion."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, NonFiniteError, NotSetUpError
from h5lightning.loading.batch_buffers import BufferPool
from h5lightning.loading.fields.normalizer import Normalizer
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.serial_copy import copy_serially
from h5lightning.options import Access
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.normalizing import Affine, NormalizedField
from h5lightning.planning.values.conversions import LostValueError, first_lost
from h5lightning.planning.values.encoded_values import first_missing

__all__ = ["FieldDelivery"]

Array = npt.NDArray[Any]


class Starts(Protocol):
    """Where samples of an index begin; see `SampleStarts`."""

    @property
    def index(self) -> SampleIndex:
        """The samples."""

    def __call__(self, ids: Int64Array, draws: SampleDraws | None = None) -> Int64Array:
        """The first entry of samples along each axis of a window, ``(N, axes)``."""


class FieldDelivery:
    """Delivers one field, whose buffer has a type; ``is_needed`` is False if the buffer is delivered as it is.

    Args:
        plan: the field as it is read.
        dtype: the type of its buffer.
        access: whether numbers must be finite.
        starts: where samples begin, for errors.
        memory: for converted values.
        normalized: how its numbers are normalised; None if they are not.

    Attributes:
        plan: the field as it is read.
        is_needed: whether anything must be checked or changed.
    """

    def __init__(
        self,
        plan: FieldPlan,
        dtype: np.dtype[Any],
        access: Access,
        starts: Starts,
        memory: BufferPool,
        normalized: NormalizedField | None = None,
    ) -> None:
        self.plan = plan
        self._starts = starts
        self._memory = memory
        self._delivered = plan.spec.dtype
        self._is_converted = plan.spec.dtype != dtype.name
        self._must_be_finite = access.on_nonfinite == "raise" and plan.is_floating
        self._mask = plan.mask
        self._normalized = normalized
        self._normalizer: Normalizer | None = None
        is_changed = self._is_converted or normalized is not None
        self.is_needed = is_changed or self._must_be_finite or self._mask is not None

    def normalize_by(self, affine: Affine | None) -> None:
        """Normalise by this shift and scale from now on; None if they are not known."""
        field = self._normalized
        self._normalizer = None if field is None or affine is None else Normalizer(field, affine)

    @property
    def lacks_statistics(self) -> bool:
        """Whether it is to be normalised, and shift and scale are not known."""
        return self._normalized is not None and self._normalizer is None

    def has_missing(self, tensor: torch.Tensor) -> bool:
        """Whether a number represents a missing value, as far as the numbers themselves show it."""
        return self._mask is not None and first_missing(tensor.numpy(), self._mask) is not None

    def deliver(
        self,
        tensor: torch.Tensor,
        ids: Int64Array,
        layout: RaggedLayout | None = None,
        draws: SampleDraws | None = None,
        *,
        is_raw: bool = False,
    ) -> torch.Tensor:
        """The tensor to deliver, which may be the same one.

        Args:
            tensor: the filled buffer, ``(N, …)``.
            ids: numbers of its samples in the index, ``(N,)``.
            layout: where samples of different shapes lie in a flat buffer; None for samples of one shape.
            draws: what was drawn for each sample; None where nothing is drawn.
            is_raw: convert numbers that are normalised, and do not normalise them.

        Raises:
            NonFiniteError: NaN or infinity, with ``on_nonfinite="raise"``.
            FieldError: a value that the delivered type cannot hold.
            NotSetUpError: it is normalised, and there are no statistics.
        """
        if self._must_be_finite:
            self._check_finite(tensor.numpy(), ids, layout, draws)
        if self._is_converted:
            tensor = self._convert(tensor, ids, layout, draws)
        if self._normalized is not None:
            normalizer = self._unchanging if is_raw else self._normalizer
            tensor = self._normalize(tensor, normalizer, ids, layout, draws)
        return tensor

    @property
    def _unchanging(self) -> Normalizer | None:
        """What converts numbers to the delivered type, and does not normalise them."""
        field = self._normalized
        return None if field is None else Normalizer(field, Affine.identity(field.statistics_shape))

    def _convert(
        self,
        tensor: torch.Tensor,
        ids: Int64Array,
        layout: RaggedLayout | None,
        draws: SampleDraws | None,
    ) -> torch.Tensor:
        array = tensor.numpy()
        if (lost := self.first_lost(array, ids, layout, draws)) is not None:
            raise lost
        if self._delivered == "bfloat16":
            return self._to_bfloat16(tensor, layout)
        converted = self._buffer(array.shape, np.dtype(self._delivered), layout)
        with np.errstate(invalid="ignore"):  # a NaN that signals
            np.copyto(converted.numpy(), array, casting="unsafe")
        return converted

    def _normalize(
        self,
        tensor: torch.Tensor,
        normalizer: Normalizer | None,
        ids: Int64Array,
        layout: RaggedLayout | None,
        draws: SampleDraws | None,
    ) -> torch.Tensor:
        """The normalised numbers, in the same memory if their type is that of the stored ones."""
        if normalizer is None:
            raise NotSetUpError(
                f"{self.plan.title} is normalised by statistics of the train split, and there are none: these files "
                "have no train split, and no checkpoint of a training run was loaded (yet). Give ckpt_path= to the "
                "Trainer, load the state with dm.load_state_dict(), or use H5DataModule.load_from_checkpoint(path)"
            )
        array = tensor.numpy()
        if array.dtype == normalizer.dtype:
            out, target = tensor, array
        else:
            out = self._buffer(array.shape, normalizer.dtype, layout)
            target = out.numpy()
        try:
            normalizer(array, target, layout)
        except LostValueError as error:
            place = error.place
            first = place[0] if layout is not None else place[0] * len(array) // max(1, array.size)
            raise FieldError(
                f"{self.plan.title}: a number at {self._place(ids, first, layout, draws)} is so far from those of the "
                f"train split that {normalizer.name} cannot hold its normalised value. Choose another "
                "Field(dtype=…), or leave the row out"
            ) from None
        return self._to_bfloat16(out, layout) if normalizer.name == "bfloat16" else out

    def _to_bfloat16(self, tensor: torch.Tensor, layout: RaggedLayout | None) -> torch.Tensor:
        bits = self._buffer(tuple(tensor.shape), np.dtype("int16"), layout)  # NumPy lacks the type
        copy_serially(bits.view(torch.bfloat16), tensor)
        return bits.view(torch.bfloat16)

    def _buffer(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], layout: RaggedLayout | None
    ) -> torch.Tensor:
        if layout is None:
            return self._memory.tensor(shape, dtype)
        return self._memory.flat(layout.total, dtype)

    def first_lost(
        self,
        array: Array,
        ids: Int64Array,
        layout: RaggedLayout | None = None,
        draws: SampleDraws | None = None,
    ) -> FieldError | None:
        """The error of the first value that the delivered type cannot hold; None if it holds all of them."""
        lost = first_lost(array, self._delivered)
        if lost is None:
            return None
        return FieldError(
            f"{self.plan.title} holds {array[lost]!s} at {self._place(ids, lost[0], layout, draws)}, which "
            f"{self._delivered} cannot hold. Choose another Field(dtype=…), or convert in a transform"
        )

    def _check_finite(
        self, array: Array, ids: Int64Array, layout: RaggedLayout | None, draws: SampleDraws | None
    ) -> None:
        if np.isfinite(array).all():
            return
        first = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise NonFiniteError(
            f"{self.plan.title} is not finite in the sample at {self._place(ids, first, layout, draws)}. Leave "
            "the file out, replace the values in a transform, or accept them with access.on_nonfinite='ignore'"
        )

    def _place(
        self, ids: Int64Array, first: int, layout: RaggedLayout | None, draws: SampleDraws | None
    ) -> str:
        """Where a sample is; in a flat buffer, the sample that a number belongs to, and its place in it."""
        if layout is None:
            return self._described(ids[first : first + 1], draws)
        sample, place = layout.sample_at(first)
        return f"{self._described(ids[sample : sample + 1], draws)} ({list(place)} in the sample)"

    def _described(self, sample: Int64Array, draws: SampleDraws | None) -> str:
        """The file of one sample, ``(1,)``, and where it begins: the row, or the entry along each axis of a window."""
        index = self._starts.index
        where = index.locate(sample)
        row, *others = self._starts(sample, draws)[0].tolist()
        name = index.series_name(int(where.series[0]))
        series = f" of series {name!r}" if name else ""
        start = f"start {(row, *others)}" if others else f"row {row}"
        return f"{start}{series} of {index.path(int(where.file[0]))}"
