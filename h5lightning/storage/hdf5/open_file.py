"""Opening files for reading: the only module that lets HDF5 open a file.

HDF5 opens a file once for each inode and driver. A second handle of the same driver shows the cached contents of the
first one, even if the file was overwritten since, by ``cp`` or ``rsync --inplace``. A ``h5py.File`` of the user may
have been open for hours. So files are opened with a driver of their own; `held_files` knows all handles of that driver.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import h5py
from h5py import h5f, h5p

from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.storage.hdf5.file_checks import check_resources
from h5lightning.storage.hdf5.held_files import BriefHold, give_back_outdated

__all__ = [
    "CACHE_SLOTS",
    "close_id",
    "hdf5_reason",
    "open_file",
    "open_id",
    "open_regular",
    "opened_file",
    "opened_id",
]

CACHE_SLOTS = 521  # HDF5 2.0 reserves 8,191 slots for each dataset, sized for its 8 MiB cache
_NFS_ENOTSUPP = 524  # of the Linux NFS client; not in errno
_LOCK_ERRORS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EROFS, errno.EAGAIN, _NFS_ENOTSUPP)


def open_id(path: str, *, locking: bool = False, rdcc_nbytes: int = 0) -> h5f.FileID:
    """Open a file for reading, through the low-level interface.

    Args:
        path: path of the file.
        locking: take HDF5's file lock; many network file systems have none.
        rdcc_nbytes: chunk cache of each dataset of the file, in bytes.

    Raises:
        BadFileError: HDF5 cannot open it; the message says why and what to do.
        FileChangedError: this process still reads the file as it was before it changed.
        ResourceError: this process has no file descriptor or memory left.
    """
    give_back_outdated(path, _status_of(path))
    return _open(path, locking, rdcc_nbytes)


def close_id(handle: h5f.FileID) -> None:
    """Close a handle of a file, and all objects that were opened through it, whoever holds them."""
    h5py.File(handle).close()


@contextmanager
def opened_id(
    path: str, *, locking: bool = False, status: os.stat_result | None = None
) -> Iterator[h5f.FileID]:
    """As `open_id`, inside the ``with`` block; all objects of the file are closed with it.

    The status of the file is read here, unless a check just before has read it.
    """
    status = _status_of(path) if status is None else status
    give_back_outdated(path, status)
    with BriefHold(status):
        fid = _open(path, locking, 0)
        try:
            yield fid
        except BaseException:
            # A notebook keeps the error, with it the datasets of its traceback, and these keep the file open.
            h5py.File(fid).close()
            raise
        fid.close()


@contextmanager
def opened_file(path: str, *, locking: bool = False) -> Iterator[h5py.File]:
    """As `opened_id`, through the high-level interface."""
    with opened_id(path, locking=locking) as fid:
        yield h5py.File(fid)


def _status_of(path: str) -> os.stat_result:
    """The status of a regular file; opening a FIFO, HDF5 would wait indefinitely for a writer."""
    if "\0" in path:
        raise BadFileError(
            f"{path!r} holds a NUL character, and HDF5 would open the path before it: correct the path"
        )
    descriptor, status = open_regular(path)
    os.close(descriptor)
    return status


def _open(path: str, locking: bool, rdcc_nbytes: int) -> h5f.FileID:
    try:
        return _open_with_own_driver(path, locking, _access_list(rdcc_nbytes))
    except OSError as error:
        check_resources(path, _errno_of(error), hdf5_reason(error))
        raise BadFileError(_explain(path, error)) from error


def _open_with_own_driver(path: str, locking: bool, plist: h5p.PropFAID) -> h5f.FileID:
    """Open with HDF5's default lock, which is released at once unless ``locking`` is set.

    HDF5 refuses a second handle of the same driver with another locking option, so all handles here use the same one.
    """
    name = os.fsencode(path)
    try:
        fid = h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    except OSError as error:
        if locking or "lock" not in str(error):
            raise
        # The file system has no locks, a writer holds one, or another handle here was opened in spite of it.
        plist = plist.copy()
        plist.set_file_locking(False, True)
        return h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    if not locking and h5f.get_obj_count(fid, h5f.OBJ_FILE) == 1:
        # Other handles here share the descriptor and its lock, which they may need.
        fcntl.flock(fid.get_vfd_handle(), fcntl.LOCK_UN)
    return fid


def open_file(path: str, access: Access, *, rdcc_nbytes: int = 0) -> h5py.File:
    """As `open_id`, through the high-level interface; the caller closes the file."""
    return h5py.File(open_id(path, locking=access.locking, rdcc_nbytes=rdcc_nbytes))


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading without HDF5.

    Returns:
        The descriptor, which the caller closes, and the status of the open file.

    Raises:
        BadFileError: it cannot be opened, or is not a regular file.
        ResourceError: this process has no file descriptor or memory left.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        check_resources(path, error.errno, error.strerror)
        reason = f"{error.strerror}. {_remedy(error.errno or 0, is_lock=False)}"
        raise BadFileError(f"{path} cannot be opened: {reason}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise BadFileError(f"{path} is not a regular file: has it been replaced?")
    return descriptor, status


@lru_cache(maxsize=8)
def _access_list(rdcc_nbytes: int) -> h5p.PropFAID:
    # Made once: making one takes 8 µs, and a scan opens thousands of files.
    plist = h5p.create(h5p.FILE_ACCESS)
    plist.set_cache(0, CACHE_SLOTS, rdcc_nbytes, 0.75)
    # The default reads 64 KiB for each short row of contiguous layout: 6.9 instead of 2.3 µs for 4 KiB.
    plist.set_sieve_buf_size(1)
    # The default driver under another name: same calls, same speed. Without flags, it neither logs nor opens a log.
    plist.set_fapl_log(b"", 0, 0)
    return plist


def hdf5_reason(error: Exception) -> str:
    """The reason in an error of HDF5, without the names of its functions.

    Example:
        >>> hdf5_reason(OSError("Unable to synchronously open file (file signature not found)"))
        'file signature not found'
    """
    text = str(error)
    reason = text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text
    system = re.search(r"error message = '([^']*)'", reason)
    return system[1] if system else reason


def _explain(path: str, error: OSError) -> str:
    remedy = _remedy(_errno_of(error), "lock" in str(error))
    return f"{path} cannot be opened: {hdf5_reason(error)}. {remedy}"


def _errno_of(error: OSError) -> int:
    return error.errno or int((re.search(r"errno = (\d+)", str(error)) or (0, 0))[1])


def _remedy(number: int, is_lock: bool) -> str:
    if is_lock and number in _LOCK_ERRORS:
        return "Its file system has no locks, or a writer holds one: set access.locking=False"
    if number == errno.ENOENT:
        return "It was there when the files were listed: has it been moved or deleted?"
    if number in (errno.EACCES, errno.EPERM):
        return "Check its permissions and those of its directory"
    return (
        "If a program is writing it, close it there; otherwise check it with 'h5lightning inspect', and copy it again "
        "if it is damaged"
    )
