"""Files without a name that lie in memory: a process hands them to the processes that it starts."""

from __future__ import annotations

import os
import weakref
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any

__all__ = ["AnonymousFile", "is_starting_process", "system_has_anonymous_files"]


def system_has_anonymous_files() -> bool:
    """Whether this system has files without a name in memory; Linux has."""
    return hasattr(os, "memfd_create")


def is_starting_process() -> bool:
    """Whether the calling thread is pickling for a process that multiprocessing starts."""
    return get_spawning_popen() is not None


class AnonymousFile:
    """A file in memory that has no name; a forked child inherits it, and a pickle goes to a process that is started.

    The system frees its memory when the last process that uses it has ended, in whatever way. A page takes memory
    when it is first written. The size of ``/dev/shm`` does not matter.

    Args:
        descriptor: the open file, which belongs to this object from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self.descriptor),)

    @classmethod
    def make(cls, name: str) -> AnonymousFile:
        """Make an empty file.

        Args:
            name: shown in ``/proc``, for people only.

        Raises:
            OSError: the system gives none.
        """
        return cls(os.memfd_create(name))


def _received(handle: Any) -> AnonymousFile:
    return AnonymousFile(handle.detach())
