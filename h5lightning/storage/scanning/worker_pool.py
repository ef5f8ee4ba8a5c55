"""Scan files in several processes, and survive files that crash HDF5."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from h5lightning.core.progress import Advance
from h5lightning.errors import BadFileError
from h5lightning.storage.hdf5.file_checks import leave_out_hint
from h5lightning.storage.scanning.scan_request import Outcome, ScanRequest
from h5lightning.storage.scanning.shares import Shares
from h5lightning.storage.scanning.worker_process import (
    SILENCE_S,
    CannotStartError,
    DiedError,
    ScanProcess,
    SilentError,
)

__all__ = ["ScanWorkers"]


class ScanWorkers:
    """Processes that scan files, each driven by one thread of this process.

    A process that dies is replaced, and its files are scanned again one by one. A file that ends a second process is
    reported as damaged.

    Args:
        processes: how many work at a time.
        request: what to look for.
        locking: take HDF5's file lock.
        silence_s: seconds without an answer after which a process is ended.
        advance: moves a bar by a number of files, of which it may get shares.

    Example:
        >>> with ScanWorkers(2, ScanRequest(paths=None)) as workers:
        ...     list(workers.scan([]))
        []
    """

    def __init__(
        self,
        processes: int,
        request: ScanRequest,
        *,
        locking: bool = False,
        silence_s: float = SILENCE_S,
        advance: Advance = lambda _: None,
    ) -> None:
        self._silence_s = silence_s
        self._advance = advance
        self._setup = json.dumps({**dataclasses.asdict(request), "locking": locking})
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="h5lightning-scan")
        self._lock = threading.Lock()
        self._alive: set[ScanProcess] = set()
        self._idle: list[ScanProcess] = []
        self._is_over = False

    def __enter__(self) -> ScanWorkers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            self._is_over = True
            if kind is not None:
                for process in self._alive:
                    process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._alive:
            process.close()

    def scan(self, batches: Iterable[Sequence[str]]) -> Iterator[tuple[int, list[Outcome]]]:
        """The number of each batch with the outcomes of its files, in the order in which they finish.

        Args:
            batches: paths; each batch goes to one process.

        Raises:
            CannotStartError: no process can be started.
        """
        numbers = {self._threads.submit(self._scan, batch): number for number, batch in enumerate(batches)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()

    def _scan(self, batch: Sequence[str]) -> list[Outcome]:
        try:
            return self._ask(batch)
        except DiedError:
            return [self._scan_alone(path) for path in batch]

    def _scan_alone(self, path: str) -> Outcome:
        try:
            return self._ask([path])[0]
        except SilentError as silence:
            self._advance_alone(1)
            return BadFileError(
                f"{path!r} cannot be read: the scanning process {silence}. Its file system does not answer: "
                f"check the mount and the server, then start again; {leave_out_hint(path)}"
            )
        except DiedError as death:
            self._advance_alone(1)
            return BadFileError(
                f"{path!r} crashed the HDF5 library, twice: the scanning process {death}. It is damaged: copy it or "
                f"download it again; {leave_out_hint(path)}"
            )

    def _ask(self, paths: Sequence[str]) -> list[Outcome]:
        process = self._idle_process() or self._new_process()
        shares, scanned = Shares(self._advance_alone), 0
        try:
            with self._dropped_if_dead(process):
                outcomes = process.scan(paths, shares.tell)
            scanned = len(paths)
        finally:
            shares.finish(scanned)
        self._idle.append(process)
        return outcomes

    def _advance_alone(self, files: float) -> None:
        with self._lock:
            self._advance(files)

    def _idle_process(self) -> ScanProcess | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _new_process(self) -> ScanProcess:
        # Tried twice, since the first process may have been ended from outside.
        with contextlib.suppress(DiedError):
            return self._started_process()
        try:
            return self._started_process()
        except DiedError as death:
            raise CannotStartError(f"a scanning process {death} before it was ready") from death

    def _started_process(self) -> ScanProcess:
        with self._lock:
            if self._is_over:
                raise CannotStartError("the scan has ended")
            process = ScanProcess(self._silence_s)
            self._alive.add(process)
        with self._dropped_if_dead(process):
            process.begin(self._setup)
        return process

    @contextlib.contextmanager
    def _dropped_if_dead(self, process: ScanProcess) -> Iterator[None]:
        """Drop the process from the living ones if it dies inside the ``with`` block."""
        try:
            yield
        except DiedError:
            with self._lock:
                self._alive.discard(process)
            raise
