"""Links to other files, and whether a file may be a source of values.

HDF5 opens any path that a file names, ``/etc/passwd`` included, and returns fill values where a source is missing.
So links are followed only into a directory that the user names, and each source must exist. A source is stamped
before it is checked: the result holds as long as the stamp does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from h5py import h5d, h5f, h5g, h5l, h5o

from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE, UNKNOWN
from h5lightning.storage.hdf5.file_checks import check_file, stamp
from h5lightning.storage.hdf5.open_file import opened_id

__all__ = [
    "Sources",
    "beside",
    "encoded",
    "hdf5_source_problem",
    "link_problem",
    "object_at",
    "other_name_problem",
    "source_problem",
    "source_stamp",
]

_MOST_LINKS = 8  # from file to file

# They make HDF5 search for sources elsewhere than where they were checked.
_PREFIXES = ("HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX", "HDF5_EXT_PREFIX")


def encoded(path: str) -> bytes:
    """The name of an object as HDF5 stores it; the root group for an empty path."""
    return path.encode("utf-8", "surrogateescape") or b"/"


def beside(file: str, name: str) -> str:
    """Where HDF5 looks first for a source called ``name`` in ``file``."""
    return os.path.join(os.path.dirname(file), name)


class Sources:
    """The other files that are checked for the values of a file, each with its stamp from before the check."""

    __slots__ = ("stamps",)

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}

    def add(self, path: str) -> None:
        """Add a source that will be checked."""
        if path not in self.stamps:
            self.stamps[path] = source_stamp(path)

    def add_unknown(self, path: str) -> None:
        """Add a source whose place is unknown, now and in a later scan."""
        self.stamps[path] = UNKNOWN


def source_stamp(path: str) -> Stamp:
    """The stamp of a source now; `NOT_THERE` if it does not exist, or its status cannot be read."""
    try:
        return stamp(os.stat(path))
    except OSError:
        return NOT_THERE


def object_at(fid: h5f.FileID, path: str) -> h5g.GroupID | h5d.DatasetID | None:
    """The group or dataset at a path of hard links; None if there is none."""
    if link_problem(fid, "", path, None) != "":
        return None
    found = h5o.open(fid, encoded(path))
    return found if isinstance(found, (h5g.GroupID, h5d.DatasetID)) else None


def link_problem(
    fid: h5f.FileID,
    file: str,
    path: str,
    allowed: str | None,
    *,
    depth: int = 0,
    sources: Sources | None = None,
) -> str | None:
    """The reason why the links to an object may not be followed, as the predicate of a sentence.

    Args:
        fid: the open file.
        file: path of the file.
        path: path of the object.
        allowed: the directory that external links may lead to; None for no directory.
        depth: number of external links that led to this file.
        sources: collects the files that the links lead to.

    Returns:
        Empty if the links may be followed; None if there is no such object.
    """
    for prefix in _prefixes(path):
        if not _exists(fid, prefix):
            return None
        kind = fid.links.get_info(encoded(prefix)).type
        if kind == h5l.TYPE_HARD:
            continue
        target = fid.links.get_val(encoded(prefix))
        if kind != h5l.TYPE_EXTERNAL:
            target = os.fsdecode(target)
            return f"is reached through the soft link '/{prefix}' to {target!r}: name the data by that path"
        name, inside = (os.fsdecode(part) for part in target)
        problem = "" if allowed is None or os.path.isabs(name) else other_name_problem(fid)
        problem = problem or _target_problem(beside(file, name), inside, allowed, depth, sources or Sources())
        if problem:
            return f"is reached through the external link '/{prefix}' to {inside!r} in {name!r}{problem}"
    return ""


def _prefixes(path: str) -> Iterator[str]:
    """``a``, ``a/b`` and ``a/b/c`` of ``a/b/c``."""
    parts = [part for part in path.split("/") if part]
    return ("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def _exists(fid: h5f.FileID, path: str) -> bool:
    try:
        return bool(fid.links.exists(encoded(path)))
    except (KeyError, RuntimeError):
        # HDF5 fails, rather than saying no, where the parent is a dataset.
        if h5o.get_info(fid, encoded(path.rpartition("/")[0])).type == h5o.TYPE_GROUP:
            raise
        return False


def _target_problem(target: str, inside: str, allowed: str | None, depth: int, sources: Sources) -> str:
    """The reason why an external link may not be followed; empty if it may."""
    if allowed is None:
        return ": name that file in files, or set access.allow_external to the directory that such links may lead to"
    if depth == _MOST_LINKS:
        return f", the last of {_MOST_LINKS} links from file to file: name that file in files"
    if problem := hdf5_source_problem(target, allowed, sources):
        return f", {problem}"
    with opened_id(target) as fid:
        problem_inside = link_problem(fid, target, inside, allowed, depth=depth + 1, sources=sources)
    if problem_inside is None:
        return ", where there is no such object: it may have been renamed"
    return f", which {problem_inside}" if problem_inside else ""


def other_name_problem(fid: h5f.FileID) -> str:
    """The reason why HDF5 would not look for sources beside a file, as the end of a sentence; empty if it would.

    HDF5 keeps one directory for a file that is open under several names: that of the name which was first.
    """
    directory = _directory_of(fid)
    others: list[str] = []
    for other in h5f.get_obj_ids(fid, h5f.OBJ_FILE):
        # Another thread may have closed it by now.
        with contextlib.suppress(ValueError, RuntimeError):
            if _directory_of(other) != directory:
                others.append(os.fsdecode(other.name))
    if not others:
        return ""
    return (
        f", which HDF5 would look for beside {others[0]!r}, because this process also has the file open under that "
        "name: close it, or use the same name"
    )


def _directory_of(fid: h5f.FileID) -> str:
    """The directory of the name by which a file was opened."""
    return os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(fid.name))))


def hdf5_source_problem(path: str, allowed: str, sources: Sources) -> str:
    """As `source_problem`, for a source that must be an HDF5 file."""
    if problem := source_problem(path, allowed, sources):
        return problem
    try:
        check_file(path)
    except BadFileError as error:
        return f"which cannot be read: {error}"
    return ""


def source_problem(path: str, allowed: str, sources: Sources) -> str:
    """The reason why a file cannot be a source, as a relative clause; empty if it can."""
    if prefix := next((name for name in _PREFIXES if os.environ.get(name)), None):
        sources.add_unknown(path)
        return f"which HDF5 would look for elsewhere because of the environment variable {prefix}: unset it"
    sources.add(path)
    root = os.path.realpath(os.path.expanduser(allowed))
    real = os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        return f"which is not in {root!r}, where access.allow_external lets sources lie"
    return "" if os.path.isfile(real) else "which is not there"
