"""One scanning process, as its parent sees it.

It is not a process of `multiprocessing`: spawn and forkserver run the user's script again, and fork is unsafe beside
threads. A fresh interpreter that imports neither torch nor Lightning is ready in about 0.25 s.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from h5lightning.core.progress import Advance
from h5lightning.storage.scanning.scan_request import Outcome
from h5lightning.storage.scanning.shares import PROGRESS, share_in
from h5lightning.storage.scanning.wire_format import OutcomeDecoder

__all__ = ["SILENCE_S", "CannotStartError", "DiedError", "ScanProcess", "SilentError"]

SILENCE_S = 120.0  # a batch of files takes seconds, even from a slow server

# The current directory, the empty entry of sys.path, is removed so that no file in it shadows a module. Python 3.10 has
# no PYTHONSAFEPATH.
_COMMAND = (
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from h5lightning.storage.scanning.worker import main; main()",
)
_CLOSE_S = 5.0


class CannotStartError(RuntimeError):
    """No scanning process can be started."""


class DiedError(Exception):
    """A scanning process ended before it answered."""


class SilentError(DiedError):
    """A scanning process was ended because it did not answer in time."""


class ScanProcess:
    """One scanning process. Only one thread at a time may use it, except for `kill`.

    Args:
        silence_s: seconds without an answer after which it is ended: a server that is gone would block it indefinitely.
    """

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._was_silent = False
        self._process = _start()
        self._decoder = OutcomeDecoder()

    def begin(self, setup: str) -> None:
        """Send the request of a scan, and wait until the process is ready; it may have answered other requests before.

        Raises:
            DiedError: it ended before it was ready.
        """
        self._decoder = OutcomeDecoder()
        self._ask(setup)

    def scan(self, paths: Sequence[str], advance: Advance = lambda _: None) -> list[Outcome]:
        """The outcome of each file, in order; ``advance`` is called with shares of files while they are scanned.

        Raises:
            DiedError: it ended before it answered.
            SilentError: it did not answer in time.
        """
        outcomes: list[Outcome] = []
        line = self._ask(json.dumps(paths))
        while True:
            if line.startswith(PROGRESS):
                advance(share_in(line))
            else:
                outcomes += self._decoder.decode(line)
            if len(outcomes) >= len(paths):
                return outcomes
            line = self._answer()

    def kill(self) -> None:
        """End it at once; any thread may call this."""
        self._process.kill()

    def close(self) -> int:
        """End it by closing its input, and return its exit status."""
        process = self._process
        with contextlib.suppress(BrokenPipeError), process:
            try:
                if process.stdin is not None:
                    process.stdin.close()
                return process.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def _ask(self, line: str) -> bytes:
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("a scanning process must have a pipe as its standard input")
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{line}\n".encode())
            stdin.flush()
        return self._answer()

    def _answer(self) -> bytes:
        stdout = self._process.stdout
        with self._ended_if_silent():
            answer = stdout.readline() if stdout is not None else b""
        if answer.endswith(b"\n"):
            return answer
        status = self.close()
        if self._was_silent:
            raise SilentError(f"gave no answer for {self._silence_s:g} s")
        raise DiedError(_status_text(status))

    @contextlib.contextmanager
    def _ended_if_silent(self) -> Iterator[None]:
        timer = threading.Timer(self._silence_s, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._was_silent = True
        self.kill()


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  # this interpreter and a constant
            # Empty in an embedded Python, which ends in the error below.
            [sys.executable or "", *_COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The process must find the same package as this one.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            # In its own session, so that Ctrl-C reaches only this process, which then ends the others.
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStartError(f"no scanning process can be started: {error}") from error


def _status_text(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    if status == -signal.SIGPROF:
        return "did not finish reading a text in it (the heap of the file may be damaged)"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
