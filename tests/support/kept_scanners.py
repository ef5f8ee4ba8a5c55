"""Scanning processes that go on from test to test: starting one takes longer than most tests."""

from __future__ import annotations

import atexit

from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.scanning.worker_process import DiedError, ScanProcess

__all__ = ["KeptWorkers"]

_kept: list[ScanProcess] = []


class KeptWorkers(ScanWorkers):
    """Scans with real processes, and keeps those that are idle for the next scan; one that died is not kept."""

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            with self._lock:
                _kept.extend(self._idle)
                self._alive.difference_update(self._idle)
        super().__exit__(kind, *rest)

    def _started_process(self) -> ScanProcess:
        with self._lock:
            process = _kept.pop() if _kept else None
            if process is not None:
                self._alive.add(process)
        if process is None:
            return super()._started_process()
        try:
            with self._dropped_if_dead(process):
                process.begin(self._setup)
        except DiedError:
            return super()._started_process()
        return process


@atexit.register
def _end() -> None:
    for process in _kept:
        process.kill()
        process.close()
