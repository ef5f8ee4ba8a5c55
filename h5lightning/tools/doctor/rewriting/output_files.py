"""Where new files may lie, and how they come there: never over another file, never as data of the next run."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from h5py import h5f, h5p

from h5lightning.core.formatting import bytes_text
from h5lightning.errors import OptionError, ResourceError
from h5lightning.storage.discovery.exclusion import Exclusion
from h5lightning.storage.discovery.patterns import RECURSIVE, Glob, Pattern, name_matcher

__all__ = [
    "InputPatterns",
    "check_space",
    "left_behind",
    "make_folder",
    "opened_to_write",
    "put_in_place",
    "unfinished_folder",
]

_UNFINISHED = ".unfinished-"


class InputPatterns:
    """Which files patterns would match: what is written there would be taken for data.

    Args:
        patterns: what the user gave for the files, also with ``!``.
        here: what relative patterns are relative to.
    """

    def __init__(self, patterns: Sequence[str], here: str) -> None:
        self._patterns = list(patterns)
        self._globs = [glob for text in patterns if text[:1] != "!" for glob in Pattern.of(text, here).globs]
        self._left_out = Exclusion([text[1:] for text in patterns if text.startswith("!")], here, "/")

    def match(self, path: str) -> bool:
        """Whether a file with this absolute path would be matched."""
        return any(_matches(glob, path) for glob in self._globs) and not self._left_out.covers(path)

    def check(self, paths: Collection[str]) -> None:
        """Make sure that new files would not be matched.

        Raises:
            OptionError: they would.
        """
        for path in paths:
            if self.match(path):
                raise OptionError(
                    f"into: {path!r} would be matched by {self._patterns!r}, so that data would be there twice. "
                    "Name a folder outside of what is matched"
                )


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


def make_folder(folder: str) -> None:
    """Make the folder of the new files, where there is none.

    Raises:
        OptionError: that is not possible.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise OptionError(
            f"into: {folder!r} cannot be made: {error.strerror}. Name another folder"
        ) from error
    if not is_writable:
        raise OptionError(f"into: {folder!r} may not be written to. Name another folder")


def check_space(folder: str, needed_bytes: int) -> None:
    """Make sure that the disk has room.

    Args:
        folder: where the new files shall lie; it exists.
        needed_bytes: what they take at most.

    Raises:
        ResourceError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise ResourceError(
            f"{folder!r} has {bytes_text(free)} left, and up to {bytes_text(needed_bytes)} are needed: name a folder "
            "on another disk as 'into', or fewer files"
        )


def left_behind(into: str) -> list[str]:
    """Hidden folders of programs that still run, or were killed."""
    return sorted(entry.path for entry in os.scandir(into) if entry.name.startswith(_UNFINISHED))


@contextmanager
def unfinished_folder(into: str) -> Iterator[str]:
    """A hidden folder in the one of the new files: no wildcard looks into it. Afterwards it is gone with all in it."""
    folder = tempfile.mkdtemp(prefix=_UNFINISHED, dir=into)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened_to_write(path: str, *, is_new: bool = False) -> Iterator[h5f.FileID]:
    """Open a file that nobody else knows of; what was opened of it is closed with it.

    Args:
        path: where it lies.
        is_new: make it.
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
    """Give a file that is complete its name.

    Args:
        unfinished: where it lies, on the same disk.
        path: its name.

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
        os.link(unfinished, path)  # unlike a rename, never over another file
    except FileExistsError:
        raise
    except OSError:
        # A disk without hard links.
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(unfinished, path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished)
