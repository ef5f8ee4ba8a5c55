"""A descriptor that is closed when nothing refers to it any more.

Whoever reads holds a reference meanwhile. So any thread may give a file's descriptor up at any time: nobody reads from
another file that got its number.
"""

from __future__ import annotations

import os

from h5lightning.storage.hdf5.open_file import open_regular

__all__ = ["Descriptor"]


class Descriptor:
    """The descriptor of a file that is open for reading.

    Args:
        number: its number, which belongs to this object from now on; valid as long as this object is held.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def of(cls, path: str) -> tuple[Descriptor, os.stat_result]:
        """Open a regular file; the descriptor, and the status of the file.

        Raises:
            BadFileError: it cannot be opened, or is not a regular file.
            ResourceError: this process has no file descriptor or memory left.
        """
        number, status = open_regular(path)
        return cls(number), status

    def __del__(self) -> None:
        # A process that inherits it closes its own copy.
        os.close(self.number)
