"""A case in processes of its own, with a hard limit of time."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from comparing.disagreement import DisagreementError

__all__ = ["Ended", "Later", "run_limited"]

_SIZE = struct.Struct("<q")
_LOOK_S = 0.2
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Args:
        value: what its work returned; None if it did not come to that.
        problem: ``crash``, ``hang``, ``error``, or empty.
        words: what is known of it.
    """

    value: Any
    problem: str = ""
    words: str = ""


def run_limited(
    works: Sequence[Callable[[], Any]], *, limit_s: float, apart_s: float = float("inf")
) -> list[Ended]:
    """Do works in forked children at the same time; their own children end with them.

    Args:
        works: each returns what the parent is told, or raises.
        limit_s: seconds until they count as hanging and are killed.
        apart_s: seconds that the others have when the first has ended.
    """
    with tempfile.TemporaryDirectory(prefix="h5lightning-words-") as folder:
        traces = [os.path.join(folder, f"trace-{number}") for number in range(len(works))]
        children = [_start(work, trace) for work, trace in zip(works, traces, strict=True)]
        answers = _collect(children, time.monotonic() + limit_s, apart_s)
        return [
            _end(child, answer, trace) for child, answer, trace in zip(children, answers, traces, strict=True)
        ]


class _Child(NamedTuple):
    pid: int
    reading: int

    @property
    def has_ended(self) -> bool:
        """Whether it has, though nobody waited for it yet."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _start(work: Callable[[], Any], trace: str) -> _Child:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _work(work, writing, trace)
    os.close(writing)
    return _Child(pid, reading)


def _work(work: Callable[[], Any], writing: int, trace: str) -> None:
    """Never returns."""
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        with open(trace, "w", encoding="utf-8") as file:
            faulthandler.disable()  # else its handlers are not set again, and a Trainer in the parent has removed them
            faulthandler.enable(file)
            # Asked for in `_end`. A timer (`dump_traceback_later`) would hang in children of this child.
            faulthandler.register(signal.SIGUSR1, file)
            try:
                answer = ("", work())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
                answer = ("error", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
            with os.fdopen(writing, "wb") as pipe:
                answered = pickle.dumps(answer)
                pipe.write(_SIZE.pack(len(answered)) + answered)
        status = 0
    finally:
        os._exit(status)


def _collect(children: Sequence[_Child], end_s: float, apart_s: float) -> list[bytes | None]:
    """The whole answer of each; what there is of it if it has ended; None if neither comes in time.

    The end of the pipe says nothing: workers that the child started hold it too.
    """
    parts = {child.reading: b"" for child in children}
    waiting = {child.reading: child for child in children}
    while waiting and time.monotonic() < end_s:
        ready = select.select(list(waiting), [], [], _LOOK_S)[0]
        for reading in ready:
            part = os.read(reading, 1 << 20)
            parts[reading] += part
            if not part or _is_whole(parts[reading]):
                waiting.pop(reading)
        if not ready:
            waiting = {reading: child for reading, child in waiting.items() if not child.has_ended}
        if len(waiting) < len(children):
            end_s = min(end_s, time.monotonic() + apart_s)
            apart_s = float("inf")
    return [None if child.reading in waiting else parts[child.reading][8:] for child in children]


def _is_whole(answer: bytes) -> bool:
    return len(answer) >= 8 and len(answer) - 8 == _SIZE.unpack(answer[:8])[0]


def _end(child: _Child, answer: bytes | None, trace: str) -> Ended:
    os.close(child.reading)
    if answer is None:
        _kill(child.pid, signal.SIGUSR1)
        time.sleep(_LOOK_S)
        _kill(child.pid)
    status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    _kill(child.pid)  # what it started and left behind
    if answer:
        problem, value = pickle.loads(answer)
        return Ended(value) if not problem else Ended(None, problem, value)
    with open(trace, encoding="utf-8") as file:
        where = file.read()
    if answer is None:
        return Ended(None, "hang", where)
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return Ended(None, "crash", f"{name}\n{where}")


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


class Later:
    """Does a work when it is asked for it, in a child that was forked at once: it has no file open of those to come.

    Args:
        work: returns what is asked for.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._asking, asked = multiprocessing.Pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                asked.recv()
                try:
                    asked.send(("", work()))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    asked.send((f"{type(error).__name__}: {error}", None))
            finally:
                os._exit(0)
        asked.close()

    def now(self) -> Any:
        """Do it.

        Raises:
            DisagreementError: it failed.
        """
        self._asking.send(None)
        problem, found = self._asking.recv()
        os.waitpid(self._pid, 0)
        if problem:
            raise DisagreementError("what happened in another process", problem, "no error")
        return found
