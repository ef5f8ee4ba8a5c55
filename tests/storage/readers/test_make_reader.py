"""Both readers in one: what needs HDF5 is read through h5py, everything else directly, in the same call."""

import copy

import h5py
import numpy as np
import pytest

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.readers.make_reader import AutoReader, make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

OPTIONS = {"direct": {}, "h5py": {"chunks": (5, 2), "scaleoffset": 0}}
SOURCE = DatasetColumn("x", None, "<i4", (2,))


@pytest.fixture
def paths(tmp_path):
    """One file that needs no HDF5, and one that does."""
    for number, (name, options) in enumerate(OPTIONS.items()):
        values = np.arange(20, dtype="<i4").reshape(10, 2) + 100 * number
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=values, **options)
    return [str(tmp_path / f"{name}.h5") for name in OPTIONS]


@pytest.fixture
def reader():
    with HandlePool(Access()) as pool:
        made = make_reader("auto", pool)
        assert isinstance(made, AutoReader)
        yield made
        made.close()


def read(reader, paths):
    out = np.zeros((4, 2), "<i4")
    rows, slots = np.array([9, 1, 3, 0]), np.array([3, 0, 1, 2])
    reader.read(paths, [ReadRequest(SOURCE, np.array([0, 2, 4]), rows, slots, out)])
    return out[:, 0].tolist()


def test_each_file_is_read_by_the_reader_that_can(paths, reader, monkeypatch):
    through_h5py, plain = [], reader._libhdf5.read
    monkeypatch.setattr(
        reader._libhdf5,
        "read",
        lambda files, requests: through_h5py.append(files) or plain(files, requests),
    )
    for _ in range(2):  # the second time, the reason is known before a file is opened
        assert read(reader, paths) == [2, 106, 100, 18]
    assert through_h5py == [[paths[1]]] * 2


@pytest.mark.parametrize("number", [0, 1], ids=OPTIONS)
def test_a_whole_dataset(paths, reader, number):
    out = np.zeros((10, 2), "<i4")
    reader.read_whole(paths[number], DatasetColumn("x", None, "<i4", (10, 2)), out)
    assert out.ravel().tolist() == list(range(100 * number, 100 * number + 20))


def test_a_whole_dataset_while_the_reader_is_closed(paths, reader, monkeypatch):
    """Closing forgets why a dataset needs HDF5."""
    plain = reader._direct.try_read_whole
    monkeypatch.setattr(reader._direct, "try_read_whole", lambda *args: (plain(*args), reader.close())[0])
    out = np.zeros((10, 2), "<i4")
    reader.read_whole(paths[1], DatasetColumn("x", None, "<i4", (10, 2)), out)
    assert out.ravel().tolist() == list(range(100, 120))


def test_only_what_needs_no_hdf5_is_prefetched(paths, reader, monkeypatch):
    asked = []
    monkeypatch.setattr(RawFile, "prefetch", lambda self, starts, sizes: asked.append(self.path))
    request = ReadRequest(SOURCE, np.array([0, 2, 4]), np.arange(4), np.arange(4), np.zeros((0, 2), "<i4"))
    assert reader.prefetch(paths, [request], only_remote=False, is_probe=False)
    assert not reader.prefetch(paths, [request], only_remote=True, is_probe=False)
    assert asked == paths[:1]


def test_a_copy_reads(paths, reader):
    other = copy.copy(reader)
    assert read(other, paths) == [2, 106, 100, 18]
    other.close()
    other._direct._pool.close()
