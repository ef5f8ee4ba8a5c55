"""Memory for batches: recycled when it is no longer used, and shared between processes where needed.

The page faults of a fresh tensor of 1 MiB cost more than the gather that fills it. A batch belongs to the user, so its
memory returns to the pool only when the last tensor over it is gone: torch keeps the array alive that the tensor was
made from, the array keeps its `_Buffer` alive, and the `_Buffer` gives the memory back when it is deleted.

Page-locked memory is recycled by torch, because only torch knows when an accelerator has copied it.
"""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

from h5lightning.core.formatting import bytes_text
from h5lightning.errors import ResourceError

__all__ = ["LEAST_SHARED_BYTES", "BufferPool"]

LEAST_SHARED_BYTES = 128 * 1024  # larger messages do not fit into a pipe, and both ends wait for each other

_LEAST_BYTES = 64 * 1024  # below, the allocator's own pools are as fast
_MOST_SIZES = 32  # each field has one size, and another one in the last batch of an epoch
_MOST_OF_ONE_SIZE = 8


class _Buffer:
    """Owner of recycled memory, kept alive by all arrays over it. NumPy would not keep a plain array alive."""

    __slots__ = ("__array_interface__", "_give_back", "_memory")

    def __init__(
        self, memory: npt.NDArray[np.uint8], give_back: Callable[[npt.NDArray[np.uint8]], None]
    ) -> None:
        self._memory, self._give_back = memory, give_back
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._give_back(self._memory)


class BufferPool:
    """Makes tensors to be filled; in a worker process in shared memory, which saves a copy."""

    def __init__(self) -> None:
        # Buffers may be deleted at any point of any thread: appending to a deque needs no lock.
        self._free: OrderedDict[int, deque[npt.NDArray[np.uint8]]] = OrderedDict()
        self._is_pinned = False

    def pin_memory(self, *, enabled: bool) -> None:
        """Make tensors in page-locked memory from now on; not in worker processes."""
        self._is_pinned = enabled

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), ())

    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> torch.Tensor:
        """A tensor with arbitrary values, of a NumPy type in native byte order."""
        nbytes = math.prod(shape) * dtype.itemsize
        if self._is_pinned and get_worker_info() is None:
            try:
                return torch.empty(shape, dtype=_torch_type(dtype), pin_memory=True)
            except RuntimeError as error:
                self._give_up(error)
        if nbytes >= LEAST_SHARED_BYTES and get_worker_info() is not None:
            return _shared_tensor(shape, dtype, nbytes)
        return torch.from_numpy(self.array(shape, dtype))

    def flat(self, numbers: int, dtype: np.dtype[Any]) -> torch.Tensor:
        """A tensor with so many arbitrary values, ``(numbers,)``, in recycled memory of about its size.

        Unlike with `tensor`, calls for slightly different numbers get the same memory.
        """
        nbytes = numbers * dtype.itemsize
        if nbytes < _LEAST_BYTES or not self.can_be_divided:
            return self.tensor((numbers,), dtype)
        # Rounded up to one of eight sizes between powers of two.
        step = 1 << (nbytes.bit_length() - 4)
        rounded = -(-nbytes // step) * step
        memory = self.array((rounded,), np.dtype(np.uint8))
        return torch.from_numpy(memory[:nbytes].view(dtype))

    @property
    def can_be_divided(self) -> bool:
        """Whether one array may contain several batches: not in shared or page-locked memory."""
        return not self._is_pinned and get_worker_info() is None

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """An array with arbitrary values; its memory is recycled when the array and all its views are gone."""
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < _LEAST_BYTES:
            return np.empty(shape, dtype)
        memory = self._take(nbytes)
        owner = _Buffer(memory, self._give_back)
        return np.asarray(owner).view(dtype).reshape(shape)

    def _give_up(self, error: RuntimeError) -> None:
        self._is_pinned = False
        reason = str(error).splitlines()[0]
        warnings.warn(
            f"batches are read to ordinary memory, since it cannot be page-locked: {reason}", stacklevel=2
        )

    def _take(self, nbytes: int) -> npt.NDArray[np.uint8]:
        try:
            return self._free[nbytes].pop()
        except (KeyError, IndexError):
            pass
        try:
            return np.empty(nbytes, np.uint8)
        except MemoryError as error:
            raise ResourceError(
                f"there is no memory for batches of {bytes_text(nbytes)}: use a smaller batch_size, fewer threads or "
                "worker processes, or a smaller access.cache_bytes"
            ) from error

    def _give_back(self, memory: npt.NDArray[np.uint8]) -> None:
        self._free.setdefault(memory.nbytes, deque(maxlen=_MOST_OF_ONE_SIZE)).append(memory)
        while len(self._free) > _MOST_SIZES:
            self._free.popitem(last=False)


def _shared_tensor(shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> torch.Tensor:
    try:
        storage = torch.UntypedStorage._new_shared(nbytes)  # type: ignore[no-untyped-call]  # noqa: SLF001 - as torch's collate function
    except RuntimeError as error:
        if "shared memory" not in str(error):
            raise
        raise ResourceError(
            f"worker processes need shared memory ({error}): enlarge /dev/shm (docker run --shm-size=8g), use a "
            "smaller batch_size or fewer workers, or num_workers=0, which reads in threads and needs none"
        ) from error
    empty = torch.empty(0, dtype=_torch_type(dtype))
    return empty.set_(storage, 0, shape, _strides(shape))


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _torch_type(dtype: np.dtype[Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
