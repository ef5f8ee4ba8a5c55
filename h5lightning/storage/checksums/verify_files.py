"""Files held against their checksums: before a run, what holds no values; on request, all of their bytes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from h5lightning.core.processor import usable_cores
from h5lightning.core.progress import progress_bar
from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, ChecksumTable, FileChecksums
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.checksums.checksum_store import ChecksumStore
from h5lightning.storage.discovery import Discovered, discover
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.verified_blocks import hashes_of, verified_blocks
from h5lightning.storage.hdf5.file_checks import is_gone, without_hint

__all__ = ["Verdict", "Verification", "load_checksums", "verify_before_a_run", "verify_files"]

T = TypeVar("T")

_MOST_LISTED = 3


# ── before a run ─────────────────────────────────────────────────────────────────────────────────────


def load_checksums(
    found: Discovered, catalog: Catalog, files: object, index_dir: str | None = None
) -> ChecksumTable:
    """The checksums of some files.

    Args:
        found: the files, and others that are no HDF5.
        catalog: the files that can be read, each of which must have checksums.
        files: the patterns that they were found by, for messages.
        index_dir: where checksums are kept; None for the user's cache directory.

    Raises:
        ChecksumError: some of them have none; the message says which command makes them.
    """
    store = ChecksumStore(index_dir)
    table = store.load(found.root)
    has_some = frozenset(table.names if table is not None else ())
    lacking = [name for name in catalog.names if name not in has_some]
    if table is None or lacking:
        which = (
            f"{len(lacking)} of {len(catalog)} files, such as {found.root}/{lacking[0]},"
            if table
            else "the files"
        )
        raise ChecksumError(
            f"{which} have no checksums in {store.directory}, which access.verify needs. Make them while the files are "
            f"as they should be: {_command(files, index_dir)}"
        )
    if damaged := [skipped for skipped in found.skipped if skipped.name in has_some]:
        raise ChecksumError(
            f"{found.root}/{damaged[0].name} {damaged[0].reason}, but had checksums: it is damaged. Copy it again"
        )
    return table


def verify_before_a_run(
    catalog: Catalog, checksums: ChecksumTable, *, threads: int | None = None, progress: bool = True
) -> list[SkippedFile]:
    """The files that are bad: whose size, or bytes other than values, are not those of their checksums.

    The values are left to the readers. What HDF5 writes around them says what they are and where they lie: it must be
    right before anything is planned.

    Args:
        catalog: the files.
        checksums: theirs.
        threads: how many read; None for one on each core.
        progress: show a bar where somebody watches.
    """
    known = ScannedFiles.of(catalog, checksums)

    def look(file: int) -> SkippedFile | None:
        path = catalog.path(file)
        try:
            with closing(RawFile(path)) as raw:
                verified_blocks(path, raw.stamp, known).check_file(raw.fileno(), only_metadata=True)
        except BadFileError as error:
            return SkippedFile(catalog.names[file], str(error))
        return None

    found = _in_threads(look, [1] * len(catalog), threads, "verifying", is_wanted=progress)
    return [skipped for skipped in found if skipped is not None]


def _command(files: object, index_dir: str | None) -> str:
    """What the user may paste."""
    patterns = [
        text for part in (files.values() if isinstance(files, Mapping) else [files]) for text in _texts(part)
    ]
    where = [] if index_dir is None else ["--index-dir", index_dir]
    return shlex.join(["h5lightning", "index", "--checksum", *where, "--", *patterns])


def _texts(part: Any) -> list[str]:
    return [os.fspath(part)] if isinstance(part, (str, os.PathLike)) else [str(text) for text in part or ()]


# ── all bytes ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file.

    Args:
        name: its path relative to the root.
        state: ``ok``, ``damaged``, ``rewritten``, ``unknown`` (without checksums), ``gone`` or ``unreadable``.
        words: what differs; empty where nothing does.
    """

    name: str
    state: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of some files.

    Args:
        root: the directory that names are relative to.
        verdicts: one for each file, in path order.
        checked_bytes: bytes of the files that were read.
    """

    root: str
    verdicts: tuple[Verdict, ...]
    checked_bytes: int

    @property
    def bad(self) -> list[Verdict]:
        """The files that are not as they were."""
        return [verdict for verdict in self.verdicts if verdict.state != "ok"]

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        bad = [{"file": one.name, "state": one.state, "reason": one.words} for one in self.bad]
        return {"root": self.root, "files": len(self.verdicts), "bytes": self.checked_bytes, "bad": bad}


def verify_files(
    files: object, *, index_dir: str | None = None, threads: int | None = None, progress: bool = True
) -> Verification:
    """Read all bytes of files and hold them against their checksums.

    Args:
        files: patterns.
        index_dir: where checksums are kept; None for the user's cache directory.
        threads: how many read; None for one on each core.
        progress: show a bar where somebody watches.

    Raises:
        ChecksumError: there are no checksums at all.
        DiscoveryError: patterns that cannot be used.
    """
    found = discover(files)
    table = ChecksumStore(index_dir).load(found.root)
    if table is None:
        raise ChecksumError(
            f"there are no checksums of files in {found.root}. Make them while the files are as they should be: "
            f"{_command(files, index_dir)}"
        )
    names = sorted({*found.names, *(skipped.name for skipped in found.skipped if table.find(skipped.name))})
    sums = [table.find(name) for name in names]
    known = set(names)
    gone = [
        Verdict(name, "gone", "has checksums, but is not there any more")
        for name in table.names
        if name not in known and is_gone(os.path.join(found.root, name))
    ]
    unlisted = [Verdict(one.name, "unreadable", without_hint(one.reason)) for one in found.unlisted]
    sizes = [0 if one is None else one.size for one in sums]

    def look(file: int) -> Verdict:
        return _verdict(found.root, names[file], sums[file])

    verdicts = _in_threads(look, sizes, threads, "verifying", is_wanted=progress)
    return Verification(found.root, (*verdicts, *gone, *unlisted), sum(sizes))


def _verdict(root: str, name: str, sums: FileChecksums | None) -> Verdict:
    if sums is None:
        return Verdict(name, "unknown", "has no checksums: 'h5lightning index --checksum' makes them")
    try:
        with closing(RawFile(os.path.join(root, name))) as raw:
            size, mtime_ns = raw.stamp[:2]
            state = "damaged" if mtime_ns == sums.mtime_ns else "rewritten"
            if size != sums.size:
                return Verdict(name, state, f"has {size:,} bytes, {sums.size:,} when its checksums were made")
            blocks = np.flatnonzero(hashes_of(raw.fileno(), size) != sums.hashes).tolist()
            raw.check()
    except OSError as error:
        return Verdict(name, "unreadable", str(error))
    return Verdict(name, state, _differing(blocks, size)) if blocks else Verdict(name, "ok")


def _differing(blocks: list[int], size: int) -> str:
    parts = [
        f"{block * BLOCK_BYTES} to {min((block + 1) * BLOCK_BYTES, size) - 1}"
        for block in blocks[:_MOST_LISTED]
    ]
    more = f" and {len(blocks) - _MOST_LISTED:,} other blocks" if len(blocks) > _MOST_LISTED else ""
    return f"differs in bytes {', '.join(parts)}{more}"


def _in_threads(
    look: Callable[[int], T], weights: list[int], threads: int | None, what: str, *, is_wanted: bool
) -> list[T]:
    """What ``look`` finds of each file."""
    found: list[T] = []
    count = threads or usable_cores()
    with (
        progress_bar(what, sum(weights), is_wanted=is_wanted) as advance,
        ThreadPoolExecutor(count, "h5lightning-verify") as executor,
    ):
        for one, weight in zip(executor.map(look, range(len(weights))), weights, strict=True):
            found.append(one)
            advance(weight)
    return found
