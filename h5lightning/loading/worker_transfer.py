"""Transfer of batches from worker processes: large tensors in shared memory, small ones inside the message.

A shared tensor costs half a millisecond, whatever its size: its file descriptor is sent through a separate socket, to a
thread of the training process. Copying is faster for small tensors such as labels.
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
    """Turn a lack of shared memory inside the ``with`` block into an error that names the remedy.

    Raises:
        ResourceError: there is too little shared memory, as in many containers.
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
    """The same batch, whose small tensors are pickled by value."""
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
