"""The way of a batch from a worker process: large tensors in shared memory, small ones inside of the message.

A shared tensor costs half a millisecond, whatever its size: its file descriptor goes through a socket of its own, with
a thread at the other end. Labels are there sooner if they are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from h5lightning.errors import ResourceError

__all__ = ["LEAST_SHARED_BYTES", "for_crossing", "in_shared_memory"]

LEAST_SHARED_BYTES = 128 * 1024  # larger messages do not fit into a pipe, and both ends wait for each other


@contextmanager
def in_shared_memory() -> Iterator[None]:
    """What is done inside the ``with`` block takes shared memory.

    Raises:
        ResourceError: there is none, or too little, as in many containers.
    """
    try:
        yield
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        raise ResourceError(
            f"worker processes need shared memory ({error}): enlarge /dev/shm (docker run --shm-size=8g), use a "
            "smaller batch_size or fewer workers, or num_workers=0, which reads in threads and needs none"
        ) from error


def for_crossing(batch: Any) -> Any:
    """The same batch, to be pickled with its small tensors by value."""
    if type(batch) is dict:
        return {key: _small_by_value(value) for key, value in batch.items()}
    if type(batch) is tuple:
        return tuple(_small_by_value(value) for value in batch)
    return batch


def _small_by_value(value: Any) -> Any:
    is_plain = type(value) is torch.Tensor and value.device.type == "cpu" and value.layout is torch.strided
    if not is_plain or value.requires_grad or value.nbytes >= LEAST_SHARED_BYTES:
        return value
    return _ByValue(value)


class _ByValue:
    """A tensor that is copied when it is pickled; unpickled, it is the tensor."""

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
