"""The byte ranges of rows, against what h5py reads there."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.chunk_index import DamageError
from h5lightning.tools.bench.stored_ranges import ByteRange, join_adjacent, pipeline_of, stored_ranges

ROWS = 50


@pytest.fixture
def make(tmp_path):
    """A function that writes a dataset and opens it."""
    opened = []

    def dataset(**storage):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("x", data=np.random.default_rng(0).random((ROWS, 6)), **storage)
        opened.append(h5py.File(tmp_path / "a.h5"))
        return opened[-1]["x"]

    yield dataset
    for file in opened:
        file.close()


def bytes_at(dataset, part):
    with open(dataset.file.filename, "rb") as raw:
        raw.seek(part.offset)
        return raw.read(part.size)


def test_ranges_of_a_contiguous_dataset_hold_its_rows(make):
    dataset = make()
    ranges = stored_ranges(dataset, 16, stop=40)
    assert [(part.row, part.rows) for part in ranges] == [(0, 16), (16, 16), (32, 8)]
    assert b"".join(bytes_at(dataset, part) for part in ranges) == dataset[:40].tobytes()


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}], ids=["plain", "gzip"])
@pytest.mark.parametrize("stop", [None, 20, 21], ids=str)
def test_ranges_of_chunks_are_those_of_hdf5(make, filters, stop):
    dataset = make(chunks=(4, 4), **filters)
    ranges = stored_ranges(dataset, 16, stop=stop)
    last = ROWS if stop is None else stop
    assert [part.row for part in ranges] == [row for row in range(0, last, 4) for _ in range(2)]
    assert ranges[-1].rows == last - ranges[-1].row
    for number, part in enumerate(ranges):
        stored = dataset.id.read_direct_chunk((part.row, number % 2 * 4))
        assert stored == (part.mask, bytes_at(dataset, part))


def test_the_number_of_chunks_is_bounded(make):
    assert len(stored_ranges(make(chunks=(1, 6)), 16, most=7)) == 7


def test_a_compact_dataset_has_no_ranges(tmp_path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple((ROWS,))
        did = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT64, space, plist)
        assert stored_ranges(h5py.Dataset(did), 16) == []


def test_a_dataset_past_the_end_of_its_file_is_damaged(make, monkeypatch):
    dataset = make(chunks=(4, 6))
    monkeypatch.setattr("h5lightning.tools.bench.stored_ranges.os.path.getsize", lambda _: 100)
    with pytest.raises(DamageError, match="past the end of the file, at byte 100"):
        stored_ranges(dataset, 16)


def test_adjacent_ranges_are_joined_up_to_a_size():
    ranges = [
        ByteRange(0, 10, 0, 1),
        ByteRange(10, 10, 1, 1),
        ByteRange(20, 10, 2, 1),
        ByteRange(40, 10, 3, 1),
    ]
    assert join_adjacent(ranges) == [ByteRange(0, 30, 0, 3), ByteRange(40, 10, 3, 1)]
    assert [part.size for part in join_adjacent(ranges, 20)] == [20, 10, 10]


def test_without_filters_there_is_no_pipeline(make):
    assert pipeline_of(make(chunks=(50, 6))) is None


def test_a_pipeline_decodes_what_filters_made(make):
    dataset = make(chunks=(50, 6), compression="gzip", shuffle=True)
    (part,) = stored_ranges(dataset, 16)
    out = np.zeros(dataset.nbytes, np.uint8)
    pipeline_of(dataset).decode(np.frombuffer(bytes_at(dataset, part), np.uint8), out)
    assert out.tobytes() == dataset[()].tobytes()
