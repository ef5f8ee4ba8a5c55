"""Copies of many bytes, one at a time in a process: two at once push each other's memory out of the shared cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from h5lightning.core.monitor import ProcessGuard

__all__ = ["copy_alone"]

P = ParamSpec("P")

_LEAST_BYTES = 16 * 1024 * 1024
# Slower than any copy from memory: whoever takes longer waits for a disk, and others need not wait for it.
_SLOWEST_BYTES_PER_S = 1e9

_one_at_a_time = ProcessGuard()


def copy_alone(size_bytes: int, copy: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a function that copies memory, after the large copies of other threads.

    It waits for as long as its own copy may take, and then copies all the same. It waits for nothing else, so the
    function must not either.

    Args:
        size_bytes: how much it copies; a small copy does not wait.
        copy: the function.
        *args: its arguments.
        **kwargs: as above.
    """
    if size_bytes < _LEAST_BYTES:
        copy(*args, **kwargs)
        return

    def copied() -> bool:
        copy(*args, **kwargs)
        return True

    if not _one_at_a_time.attempt(size_bytes / _SLOWEST_BYTES_PER_S, copied):
        copy(*args, **kwargs)
