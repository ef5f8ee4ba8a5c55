"""Values that a file takes from other files: which files those are, and whether they may be read.

HDF5 opens any path that a file names, ``/etc/passwd`` included, and invents the values of sources that it cannot find.
So nothing is followed unless the user names a directory; then each source must lie in it, be there, and hold all that
is taken from it. Each is stamped before it is looked at: what was found holds as long as its stamp does.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator

from h5py import h5d, h5f, h5g, h5i, h5l, h5o, h5p, h5s, h5t

from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.planning.catalog.source_files import NOT_THERE, UNKNOWN
from h5lightning.storage.hdf5.element_sizes import stored_size
from h5lightning.storage.hdf5.file_checks import check_file, stamp
from h5lightning.storage.hdf5.open_file import opened_id

__all__ = [
    "Sources",
    "hard_links",
    "link_problem",
    "object_at",
    "place_problem",
    "source_stamp",
    "storage_problem",
]

_MOST_LINKS = 8  # from file to file
_UNLIMITED_BYTES = 2**64 - 1

# They make HDF5 look for sources elsewhere than where they were checked.
_PREFIXES = ("HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX", "HDF5_EXT_PREFIX")


def hard_links(path: str) -> Iterator[str]:
    """``a``, ``a/b`` and ``a/b/c`` of ``a/b/c``: each must be a hard link."""
    parts = [part for part in path.split("/") if part]
    return ("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def encoded(path: str) -> bytes:
    """The name that HDF5 knows; the file itself for an empty path."""
    return path.encode("utf-8", "surrogateescape") or b"/"


class Sources:
    """The files that are looked at for the values of another, each with its stamp from before."""

    __slots__ = ("stamps",)

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}

    def add(self, path: str) -> None:
        """One that will be looked at."""
        if path not in self.stamps:
            self.stamps[path] = source_stamp(path)

    def add_unknown(self, path: str) -> None:
        """One of which nothing can be said now, nor by whoever scans later."""
        self.stamps[path] = UNKNOWN


def source_stamp(path: str) -> Stamp:
    """The stamp of a source now; `NOT_THERE` if it is not there, or may not be looked at."""
    try:
        return stamp(os.stat(path))
    except OSError:
        return NOT_THERE


# ── links ────────────────────────────────────────────────────────────────────────────────────────────


def object_at(fid: h5f.FileID, path: str) -> h5g.GroupID | h5d.DatasetID | None:
    """The group or dataset at a path that hard links lead to; None if there is none."""
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
    """Why the way to an object may not be followed, as what a sentence says of it.

    Args:
        fid: the open file.
        file: where it lies.
        path: the object.
        allowed: the directory that external links may lead to; None for nowhere.
        depth: files that led here.
        sources: takes the files that the way leads through.

    Returns:
        Empty where the way can be followed, None where it ends early.
    """
    for prefix in hard_links(path):
        if not _exists(fid, prefix):
            return None
        kind = fid.links.get_info(encoded(prefix)).type
        if kind == h5l.TYPE_HARD:
            continue
        target = fid.links.get_val(encoded(prefix))
        if kind != h5l.TYPE_EXTERNAL:
            return f"is reached through the soft link '/{prefix}' to {_text(target)!r}: name the data by that path"
        name, inside = (os.fsdecode(part) for part in target)
        problem = "" if allowed is None or os.path.isabs(name) else place_problem(fid)
        problem = problem or _followed(beside(file, name), inside, allowed, depth, sources or Sources())
        if problem:
            return f"is reached through the external link '/{prefix}' to {inside!r} in {name!r}{problem}"
    return ""


def _exists(fid: h5f.FileID, path: str) -> bool:
    try:
        return bool(fid.links.exists(encoded(path)))
    except (KeyError, RuntimeError):
        # HDF5 fails, rather than saying no, where the parent is a dataset.
        if h5o.get_info(fid, encoded(path.rpartition("/")[0])).type == h5o.TYPE_GROUP:
            raise
        return False


def _followed(target: str, inside: str, allowed: str | None, depth: int, sources: Sources) -> str:
    """Why an external link may not be followed; empty if it may."""
    if allowed is None:
        return (
            ": name that file in files, or the directory that such links may lead to in access.allow_external"
        )
    if depth == _MOST_LINKS:
        return f", the last of {_MOST_LINKS} links from file to file: name that file in files"
    if problem := _file_problem(target, allowed, sources):
        return f", {problem}"
    with opened_id(target) as fid:
        found = link_problem(fid, target, inside, allowed, depth=depth + 1, sources=sources)
    if found is None:
        return ", where there is no such object: it may have been renamed"
    return f", which {found}" if found else ""


# ── virtual datasets and external storage ────────────────────────────────────────────────────────────


def storage_problem(did: h5d.DatasetID, allowed: str | None, sources: Sources | None = None) -> str:
    """Why the values of a dataset may not be read, as what a sentence says of it; empty if they may.

    Args:
        did: the opened dataset.
        allowed: the directory that its sources may lie in; None for nowhere.
        sources: takes the files that its values lie in.
    """
    plist, sources = did.get_create_plist(), sources or Sources()
    if plist.get_external_count():
        return _external_problem(did, plist, allowed, sources)
    return _virtual_problem(did, plist, allowed, sources) if plist.get_layout() == h5d.VIRTUAL else ""


def place_problem(fid: h5f.FileID) -> str:
    """Why HDF5 would not look for sources beside a file, as what a sentence says of them; empty if it would.

    HDF5 keeps one directory for a file that is open under several names: that of the name which was first.
    """
    here = _place_of(fid)
    others: list[str] = []
    for other in h5f.get_obj_ids(fid, h5f.OBJ_FILE):
        # Another thread may have closed it by now.
        with contextlib.suppress(ValueError, RuntimeError):
            if _place_of(other) != here:
                others.append(os.fsdecode(other.name))
    if not others:
        return ""
    return (
        f", which HDF5 would look for beside {others[0]!r}, under which name this process has the file open too: "
        "close that, or use the same name"
    )


def _place_of(fid: h5f.FileID) -> str:
    """The directory of the name that a file was opened by."""
    return os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(fid.name))))


def _external_problem(did: h5d.DatasetID, plist: h5p.PropDCID, allowed: str | None, sources: Sources) -> str:
    if allowed is None:
        return (
            "keeps its values outside of the HDF5 file: copy them to a dataset of its own, or name the directory "
            "that they lie in in access.allow_external"
        )
    missing = math.prod(did.shape or ()) * stored_size(did.get_type())
    for name, offset, size in _external_parts(plist):
        path, needed = os.path.abspath(name), missing if size == _UNLIMITED_BYTES else min(size, missing)
        if problem := _source_problem(name, allowed, sources):
            return f"keeps its values in {path!r}, {problem}"
        found = os.stat(name).st_size
        if found < offset + needed:
            return f"keeps its values in {path!r}, which has {found} bytes, expected {offset + needed}"
        missing -= needed
    return f"lacks {missing} bytes of its values, which no external file holds" if missing else ""


def _external_parts(plist: h5p.PropDCID) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each part; HDF5 looks for it from the current directory."""
    for number in range(plist.get_external_count()):
        name, offset, size = plist.get_external(number)
        yield os.fsdecode(name), offset, size


