"""A descriptor that is closed when nothing refers to it any more.

Whoever reads holds a reference meanwhile. So any thread may give a file's descriptor up at any time: nobody reads from
another file that got its number.
"""

from __future__ import annotations

import os

from h5lightning.storage.hdf5.open_file import open_regular

__all__ = ["Descriptor"]


class Descriptor:
    """The descriptor of a regular file that is open for reading.

    Args:
        path: where the file lies.

    Raises:
        BadFileError: it cannot be opened, or is not a regular file.
        ResourceError: this process has no file descriptor or memory left.

    Attributes:
        number: the number of the descriptor; valid as long as this object is held.
        status: the status of the file when it was opened.
    """

    __slots__ = ("number", "status")

    def __init__(self, path: str) -> None:
        self.number = -1
        self.number, self.status = open_regular(path)

    def __del__(self) -> None:
        # A process that inherits it closes its own copy.
        if self.number >= 0:
            os.close(self.number)
