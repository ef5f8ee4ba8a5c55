"""Rewrite files: new files with the same content, of which some datasets are stored in another way.

A new file appears under its name when it is complete, was read back and compared; until then it lies in a hidden
folder. Existing files are never replaced, so that the program can be started again.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from h5py import h5d, h5f, h5l, h5o

from h5lightning.errors import BadFileError, FieldError, H5LightningError
from h5lightning.storage.discovery import discover
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.tools.doctor.rewriting.hdf5_objects import find_dataset, name_text, visited_objects
from h5lightning.tools.doctor.rewriting.output_files import opened_to_write, prepare_folder
from h5lightning.tools.doctor.rewriting.replace_datasets import Plan, check_values, replace_datasets
from h5lightning.tools.doctor.rewriting.storage_options import StorageOptions
from h5lightning.tools.doctor.rewriting.write_files import check_unchanged, write_files

__all__ = ["rewrite_files"]


def rewrite_files(
    files: str | Sequence[str],
    into: str,
    stored: Mapping[str, Mapping[str, Any]] | None = None,
    columns: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> None:
    """Write new files with the content of others, and store some of their datasets in another way.

    Everything else stays the same: attributes, dimension scales, references, links, the order of names, types, fill
    values, chunks that were never written, and the axes that may grow. A file of which something would be lost is
    refused; the other files are written.

    Args:
        files: globs or paths; an entry with ``!`` leaves files out.
        into: the folder of the new files, which get the same names there. Existing files are skipped.
        stored: path of a dataset, or of several with a ``*`` → ``chunk_rows``, ``filter`` and ``dtype``; ``{}`` for no
            chunks and no filters.
        columns: path of a table → column → the same: the column is also written to ``TABLE_columns/COLUMN``.

    Raises:
        OptionError: ``files`` would match files in ``into``.
        ResourceError: the disk has too little space.
        BadFileError: some files could not be rewritten; the others were.
    """
    plan = Plan(
        {path: StorageOptions(**options) for path, options in (stored or {}).items()},
        {
            table: {column: StorageOptions(**options) for column, options in storages.items()}
            for table, storages in (columns or {}).items()
        },
    )
    patterns = [files] if isinstance(files, str) else list(files)
    discovered, into = discover(patterns), os.path.abspath(into)
    paths = {os.path.join(into, name): discovered.path(file) for file, name in enumerate(discovered.names)}
    outputs = frozenset(paths)
    missing = [path for output, path in paths.items() if not os.path.lexists(output)]
    prepare_folder(into, outputs, patterns, sum(_max_bytes(path, plan) for path in missing))
    jobs = {output: partial(_rewrite, path, output, outputs, plan) for output, path in paths.items()}
    write_files(jobs, into)


def _max_bytes(path: str, plan: Plan) -> int:
    """The largest size of a new file: the old file, and each new dataset without compression."""
    size = os.path.getsize(path)
    with contextlib.suppress(H5LightningError), opened_id(path) as fid:
        found = plan.in_file(fid)
        for name in [*found.stored, *found.columns]:
            did = find_dataset(fid, name)
            if did is not None:
                size += math.prod(did.shape or ()) * did.get_type().get_size()
    return size


def _rewrite(path: str, output: str, outputs: frozenset[str], plan: Plan, unfinished: str) -> list[str]:
    """Rewrite one file under a temporary name; return remarks."""
    before = stamp(os.stat(path))
    with _opened_and_locked(path) as original:
        plan = plan.in_file(original)
        shutil.copyfile(path, unfinished)
        check_unchanged(path, before)
        remarks = _check_other_files(original, path, output, outputs, plan)
        with opened_to_write(unfinished) as copy:
            remarks += replace_datasets(original, copy, plan, os.path.dirname(path))
        with opened_id(unfinished) as copy:
            check_values(original, copy, plan)
    check_unchanged(path, before)
    shutil.copymode(path, unfinished)
    return remarks


@contextmanager
def _opened_and_locked(path: str) -> Iterator[h5f.FileID]:
    """Open a file and lock it against writers, if the file system has locks."""
    with ExitStack() as stack:
        try:
            fid = stack.enter_context(opened_id(path, locking=True))
        except BadFileError as error:
            if isinstance(error.__cause__, BlockingIOError):
                raise BadFileError(
                    "another program has it open for writing: close it, then start again"
                ) from error
            if "lock" not in str(error.__cause__):
                raise
            fid = stack.enter_context(opened_id(path))
        yield fid


def _check_other_files(
    original: h5f.FileID, path: str, output: str, outputs: frozenset[str], plan: Plan
) -> list[str]:
    """Remarks about files that links lead to, and that the new file would not find from its folder.

    Raises:
        FieldError: the source file of a virtual dataset would not be found, so that HDF5 would deliver fill values.
    """
    remarks: list[str] = []
    datasets = [find_dataset(original, name) for name in plan.stored]
    rewritten = {h5o.get_info(did).addr for did in datasets if did is not None}
    for name, kind in visited_objects(original):
        obj = h5o.open(original, name)
        if kind == h5o.TYPE_DATASET and h5o.get_info(obj).addr not in rewritten:
            for source in _lost(_virtual_sources(obj), path, output, outputs):
                needed = os.path.join(os.path.dirname(output), source)
                raise FieldError(
                    f"'/{name_text(name)}' takes values from {source!r}, relative to its folder: also create "
                    f"{needed!r}, as a copy or a link"
                )
        elif kind == h5o.TYPE_GROUP:
            lost = _lost(_external_links(obj), path, output, outputs)
            remarks += [
                f"has a link to {target!r}, which lies beside the original: copy that file, too"
                for target in lost
            ]
    return remarks


def _lost(sources: Sequence[str], path: str, output: str, outputs: frozenset[str]) -> list[str]:
    """The sources that are found from the old folder, but not from the new one."""
    lost = []
    for source in sources:
        old = os.path.normpath(os.path.join(os.path.dirname(path), source))
        new = os.path.normpath(os.path.join(os.path.dirname(output), source))
        is_same = source == "." or old == new
        if not is_same and new not in outputs and os.path.exists(old) and not os.path.exists(new):
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
