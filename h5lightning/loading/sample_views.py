"""Samples as views into their batch, and a batch made of them again: what was not changed is not copied.

A transform may do anything with its sample. A tensor of the batch is delivered as it is only if each sample returned
its own part of it, in the same place and of the same shape and type. Everything else is stacked as torch stacks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any, TypeAlias

import torch
from torch.utils.data import default_collate, get_worker_info
from torch.utils.data._utils.collate import collate, collate_tensor_fn, default_collate_fn_map

from h5lightning.loading.serial_copy import THREADED_NUMBERS, copy_serially

__all__ = ["as_samples", "collate_changed"]

Batch: TypeAlias = Mapping[str, torch.Tensor]
Change: TypeAlias = Callable[[list[dict[str, Any]]], list[Any]]

_LEAST_BYTES = 8 * 1024  # of a value: to stack shorter ones takes less time than to check them
_form_of = attrgetter("shape", "dtype", "requires_grad")
# Older versions of torch have it only in builds for CUDA.
_use_count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)  # noqa: SLF001


def as_samples(batch: Batch) -> list[dict[str, Any]]:
    """The samples of a batch with at least one key; their tensors are views into those of the batch, ``(N, …)``."""
    columns = [tensor.unbind(0) for tensor in batch.values()]
    return _divided(batch, columns)


def collate_changed(batch: Batch, change: Change) -> Any:
    """The same as ``default_collate(change(as_samples(batch)))``, with fewer copies.

    What is delivered shares no memory with samples that ``change`` keeps.

    Args:
        batch: key → tensor ``(N, …)`` of at least one sample; it must not be used afterwards.
        change: samples → what is collated, one for each sample.
    """
    if default_collate_fn_map.get(torch.Tensor) is not collate_tensor_fn:  # the user stacks in another way
        return default_collate(change(as_samples(batch)))
    users = {id(tensor): _users(tensor) for tensor in batch.values()}
    collated, unchanged = _collated(batch, change)
    for tensor in unchanged:
        if _users(tensor) != users[id(tensor)] or _use_count is None:
            copy = torch.empty_like(tensor)
            copy_serially(copy, tensor)
            tensor.set_(copy)  # type: ignore[call-overload]  # a form that torch's stub lacks
    return collated


def _collated(batch: Batch, change: Change) -> tuple[Any, list[torch.Tensor]]:
    """The collated samples, and the tensors of the batch in them. When it returns, no view of its own is left."""
    columns = [tensor.unbind(0) for tensor in batch.values()]
    stack = _StackChanged(columns, batch.values())
    samples = change(_divided(batch, columns))
    return collate(samples, collate_fn_map={**default_collate_fn_map, torch.Tensor: stack}), stack.unchanged


class _StackChanged:
    """Stacks tensors as torch does, but returns the tensor of the batch for all of its samples, unchanged."""

    def __init__(self, columns: Iterable[Sequence[torch.Tensor]], tensors: Iterable[torch.Tensor]) -> None:
        pairs = zip(columns, tensors, strict=True)
        self._columns = {id(pair[0][0]): pair for pair in pairs if pair[0][0].nbytes >= _LEAST_BYTES}
        self.unchanged: list[torch.Tensor] = []

    def __call__(self, values: Sequence[torch.Tensor], *, collate_fn_map: Any) -> Any:
        found = self._columns.get(id(values[0]))
        if found is None or not _are_unchanged(values, *found):
            if _are_long(values) and get_worker_info() is None:
                return _stacked(values)
            return collate_tensor_fn(values, collate_fn_map=collate_fn_map)
        # If a sample returned it twice, the second one is stacked, and shares no memory with the first one.
        del self._columns[id(values[0])]
        self.unchanged.append(found[1])
        return found[1]


def _divided(keys: Iterable[str], columns: Sequence[Sequence[torch.Tensor]]) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = [{} for _ in columns[0]]
    for key, column in zip(keys, columns, strict=True):
        for sample, value in zip(samples, column):  # noqa: B905 - as many, and it takes half the time
            sample[key] = value
    return samples


def _are_unchanged(
    values: Sequence[torch.Tensor], column: Sequence[torch.Tensor], tensor: torch.Tensor
) -> bool:
    """Whether values are the parts of a tensor, in their places: `squeeze_` or ``.data = …`` could change that."""
    if len(values) != len(column) or not all(map(is_, values, column)):
        return False
    first, step = tensor.data_ptr(), tensor.stride(0) * tensor.element_size()
    return (
        list(map(torch.Tensor.data_ptr, values)) == [first + step * slot for slot in range(len(column))]
        and set(map(_form_of, values)) == {(tensor.shape[1:], tensor.dtype, False)}
        and set(map(torch.Tensor.stride, values)) == {tensor.stride()[1:]}
        and not (tensor.is_complex() and any(map(torch.Tensor.is_conj, values)))
    )


def _are_long(values: Sequence[torch.Tensor]) -> bool:
    """Whether torch would stack values in several threads, and they can be copied one by one."""
    one = values[0]
    form = (one.shape, one.dtype, False)
    return one.numel() >= THREADED_NUMBERS and all(
        _is_plain(value) and _form_of(value) == form for value in values
    )


def _is_plain(value: torch.Tensor) -> bool:
    is_dense = type(value) is torch.Tensor and value.layout is torch.strided and value.device.type == "cpu"
    return is_dense and value.is_contiguous() and not value.is_quantized


def _stacked(values: Sequence[torch.Tensor]) -> torch.Tensor:
    stacked = torch.empty((len(values), *values[0].shape), dtype=values[0].dtype)
    for slot, value in zip(stacked.unbind(0), values, strict=True):
        copy_serially(slot, value)
    return stacked


def _users(tensor: torch.Tensor) -> int:
    """How many tensors and arrays use the memory of a tensor; 0 if torch does not say."""
    return 0 if _use_count is None else _use_count(tensor.untyped_storage()._cdata)  # noqa: SLF001
