"""A scanning process, which `process` starts; by hand, ``python -m h5lightning.storage.scanning.worker``.

The first line on its standard input says what to look for; each further line is a list of paths, and is
answered by one line or more on its standard output, until all paths are. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO

from h5lightning.storage.scanning.describe_file import ScanRequest, outcome_of
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.wire_format import Encoder

__all__ = ["main"]

_LIMIT_CPU_S = 1.0  # 64 KiB of text take well under a millisecond


def main() -> None:
    """Answer tasks until there are none."""
    # Filter plug-ins may print: what they say must not look like an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    tasks = sys.stdin.buffer
    setup = json.loads(tasks.readline())
    request = ScanRequest.from_plain(setup)
    _say(answers, "ready")
    encoder = Encoder()
    values = ValueReader(reads_text=True, limit_cpu_s=_LIMIT_CPU_S)
    for task in tasks:
        outcomes = (outcome_of(path, request, values, locking=setup["locking"]) for path in json.loads(task))
        for line in encoder.encode(outcomes):
            _say(answers, line)


def _say(answers: IO[str], line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
