"""How much is measured, and where data are while they are."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loading.data import Dataset, Files, Workload, write
from loading.task import Stored, write_files

__all__ = ["Scale", "files_of", "say", "written"]

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Args:
        part: of the rows of each workload, which are 256 MiB at least. With a smaller part than a half, data are as
            large as the last cache of some processors, where a gather is faster than from memory.
        rounds: epochs of each candidate that count.
        limit_s: seconds after the first batch in which a candidate is cut short.
        folder: where data are written.
        with_peers: convert to other formats, and race them.
        most_files: that are written at a time.
    """

    part: float = 1.0
    rounds: int = 5
    limit_s: float = 2.0
    folder: str | None = None
    with_peers: bool = False
    most_files: int = 10_000

    def of(self, workload: Workload) -> Workload:
        """A workload with this part of its rows, in multiples of the files' chunks and of batches."""
        step = workload.files * (workload.chunk_rows or 1)
        return replace(workload, rows=max(step, round(self.part * workload.rows / step) * step))

    def files(self, files: int) -> int:
        """As many files, if so many are written."""
        return min(files, self.most_files)

    def rows(self, rows: int, least: int = 1) -> int:
        """This part of the rows of a file."""
        return max(least, round(self.part * rows))


@contextmanager
def written(workload: Workload, scale: Scale) -> Iterator[Dataset]:
    """The files of a workload, as long as they are needed."""
    workload = scale.of(workload)
    say(f"{workload.name}: writing {workload.rows * workload.row_bytes / MIB:,.0f} MiB")
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        yield write(workload, Path(folder) / "data")


@contextmanager
def files_of(stored: Stored, scale: Scale) -> Iterator[Files]:
    """The files of a task, as long as they are needed."""
    size = stored.files * stored.rows * stored.fields * stored.row_bytes
    say(f"{stored.files:,} files: writing {size / MIB:,.0f} MiB")
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        yield write_files(stored, Path(folder) / "data")


def say(text: str) -> None:
    """Tell how far the program is."""
    sys.stderr.write(text + "\n")
