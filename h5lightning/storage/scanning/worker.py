"""The program of a scanning process, which `worker_process` starts.

By hand: ``python -m h5lightning.storage.scanning.worker``. The first line of its standard input is the request. Each
further line is a list of paths, which it answers with one or more lines on its standard output, among lines of
progress; or the request of the next scan. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO

from h5lightning.storage.scanning.describe_file import outcome_of
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scan_request import ScanRequest
from h5lightning.storage.scanning.shares import progress_line
from h5lightning.storage.scanning.wire_format import OutcomeEncoder

__all__ = ["main"]

_TELL_S = 0.5
_LIMIT_CPU_S = 1.0  # 64 KiB of text take well under a millisecond


def main() -> None:
    """Answer tasks until the input ends."""
    # Filter plug-ins may print: send that to standard error, where it cannot be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    reader = ValueReader(reads_text=True, limit_cpu_s=_LIMIT_CPU_S)
    for line in sys.stdin.buffer:
        task = json.loads(line)
        if isinstance(task, dict):
            request, locking, encoder = ScanRequest.from_plain(task), task["locking"], OutcomeEncoder()
            _send(answers, "ready")
            continue
        tell = _Teller(answers)
        outcomes = (outcome_of(path, request, reader, locking=locking, tell=tell) for path in task)
        for answer in encoder.encode(outcomes):
            _send(answers, answer)


class _Teller:
    """Says from time to time how much was scanned, so that a long scan is not taken for one that hangs."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._share = 0.0
        self._due_s = time.monotonic() + _TELL_S

    def __call__(self, share: float) -> None:
        self._share += share
        now_s = time.monotonic()
        if now_s >= self._due_s:
            _send(self._answers, progress_line(self._share))
            self._share, self._due_s = 0.0, now_s + _TELL_S


def _send(answers: IO[str], line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
