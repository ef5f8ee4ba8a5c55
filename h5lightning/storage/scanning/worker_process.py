"""One scanning process of our own, as its parent sees it.

Not `multiprocessing`: spawn and forkserver run the user's script again, and fork is unsafe beside threads.
A fresh interpreter that imports neither torch nor Lightning is ready in about 0.25 s.
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

from h5lightning.storage.scanning.describe_file import Outcome
from h5lightning.storage.scanning.wire_format import Decoder

__all__ = ["SILENCE_S", "CannotStartError", "DiedError", "ScanProcess", "SilentError"]

SILENCE_S = 120.0  # a batch of files takes seconds, from a slow server too

# Nothing in the current directory may shadow a module: it stands first in sys.path, as an empty text. Python 3.10 has
# no PYTHONSAFEPATH.
_COMMAND = (
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from h5lightning.storage.scanning.worker import main; main()",
)
_LAST_WORDS_S = 5.0


class CannotStartError(RuntimeError):
    """No scanning process can be started."""


class DiedError(Exception):
    """A scanning process ended before it answered."""


class SilentError(DiedError):
    """A scanning process gave no answer for so long that it was ended."""


class ScanProcess:
    """One scanning process; one thread at a time speaks to it.

    Args:
        silence_s: seconds without an answer after which it is ended: a server that is gone would hold it for ever.
    """

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._was_silent = False
        self._process = _start()
        self._decoder = Decoder()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def begin(self, setup: str) -> None:
        """Say what to look for, and wait until it is ready.

        Raises:
            DiedError: it ended before.
        """
        self._ask(setup)

    def scan(self, paths: Sequence[str]) -> list[Outcome]:
        """The outcome of each file, in order.

        Raises:
            DiedError: it ended before it answered.
            SilentError: it did not answer in time.
        """
        found = self._decoder.decode(self._ask(json.dumps(paths)))
        while len(found) < len(paths):
            found += self._decoder.decode(self._answer())
        return found

    def kill(self) -> None:
        """End it at once; any thread may."""
        self._process.kill()

    def close(self) -> int:
        """End it by ending its input, and return its exit status."""
        process = self._process
        with contextlib.suppress(BrokenPipeError), process:
            try:
                if process.stdin is not None:
                    process.stdin.close()
                return process.wait(_LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def _ask(self, line: str) -> bytes:
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("a scanning process is spoken to through pipes")
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
        raise DiedError(_last_words(status))

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
            # Empty where Python is embedded, which ends in the error below.
            [sys.executable or "", *_COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the others.
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStartError(f"no scanning process can be started: {error}") from error


def _environment() -> dict[str, str]:
    # The package is found where this process found it.
    places = [os.path.abspath(place) for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def _last_words(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    if status == -signal.SIGPROF:
        return "found no end to the text in it"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
