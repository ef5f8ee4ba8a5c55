"""Scanning processes of our own, which survive files that crash HDF5.

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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from types import TracebackType

from h5lightning.errors import BadFileError
from h5lightning.scanning.messages import Decoder
from h5lightning.scanning.one_file import Outcome, ScanRequest

__all__ = ["CannotStartError", "Crew"]

_COMMAND = ("-m", "h5lightning.scanning.worker")
_LAST_WORDS_S = 5.0


class CannotStartError(RuntimeError):
    """No scanning process can be started."""


class Crew:
    """Processes that scan files, each served by one thread of this process.

    A process that dies is replaced, and its files are scanned again one by one: the file with which a
    process of its own dies too is the culprit.

    Args:
        processes: how many work at a time.
        request: what to look for.
        locking: take HDF5's file lock.

    Example:
        >>> with Crew(2, ScanRequest(paths=None)) as crew:
        ...     list(crew.scan([]))
        []
    """

    def __init__(self, processes: int, request: ScanRequest, *, locking: bool = False) -> None:
        setup = {"paths": request.paths, "attrs": request.attrs, "locking": locking}
        self._setup = json.dumps(setup)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="h5lightning-scan")
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._is_over = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_over = True
            if kind is not None:
                for worker in self._alive:
                    worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._alive:
            worker.close()

    def scan(self, batches: Iterable[Sequence[str]]) -> Iterator[tuple[int, list[Outcome]]]:
        """The number of each batch with the outcomes of its files, as they are done.

        Args:
            batches: paths; a batch goes to one process.

        Raises:
            CannotStartError: no process can be started here.
        """
        tasks = {self._threads.submit(self._scan, batch): number for number, batch in enumerate(batches)}
        for task in as_completed(tasks):
            yield tasks[task], task.result()

    def _scan(self, batch: Sequence[str]) -> list[Outcome]:
        try:
            return self._ask(batch)
        except _DiedError:
            return [self._scan_alone(path) for path in batch]

    def _scan_alone(self, path: str) -> Outcome:
        try:
            return self._ask([path])[0]
        except _DiedError as death:
            return BadFileError(
                f"{path!r} crashed the HDF5 library: two processes that scanned it {death}. It is damaged: "
                f"copy it or download it again; to do without it, add '!{path}' to files or set "
                "access.on_bad_file=skip"
            )

    def _ask(self, paths: Sequence[str]) -> list[Outcome]:
        worker = self._take()
        try:
            outcomes = worker.scan(paths)
        except _DiedError:
            with self._lock:
                self._alive.discard(worker)
            raise
        self._idle.append(worker)
        return outcomes

    def _take(self) -> _Worker:
        with self._lock:
            if self._is_over:
                raise CannotStartError("the scan was ended")
            if self._idle:
                return self._idle.pop()
            worker = _Worker()
            self._alive.add(worker)
        worker.begin(self._setup)
        return worker


class _DiedError(Exception):
    """A scanning process ended before it answered."""


class _Worker:
    """One scanning process."""

    def __init__(self) -> None:
        self._process = _start()
        self._decoder = Decoder()

    def begin(self, setup: str) -> None:
        try:
            self._ask(setup)
        except _DiedError as death:
            raise CannotStartError(f"a scanning process {death} before it was ready") from death

    def scan(self, paths: Sequence[str]) -> list[Outcome]:
        return self._decoder.decode(self._ask(json.dumps(paths)))

    def kill(self) -> None:
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
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a scanning process is spoken to through pipes")
        answer = b""
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{line}\n".encode())
            stdin.flush()
            answer = stdout.readline()
        if not answer.endswith(b"\n"):
            raise _DiedError(_last_words(self.close()))
        return answer


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
    # The package is found where this process found it, and nothing in the current directory shadows a module.
    places = [os.path.abspath(place) for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}


def _last_words(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"were killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"were killed by signal {-status}"
