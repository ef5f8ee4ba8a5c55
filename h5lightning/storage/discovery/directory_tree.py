"""Directories on disk: find the paths that a glob matches, and explain why there are none."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import TypeAlias

from h5lightning.core.formatting import listed
from h5lightning.storage.discovery.patterns import RECURSIVE, Glob, escape, has_wildcard, name_matcher
from h5lightning.storage.hdf5.file_checks import check_resources, leave_out_hint

__all__ = ["DirectoryTree", "explain_no_match", "explain_unlisted"]

# Files with these names are taken without a look inside: one that is not HDF5 is an error, and is not skipped.
HDF5_SUFFIXES: tuple[str, ...] = (".h5", ".hdf5", ".hdf", ".he5", ".h5f", ".h5py", ".h5ad", ".h5mu", ".loom")
HDF5_SUFFIXES += (".jld2", ".nc", ".nc4", ".cdf", ".mat", ".nxs", ".nwb", ".cxi", ".ims")

_MOST_LISTED = 4

_Identity: TypeAlias = tuple[int, int]  # device and inode

# Any other error may hide files.
_NO_SUCH_FILE = (FileNotFoundError, NotADirectoryError)


class DirectoryTree:
    """Directories as they were when first listed: each is listed once, for any number of globs."""

    def __init__(self) -> None:
        self._listings: dict[str, list[os.DirEntry[str]]] = {}
        self._unlisted: dict[str, str] = {}
        self._problems: dict[str, str] = {}

    def find(self, glob: Glob) -> tuple[list[str], dict[str, str]]:
        """The paths that ``glob`` matches, of any kind, unordered and perhaps twice.

        As usual, wildcards do not match hidden names, and ``**`` follows links to directories.

        Returns:
            The paths; and the directories that cannot be searched, where more may lie, with the reason for each.
        """
        self._problems = {}
        return self._paths(glob), self._problems

    def _paths(self, glob: Glob) -> list[str]:
        if glob.parts:
            return self._find(glob.base, glob.parts)
        try:
            os.lstat(glob.base)
        except _NO_SUCH_FILE:
            return []
        except OSError:
            pass  # it may exist: the scan reports the error
        return [glob.base]

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """The entries of a directory; empty if it does not exist or cannot be listed."""
        if directory not in self._listings:
            self._listings[directory] = self._scan(directory)
        if directory in self._unlisted:
            self._problems[directory] = self._unlisted[directory]
        return self._listings[directory]

    def problem_of(self, directory: str) -> str:
        """Why a directory could not be listed, as the predicate of a sentence; empty if it could."""
        return self._unlisted.get(directory, "")

    def _scan(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                return [*entries]
        except _NO_SUCH_FILE:
            return []
        except OSError as error:
            check_resources(directory, error.errno, error.strerror)
            self._unlisted[directory] = f"cannot be listed: {error.strerror}"
            return []

    def _find(self, directory: str, parts: tuple[str, ...]) -> list[str]:
        part, below = parts[0], parts[1:]
        if part == RECURSIVE:
            return self._find_anywhere(directory, below or ("*",), frozenset())
        if not has_wildcard(part):
            return self._paths(Glob(os.path.join(directory, part), below))
        match = name_matcher(part)
        entries = [entry for entry in self.entries(directory) if match(entry.name)]
        if not below:
            return [entry.path for entry in entries]
        return [
            path for entry in entries if self._is_directory(entry) for path in self._find(entry.path, below)
        ]

    def _find_anywhere(
        self, directory: str, parts: tuple[str, ...], above: frozenset[_Identity]
    ) -> list[str]:
        try:
            status = os.stat(directory)
        except _NO_SUCH_FILE:
            return []
        except OSError as error:
            self._problems[directory] = f"cannot be looked at: {error.strerror}"
            return []
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link back to a directory that contains this one
            return []
        paths = self._find(directory, parts)
        for entry in self.entries(directory):
            if not entry.name.startswith(".") and self._is_directory(entry):
                paths += self._find_anywhere(entry.path, parts, above | {identity})
        return paths

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except _NO_SUCH_FILE:  # a link to nothing
            return False
        except OSError as error:  # a circular link, or one to a place that this user may not search
            self._problems[entry.path] = f"cannot be looked at: {error.strerror}"
            return False


def explain_unlisted(path: str, reason: str) -> str:
    """A directory that cannot be searched, and what to do, as a sentence."""
    return (
        f"the directory {path!r} {reason}. Files that may lie in it would be left out: check its permissions, those of "
        f"the directories above it, or its mount; {leave_out_hint(path)}"
    )


def explain_no_match(glob: Glob, matched: Sequence[str], tree: DirectoryTree) -> str:
    """Why a glob matches no HDF5 file, with the nearest path that exists; ``matched`` are paths of other kinds."""
    ancestor, missing = _closest_ancestor(glob.base)
    if not os.path.isdir(ancestor):
        return f"{ancestor!r} is a file, not a directory"
    names = sorted(entry.name for entry in tree.entries(ancestor))
    if reason := tree.problem_of(ancestor):
        return f"the directory {ancestor!r} {reason}"
    if missing in names:
        return f"{os.path.join(ancestor, missing)!r} is a link that leads nowhere"
    if missing:
        close = difflib.get_close_matches(missing, names, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"it holds {_first_few(names)}"
        return f"there is no {missing!r} in the directory {ancestor!r}; {advice}"
    if matched:
        return _explain_matched(sorted(matched), os.path.join(glob.base, *glob.parts))
    if glob.parts and glob.parts[0] in names:
        return f"to match {os.path.join(ancestor, glob.parts[0])!r}, write {escape(glob.parts[0])!r}"
    return f"the directory {ancestor!r} {_explain_content(names, tree.entries(ancestor))}"


def _closest_ancestor(path: str) -> tuple[str, str]:
    """The deepest part of ``path`` that exists, and the name that is missing in it; empty if none is."""
    missing = ""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path, missing = os.path.split(path)
    return path, missing


def _explain_matched(matched: Sequence[str], pattern: str) -> str:
    files = [path for path in matched if not os.path.isdir(path)]
    if files:
        return f"it matches {_first_few(files)}, but none of these is HDF5"
    return f"it matches only directories: {_first_few(matched)}; for the files in them, write {pattern + '/**/*.h5'!r}"


def _explain_content(names: list[str], entries: list[os.DirEntry[str]]) -> str:
    similar = [name for name in names if name.lower().endswith(HDF5_SUFFIXES)]
    if similar:
        return f"has HDF5 files with other names: {_first_few(similar)}"
    directories = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    if directories:
        return f"has no HDF5 files; '**/*.h5' also searches its directories: {_first_few(directories)}"
    return f"holds {_first_few(names)}"


def _first_few(names: Sequence[str]) -> str:
    return listed([*map(repr, names[:_MOST_LISTED])], _MOST_LISTED, total=len(names)) or "nothing"
