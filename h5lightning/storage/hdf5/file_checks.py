"""Checks before a file is opened: is it a regular file with an HDF5 header, as long as the header says?

libhdf5 waits indefinitely on a FIFO, opens the wrong file if a name holds a NUL, and does not name the file in its
errors. These checks take about 10 µs, without libhdf5.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterator

from h5lightning.errors import BadFileError, ResourceError

__all__ = [
    "SIGNATURE",
    "check_file",
    "check_resources",
    "has_signature",
    "is_gone",
    "leave_out_hint",
    "stamp",
    "superblock_places",
    "without_hint",
]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST_USER_BLOCK_BYTES = 512  # user blocks have 512 bytes times a power of two
_INT64_MAX = 2**63 - 1
_HEAD_BYTES = 128  # a superblock is shorter, up to its end-of-file address
_WIDEST_ADDRESS_BYTES = 32
_UNDEFINED = 0xFF
_OPEN_FOR_WRITING = 0x01

_HINT = "to leave it out"

# Errors of this process, not of the file.
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}

# First bytes of other formats that are often named like HDF5, their names, and how to get at the data.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive, such as .npz or .pt", "Unpack or convert it"),
    (b"\x1f\x8b", "gzip", "Unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "Unpack it with unzstd"),
    (b"BZh", "bzip2", "Unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "Unpack it with unxz"),
    (b"CDF", "netCDF-3", "Convert it: nccopy -k nc4 IN OUT"),
    (b"\xcd\xf3", "NASA CDF", "Convert it with cdflib and h5py"),
    (b"\x0e\x03\x13\x01", "HDF4", "Convert it: h4toh5 IN OUT"),
    (b"MATLAB 5.0", "a MATLAB 5 file", "Save it again with '-v7.3', which is HDF5"),
    (b"\x93NUMPY", "a NumPy array", "Load it with numpy.load and write it with h5py"),
    (b"\x89PNG", "a PNG image", "Write its pixels with h5py"),
    (b"\xff\xd8\xff", "a JPEG image", "Write its pixels with h5py"),
    (b"PAR1", "Parquet", "Read it with pandas and write it with h5py"),
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the data: git lfs pull"),
    (b"<", "a web page or XML", "Download it again; a log-in page may have been saved instead"),
    (b"\0" * 8, "zeros", "Its writer was probably interrupted: write it again"),
)


def check_file(path: str) -> os.stat_result:
    """Check that libhdf5 may open a file.

    Returns:
        The status of the file.

    Raises:
        BadFileError: it does not exist, may not be read, is not a regular file, is empty, has another format, is
            shorter than its header says, or is still open for writing.
        ResourceError: this process has no file descriptor or memory left.
    """
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        problem = _problem(descriptor, status)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}. Check the disk or the mount"
    finally:
        os.close(descriptor)
    if problem:
        raise BadFileError(f"{path!r} {problem}; {leave_out_hint(path)}")
    return status


def has_signature(path: str) -> bool:
    """Whether ``path`` is a regular file with an HDF5 signature, at its start or after a user block.

    Raises:
        BadFileError: the file cannot be opened or read.
        ResourceError: this process has no file descriptor or memory left.
    """
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        return stat.S_ISREG(status.st_mode) and _find_superblock(descriptor, status.st_size)[0] >= 0
    except OSError as error:
        raise BadFileError(f"{path!r} cannot be read: {error.strerror}; {leave_out_hint(path)}") from error
    finally:
        os.close(descriptor)


def is_gone(path: str) -> bool:
    """Whether a path no longer exists; False where this cannot be determined."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def check_resources(path: str, number: int | None, reason: str | None) -> None:
    """Raise if opening a file failed, with this errno, for lack of memory or file descriptors.

    Raises:
        ResourceError: this process or the system has too few file descriptors, or too little memory.
    """
    if number in _OUT_OF_RESOURCES:
        advice = (
            "Free some memory, or raise the limit of the job"
            if number == errno.ENOMEM
            else "Raise the limit of open files (ulimit -n) or set access.max_open_files below it"
        )
        raise ResourceError(f"{path} cannot be opened: {reason}. {advice}")


def stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """Size in bytes, mtime_ns, ctime_ns and inode: a file is unchanged as long as they are.

    All fit int64. Some network file systems have larger inode numbers, which wrap around.
    """
    facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if max(facts) <= _INT64_MAX:
        return facts
    size, mtime_ns, ctime_ns, inode = ((fact + 2**63) % 2**64 - 2**63 for fact in facts)
    return size, mtime_ns, ctime_ns, inode


