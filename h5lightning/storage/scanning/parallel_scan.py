"""Scan many files, in parallel processes if that is faster."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence

from h5lightning.core.process_local import usable_cores
from h5lightning.core.progress import Advance, progress_bar
from h5lightning.core.visible import visible_logger
from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.storage.filesystems.mounts import lies_on_remote
from h5lightning.storage.scanning.describe_file import outcome_of
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader
from h5lightning.storage.scanning.scan_request import DIFFERENCE, Outcome, ScanRequest
from h5lightning.storage.scanning.shares import Shares
from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.scanning.worker_process import CannotStartError

__all__ = ["difference_between", "scan_by_workers", "scan_file", "scan_files", "scan_in_process"]

# Starting processes takes 0.3 s; scanning 2,000 files in this process takes 0.6 s on a local disk. On a slow disk a few
# files can take longer, so after that time other processes scan the remaining files.
_MANY_FILES = 2_000
_PATIENCE_S = 0.3
_LARGEST_BATCH = 256

# In all files together: locating them takes one core a minute, and the index 256 to 768 MB.
_MOST_CHUNKS = 2**25

_logger = visible_logger(__name__)


def scan_file(path: str, request: ScanRequest, *, locking: bool = False) -> FileSchema:
    """Describe the datasets of one file; see `scan_files`.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
    """
    (outcome,) = scan_files([path], request, processes=1, progress=False, locking=locking)
    if isinstance(outcome, BadFileError):
        raise outcome
    return outcome


def difference_between(
    path: str, other: str, source: str, other_source: str | None = None, *, locking: bool = False
) -> str:
    """The first difference between a file and another with the expected content, as `first_difference` finds it."""
    expected = source if other_source is None else other_source
    try:
        schema = scan_file(path, ScanRequest((), compared=(other, expected, source)), locking=locking)
    except H5LightningError:
        return ""  # this only helps to explain another error
    return str(schema.attrs[DIFFERENCE])


def scan_files(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    processes: int | None = None,
    progress: bool = True,
    locking: bool = False,
) -> list[FileSchema | BadFileError]:
    """Describe the datasets of each file; the result does not depend on the number of processes.

    A dataset that cannot be a field is described too, with the reason as its ``refusal``. Objects that a file lacks are
    left out. Stored values of datasets with very many chunks are not located.

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
    count = processes or usable_cores()
    request = dataclasses.replace(
        request, most_chunks=min(request.most_chunks, _MOST_CHUNKS // max(1, len(paths)))
    )
    patience_s = math.inf if count == 1 else 0.0 if len(paths) >= _MANY_FILES else _PATIENCE_S
    if paths and lies_on_remote(paths[0]):
        patience_s = 0.0  # a server that does not answer would block this process, which holds the GIL
    with progress_bar("scanning", len(paths), is_enabled=progress) as advance:
        scanned = scan_in_process(paths, request, advance=advance, locking=locking, patience_s=patience_s)
        remaining = paths[len(scanned) :]
        try:
            return scanned + scan_by_workers(
                remaining, request, processes=count, advance=advance, locking=locking
            )
        except CannotStartError as error:
            _logger.warning("files are scanned by this process alone: %s", error)
            return scanned + scan_in_process(
                remaining, request, advance=advance, locking=locking, reads_text=True
            )


def scan_in_process(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    advance: Advance,
    locking: bool = False,
    patience_s: float = math.inf,
    reads_text: bool = False,
) -> list[FileSchema | BadFileError]:
    """Scan files here, up to the end of the patience or a file with text that this process must not read."""
    scanned: list[FileSchema | BadFileError] = []
    reader = ValueReader(reads_text=reads_text)
    end_s = time.monotonic() + patience_s
    with contextlib.suppress(NeedsProcessError):
        for path in paths:
            if time.monotonic() >= end_s:
                break
            shares = Shares(advance)
            scanned.append(
                _schema_or_bad(outcome_of(path, request, reader, locking=locking, tell=shares.tell))
            )
            shares.finish(1)
    return scanned


def scan_by_workers(
    paths: Sequence[str], request: ScanRequest, *, processes: int, advance: Advance, locking: bool = False
) -> list[FileSchema | BadFileError]:
    """Scan files in other processes."""
    if not paths:
        return []
    # Large, since a process waits between batches; small, so that no process works alone on the last batch for long.
    size = max(1, min(_LARGEST_BATCH, len(paths) // (16 * processes)))
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    scanned: list[list[FileSchema | BadFileError]] = [[] for _ in batches]
    with ScanWorkers(processes, request, locking=locking, advance=advance) as workers:
        for number, outcomes in workers.scan(batches):
            scanned[number] = [_schema_or_bad(outcome) for outcome in outcomes]
    return [outcome for outcomes in scanned for outcome in outcomes]


def _schema_or_bad(outcome: Outcome) -> FileSchema | BadFileError:
    if isinstance(outcome, H5LightningError) and not isinstance(outcome, BadFileError):
        raise outcome
    return outcome
