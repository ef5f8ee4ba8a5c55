"""On what kind of file system a file lies."""

from __future__ import annotations

import os
import re
from functools import cache

__all__ = ["file_system_of", "is_remote", "lies_on_remote", "type_of_path"]

_OCTAL = re.compile(r"\\([0-7]{3})")
_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "afs",
    "9p",
    "fuse.",
    "orangefs",
    "wekafs",
)


def lies_on_remote(path: str) -> bool:
    """Whether a path leads to a network file system, as far as Linux says; nothing is asked of the file system itself.

    Args:
        path: its links are not followed: a server that does not answer would hold that up.
    """
    return _is_remote_type(type_of_path(os.path.abspath(path), _mounts()))


def is_remote(descriptor: int) -> bool:
    """Whether a file lies on a network file system, as far as Linux says; False elsewhere.

    There, a file that another machine replaces is gone for this one too: who looks at a map of it is killed.

    Args:
        descriptor: the open file.
    """
    return _is_remote(os.fstat(descriptor).st_dev)


@cache
def _is_remote(device: int) -> bool:
    # Thousands of files are opened, on very few file systems.
    return _is_remote_type(file_system_of(device, _mounts()))


def _is_remote_type(found: str) -> bool:
    return found == "fuse" or found.startswith(_REMOTE)


def _mounts() -> str:
    """What Linux says of all mounts; empty elsewhere."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def file_system_of(device: int, mounts: str) -> str:
    """The type of the file system of a device; empty if it is not among the mounts.

    Args:
        device: its number, as `os.stat` says it.
        mounts: what Linux writes in ``/proc/self/mountinfo``.

    Example:
        >>> file_system_of(os.makedev(0, 44), "36 35 0:44 / /mnt rw,noatime shared:1 - nfs4 host:/x rw,vers=4.2")
        'nfs4'
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2:3] == [wanted]:
            return file_system.split()[0]
    return ""


def type_of_path(path: str, mounts: str) -> str:
    r"""The type of the file system that is mounted where a path leads; empty if none of the mounts is.

    Args:
        path: absolute.
        mounts: what Linux writes in ``/proc/self/mountinfo``.

    Example:
        >>> type_of_path("/mnt/a.h5", "36 35 0:44 / /mnt rw - nfs4 host:/x rw\n1 0 8:1 / / rw - ext4 /dev/a rw")
        'nfs4'
    """
    found, most = "", 0
    for line in mounts.splitlines():
        mount, _, file_system = line.partition(" - ")
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), mount.split()[4])  # a blank is \040
        inside = f"{point.rstrip('/')}/"
        # Of two mounts at the same place, the later one counts.
        if path.startswith(inside) and len(inside) >= most:
            found, most = file_system.split()[0], len(inside)
    return found
