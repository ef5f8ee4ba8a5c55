"""A monitor for the threads of several processes.

It is the lock of a byte of a file. The system releases it when its process ends, in whatever way, so no process can
take it to the grave. Each process also locks a byte of its own as long as it lives: others can ask for it, and know.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from h5lightning.core.anonymous_file import AnonymousFile
from h5lightning.core.monitor import Guard

__all__ = ["ProcessMonitor"]

P = ParamSpec("P")
T = TypeVar("T")

# How long a process waits before it looks again.
_SHORTEST_S = 0.0002
_LONGEST_S = 0.002


class ProcessMonitor:
    """See `Monitor`. A process has one of them for a file, since locks of files belong to whole processes.

    Args:
        file: used for nothing else: a process loses its locks when it closes any descriptor of the file.
    """

    __slots__ = ("_file", "_guard")

    def __init__(self, file: AnonymousFile) -> None:
        self._file = file
        self._guard = Guard()

    def run(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``change`` while no other thread of any process holds the lock, and return its result."""
        if self._guard.is_held:
            return change(*args, **kwargs)
        return self._guard.run(self._locked, partial(change, *args, **kwargs))

    def until(self, change: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``change`` as `run` does, again and again with short pauses, until it returns anything but None."""
        pause_s = _SHORTEST_S
        while True:
            result = self.run(change, *args, **kwargs)
            if result is not None:
                return result
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_S)

    def tell(self) -> None:
        """Do nothing: those that wait look again by themselves."""

    def enter(self, member: int) -> None:
        """Lock a byte for this process, as long as it lives."""
        fcntl.lockf(self._file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + member)

    def is_alive(self, member: int) -> bool:
        """Whether the process that entered as this member, another one than this, is still alive."""
        try:
            self.enter(member)
        except BlockingIOError:
            return True
        finally:
            fcntl.lockf(self._file.descriptor, fcntl.LOCK_UN, 1, 1 + member)
        return False

    def _locked(self, change: Callable[[], T]) -> T:
        descriptor = self._file.descriptor
        try:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, 0)
                return change()
            finally:
                fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, 0)
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, 0)