def _virtual_problem(did: h5d.DatasetID, plist: h5p.PropDCID, allowed: str | None, sources: Sources) -> str:
    if allowed is None:
        return (
            "is a virtual dataset: its values lie in other files, and HDF5 invents those that it cannot find. Name "
            "the files that hold the values, copy them to a dataset of its own, or name the directory that they lie "
            "in in access.allow_external"
        )
    fid, mapped = h5i.get_file_id(did), 0
    file = os.fsdecode(fid.name)  # a link may have led to another file than the first
    elsewhere = place_problem(fid)
    for number in range(plist.get_virtual_count()):
        name, inside = plist.get_virtual_filename(number), plist.get_virtual_dsetname(number)
        if "%" in name + inside or h5s.UNLIMITED in plist.get_virtual_vspace(number).get_simple_extent_dims(
            True
        ):
            return f"is a virtual dataset of sources without an end, {name!r}: list them one by one"
        if elsewhere and name != "." and not os.path.isabs(name):
            return f"is a virtual dataset with the source {name!r}{elsewhere}"
        path = file if name == "." else beside(file, name)
        problem = "" if path == file else _file_problem(path, allowed, sources)
        points = int(plist.get_virtual_vspace(number).get_select_npoints())
        problem = problem or _dataset_problem(did, path, inside, plist.get_virtual_srcspace(number), points)
        if problem:
            return f"is a virtual dataset whose source '/{inside.lstrip('/')}' in {path!r}, {problem}"
        mapped += points
    total = math.prod(did.shape or ())
    return "" if mapped == total else f"is a virtual dataset with sources for {mapped} of its {total} values"


