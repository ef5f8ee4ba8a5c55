"""Patterns → ordered, unique files.

Order and names depend only on the patterns and the files: not on the file system, the order of the patterns, or where
the tree lies. A name is relative to the deepest common directory of the patterns, so that it survives a copy of the
tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import DiscoveryError, NoMatchError, OptionError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.storage.discovery.directory_tree import DirectoryTree, explain_no_match, explain_unlisted
from h5lightning.storage.discovery.exclusion import Exclusion
from h5lightning.storage.discovery.file_lists import entries_of, naming_line
from h5lightning.storage.discovery.patterns import Pattern, common_directory
from h5lightning.storage.discovery.same_files import UniqueFiles
from h5lightning.storage.hdf5.file_checks import without_hint

__all__ = ["Discovered", "discover"]

ROLES = ("train", "val", "test", "predict")


@dataclass(frozen=True, slots=True, eq=False)
class Discovered:
    """The files that patterns match, in path order.

    Args:
        root: the deepest common directory of all patterns, absolute; links in it are kept.
        names: path of each file relative to ``root``, with ``/``; sorted. It identifies the file.
        stamps: size in bytes, mtime_ns, ctime_ns and inode of each file, ``(files, 4)``; zeros for a file whose status
            cannot be read, which the scan reports.
        roles: for a mapping of splits, the positions of the files of each split, ascending; else None.
        skipped: files that wildcards match but that are not HDF5.
        unlisted: directories that cannot be searched, where more files may lie; each counts as a bad file.
    """

    root: str
    names: tuple[str, ...]
    stamps: Int64Array
    roles: dict[str, Int64Array] | None = None
    skipped: tuple[SkippedFile, ...] = ()
    unlisted: tuple[SkippedFile, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def path(self, file: int) -> str:
        """The current path of a file."""
        return os.path.join(self.root, self.names[file])


def discover(files: object, *, directory: str | None = None) -> Discovered:
    """Find the files that patterns match.

    Args:
        files: a glob or path, several of them, or a mapping of ``train``, ``val``, ``test`` and
            ``predict`` to either. ``**``, ``{a,b}``, ``[0-9]``, ``~`` and environment variables are
            expanded; an entry with a leading ``!`` leaves out the files that it matches, and everything in a directory
            that it matches. ``@list.txt`` stands for the paths and patterns in a text file, see `file_lists`.
        directory: the directory that relative patterns start from; None for the current directory.

    Raises:
        OptionError: ``files`` has another type.
        DiscoveryError: a pattern is a URL or a directory, uses an undefined variable, or a file is in two splits.
        NoMatchError: a pattern matches no HDF5 file.
        ResourceError: this process has no file descriptor or memory left.
    """
    directory = os.path.abspath(directory if directory is not None else os.getcwd())
    selections = [_Selection.of(role, texts, directory) for role, texts in _texts_by_role(files).items()]
    root = common_directory(pattern for selection in selections for pattern in selection.patterns)
    tree = DirectoryTree()
    matches = [
        match
        for selection in selections
        for match in selection.find(tree, Exclusion(selection.excluded, directory, root))
    ]
    literal = {glob.base for match in matches for glob in match.pattern.globs if not glob.parts}
    unique = UniqueFiles.of((path for match in matches for path in match.paths), literal)
    for match in matches:
        _check_match(match, unique, tree)
    start = len(os.path.join(root, ""))
    unlisted = sorted({path: reason for match in matches for path, reason in match.unlisted.items()}.items())
    return Discovered(
        root=root,
        names=tuple(path[start:] for path in unique.paths),
        stamps=np.asarray(unique.stamps, dtype=np.int64).reshape(-1, 4),
        roles=_positions_by_role(matches, unique) if isinstance(files, Mapping) else None,
        skipped=tuple(SkippedFile(path[start:], reason) for path, reason in sorted(unique.skipped.items())),
        unlisted=tuple(
            SkippedFile(path[start:] or ".", explain_unlisted(path, reason)) for path, reason in unlisted
        ),
    )


def _texts_by_role(files: object) -> dict[str, list[str]]:
    if not isinstance(files, Mapping):
        return {"": _texts(files, "files")}
    for role in files:
        if role not in ROLES:
            raise OptionError(f"files has no split {role!r}{did_you_mean(role, ROLES)}")
    texts = {role: _texts(files[role], f"files.{role}") for role in ROLES if files.get(role) is not None}
    if not texts:
        raise OptionError(f"files names no split: give at least one of {', '.join(ROLES)}")
    return texts


def _texts(value: object, name: str) -> list[str]:
    listed = [value] if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(listed, Iterable) or isinstance(listed, (bytes, Mapping)):
        raise OptionError(f"{name} must be a path, a pattern or a list of them, found {value!r}")
    texts = [os.fspath(item) if isinstance(item, (str, os.PathLike)) else item for item in listed]
    for text in texts:
        if not isinstance(text, str):
            raise OptionError(f"{name} must hold paths and patterns, found {text!r}")
    if not any(text[:1] != "!" for text in texts):
        left_out = f": it only leaves out {', '.join(texts)}" if texts else ""
        raise OptionError(f"{name} names no file{left_out}. Add a pattern such as 'runs/*.h5'")
    return texts


@dataclass(frozen=True, slots=True)
class _Match:
    """The paths that one pattern matches."""

    role: str
    pattern: Pattern
    paths: list[str]
    left_out: int
    unlisted: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Selection:
    """The patterns of one split, or of all files."""

    role: str
    texts: list[str]
    patterns: list[Pattern]
    excluded: list[str]

    @classmethod
    def of(cls, role: str, texts: list[str], directory: str) -> _Selection:
        wanted = [text for text in texts if not text.startswith("!")]
        patterns = [pattern for text in wanted for pattern in _patterns(text, directory)]
        return cls(role, wanted, patterns, [text[1:] for text in texts if text.startswith("!")])

    def find(self, tree: DirectoryTree, exclusion: Exclusion) -> list[_Match]:
        """The paths that each pattern matches, HDF5 or not."""
        matches = [self._match(pattern, tree, exclusion) for pattern in self.patterns]
        if any(match.left_out for match in matches) and not any(match.paths for match in matches):
            excluded = [f"!{text}" for text in self.excluded]
            raise NoMatchError(f"all files that {self.texts} match are left out by {excluded}")
        return matches

    def _match(self, pattern: Pattern, tree: DirectoryTree, exclusion: Exclusion) -> _Match:
        matched: list[str] = []
        unlisted: dict[str, str] = {}
        for glob in pattern.globs:
            paths, problems = tree.find(glob)
            matched += paths
            unlisted |= {path: why for path, why in problems.items() if not exclusion.covers_all_in(path)}
        kept = [path for path in matched if not exclusion.covers(path)]
        return _Match(self.role, pattern, kept, len(matched) - len(kept), unlisted)


def _patterns(text: str, directory: str) -> list[Pattern]:
    """The patterns of an entry of ``files``: one, or those of a list."""
    patterns = []
    for entry in entries_of(text, directory):
        with naming_line(entry):
            patterns.append(Pattern.of(*entry))
    if not patterns:
        raise NoMatchError(f"the list of files {text!r} names no file: write a path or pattern on each line")
    return patterns


def _check_match(match: _Match, unique: UniqueFiles, tree: DirectoryTree) -> None:
    if match.left_out or any(path in unique.positions for path in match.paths):
        return
    glob = match.pattern.globs[0]
    unlisted = next(iter(match.unlisted.items()), None)
    if unlisted and unique.paths:
        return  # it is reported later, and may be left out like a bad file
    why = without_hint(explain_unlisted(*unlisted)) if unlisted else explain_no_match(glob, match.paths, tree)
    raise NoMatchError(f"{match.pattern.named} matches no HDF5 file (searched in {glob.directory!r}): {why}")


def _positions_by_role(matches: list[_Match], unique: UniqueFiles) -> dict[str, Int64Array]:
    owners: dict[int, tuple[_Match, str]] = {}
    for match in matches:
        for path in match.paths:
            if path not in unique.positions:
                continue
            owner, other = owners.setdefault(unique.positions[path], (match, path))
            if owner.role != match.role:
                raise DiscoveryError(_explain_two_splits(owner, other, match, path))
    files: dict[str, list[int]] = {match.role: [] for match in matches}
    for file in sorted(owners):
        files[owners[file][0].role].append(file)
    return {role: np.asarray(positions, dtype=np.int64) for role, positions in files.items()}


def _explain_two_splits(first: _Match, path: str, second: _Match, other: str) -> str:
    same = f", which is the same file as {other!r}," if other != path else ""
    return (
        f"{path!r}{same} is in two splits: {first.role} ({first.pattern.named}) and "
        f"{second.role} ({second.pattern.named}). Take it out of one: add {'!' + path!r} to "
        f"files.{first.role}, or {'!' + other!r} to files.{second.role}"
    )
