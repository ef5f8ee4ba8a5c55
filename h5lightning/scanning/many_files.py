"""Many files → their schemas, in parallel where that is faster."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.progress import Advance, progress_bar
from h5lightning.scanning.crew import CannotStartError, Crew
from h5lightning.scanning.one_file import Outcome, ScanRequest, outcome_of
from h5lightning.schema import FileSchema

__all__ = ["available_cores", "scan_files"]

# Below, one process is done before others have started: they need 0.25 s, a file takes 0.2 ms.
_FEW_FILES = 2_000
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
    with progress_bar("scanning", len(paths), is_wanted=progress) as advance:
        if count > 1 and len(paths) >= _FEW_FILES:
            try:
                return scan_in_parallel(paths, request, processes=count, advance=advance, locking=locking)
            except CannotStartError as error:
                _logger.warning("files are scanned in this process alone: %s", error)
        return scan_in_turn(paths, request, advance=advance, locking=locking)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scan_in_turn(
    paths: Sequence[str], request: ScanRequest, *, advance: Advance, locking: bool
) -> list[FileSchema | BadFileError]:
    """`scan_files` in this process."""
    found: list[FileSchema | BadFileError] = []
    for path in paths:
        found.append(_schema_or_bad(outcome_of(path, request, locking=locking)))
        advance(1)
    return found


def scan_in_parallel(
    paths: Sequence[str], request: ScanRequest, *, processes: int, advance: Advance, locking: bool
) -> list[FileSchema | BadFileError]:
    """`scan_files` in processes of their own."""
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
