"""The type of the file system of a file: is it a network file system?"""

from __future__ import annotations

import os
import re
from functools import cache

__all__ = ["file_system_of", "is_remote", "is_remote_device", "lies_on_remote", "type_of_path"]

_OCTAL = re.compile(r"\\([0-7]{3})")
_REMOTE = re.compile(r"nfs|cifs|smb|lustre|gpfs|beegfs|ceph|afs|9p|fuse(\.|$)|orangefs|wekafs")


def lies_on_remote(path: str) -> bool:
    """Whether a path lies on a network file system; False where Linux does not say.

    Links are not followed, because a server that does not answer would block.
    """
    return _REMOTE.match(type_of_path(os.path.abspath(path), _mounts())) is not None


def is_remote(descriptor: int) -> bool:
    """Whether an open file lies on a network file system; False where Linux does not say."""
    return is_remote_device(os.fstat(descriptor).st_dev)


@cache
def is_remote_device(device: int) -> bool:
    """Whether a device, of `os.stat`, is a network file system; False where Linux does not say.

    There, a mapped file that another host deletes would crash the process (SIGBUS).
    """
    # Thousands of files lie on very few file systems.
    return _REMOTE.match(file_system_of(device, _mounts())) is not None


def _mounts() -> str:
    """The mount table of Linux; empty on other systems."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def file_system_of(device: int, mounts: str) -> str:
    """The type of the file system of a device; empty if it is not mounted.

    Args:
        device: its number, from `os.stat`.
        mounts: the contents of ``/proc/self/mountinfo``.

    Example:
        >>> file_system_of(os.makedev(0, 44), "36 35 0:44 / /mnt rw,noatime shared:1 - nfs4 host:/x rw,vers=4.2")
        'nfs4'
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2:3] == [number]:
            return file_system.split()[0]
    return ""


def type_of_path(path: str, mounts: str) -> str:
    r"""The type of the file system that contains a path; empty if no mount does.

    Args:
        path: absolute path.
        mounts: the contents of ``/proc/self/mountinfo``.

    Example:
        >>> type_of_path("/mnt/a.h5", "36 35 0:44 / /mnt rw - nfs4 host:/x rw\n1 0 8:1 / / rw - ext4 /dev/a rw")
        'nfs4'
    """
    kind, longest = "", 0
    for line in mounts.splitlines():
        mount, _, file_system = line.partition(" - ")
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), mount.split()[4])  # a blank is \040
        prefix = f"{point.rstrip('/')}/"
        # Of two mounts at the same path, the later one counts.
        if path.startswith(prefix) and len(prefix) >= longest:
            kind, longest = file_system.split()[0], len(prefix)
    return kind
