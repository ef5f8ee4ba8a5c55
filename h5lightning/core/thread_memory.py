"""Memory that a thread uses again and again: new memory would cost page faults."""

from __future__ import annotations

import threading

import numpy as np

from h5lightning.core.arrays import Bytes

__all__ = ["thread_memory"]

_MOST_BYTES = 4 * 1024 * 1024  # that a thread keeps
_local = threading.local()


def thread_memory(nbytes: int) -> Bytes:
    """Memory of the calling thread, ``(nbytes,)``, until its next call of this function."""
    memory: Bytes | None = getattr(_local, "memory", None)
    if memory is None or len(memory) < nbytes:
        memory = np.empty(nbytes, np.uint8)
        if nbytes <= _MOST_BYTES:
            _local.memory = memory
    return memory[:nbytes]
