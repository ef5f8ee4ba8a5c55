"""Ways in which a file changes while it is read."""

from __future__ import annotations

import os

__all__ = ["replace", "write_within"]


def write_within(path: str) -> None:
    """Change a byte; the size stays."""
    with open(path, "r+b") as file:
        file.write(b"x")
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # as if the clock had ticked


def replace(path: str, size: int) -> None:
    """Put another file in its place."""
    with open(f"{path}.new", "wb") as file:
        file.write(bytes(size))
    os.replace(f"{path}.new", path)
