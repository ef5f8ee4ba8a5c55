"""Write a file so that readers and concurrent writers see the old or the new one, never a part of it."""

from __future__ import annotations

import contextlib
import os
import uuid

__all__ = ["replace_file"]


def replace_file(path: str, *content: bytes | memoryview) -> None:
    """Put ``content`` into the file ``path``: written under a name of its own, then moved into place.

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
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
