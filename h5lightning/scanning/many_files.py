"""Many files → their schemas, in parallel where that is faster."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence

from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.progress import Advance, progress_bar
from h5lightning.scanning.crew import CannotStartError, Crew
from h5lightning.scanning.one_file import Outcome, ScanRequest, outcome_of
from h5lightning.schema import FileSchema

__all__ = ["available_cores", "scan_files", "scan_in_parallel", "scan_in_turn"]

# Starting processes takes 0.3 s, and 2,000 files in this process take 0.6 s on a local disk. On a slow one
# few files can take longer than that, so what is not done by then goes to other processes as well.
_MANY_FILES = 2_000
_PATIENCE_S = 0.3
_BATCH_FILES = 64

_logger = logging.getLogger(__name__)


def scan_files(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    processes: int | None = None,
    progress: bool = True,
    locking: bool = False,
) -> list[FileSchema | BadFileError]:
    """Describe what each file holds; the outcome does not depend on the number of processes.

    Args:
        paths: where the files lie.
        request: what to look for.
        processes: scanning processes for many files; None for one on each core.
        progress: show a bar on a terminal or in a notebook, if it takes over a second.
        locking: take HDF5's file lock.

    Returns:
        For each path, in order, its schema, or the reason why the file cannot be read.

    Raises:
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
    """
    count = processes or available_cores()
    patience_s = math.inf if count == 1 else 0.0 if len(paths) >= _MANY_FILES else _PATIENCE_S
    with progress_bar("scanning", len(paths), is_wanted=progress) as advance:
        found = scan_in_turn(paths, request, advance=advance, locking=locking, patience_s=patience_s)
        rest = paths[len(found) :]
        try:
            others = scan_in_parallel(rest, request, processes=count, advance=advance, locking=locking)
        except CannotStartError as error:
            _logger.warning("files are scanned by one process only: %s", error)
            others = scan_in_turn(rest, request, advance=advance, locking=locking)
    return found + others


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scan_in_turn(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    advance: Advance,
    locking: bool = False,
    patience_s: float = math.inf,
) -> list[FileSchema | BadFileError]:
    """The outcomes of the first files, as many as this process can scan until its patience ends."""
    found: list[FileSchema | BadFileError] = []
    end_s = time.monotonic() + patience_s
    for path in paths:
        if time.monotonic() >= end_s:
            break
        found.append(_schema_or_bad(outcome_of(path, request, locking=locking)))
        advance(1)
    return found


def scan_in_parallel(
    paths: Sequence[str], request: ScanRequest, *, processes: int, advance: Advance, locking: bool = False
) -> list[FileSchema | BadFileError]:
    """The outcome of each file, found by other processes."""
    if not paths:
        return []
    size = max(1, min(_BATCH_FILES, len(paths) // (4 * processes)))
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    found: list[list[FileSchema | BadFileError]] = [[] for _ in batches]
    with Crew(processes, request, locking=locking) as crew:
        for number, outcomes in crew.scan(batches):
            found[number] = [_schema_or_bad(outcome) for outcome in outcomes]
            advance(len(outcomes))
    return [outcome for outcomes in found for outcome in outcomes]


def _schema_or_bad(outcome: Outcome) -> FileSchema | BadFileError:
    if isinstance(outcome, H5LightningError) and not isinstance(outcome, BadFileError):
        raise outcome
    return outcome
