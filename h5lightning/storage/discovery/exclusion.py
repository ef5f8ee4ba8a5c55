"""Entries of ``files`` with a leading ``!``, which leave files out."""

from __future__ import annotations

import os
from collections.abc import Sequence

from h5lightning.storage.discovery.file_lists import entries_of, naming_line
from h5lightning.storage.discovery.patterns import RECURSIVE, Glob, globs_of, name_matcher, spell_out

__all__ = ["Exclusion"]


class Exclusion:
    """Paths to leave out: those that an entry matches, and everything in a directory that an entry matches.

    An entry without a slash (``!*_bad.h5``) matches that name anywhere below ``root``: as a name in the current
    directory, where data seldom lie, it would silently match nothing. Entries without wildcards are looked up in a
    set, so that thousands of them cost little.

    Args:
        texts: the entries, without ``!``; ``@list.txt`` for those of a list.
        directory: the absolute directory that relative entries start from.
        root: the absolute directory that contains all files.

    Raises:
        DiscoveryError: a URL, an undefined variable, or a text that cannot be a path.
    """

    def __init__(self, texts: Sequence[str], directory: str, root: str) -> None:
        self.texts = tuple(texts)
        self._start = len(os.path.join(root, ""))
        self._names: set[str] = set()
        self._paths: set[str] = set()
        self._name_patterns: list[str] = []
        self._globs: list[Glob] = []
        for text in texts:
            for entry in entries_of(text, directory):
                with naming_line(entry):
                    self._add(spell_out(entry.text, entry.directory), entry.directory)

    def _add(self, spelled: str, directory: str) -> None:
        is_bare = "/" not in spelled.rstrip("/")
        for glob in globs_of(spelled, directory):
            if glob.parts and is_bare:
                self._name_patterns.append(glob.parts[0])
            elif glob.parts:
                self._globs.append(glob)
            elif is_bare and glob.directory == directory:
                self._names.add(os.path.basename(glob.base))
            else:
                self._paths.add(glob.base)

    def covers(self, path: str) -> bool:
        """Whether an absolute path below the root is left out."""
        if not self.texts:
            return False
        names = path[self._start :].split("/")
        return (
            not self._names.isdisjoint(names)
            or any(name_matcher(pattern)(name) for pattern in self._name_patterns for name in names)
            or (bool(self._paths) and self._is_listed(path))
            or any(_covers(glob, path) for glob in self._globs)
        )

    def covers_all_in(self, directory: str) -> bool:
        """Whether everything in an absolute directory below the root is left out."""
        return self.covers(directory) or any(
            glob.parts[-1] in ("*", RECURSIVE) and _covers(glob, os.path.join(directory, "any"))
            for glob in self._globs
        )

    def _is_listed(self, path: str) -> bool:
        while path not in self._paths:
            parent = os.path.dirname(path)
            if parent == path:
                return False
            path = parent
        return True


def _covers(glob: Glob, path: str) -> bool:
    base = os.path.join(glob.base, "")
    return path.startswith(base) and _match(path[len(base) :].split("/"), glob.parts)


def _match(names: list[str], parts: tuple[str, ...]) -> bool:
    if not parts:
        return True  # the contents of a directory are left out with it
    if not names:
        return False
    if parts[0] == RECURSIVE:
        is_visible = not names[0].startswith(".")
        return _match(names, parts[1:]) or (is_visible and _match(names[1:], parts))
    return bool(name_matcher(parts[0])(names[0])) and _match(names[1:], parts[1:])
