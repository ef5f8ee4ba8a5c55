"""Write new files one after the other: a file appears under its name only when it is complete and checked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping

from h5lightning.core.formatting import counted, listed
from h5lightning.core.progress import progress_bar
from h5lightning.core.terminal import Terminal
from h5lightning.errors import BadFileError, H5LightningError, ResourceError
from h5lightning.planning.catalog.file_stamps import Stamp, explain_change
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.tools.doctor.rewriting.output_files import (
    put_in_place,
    unfinished_folder,
    unfinished_folders,
)

__all__ = ["check_unchanged", "write_files"]

_MAX_NAMED = 5


def write_files(jobs: Mapping[str, Callable[[str], list[str]]], into: str) -> None:
    """Write files one after the other, and print the outcome. Existing files are skipped.

    Args:
        jobs: path of a new file → function that writes it to a given path and returns remarks.
        into: the folder of all new files.

    Raises:
        BadFileError: some files could not be written; the others were.
    """
    failed: dict[str, str] = {}
    written = existing = 0
    for folder in unfinished_folders(into):
        _say(
            f"{folder!r} is from a run that was killed or is still running: delete it if no other run writes here"
        )
    with unfinished_folder(into) as folder, progress_bar("writing", len(jobs)) as advance:
        for number, (output, job) in enumerate(jobs.items()):
            try:
                is_new = _write_file(os.path.join(folder, str(number)), output, job)
            except ResourceError:
                raise
            except (H5LightningError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
                failed[os.path.relpath(output, into)] = str(error)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, str(number)))
            else:
                written, existing = written + is_new, existing + (not is_new)
            advance(1)
    if existing:
        _say(
            f"{counted(existing, 'file')} in {into!r} already existed and {'was' if existing == 1 else 'were'} skipped"
        )
    _say(f"{counted(written, 'file')} written to {into!r}; the original files are unchanged")
    _check_none_failed(failed, len(jobs))


def _write_file(unfinished: str, output: str, job: Callable[[str], list[str]]) -> bool:
    """Write a file, and say whether it is new."""
    if os.path.lexists(output):
        return False
    for remark in job(unfinished):
        _say(f"{output!r}: {remark}")
    put_in_place(unfinished, output)
    return True


def _say(text: str) -> None:
    Terminal().print_code(text)


def _check_none_failed(failed: Mapping[str, str], files: int) -> None:
    if failed:
        named = listed([f"{name!r}: {reason}" for name, reason in failed.items()], _MAX_NAMED, separator="; ")
        raise BadFileError(f"{len(failed)} of {counted(files, 'file')} could not be written: {named}")


def check_unchanged(path: str, before: Stamp) -> None:
    """Check that an original has not changed since its values were read.

    Raises:
        BadFileError: another program wrote to it.
    """
    change = explain_change(stamp(os.stat(path)), before)
    if change:
        raise BadFileError(
            f"{change} while it was copied: wait until the writer has finished, then start again"
        )
