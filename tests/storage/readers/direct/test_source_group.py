"""Rows of several files in one call: a damaged block is found, and its file and rows are named."""

import os

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning import H5Dataset
from h5lightning.cli import app
from h5lightning.errors import ChecksumError

pytestmark = pytest.mark.timeout(60)
FILES, ROWS = 3, 100
LAYOUTS = {"whole rows": {}, "chunks": {"chunks": (10, 300)}, "split rows": {"chunks": (10, 150)}}


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def pattern(request, tmp_path):
    for number in range(FILES):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            values = np.arange(ROWS * 300.0).reshape(ROWS, 300) + 1e6 * number
            file.create_dataset("x", data=values, **request.param)
    pattern = str(tmp_path / "*.h5")
    assert CliRunner().invoke(app, ["index", pattern, "--checksum"]).exit_code == 0
    return pattern


def damage(path):
    """Flip a bit of the last value, and keep the time of modification."""
    status = os.stat(path)
    value = np.float64(ROWS * 300 - 1 + 1e6).tobytes()
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(content.rindex(value))
        file.write(bytes([value[0] ^ 1]) + value[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("memory_map", [True, False], ids=["mapped", "by calls"])
def test_rows_of_several_files(pattern, memory_map):
    access = {"verify": True, "memory_map": memory_map}
    ids = np.array([ROWS - 1, 5, 2 * ROWS - 1, ROWS + 90, 2 * ROWS + 3])
    dataset = H5Dataset(pattern, ["x"], reader="direct", access=access)
    first = dataset.read_batch(ids)["x"][:, 0].numpy()
    assert (first == ids % ROWS * 300 + ids // ROWS * 1e6).all()
    dataset.close()
    path = pattern.replace("*", "1")
    damage(path)
    with pytest.raises(ChecksumError) as caught:
        dataset.read_batch(ids)
    assert str(caught.value).startswith(f"'/x' in {path}: rows 90 to 99: bytes ")
    assert dataset.read_batch([5, 2 * ROWS + 3])["x"][:, 0].tolist() == [1500, 2e6 + 900]
    dataset.close()
