"""Rows that a dataset does not have are refused before any memory is addressed, in any file of a batch."""

import h5py
import numpy as np
import pytest

from h5lightning.errors import FileChangedError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct.reader import DirectReader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

ROWS = [5, 3, 1]  # of each file
COLUMN = DatasetColumn("x", None, "<i8", (2,))


@pytest.fixture
def files(tmp_path):
    """The paths of three files; row ``r`` of file ``f`` holds ``100 f + r`` twice."""
    paths = [str(tmp_path / f"{number}.h5") for number in range(len(ROWS))]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file["x"] = np.repeat(100 * number + np.arange(ROWS[number])[:, None], 2, axis=1)
    return paths


def read(files, rows_of_files, run):
    """Read runs that begin at some rows of each file, ``(N, run)``."""
    reader = DirectReader(HandlePool(Access()))
    rows = np.concatenate([np.asarray(rows, np.int64) for rows in rows_of_files])
    borders = np.cumsum([0, *map(len, rows_of_files)])
    out = np.zeros((len(rows), 2) if run == 1 else (len(rows), run, 2), np.int64)
    try:
        reader.read(files, [ReadRequest(COLUMN, borders, rows, np.arange(len(rows)), out, run)])
    finally:
        reader.close()
    return out.reshape(len(rows), run, 2)[:, :, 0]


@pytest.mark.parametrize(
    ("rows", "run", "expected"),
    [
        ([[4, 0], [2], [0]], 1, [[4], [0], [102], [200]]),
        ([[], [2, 2], []], 1, [[102], [102]]),
        ([[3, 0], [1], []], 2, [[3, 4], [0, 1], [101, 102]]),
    ],
    ids=["last rows", "files without rows", "last runs"],
)
def test_rows_at_the_border_are_read(rows, run, expected, files):
    assert read(files, rows, run).tolist() == expected


@pytest.mark.parametrize(
    ("rows", "run", "error"),
    [
        ([[0], [3], [0]], 1, FileChangedError),
        ([[5, 0], [0], [0]], 1, FileChangedError),
        ([[0], [0], [0, 1]], 1, FileChangedError),
        ([[0], [], [1]], 1, FileChangedError),
        ([[0], [-1], [0]], 1, IndexError),
        ([[], [-(2**63)], []], 1, IndexError),
        ([[0], [2], []], 2, FileChangedError),
        ([[0], [0], [0]], 2, FileChangedError),
        ([[], [], [0]], 9, FileChangedError),
        ([[2**63 - 1], [0], [0]], 2, FileChangedError),
    ],
)
def test_rows_beyond_the_border_are_refused(rows, run, error, files):
    with pytest.raises(error, match=r"rows, but row -?\d+ is requested"):
        read(files, rows, run)
