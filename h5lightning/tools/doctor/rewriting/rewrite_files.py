"""Whole new files, beside the originals: what the program of `h5lightning doctor` calls.

A file appears under its name when it is complete, was read back and compared; until then it lies in a hidden folder.
Nothing that exists is written over, so that the program can be started again.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from h5py import h5d, h5f, h5l, h5o

from h5lightning.core.formatting import counted
from h5lightning.core.progress import progress_bar
from h5lightning.core.terminal import Terminal
from h5lightning.errors import BadFileError, FieldError, H5LightningError, ResourceError
from h5lightning.planning.catalog.file_stamps import Stamp, explain_change
from h5lightning.storage.discovery import discover
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.tools.doctor.rewriting.output_files import (
    InputPatterns,
    check_space,
    left_behind,
    make_folder,
    opened_to_write,
    put_in_place,
    unfinished_folder,
)
from h5lightning.tools.doctor.rewriting.references import visited_objects
from h5lightning.tools.doctor.rewriting.replace_datasets import (
    Plan,
    check_values,
    find_dataset,
    replace_datasets,
)
from h5lightning.tools.doctor.rewriting.storage_options import StorageOptions

__all__ = ["check_unchanged", "prepare", "rewrite_files", "write_each"]

_MOST_NAMED = 5


def rewrite_files(
    files: str | Sequence[str],
    into: str,
    stored: Mapping[str, Mapping[str, Any]] | None = None,
    columns: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> None:
    """Write new files that hold what others hold, some of their datasets stored in another way.

    All else is kept as it is: attributes, dimension scales, references, links, the order of names, types, fill
    values, what was never written, what may still grow. What cannot be kept is refused, file by file.

    Args:
        files: globs or paths; an entry with ``!`` leaves out.
        into: the folder of the new files, which have the same names below it. What is there is left alone.
        stored: path of a dataset → the arguments of `StorageOptions`; ``{}`` for no chunks and no filters.
        columns: path of a table → column → the same: each column is written to ``TABLE_columns/COLUMN``, too.

    Raises:
        OptionError: ``into`` lies where ``files`` would find it.
        ResourceError: the disk has no room.
        BadFileError: some files could not be written again; all others were.
    """
    plan = Plan(
        {path: StorageOptions(**options) for path, options in (stored or {}).items()},
        {
            table: {column: StorageOptions(**options) for column, options in kinds.items()}
            for table, kinds in (columns or {}).items()
        },
    )
    patterns = [files] if isinstance(files, str) else list(files)
    found, into = discover(patterns), os.path.abspath(into)
    paths = {os.path.join(into, name): found.path(file) for file, name in enumerate(found.names)}
    outputs = frozenset(paths)
    missing = [path for output, path in paths.items() if not os.path.lexists(output)]
    prepare(into, outputs, patterns, sum(_most_bytes(path, plan) for path in missing))
    write_each({output: _job(path, output, outputs, plan) for output, path in paths.items()}, into)


# ── many files ───────────────────────────────────────────────────────────────────────────────────────


def prepare(into: str, outputs: Collection[str], patterns: Sequence[str], needed_bytes: int) -> None:
    """Make a folder for new files, if they may lie there and find room.

    Args:
        into: the folder, absolute.
        outputs: the new files.
        patterns: what the user gave for the files.
        needed_bytes: what the new files take at most.

    Raises:
        OptionError: the patterns would find the new files, or the folder cannot be made.
        ResourceError: the disk has no room.
    """
    InputPatterns(patterns, os.getcwd()).check(outputs)
    # Originals may need the decoders that a plug-in brings.
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    make_folder(into)
    check_space(into, needed_bytes)


def write_each(jobs: Mapping[str, Callable[[str], list[str]]], into: str) -> None:
    """Write files one after the other, and say what became of them.

    Args:
        jobs: where a file shall lie → what writes it under the name that it is given, and returns remarks.
        into: the folder that all of them lie in.

    Raises:
        BadFileError: some could not be written.
    """
    refused: dict[str, str] = {}
    written = existing = 0
    for folder in left_behind(into):
        _say(
            f"{folder!r} is of a run that was killed, or that still goes on: delete it if nothing else writes here"
        )
    with unfinished_folder(into) as folder, progress_bar("writing", len(jobs)) as advance:
        for number, (output, job) in enumerate(jobs.items()):
            try:
                is_new = _write_one(os.path.join(folder, str(number)), output, job)
            except ResourceError:
                raise
            except (H5LightningError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
                refused[os.path.relpath(output, into)] = str(error)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, str(number)))
            else:
                written, existing = written + is_new, existing + (not is_new)
            advance(1)
    if existing:
        _say(f"{counted(existing, 'file')} in {into!r} were there already and are left alone")
    _say(f"{counted(written, 'file')} written into {into!r}; the originals are as they were")
    _raise_refused(refused, len(jobs))


def _write_one(unfinished: str, output: str, job: Callable[[str], list[str]]) -> bool:
    """Whether the file was not there yet."""
    if os.path.lexists(output):
        return False
    for remark in job(unfinished):
        _say(f"{output!r}: {remark}")
    put_in_place(unfinished, output)
    return True


def _say(text: str) -> None:
    Terminal().print_code(text)


def _raise_refused(refused: Mapping[str, str], files: int) -> None:
    if refused:
        named = "; ".join(f"{name!r}: {reason}" for name, reason in list(refused.items())[:_MOST_NAMED])
        more = f"; … {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
        raise BadFileError(f"{len(refused)} of {counted(files, 'file')} could not be written: {named}{more}")


# ── one file ─────────────────────────────────────────────────────────────────────────────────────────


def _job(path: str, output: str, outputs: frozenset[str], plan: Plan) -> Callable[[str], list[str]]:
    return lambda unfinished: _rewrite(path, output, outputs, unfinished, plan)


def _rewrite(path: str, output: str, outputs: frozenset[str], unfinished: str, plan: Plan) -> list[str]:
    """Write one file again, under a name of its own."""
    before = stamp(os.stat(path))
    with _opened_and_locked(path) as original:
        shutil.copyfile(path, unfinished)
        check_unchanged(path, before)
        remarks = _foreign_remarks(original, path, output, outputs, plan)
        with opened_to_write(unfinished) as copy:
            remarks += replace_datasets(original, copy, plan, os.path.dirname(path))
        with opened_id(unfinished) as copy:
            check_values(original, copy, plan)
    check_unchanged(path, before)
    shutil.copymode(path, unfinished)
    return remarks


@contextmanager
def _opened_and_locked(path: str) -> Iterator[h5f.FileID]:
    """Keep writers away while the file is copied, where the file system can."""
    with ExitStack() as stack:
        try:
            fid = stack.enter_context(opened_id(path, locking=True))
        except BadFileError as error:
            if isinstance(error.__cause__, BlockingIOError):
                raise BadFileError("somebody writes to it: close it there, then start again") from error
            if "lock" not in str(error.__cause__):
                raise
            fid = stack.enter_context(opened_id(path))
        yield fid


def check_unchanged(path: str, before: Stamp) -> None:
    """Make sure that an original is what it was when its values were read.

    Raises:
        BadFileError: somebody wrote to it.
    """
    change = explain_change(stamp(os.stat(path)), before)
    if change:
        raise BadFileError(f"{change} while it was copied: wait until it is finished, then start again")


def _foreign_remarks(
    original: h5f.FileID, path: str, output: str, outputs: frozenset[str], plan: Plan
) -> list[str]:
    """What a file says of other files, relative to its own place, and would not find from its new place.

    Raises:
        FieldError: HDF5 would invent values for it.
    """
    remarks: list[str] = []
    datasets = [find_dataset(original, name) for name in plan.stored]
    written = {h5o.get_info(did).addr for did in datasets if did is not None}
    for name, kind in visited_objects(original):
        obj = h5o.open(original, name)
        if kind == h5o.TYPE_DATASET and h5o.get_info(obj).addr not in written:
            for source in _lost(_virtual_sources(obj), path, output, outputs):
                raise FieldError(
                    f"'/{_text(name)}' takes values from {source!r}, relative to its own place: make that "
                    f"{os.path.join(os.path.dirname(output), source)!r}, too, with a copy or a link"
                )
        elif kind == h5o.TYPE_GROUP:
            lost = _lost(_external_links(obj), path, output, outputs)
            remarks += [
                f"has a link to {one!r}, which lies beside the original: copy that, too" for one in lost
            ]
    return remarks


def _lost(sources: Sequence[str], path: str, output: str, outputs: frozenset[str]) -> list[str]:
    """Sources that are found from the old place, and not from the new one."""
    lost = []
    for source in sources:
        old, new = (
            os.path.normpath(os.path.join(os.path.dirname(place), source)) for place in (path, output)
        )
        if (
            source != "."
            and old != new
            and new not in outputs
            and os.path.exists(old)
            and not os.path.exists(new)
        ):
            lost.append(source)
    return lost


def _virtual_sources(did: h5d.DatasetID) -> list[str]:
    plist = did.get_create_plist()
    if plist.get_layout() != h5d.VIRTUAL:
        return []
    return sorted({plist.get_virtual_filename(number) for number in range(plist.get_virtual_count())})


def _external_links(group: Any) -> list[str]:
    return [
        os.fsdecode(group.links.get_val(name)[0])
        for name in group
        if group.links.get_info(name).type == h5l.TYPE_EXTERNAL
    ]


def _most_bytes(path: str, plan: Plan) -> int:
    """What a new file takes at most: all of the old one, and each new dataset without compression."""
    found = os.path.getsize(path)
    with contextlib.suppress(H5LightningError), opened_id(path) as fid:
        for name in [*plan.stored, *plan.columns]:
            did = find_dataset(fid, name)
            if did is not None:
                found += math.prod(did.shape or ()) * did.get_type().get_size()
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
