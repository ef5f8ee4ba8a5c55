"""What worker processes report of the chunks that they decoded; spawn and forkserver import it by name."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import get_worker_info


def with_decoded(batch: dict[str, Any]) -> dict[str, Any]:
    """Add the number of the process, and how many chunk rows it has decoded so far."""
    info = get_worker_info()
    if info is None:
        return batch
    reader = info.dataset._batches.reader
    pool = getattr(reader, "_direct", reader)._decoded.pool()
    filled = sum(cache.filled for cache in pool._caches.values())
    return {**batch, "decoded": torch.tensor([os.getpid(), filled])}


def decoded(batches: Iterable[dict[str, Any]]) -> dict[int, int]:
    """How many chunk rows each process decoded for some batches, and for those before them."""
    reports = [batch["decoded"].tolist() for batch in batches]
    return {pid: max(filled for other, filled in reports if other == pid) for pid, _ in reports}


def limit_files(_: int) -> None:
    """Let this process make no file of more than 256 MiB, not even one in memory."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