def _dataset_problem(did: h5d.DatasetID, path: str, name: str, selected: h5s.SpaceID, points: int) -> str:
    """Why a dataset cannot be the source of another, which takes some selected points of it."""
    with opened_id(path) as fid:
        if link := link_problem(fid, path, name, None):
            return f"which {link}"
        if link is None or h5o.get_info(fid, encoded(name)).type != h5o.TYPE_DATASET:
            return "which is not there"
        source = h5d.open(fid, encoded(name))
        plist, kind = source.get_create_plist(), source.get_type().get_class()
        if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
            return "which takes its values from other files itself"
        if kind != did.get_type().get_class() or kind == h5t.VLEN:
            return "which holds elements of another class"
        if not _holds(source.shape or (), selected, points):
            return f"which has shape {source.shape}: less than is taken from it"
        return "" if _is_written(source) else "of which parts were never written"


def _holds(shape: tuple[int, ...], selected: h5s.SpaceID, points: int) -> bool:
    """Whether a selection lies inside of a shape."""
    if selected.get_select_type() == h5s.SEL_ALL:
        return math.prod(shape) == points
    last = selected.get_select_bounds()[1]
    return len(last) == len(shape) and all(place < length for place, length in zip(last, shape, strict=True))


def _is_written(did: h5d.DatasetID) -> bool:
    plist, shape = did.get_create_plist(), did.shape or ()
    if plist.get_layout() != h5d.CHUNKED:
        return bool(did.get_storage_size() or not math.prod(shape))
    cells = math.prod(-(-length // chunk) for length, chunk in zip(shape, plist.get_chunk(), strict=True))
    return bool(did.get_num_chunks() >= cells)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────


def beside(file: str, name: str) -> str:
    """Where HDF5 looks first for a source that a file names."""
    return os.path.join(os.path.dirname(file), name)


def _file_problem(path: str, allowed: str, sources: Sources) -> str:
    """Why an HDF5 file cannot be a source, as what a sentence says of it; empty if it can."""
    if problem := _source_problem(path, allowed, sources):
        return problem
    try:
        check_file(path)
    except BadFileError as error:
        return f"which cannot be read: {error}"
    return ""


def _source_problem(path: str, allowed: str, sources: Sources) -> str:
    if found := [name for name in _PREFIXES if os.environ.get(name)]:
        sources.add_unknown(path)
        return f"which HDF5 would look for elsewhere, by the environment variable {found[0]}: unset it"
    sources.add(path)
    root = os.path.realpath(os.path.expanduser(allowed))
    real = os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        return f"which is not in {root!r}, where access.allow_external lets sources lie"
    return "" if os.path.isfile(real) else "which is not there"


def _text(name: bytes) -> str:
    return os.fsdecode(name)
