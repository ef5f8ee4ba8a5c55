"""Memory that a decoder needs for one chunk: each thread keeps its own, because new memory costs page faults."""

from __future__ import annotations

import threading

import numpy as np

from h5lightning.storage.codecs.decoder import Bytes

__all__ = ["scratch"]

_MOST_KEPT_BYTES = 4 << 20
_local = threading.local()


def scratch(size: int) -> Bytes:
    """Memory of the calling thread, ``(size,)``, until it asks again: a decoder delivers nothing in it.

    Args:
        size: number of bytes.
    """
    kept: Bytes | None = getattr(_local, "memory", None)
    if kept is not None and len(kept) >= size:
        return kept[:size]
    memory = np.empty(size, np.uint8)
    if size <= _MOST_KEPT_BYTES:
        _local.memory = memory
    return memory
