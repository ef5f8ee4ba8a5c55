"""A lazy sequence of samples for the DataLoader, and the function that makes a batch of it.

Worker processes send large tensors in shared memory, and small ones inside the message. A shared tensor costs half a
millisecond, whatever its size: its file descriptor is sent through a separate socket, to a thread of the training
process. Copying is faster for small tensors such as labels.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, overload

import torch
from torch.utils.data import default_collate, get_worker_info

from h5lightning.errors import OptionError
from h5lightning.loading.batch_buffers import LEAST_SHARED_BYTES

__all__ = ["Collate", "SampleSequence", "for_crossing"]


class SampleSequence(Sequence[dict[str, Any]]):
    """Samples that are read together, when the first of them is asked for.

    The loader of this package asks for no sample: it makes one batch of the sequence (`batch`).

    Args:
        size: number of samples.
        batch: reads them as one batch.
        samples: reads them one by one.
        check: raises an error if torch cannot stack them; called if it is torch's own function that asks for them.
    """

    __slots__ = ("_check", "_read_samples", "_samples", "_size", "batch")

    def __init__(
        self,
        size: int,
        batch: Callable[[], dict[str, Any]],
        samples: Callable[[], list[dict[str, Any]]],
        check: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        self.batch = batch
        self._check = check
        self._size = size
        self._read_samples = samples
        self._samples: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, number: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._read()[number]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._read())

    def _read(self) -> list[dict[str, Any]]:
        if self._samples is None:
            self._samples = self._read_samples()
            # Its error would say neither which field it is nor what to do.
            asker = sys._getframe(2).f_globals.get("__name__")  # noqa: SLF001 - nothing else tells
            if self._check is not None and asker == default_collate.__module__:
                self._check(self._samples)
        return self._samples


class Collate:
    """Turns samples that are read together into a batch.

    Args:
        keys: deliver a tuple in their order; None for a dict.
    """

    def __init__(self, keys: Sequence[str] | None = None) -> None:
        self._keys = keys if keys is None else tuple(keys)

    def __call__(self, samples: SampleSequence) -> Any:
        """The batch of samples, read whole."""
        batch = self.deliver(samples.batch())
        return batch if get_worker_info() is None else for_crossing(batch)

    def deliver(self, batch: Any) -> Any:
        """A batch as it is delivered.

        Raises:
            OptionError: the batch lacks a key.
        """
        if self._keys is None:
            return batch
        if missing := [key for key in self._keys if key not in batch]:
            raise OptionError(f"as_tuple names {missing}, the batch holds {sorted(batch)}")
        return tuple(batch[key] for key in self._keys)


def for_crossing(batch: Any) -> Any:
    """The same batch, whose small tensors are pickled by value."""
    if type(batch) is dict:
        return {key: _small_by_value(value) for key, value in batch.items()}
    if type(batch) is tuple:
        return tuple(_small_by_value(value) for value in batch)
    return batch


def _small_by_value(value: Any) -> Any:
    if type(value) is list and value:
        if all(type(one) is list for one in value) and _are_alike(flat := [*chain.from_iterable(value)]):
            return _Lists(flat, [len(one) for one in value])
        if _are_alike(value):
            return _OneMemory(value)
    is_plain = type(value) is torch.Tensor and value.device.type == "cpu" and value.layout is torch.strided
    if not is_plain or value.requires_grad or value.nbytes >= LEAST_SHARED_BYTES:
        return value
    return _ByValue(value)


class _ByValue:
    """A tensor that is pickled by value; unpickled, it is the tensor itself."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def __reduce__(self) -> tuple[Callable[..., torch.Tensor], tuple[Any, ...]]:
        # NumPy has no bfloat16.
        if self._tensor.dtype is torch.bfloat16:
            return _from_bits, (self._tensor.view(torch.int16).numpy(),)
        return torch.from_numpy, (self._tensor.resolve_conj().resolve_neg().numpy(),)


def _from_bits(bits: Any) -> torch.Tensor:
    return torch.from_numpy(bits).view(torch.bfloat16)


def _are_alike(values: Sequence[Any]) -> bool:
    """Whether values are plain tensors of one type, which can be sent in one piece."""
    if len(values) < 2:
        return False
    first = values[0]
    return all(
        type(value) is torch.Tensor
        and value.dtype is first.dtype
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not value.requires_grad
        for value in values
    )


class _OneMemory:
    """A list of tensors that is pickled as one tensor; unpickled, it is a list of views of it."""

    __slots__ = ("_tensors",)

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self._tensors = tensors

    def __reduce__(self) -> tuple[Callable[..., list[torch.Tensor]], tuple[Any, ...]]:
        shapes = [tuple(tensor.shape) for tensor in self._tensors]
        return _divided, (_small_by_value(_in_one_piece(self._tensors)), shapes)


class _Lists:
    """Lists of tensors that are pickled as one tensor; unpickled, they are lists of views of it."""

    __slots__ = ("_counts", "_tensors")

    def __init__(self, tensors: list[torch.Tensor], counts: list[int]) -> None:
        self._tensors, self._counts = tensors, counts

    def __reduce__(self) -> tuple[Callable[..., list[list[torch.Tensor]]], tuple[Any, ...]]:
        return _listed, (_OneMemory(self._tensors), self._counts)


def _listed(tensors: list[torch.Tensor], counts: Sequence[int]) -> list[list[torch.Tensor]]:
    rest = iter(tensors)
    return [list(islice(rest, count)) for count in counts]


def _in_one_piece(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The numbers of all tensors, ``(n,)``: without a copy if they lie one after the other in one storage."""
    first = tensors[0]
    memory, at = first.untyped_storage().data_ptr(), first.data_ptr()
    for tensor in tensors:
        is_next = tensor.data_ptr() == at or not tensor.numel()
        if not is_next or not tensor.is_contiguous() or tensor.untyped_storage().data_ptr() != memory:
            return torch.cat([tensor.reshape(-1) for tensor in tensors])
        at += tensor.nbytes
    total = sum(tensor.numel() for tensor in tensors)
    return first.as_strided((total,), (1,), first.storage_offset())


def _divided(flat: torch.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    parts = torch.split(flat, [math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
