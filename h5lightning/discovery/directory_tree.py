"""What lies on disk: finding what a glob matches, and explaining why nothing does."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Sequence
from glob import escape
from typing import TypeAlias

from h5lightning.discovery.patterns import RECURSIVE, Glob, has_wildcard, name_matcher
from h5lightning.errors import DiscoveryError

__all__ = ["DirectoryTree", "explain_no_match"]

# Files with these names are taken unseen: one that is not HDF5 is an error, not a bystander.
HDF5_SUFFIXES: tuple[str, ...] = (".h5", ".hdf5", ".hdf", ".he5", ".h5f", ".h5py", ".h5ad", ".h5mu", ".loom")
HDF5_SUFFIXES += (".jld2", ".nc", ".nc4", ".cdf", ".mat", ".nxs", ".nwb", ".cxi", ".ims")

_Identity: TypeAlias = tuple[int, int]  # device and inode


class DirectoryTree:
    """Directories as they were when first looked at: each is listed once, whatever the number of globs.

    Attributes:
        unlisted: the directories that this user may not list, and why.
    """

    def __init__(self) -> None:
        self._listings: dict[str, list[os.DirEntry[str]]] = {}
        self.unlisted: dict[str, str] = {}

    def find(self, glob: Glob) -> list[str]:
        """The paths that ``glob`` matches, of any kind, in no particular order and perhaps twice.

        As usual, wildcards leave out hidden names, and ``**`` follows links to directories.

        Raises:
            DiscoveryError: a directory cannot be listed, for another reason than a permission.
        """
        if glob.parts:
            return self._find(glob.base, glob.parts)
        return [glob.base] if os.path.lexists(glob.base) else []

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """What lies in ``directory``; nothing if it does not exist or may not be listed."""
        if directory not in self._listings:
            self._listings[directory] = self._scan(directory)
        return self._listings[directory]

    def _scan(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                return [*entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            reason = f"cannot be listed: {error.strerror}"
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise DiscoveryError(f"the directory {directory!r} {reason}") from error
            self.unlisted[directory] = reason
            return []

    def _find(self, directory: str, parts: tuple[str, ...]) -> list[str]:
        part, rest = parts[0], parts[1:]
        if part == RECURSIVE:
            return self._find_anywhere(directory, rest or ("*",), frozenset())
        if not has_wildcard(part):
            return self.find(Glob(os.path.join(directory, part), rest))
        match = name_matcher(part)
        entries = [entry for entry in self.entries(directory) if match(entry.name)]
        if not rest:
            return [entry.path for entry in entries]
        return [path for entry in entries if _is_directory(entry) for path in self._find(entry.path, rest)]

    def _find_anywhere(
        self, directory: str, parts: tuple[str, ...], above: frozenset[_Identity]
    ) -> list[str]:
        try:
            status = os.stat(directory)
        except OSError:
            return []
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link back to a directory that this one lies in
            return []
        found = self._find(directory, parts)
        for entry in self.entries(directory):
            if not entry.name.startswith(".") and _is_directory(entry):
                found += self._find_anywhere(entry.path, parts, above | {identity})
        return found


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
    if ancestor in tree.unlisted:
        return f"the directory {ancestor!r} {tree.unlisted[ancestor]}"
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
    directories = sorted(entry.name for entry in entries if _is_directory(entry))
    if directories:
        return f"has no HDF5 files of its own; '**/*.h5' looks in its directories too: {_some(directories)}"
    return f"holds {_some(names)}"


def _some(names: Sequence[str], most: int = 4) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "nothing"


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere, or in circles
        return False
