"""Replace a file atomically: readers and concurrent writers see the old or the new file, never a part."""

from __future__ import annotations

import contextlib
import glob
import os
import time
import uuid

__all__ = ["replace_file"]

_ABANDONED_S = 3600.0  # no write takes this long


def replace_file(path: str, *content: bytes | memoryview) -> None:
    """Write ``content`` to a temporary file and move it to ``path``.

    Temporary files that killed writers left behind more than an hour ago are removed.

    Raises:
        OSError: the directory does not exist or cannot be written.
    """
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    # Unlike a file of tempfile, its mode follows the umask: a group may share the directory.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _remove_abandoned(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _remove_abandoned(path: str) -> None:
    for temporary in glob.glob(f"{glob.escape(path)}.{'?' * 32}.tmp"):
        # Another process may remove it at the same time.
        with contextlib.suppress(OSError):
            if time.time() - os.stat(temporary).st_mtime > _ABANDONED_S:
                os.unlink(temporary)
