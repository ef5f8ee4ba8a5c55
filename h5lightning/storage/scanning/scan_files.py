"""Many files → their schemas, in parallel where that is faster."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence

from h5lightning.core.processor import usable_cores
from h5lightning.core.progress import Advance, progress_bar
from h5lightning.core.visible import visible_logger
from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.planning.catalog.schema import FileSchema
from h5lightning.storage.filesystems.mounts import lies_on_remote
from h5lightning.storage.scanning.describe_file import DIFFERENCE, Outcome, ScanRequest, outcome_of
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader
from h5lightning.storage.scanning.worker_pool import ScanWorkers
from h5lightning.storage.scanning.worker_process import CannotStartError

__all__ = ["difference_between", "scan_elsewhere", "scan_file", "scan_files", "scan_here"]

# Starting processes takes 0.3 s, and 2,000 files in this process take 0.6 s on a local disk. On a slow one
# few files can take longer than that, so what is not done by then goes to other processes as well.
_MANY_FILES = 2_000
_PATIENCE_S = 0.3
_LARGEST_BATCH = 256

# Of all files together: looking them up takes a minute of one core, and the index 256 to 768 MB.
_MOST_CHUNKS = 2**25

_logger = visible_logger(__name__)


def scan_file(path: str, request: ScanRequest, *, locking: bool = False) -> FileSchema:
    """Describe what one file holds; `scan_files` for one.

    Args:
        path: where the file lies.
        request: what to look for.
        locking: take HDF5's file lock.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
    """
    (outcome,) = scan_files([path], request, processes=1, progress=False, locking=locking)
    if isinstance(outcome, BadFileError):
        raise outcome
    return outcome


def difference_between(path: str, other: str, source: str, *, locking: bool = False) -> str:
    """The first difference between what two files hold, such as ``row 0: 'g3', expected 'g1'``; empty if none is found.

    Args:
        path: where the file lies.
        other: where the file lies that has what is expected.
        source: a dataset or group, ``dataset@attribute`` or ``table[column]``.
        locking: take HDF5's file lock.
    """
    try:
        found = scan_file(path, ScanRequest((), compared=(other, source)), locking=locking)
    except H5LightningError:
        return ""  # this only helps to explain another error
    return str(found.attrs[DIFFERENCE])


def scan_files(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    processes: int | None = None,
    progress: bool = True,
    locking: bool = False,
) -> list[FileSchema | BadFileError]:
    """Describe what each file holds; the outcome does not depend on the number of processes.

    What cannot be a field is described too, with the reason as its ``refusal``; what a file lacks is left
    out. Where the values of a dataset with very many chunks lie is not looked at. Links to elsewhere are not followed.

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
        patience_s = 0.0  # a server that does not answer would hold up this process, with the GIL in its hand
    with progress_bar("scanning", len(paths), is_wanted=progress) as advance:
        found = scan_here(paths, request, advance=advance, locking=locking, patience_s=patience_s)
        rest = paths[len(found) :]
        try:
            others = scan_elsewhere(rest, request, processes=count, advance=advance, locking=locking)
        except CannotStartError as error:
            _logger.warning("files are scanned by this process alone: %s", error)
            others = scan_here(rest, request, advance=advance, locking=locking, reads_text=True)
    return found + others


def scan_here(
    paths: Sequence[str],
    request: ScanRequest,
    *,
    advance: Advance,
    locking: bool = False,
    patience_s: float = math.inf,
    reads_text: bool = False,
) -> list[FileSchema | BadFileError]:
    """The outcomes of the first files: until patience ends, or a file holds what this process must not read."""
    found: list[FileSchema | BadFileError] = []
    values = ValueReader(reads_text=reads_text)
    end_s = time.monotonic() + patience_s
    with contextlib.suppress(NeedsProcessError):
        for path in paths:
            if time.monotonic() >= end_s:
                break
            found.append(_schema_or_bad(outcome_of(path, request, values, locking=locking)))
            advance(1)
    return found


def scan_elsewhere(
    paths: Sequence[str], request: ScanRequest, *, processes: int, advance: Advance, locking: bool = False
) -> list[FileSchema | BadFileError]:
    """The outcome of each file, found by other processes."""
    if not paths:
        return []
    # Large, since a process waits between batches; small enough that none is left with the last of them.
    size = max(1, min(_LARGEST_BATCH, len(paths) // (16 * processes)))
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    found: list[list[FileSchema | BadFileError]] = [[] for _ in batches]
    with ScanWorkers(processes, request, locking=locking) as crew:
        for number, outcomes in crew.scan(batches):
            found[number] = [_schema_or_bad(outcome) for outcome in outcomes]
            advance(len(outcomes))
    return [outcome for outcomes in found for outcome in outcomes]


def _schema_or_bad(outcome: Outcome) -> FileSchema | BadFileError:
    if isinstance(outcome, H5LightningError) and not isinstance(outcome, BadFileError):
        raise outcome
    return outcome
