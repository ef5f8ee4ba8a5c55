"""On what kind of file system a file lies."""

from __future__ import annotations

import os
from functools import cache

__all__ = ["file_system_of", "is_remote"]

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
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = file.read()
    except OSError:
        return False
    found = file_system_of(device, mounts)
    return found == "fuse" or found.startswith(_REMOTE)


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
