"""Where new files may lie, and how they get there: never over another file, nor among the input of the next run."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from h5py import h5f, h5p

from h5lightning.core.formatting import bytes_text
from h5lightning.errors import OptionError, ResourceError
from h5lightning.storage.discovery.exclusion import Exclusion
from h5lightning.storage.discovery.file_lists import entries_of
from h5lightning.storage.discovery.patterns import RECURSIVE, Glob, Pattern, name_matcher

__all__ = [
    "InputPatterns",
    "opened_to_write",
    "prepare_folder",
    "put_in_place",
    "unfinished_folder",
    "unfinished_folders",
]

_UNFINISHED = ".unfinished-"


class InputPatterns:
    """The patterns of the input files: they must not match the new files.

    Args:
        patterns: the patterns of the user, also those with ``!``.
        directory: the directory of relative patterns.
    """

    def __init__(self, patterns: Sequence[str], directory: str) -> None:
        included = [text for text in patterns if not text.startswith("!")]
        entries = [entry for text in included for entry in entries_of(text, directory)]
        self._globs = [glob for entry in entries for glob in Pattern.of(*entry).globs]
        self._excluded = Exclusion([text[1:] for text in patterns if text.startswith("!")], directory, "/")

    def match(self, path: str) -> bool:
        """Whether the patterns match a file with this absolute path."""
        return any(_matches(glob, path) for glob in self._globs) and not self._excluded.covers(path)


def _matches(glob: Glob, path: str) -> bool:
    base = os.path.join(glob.base, "")
    if not glob.parts:
        return path == glob.base
    return path.startswith(base) and _match_names(glob.parts, path[len(base) :].split("/"))


def _match_names(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts or not names:
        return not names and all(part == RECURSIVE for part in parts)
    if parts[0] != RECURSIVE:
        return bool(name_matcher(parts[0])(names[0])) and _match_names(parts[1:], names[1:])
    is_visible = not names[0].startswith(".")
    return _match_names(parts[1:], names) or (is_visible and _match_names(parts, names[1:]))


def prepare_folder(into: str, outputs: Collection[str], patterns: Sequence[str], needed_bytes: int) -> None:
    """Create the folder of the new files, if they may lie there and the disk has space.

    Raises:
        OptionError: the patterns match a new file, or the folder cannot be created.
        ResourceError: the disk has too little space.
    """
    inputs = InputPatterns(patterns, os.getcwd())
    for path in outputs:
        if inputs.match(path):
            raise OptionError(
                f"into: {path!r} would be matched by {list(patterns)!r}, so that its data would be read twice. "
                "Choose a folder that the patterns do not match"
            )
    # Originals may need the decoders of a plugin.
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    _make_folder(into)
    _check_space(into, needed_bytes)


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise OptionError(
            f"into: {folder!r} cannot be created: {error.strerror}. Choose another folder"
        ) from error
    if not is_writable:
        raise OptionError(f"into: {folder!r} is not writable. Choose another folder")


def _check_space(folder: str, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise ResourceError(
            f"{folder!r} has {bytes_text(free)} of free space, and up to {bytes_text(needed_bytes)} are needed: choose "
            "a folder on another disk as 'into', or fewer files"
        )


def unfinished_folders(into: str) -> list[str]:
    """The hidden folders of programs that were killed or are still running."""
    return sorted(entry.path for entry in os.scandir(into) if entry.name.startswith(_UNFINISHED))


@contextmanager
def unfinished_folder(into: str) -> Iterator[str]:
    """A hidden folder inside ``into``, which no wildcard matches. It is deleted at the end."""
    folder = tempfile.mkdtemp(prefix=_UNFINISHED, dir=into)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened_to_write(path: str, *, is_new: bool = False) -> Iterator[h5f.FileID]:
    """Open a file that no other process uses; all its open objects are closed with it.

    Args:
        path: the file.
        is_new: whether to create it.
    """
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    # Attributes above 64 KiB need the format of HDF5 1.8.
    access.set_libver_bounds(h5f.LIBVER_V18, h5f.LIBVER_LATEST)
    name = os.fsencode(path)
    fid = h5f.create(name, h5f.ACC_EXCL, fapl=access) if is_new else h5f.open(name, h5f.ACC_RDWR, fapl=access)
    try:
        yield fid
        h5f.flush(fid)  # so that a full disk is an error
    finally:
        fid.close()


def put_in_place(unfinished: str, path: str) -> None:
    """Move a complete file to its final path, on the same disk.

    Raises:
        FileExistsError: something has that name.
    """
    descriptor = os.open(unfinished, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        os.link(unfinished, path)  # unlike a rename, it never replaces another file
    except FileExistsError:
        raise
    except OSError:
        # A disk without hard links.
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(unfinished, path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished)
