"""Opening one file for reading: the only place that asks HDF5 to open a file.

HDF5 opens a file once for each inode and driver: whoever opens it again with the same driver is shown what the first
handle has read and keeps, also if the file was written over since, by ``cp`` or ``rsync --inplace``. A user's own
``h5py.File``, or its virtual datasets, may have been open for hours. So files are opened with a driver that nobody else
uses; what we hold ourselves is known, see `held_files`.
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
    "hdf5_reason",
    "open_descriptor",
    "open_file",
    "open_id",
    "opened_file",
    "opened_id",
]

CACHE_SLOTS = 521  # HDF5 2.0 reserves 8,191 slots for each dataset, sized for its 8 MiB cache
_NFS_ENOTSUPP = 524  # of the Linux NFS client; has no name in errno
_LOCK_ERRORS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EROFS, errno.EAGAIN, _NFS_ENOTSUPP)


def open_id(path: str, *, locking: bool = False, rdcc_nbytes: int = 0) -> h5f.FileID:
    """Open a file for reading, through the low-level interface.

    Args:
        path: where the file lies.
        locking: take HDF5's file lock; many network file systems have none.
        rdcc_nbytes: decoded chunks that HDF5 may keep for each dataset of the file.

    Raises:
        BadFileError: HDF5 cannot open it; the message says why and what to do.
        FileChangedError: this process is reading it as it was before it changed.
        ResourceError: this process has no open file or memory left.
    """
    give_back_outdated(path, _status_of(path))
    return _open(path, locking, rdcc_nbytes)


@contextmanager
def opened_id(
    path: str, *, locking: bool = False, status: os.stat_result | None = None
) -> Iterator[h5f.FileID]:
    """Open a file for reading inside the ``with`` block; what was opened of it is closed with it.

    Args:
        path: where the file lies.
        locking: take HDF5's file lock.
        status: that of the file as it was opened and checked just before; None to look at it here.

    Raises:
        BadFileError: HDF5 cannot open it; the message says why and what to do.
        FileChangedError: this process is reading it as it was before it changed.
        ResourceError: this process has no open file or memory left.
    """
    status = _status_of(path) if status is None else status
    give_back_outdated(path, status)
    with BriefHold(status):
        fid = _open(path, locking, 0)
        try:
            yield fid
        except BaseException:
            # Whoever keeps the error, a notebook for one, keeps the datasets of its traceback, and they keep the file.
            h5py.File(fid).close()
            raise
        fid.close()


@contextmanager
def opened_file(path: str, *, locking: bool = False) -> Iterator[h5py.File]:
    """As `opened_id`, through the high-level interface."""
    with opened_id(path, locking=locking) as fid:
        yield h5py.File(fid)


def _status_of(path: str) -> os.stat_result:
    """The status of what may be opened: HDF5 would wait for ever for somebody to write to a FIFO."""
    if "\0" in path:
        raise BadFileError(f"{path!r} holds a NUL character: HDF5 would open the path before it")
    descriptor = open_descriptor(path)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str, locking: bool, rdcc_nbytes: int) -> h5f.FileID:
    try:
        return _open_apart(path, locking, _access_list(rdcc_nbytes))
    except OSError as error:
        check_resources(path, _errno_of(error), hdf5_reason(error))
        raise BadFileError(_explain(path, error)) from error


def _open_apart(path: str, locking: bool, plist: h5p.PropFAID) -> h5f.FileID:
    """Open with HDF5's default lock, which is given up at once unless it is wanted.

    HDF5 refuses a second handle of the same driver whose locking differs from the first one's: all of ours ask for the
    same. The user's are not among them, and may lock the file, write to it or replace it: that is noticed as a change.
    """
    name = os.fsencode(path)
    try:
        fid = h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    except OSError as error:
        if locking or "lock" not in str(error):
            raise
        # No locks on this file system, a writer's lock, or a handle of ours that was opened despite one.
        plist = plist.copy()
        plist.set_file_locking(False, True)
        return h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    if not locking and h5f.get_obj_count(fid, h5f.OBJ_FILE) == 1:
        # Other handles of ours share the descriptor, and with it the lock, which may be wanted there.
        fcntl.flock(fid.get_vfd_handle(), fcntl.LOCK_UN)
    return fid


def open_file(path: str, access: Access, *, rdcc_nbytes: int = 0) -> h5py.File:
    """Open a file for reading; the caller closes it.

    Args:
        path: where the file lies.
        access: whether to lock the file.
        rdcc_nbytes: decoded chunks that HDF5 may keep for each dataset of the file.

    Raises:
        BadFileError: HDF5 cannot open it; the message says why and what to do.
        ResourceError: this process has no open file or memory left.
    """
    return h5py.File(open_id(path, locking=access.locking, rdcc_nbytes=rdcc_nbytes))


def open_descriptor(path: str) -> int:
    """Open a regular file for reading without HDF5; the caller closes the descriptor.

    Args:
        path: where the file lies.

    Raises:
        BadFileError: it cannot be opened, or is not a regular file.
        ResourceError: this process has no open file or memory left.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        check_resources(path, error.errno, error.strerror)
        reason = f"{error.strerror}. {_remedy(error.errno or 0, is_lock=False)}"
        raise BadFileError(f"{path} cannot be opened: {reason}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFileError(f"{path} is not a regular file any more: has it been replaced?")
    return descriptor


@lru_cache(maxsize=8)
def _access_list(rdcc_nbytes: int) -> h5p.PropFAID:
    # Made once: a scan opens thousands of files, and to make one takes 8 µs.
    plist = h5p.create(h5p.FILE_ACCESS)
    plist.set_cache(0, CACHE_SLOTS, rdcc_nbytes, 0.75)
    # The default reads 64 KiB for each short row of contiguous layout: 6.9 instead of 2.3 µs for 4 KiB.
    plist.set_sieve_buf_size(1)
    # The default driver under another name: same calls, same speed. Without flags it logs nothing, and opens no log.
    plist.set_fapl_log(b"", 0, 0)
    return plist


def hdf5_reason(error: Exception) -> str:
    """What HDF5 says in the end, without the names of its functions.

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
        return "Its file system has no locks, or a writer holds one: use access.locking=False"
    if number == errno.ENOENT:
        return "It was there when the files were listed: has it been moved or deleted?"
    if number in (errno.EACCES, errno.EPERM):
        return "Check its permissions and those of its directory"
    return (
        "Close it in the program that writes it, if one does; else check it with 'h5lightning inspect', and copy it "
        "again if it is damaged"
    )
