"""Write a file so that readers and concurrent writers see the old or the new one, never a part of it."""

from __future__ import annotations

import contextlib
import glob
import os
import time
import uuid

__all__ = ["replace_file"]

_ABANDONED_S = 3600.0  # no write takes that long


def replace_file(path: str, *content: bytes | memoryview) -> None:
    """Put ``content`` into the file ``path``: written under a name of its own, then moved into place.

    What a writer that was killed an hour ago or more has left behind is removed.

    Args:
        path: where the file shall lie.
        content: its bytes, in one piece or several.

    Raises:
        OSError: the directory does not exist or cannot be written.
    """
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    # Unlike tempfile's, its mode follows the umask: a directory may be shared by a group.
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
        # Another process may be removing it, too.
        with contextlib.suppress(OSError):
            if time.time() - os.stat(temporary).st_mtime > _ABANDONED_S:
                os.unlink(temporary)
