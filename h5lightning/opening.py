"""Opening one file or dataset for reading: the only place that asks HDF5 to open a file."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat

import h5py
from h5py import h5d, h5f, h5l, h5p

from h5lightning.errors import BadFileError, MissingFieldError, UnsupportedFieldError
from h5lightning.options import Access

__all__ = ["hdf5_reason", "open_dataset", "open_descriptor", "open_file", "open_id"]

_CACHE_SLOTS = 521  # HDF5 2.0 reserves 8,191 slots for each dataset, sized for its 8 MiB cache
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
    """
    if "\0" in path:
        raise BadFileError(f"{path!r} holds a NUL character: HDF5 would open the path before it")
    try:
        return _open_like_h5py(path, locking, _access_list(rdcc_nbytes))
    except OSError as error:
        raise BadFileError(_explain(path, error)) from error


def _open_like_h5py(path: str, locking: bool, plist: h5p.PropFAID) -> h5f.FileID:
    """Open with HDF5's default lock, which is given up at once unless it is wanted.

    HDF5 refuses a second handle in the process whose locking differs from the first one's: without the default,
    a user's own ``h5py.File(path)`` would fail while we hold the file, and ours while they do.
    """
    name = os.fsencode(path)
    try:
        fid = h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    except OSError as error:
        if locking or "lock" not in str(error):
            raise
        # No locks on this file system, a writer's lock, or the user's handle without locking.
        plist.set_file_locking(False, True)
        return h5f.open(name, h5f.ACC_RDONLY, fapl=plist)
    if not locking and h5f.get_obj_count(fid, h5f.OBJ_FILE) == 1:
        # Other handles of the process share the descriptor, and with it the lock, which may be theirs.
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
    """
    return h5py.File(open_id(path, locking=access.locking, rdcc_nbytes=rdcc_nbytes))


def open_descriptor(path: str) -> int:
    """Open a regular file for reading without HDF5; the caller closes the descriptor.

    Args:
        path: where the file lies.

    Raises:
        BadFileError: it cannot be opened, or is not a regular file.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        reason = f"{error.strerror}. {_remedy(error.errno or 0, is_lock=False)}"
        raise BadFileError(f"{path} cannot be opened: {reason}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFileError(f"{path} is not a regular file any more: has it been replaced?")
    return descriptor


def open_dataset(file: h5py.File, path: str, name: str) -> h5py.Dataset:
    """Open a dataset that lies in the file itself.

    Args:
        file: the open file.
        path: where the file lies, for the error.
        name: path of the dataset in the file.

    Raises:
        BadFileError: HDF5 cannot open it.
        MissingFieldError: the file does not hold it.
        UnsupportedFieldError: it is a group, or reached through a soft or external link.
    """
    _require_hard_links(file, path, name)
    try:
        opened = file[name]
        if isinstance(opened, h5py.Dataset) and _needs_no_decoding(opened):
            return _bypass_cache(file, opened)
    except (KeyError, OSError) as error:
        raise BadFileError(f"'/{name}' in {path} cannot be opened: {error}. Copy the file again") from error
    if not isinstance(opened, h5py.Dataset):
        raise UnsupportedFieldError(f"'/{name}' in {path} is no dataset; see 'h5lightning inspect'")
    return opened


def _needs_no_decoding(dataset: h5py.Dataset) -> bool:
    layout = dataset.id.get_create_plist()
    return layout.get_layout() == h5d.CHUNKED and not layout.get_nfilters()


def _bypass_cache(file: h5py.File, dataset: h5py.Dataset) -> h5py.Dataset:
    """The same dataset without a chunk cache.

    To fill the cache, HDF5 reads the whole chunk: 55 instead of 31 µs for 4 KiB of a chunk of 128 KiB.
    """
    name = dataset.name.encode("utf-8", "surrogateescape")
    plist = h5p.create(h5p.DATASET_ACCESS)
    plist.set_chunk_cache(_CACHE_SLOTS, 0, 0.75)
    dataset.id.close()  # else HDF5 gives the new handle the cache of the old one
    return h5py.Dataset(h5d.open(file.id, name, plist))


def _require_hard_links(file: h5py.File, path: str, name: str) -> None:
    # An external link opens any file that the process can read.
    parts = [part for part in name.split("/") if part]
    for depth in range(1, len(parts) + 1):
        prefix = "/".join(parts[:depth])
        try:
            kind = file.id.links.get_info(prefix.encode("utf-8", "surrogateescape")).type
        except (KeyError, RuntimeError, OSError) as error:
            raise MissingFieldError(f"'/{name}' is not in {path}; see 'h5lightning inspect'") from error
        if kind != h5l.TYPE_HARD:
            raise UnsupportedFieldError(f"'/{prefix}' in {path} is a soft or external link, expected data")


def _access_list(rdcc_nbytes: int) -> h5p.PropFAID:
    plist = h5p.create(h5p.FILE_ACCESS)
    plist.set_cache(0, _CACHE_SLOTS, rdcc_nbytes, 0.75)
    # The default reads 64 KiB for each short row of contiguous layout: 6.9 instead of 2.3 µs for 4 KiB.
    plist.set_sieve_buf_size(1)
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
    text = str(error)
    number = error.errno or int((re.search(r"errno = (\d+)", text) or (0, 0))[1])
    return f"{path} cannot be opened: {hdf5_reason(error)}. {_remedy(number, 'lock' in text)}"


def _remedy(number: int, is_lock: bool) -> str:
    if number in (errno.EMFILE, errno.ENFILE):
        return "Raise the limit of open files (ulimit -n) or set access.max_open_files below it"
    if is_lock and number in _LOCK_ERRORS:
        return "Its file system has no locks, or a writer holds one: use access.locking=False"
    if number == errno.ENOENT:
        return "It was there when the files were listed: has it been moved or deleted?"
    if number in (errno.EACCES, errno.EPERM):
        return "Check its permissions and those of its directory"
    return "Check it with 'h5lightning inspect', and copy it again if it is damaged"
