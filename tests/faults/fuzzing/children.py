"""Work in a child process, with limits of time and memory: what ends it is told, not shared."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Ended", "run_limited"]

_HEADROOM_BYTES = 2 * 1024**3
_COUNT_BYTES = 8


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Args:
        text: what its work returned; empty if it did not come to that.
        problem: ``crash``, ``hang``, or empty.
        words: which signal or status it was.
        grown_bytes: memory that it took beyond what it began with.
    """

    text: str
    problem: str
    words: str
    grown_bytes: int


def run_limited(work: Callable[[], str], *, limit_s: float) -> Ended:
    """Do work in a forked child, which must be of one thread.

    Args:
        work: returns the text that the parent is told.
        limit_s: seconds until it counts as hanging and is killed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work(work, writing)
    os.close(writing)
    told, in_time = _collect(reading, time.monotonic() + limit_s)
    os.close(reading)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    problem = "hang" if not in_time else "crash" if status else ""
    # What it began with is less than its parent has: pages of files are not taken over.
    before = int.from_bytes(told[:_COUNT_BYTES], "little")
    text = told[_COUNT_BYTES:].decode() if in_time else ""
    grown = max(0, usage.ru_maxrss * 1024 - before)
    return Ended(text, problem, _words(status) if problem == "crash" else "", grown)


def _work(work: Callable[[], str], writing: int) -> None:
    """Never returns."""
    status = 1
    try:
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(writing, _resident_bytes().to_bytes(_COUNT_BYTES, "little"))
        limit = _virtual_bytes() + _HEADROOM_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.write(writing, work().encode(errors="backslashreplace")[:60_000])
        status = 0
    finally:
        os._exit(status)


def _collect(reading: int, end_s: float) -> tuple[bytes, bool]:
    parts = []
    while select.select([reading], [], [], max(0.0, end_s - time.monotonic()))[0]:
        part = os.read(reading, 65_536)
        if not part:
            return b"".join(parts), True
        parts.append(part)
    return b"".join(parts), False


def _words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def _virtual_bytes() -> int:
    return _pages(0)


def _resident_bytes() -> int:
    return _pages(1)


def _pages(column: int) -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[column]) * resource.getpagesize()
