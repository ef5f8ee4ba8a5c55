"""Compare files with their checksums: all bytes on request, and bytes that hold no values before a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from h5lightning.core.formatting import listed
from h5lightning.core.process_local import usable_cores
from h5lightning.core.progress import progress_bar
from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, ChecksumTable, FileChecksums
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.checksums.checksum_store import ChecksumStore
from h5lightning.storage.checksums.make_checksums import hashes_of_file
from h5lightning.storage.discovery import Discovered, discover
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import verified_blocks
from h5lightning.storage.hdf5.file_checks import is_gone, without_hint

__all__ = ["Verdict", "Verification", "load_checksums", "verify_before_a_run", "verify_files"]

T = TypeVar("T")

_MOST_LISTED = 3


def load_checksums(
    discovered: Discovered, catalog: Catalog, files: object, index_dir: str | None = None
) -> ChecksumTable:
    """The checksums of the files that a run reads.

    Args:
        discovered: the files, including skipped ones.
        catalog: the files that can be read, each of which must have checksums.
        files: their patterns, for messages.
        index_dir: directory of the checksums; None for the user's cache directory.

    Raises:
        ChecksumError: some files have none; the message names the command that makes them.
    """
    store = ChecksumStore(index_dir)
    table = store.load(discovered.root)
    names = frozenset(table.names if table is not None else ())
    lacking = [name for name in catalog.names if name not in names]
    if table is None or lacking:
        which = (
            f"{len(lacking)} of {len(catalog)} files, such as {discovered.root}/{lacking[0]},"
            if table
            else "the files"
        )
        raise ChecksumError(
            f"{which} have no checksums in {store.directory}, which access.verify needs. Make them while the files are "
            f"intact: {_command(files, index_dir)}"
        )
    if damaged := [skipped for skipped in discovered.skipped if skipped.name in names]:
        raise ChecksumError(
            f"{discovered.root}/{damaged[0].name} {damaged[0].reason}, but had checksums: it is damaged. Copy it again"
        )
    return table


def verify_before_a_run(
    catalog: Catalog, checksums: ChecksumTable, *, threads: int | None = None, progress: bool = True
) -> list[SkippedFile]:
    """The damaged files: those whose size, or bytes other than values, do not match their checksums.

    Readers verify the values. The metadata of HDF5 must be intact before anything is planned: they say what the values
    are and where they lie.
    """
    scanned_files = ScannedFiles(catalog, checksums)

    def verify(file: int) -> SkippedFile | None:
        path = catalog.path(file)
        try:
            with closing(RawFile(path)) as raw:
                blocks = verified_blocks(path, raw.stamp, scanned_files)
                descriptor = raw.descriptor()
                blocks.check_file(descriptor.number, only_metadata=True)
        except BadFileError as error:
            return SkippedFile(catalog.names[file], str(error))
        return None

    damaged = _in_threads(verify, [1] * len(catalog), threads, progress=progress)
    return [file for file in damaged if file is not None]


def _command(files: object, index_dir: str | None) -> str:
    """The command that makes the checksums, to paste."""
    patterns = [
        text for part in (files.values() if isinstance(files, Mapping) else [files]) for text in _texts(part)
    ]
    options = [] if index_dir is None else ["--index-dir", index_dir]
    return shlex.join(["h5lightning", "index", "--checksum", *options, "--", *patterns])


def _texts(part: Any) -> list[str]:
    return [os.fspath(part)] if isinstance(part, (str, os.PathLike)) else [str(text) for text in part or ()]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one file.

    Args:
        name: its path relative to the root.
        state: ``ok``, ``damaged``, ``rewritten``, ``unknown`` (without checksums), ``gone`` or ``unreadable``.
        reason: the difference, as the predicate of a sentence; empty if there is none.
    """

    name: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """The results for the files below a root, in path order, and the number of bytes that were read."""

    root: str
    verdicts: tuple[Verdict, ...]
    checked_bytes: int

    @property
    def bad(self) -> list[Verdict]:
        """The files that do not match their checksums."""
        return [verdict for verdict in self.verdicts if verdict.state != "ok"]

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        bad = [{"file": bad.name, "state": bad.state, "reason": bad.reason} for bad in self.bad]
        return {"root": self.root, "files": len(self.verdicts), "bytes": self.checked_bytes, "bad": bad}


def verify_files(
    files: object, *, index_dir: str | None = None, threads: int | None = None, progress: bool = True
) -> Verification:
    """Read all bytes of files and compare them with their checksums.

    Args:
        files: patterns.
        index_dir: directory of the checksums; None for the user's cache directory.
        threads: reading threads; None for one on each core.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        ChecksumError: there are no checksums at all.
        DiscoveryError: a pattern cannot be used.
    """
    discovered = discover(files)
    root, table = discovered.root, ChecksumStore(index_dir).load(discovered.root)
    if table is None:
        raise ChecksumError(
            f"there are no checksums of files in {root}. Make them while the files are intact: "
            f"{_command(files, index_dir)}"
        )
    skipped = (file.name for file in discovered.skipped if table.find(file.name))
    names = sorted({*discovered.names, *skipped})
    checksums = [table.find(name) for name in names]
    present = set(names)
    gone = [
        Verdict(name, "gone", "has checksums, but no longer exists")
        for name in table.names
        if name not in present and is_gone(os.path.join(root, name))
    ]
    unlisted = [
        Verdict(folder.name, "unreadable", without_hint(folder.reason)) for folder in discovered.unlisted
    ]
    sizes = [0 if sums is None else sums.size for sums in checksums]
    verdicts = _in_threads(
        lambda file: _verdict(root, names[file], checksums[file]), sizes, threads, progress=progress
    )
    return Verification(root, (*verdicts, *gone, *unlisted), sum(sizes))


def _verdict(root: str, name: str, sums: FileChecksums | None) -> Verdict:
    if sums is None:
        return Verdict(name, "unknown", "has no checksums: 'h5lightning index --checksum' makes them")
    try:
        with closing(RawFile(os.path.join(root, name))) as raw:
            size, mtime_ns = raw.stamp[:2]
            state = "damaged" if mtime_ns == sums.mtime_ns else "rewritten"
            if size != sums.size:
                return Verdict(name, state, f"has {size:,} bytes, {sums.size:,} when its checksums were made")
            blocks = np.flatnonzero(hashes_of_file(raw) != sums.hashes).tolist()
    except OSError as error:
        return Verdict(name, "unreadable", str(error))
    return Verdict(name, state, _differing(blocks, size)) if blocks else Verdict(name, "ok")


def _differing(blocks: list[int], size: int) -> str:
    parts = [
        f"{block * BLOCK_BYTES} to {min((block + 1) * BLOCK_BYTES, size) - 1}"
        for block in blocks[:_MOST_LISTED]
    ]
    return f"differs in bytes {listed(parts, _MOST_LISTED, total=len(blocks))}"


def _in_threads(
    verify: Callable[[int], T], weights: list[int], threads: int | None, *, progress: bool
) -> list[T]:
    """The result of ``verify`` for each file."""
    results: list[T] = []
    with (
        progress_bar("verifying", sum(weights), is_enabled=progress) as advance,
        ThreadPoolExecutor(threads or usable_cores(), "h5lightning-verify") as executor,
    ):
        for result, weight in zip(executor.map(verify, range(len(weights))), weights, strict=True):
            results.append(result)
            advance(weight)
    return results