def _open(path: str) -> int:
    if "\0" in path:
        raise BadFileError(f"{path!r} holds a NUL character, which a file name cannot: correct the path")
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        check_resources(path, error.errno, error.strerror)
        raise BadFileError(f"{path!r} {_why_not_opened(path, error)}; {leave_out_hint(path)}") from error


def _why_not_opened(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        if os.path.islink(path):
            return f"is a link to {os.readlink(path)!r}, which does not exist"
        return "does not exist"
    if error.errno == errno.EACCES:
        return "may not be read by this user. Change its permissions or those of its directory"
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    return f"cannot be opened: {error.strerror}" if stat.S_ISREG(mode) else _explain_kind(mode)


def leave_out_hint(path: str) -> str:
    """How to leave a file out, as the end of a message."""
    return f"{_HINT}, add {'!' + path!r} to files or set access.on_bad_file=skip"


def without_hint(message: str) -> str:
    """A message without that end, for a file that is already left out."""
    return message.partition(f"; {_HINT}")[0]


def _problem(descriptor: int, status: os.stat_result) -> str:
    """What is wrong with an open file; empty if nothing is."""
    if not stat.S_ISREG(status.st_mode):
        return _explain_kind(status.st_mode)
    size = status.st_size
    if not size:
        return "is empty (0 bytes). Its writer was probably interrupted, or the disk was full: write it again"
    offset, head = _find_superblock(descriptor, size)
    return _explain_foreign(head) if offset < 0 else _problem_of_superblock(head, offset, size)


def _find_superblock(descriptor: int, size: int) -> tuple[int, bytes]:
    """Where the HDF5 part starts and its first bytes; -1 and the file's first bytes if there is none."""
    first = b""
    for offset in superblock_places(size):
        head = os.pread(descriptor, _HEAD_BYTES, offset)
        if head.startswith(SIGNATURE):
            return offset, head
        first = first or head
    return -1, first


def superblock_places(size: int) -> Iterator[int]:
    """Where the HDF5 part of a file of so many bytes may start: at its start, or behind a user block."""
    offset = 0
    while offset < max(1, size):
        yield offset
        offset = 2 * offset or _FIRST_USER_BLOCK_BYTES


def _problem_of_superblock(head: bytes, offset: int, size: int) -> str:
    # HDF5 file format specification, II.A: versions 0 and 1 have a longer preamble than 2 and 3. Then follow
    # base address, an address that is not needed here, and end-of-file address.
    version = (head[8:9] or b"\0")[0]
    width_at, start = (13, 24 + 4 * version) if version < 2 else (9, 12)
    width = (head[width_at : width_at + 1] or b"\0")[0]
    stop = start + 3 * width
    if version > 3 or width > _WIDEST_ADDRESS_BYTES:
        return ""  # newer than this code, or damaged: libhdf5 will report it
    if len(head) < stop:
        return f"is truncated: {size} bytes, less than its header takes. Copy or download it again"
    if version == 3 and head[11] & _OPEN_FOR_WRITING:
        return (
            "is open for writing, or its writer was killed. Wait until it is closed; if no program writes to it, run "
            "h5clear --status on a copy and check the copy"
        )
    base = int.from_bytes(head[start : start + width], "little")
    end = head[stop - width : stop]
    # A user block that was added or removed later moves both addresses, as in libhdf5.
    expected = int.from_bytes(end, "little") - base + offset
    is_known = any(byte != _UNDEFINED for byte in end)
    if not is_known or size >= expected:
        return ""
    return f"is truncated: {size} bytes, its header says {expected}. Copy or download it again"


def _explain_kind(mode: int) -> str:
    kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
    advice = ". For the files in it, write DIRECTORY/**/*.h5" if stat.S_ISDIR(mode) else ""
    return f"is {kind}, not a regular file{advice}"


def _explain_foreign(head: bytes) -> str:
    start = f"is not HDF5: it starts with {head[:8]!r}"
    for magic, what, advice in _FOREIGN:
        if head.startswith(magic):
            return f"{start} ({what}). {advice}"
    if _is_text(head):
        return f"{start} (text). Convert it, or give only the HDF5 files"
    return f"{start}, which no HDF5 file does. It is damaged or has another format"


def _is_text(head: bytes) -> bool:
    try:
        # Incremental, because the head may end inside of a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
