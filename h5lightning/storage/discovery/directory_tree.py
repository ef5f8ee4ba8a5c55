"""What lies on disk: finding what a glob matches, and explaining why nothing does."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import TypeAlias

from h5lightning.storage.discovery.patterns import RECURSIVE, Glob, escape, has_wildcard, name_matcher
from h5lightning.storage.hdf5.file_checks import check_resources, leave_out_hint

__all__ = ["DirectoryTree", "explain_no_match", "unlisted_reason"]

# Files with these names are taken unseen: one that is not HDF5 is an error, not a bystander.
HDF5_SUFFIXES: tuple[str, ...] = (".h5", ".hdf5", ".hdf", ".he5", ".h5f", ".h5py", ".h5ad", ".h5mu", ".loom")
HDF5_SUFFIXES += (".jld2", ".nc", ".nc4", ".cdf", ".mat", ".nxs", ".nwb", ".cxi", ".ims")

_Identity: TypeAlias = tuple[int, int]  # device and inode

# All others hide what may lie there.
_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)


class DirectoryTree:
    """Directories as they were when first looked at: each is listed once, whatever the number of globs."""

    def __init__(self) -> None:
        self._listings: dict[str, list[os.DirEntry[str]]] = {}
        self._unlisted: dict[str, str] = {}
        self._met: dict[str, str] = {}

    def find(self, glob: Glob) -> tuple[list[str], dict[str, str]]:
        """The paths that ``glob`` matches, of any kind, in no particular order and perhaps twice.

        As usual, wildcards leave out hidden names, and ``**`` follows links to directories.

        Returns:
            The paths; and the directories that cannot be looked into, where others may lie, with the reason of each.
        """
        self._met = {}
        return self._paths(glob), self._met

    def _paths(self, glob: Glob) -> list[str]:
        if glob.parts:
            return self._find(glob.base, glob.parts)
        try:
            os.lstat(glob.base)
        except _NOTHING_THERE:
            return []
        except OSError:
            pass  # it may be there: the scan says why nobody can say
        return [glob.base]

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """What lies in ``directory``; nothing if it does not exist or cannot be listed."""
        if directory not in self._listings:
            self._listings[directory] = self._scan(directory)
        if directory in self._unlisted:
            self._met[directory] = self._unlisted[directory]
        return self._listings[directory]

    def why_unlisted(self, directory: str) -> str:
        """Why a directory cannot be listed, as what a sentence says of it; empty if it can, as far as was seen."""
        return self._unlisted.get(directory, "")

    def _scan(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                return [*entries]
        except _NOTHING_THERE:
            return []
        except OSError as error:
            check_resources(directory, error.errno, error.strerror)
            self._unlisted[directory] = f"cannot be listed: {error.strerror}"
            return []

    def _find(self, directory: str, parts: tuple[str, ...]) -> list[str]:
        part, rest = parts[0], parts[1:]
        if part == RECURSIVE:
            return self._find_anywhere(directory, rest or ("*",), frozenset())
        if not has_wildcard(part):
            return self._paths(Glob(os.path.join(directory, part), rest))
        match = name_matcher(part)
        entries = [entry for entry in self.entries(directory) if match(entry.name)]
        if not rest:
            return [entry.path for entry in entries]
        return [
            path for entry in entries if self._is_directory(entry) for path in self._find(entry.path, rest)
        ]

    def _find_anywhere(
        self, directory: str, parts: tuple[str, ...], above: frozenset[_Identity]
    ) -> list[str]:
        try:
            status = os.stat(directory)
        except _NOTHING_THERE:
            return []
        except OSError as error:
            self._met[directory] = f"cannot be looked at: {error.strerror}"
            return []
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link back to a directory that this one lies in
            return []
        found = self._find(directory, parts)
        for entry in self.entries(directory):
            if not entry.name.startswith(".") and self._is_directory(entry):
                found += self._find_anywhere(entry.path, parts, above | {identity})
        return found

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except _NOTHING_THERE:  # a link that leads nowhere
            return False
        except OSError as error:  # a link that leads where this user may not look, or in circles
            self._met[entry.path] = f"cannot be looked at: {error.strerror}"
            return False


def unlisted_reason(path: str, reason: str) -> str:
    """What is said of a directory that cannot be looked into, as a sentence."""
    return (
        f"the directory {path!r} {reason}. Files that may lie in it would be left out: check its permissions and those "
        f"of the directories above, or its mount; {leave_out_hint(path)}"
    )


def explain_no_match(glob: Glob, matched: Sequence[str], tree: DirectoryTree) -> str:
    """Where a glob that gives no HDF5 file was looked for, and the nearest thing that exists there.

    Args:
        glob: what was looked for.
        matched: paths that it matches all the same: directories, files that are not HDF5.
        tree: where it was looked for.
    """
    ancestor, missing = _closest_ancestor(glob.base)
    if not os.path.isdir(ancestor):
        return f"{ancestor!r} is a file, not a directory"
    names = sorted(entry.name for entry in tree.entries(ancestor))
    if reason := tree.why_unlisted(ancestor):
        return f"the directory {ancestor!r} {reason}"
    if missing in names:
        return f"{os.path.join(ancestor, missing)!r} is a link that leads nowhere"
    if missing:
        close = difflib.get_close_matches(missing, names, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"it holds {_some(names)}"
        return f"there is no {missing!r} in the directory {ancestor!r}; {advice}"
    if matched:
        return _explain_matched(sorted(matched), os.path.join(glob.base, *glob.parts))
    if glob.parts and glob.parts[0] in names:
        return f"to mean {os.path.join(ancestor, glob.parts[0])!r}, write {escape(glob.parts[0])!r}"
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
        return f"it matches {_some(files)}, but none of that is HDF5"
    return f"it matches directories only: {_some(matched)}; their files are {pattern + '/**/*.h5'!r}"


def _explain_content(names: list[str], entries: list[os.DirEntry[str]]) -> str:
    similar = [name for name in names if name.lower().endswith(HDF5_SUFFIXES)]
    if similar:
        return f"has HDF5 files of other names: {_some(similar)}"
    directories = sorted(entry.name for entry in entries if _seems_directory(entry))
    if directories:
        return f"has no HDF5 files of its own; '**/*.h5' looks in its directories too: {_some(directories)}"
    return f"holds {_some(names)}"


def _some(names: Sequence[str], most: int = 4) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "nothing"


def _seems_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
