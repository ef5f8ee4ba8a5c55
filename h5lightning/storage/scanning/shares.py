"""The progress of a scan in shares of files: a file with many series takes long."""

from __future__ import annotations

import json

from h5lightning.core.progress import Advance

__all__ = ["PROGRESS", "Shares", "progress_line", "share_in"]

PROGRESS = b'{"share":'  # begins a line that is no answer


class Shares:
    """Passes on the shares of some files that were scanned.

    Args:
        advance: moves the bar by a number of files.
    """

    __slots__ = ("_advance", "_told")

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._told = 0.0

    def tell(self, share: float) -> None:
        """A share of a file was scanned."""
        self._told += share
        self._advance(share)

    def finish(self, files: int) -> None:
        """So many files were scanned, whatever was told."""
        self._advance(files - self._told)
        self._told = 0.0


def progress_line(share: float) -> str:
    """The line by which a scanning process says that it has scanned a share of a file."""
    return json.dumps({"share": round(share, 6)})


def share_in(line: bytes) -> float:
    """The share in a line that begins with `PROGRESS`."""
    return float(json.loads(line)["share"])
