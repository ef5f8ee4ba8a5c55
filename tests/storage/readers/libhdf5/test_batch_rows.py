"""Requests over many files: each entry gets its rows, and each file is opened once."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

FILES, ROWS = 11, 60
LAYOUTS = {
    "short": ((3,), {}),
    "long": ((5000,), {}),
    "chunks": ((3,), {"chunks": (7, 3)}),
    "gzip": ((3,), {"chunks": (7, 3), "compression": "gzip"}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    values = {name: rng.random((FILES, ROWS, *row)).astype("f4") for name, (row, _) in LAYOUTS.items()}
    paths = [str(folder / f"{number}.h5") for number in range(FILES)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            for name, (_, options) in LAYOUTS.items():
                file.create_dataset(name, data=values[name][number], **options)
    with HandlePool(Access()) as pool, HandlePool(Access(cache_bytes=0)) as other:
        yield SimpleNamespace(
            paths=paths, values=values, reader=H5pyReader(pool), without_cache=H5pyReader(other), pool=pool
        )


def source_of(name):
    return DatasetColumn(name, None, "<f4", LAYOUTS[name][0])


@st.composite
def entries(draw, run):
    """Borders, rows and slots of a request over all files."""
    first = st.integers(0, ROWS - run)
    of_files = draw(st.lists(st.lists(first, max_size=25), min_size=FILES, max_size=FILES))
    rows = [row for rows in of_files for row in rows]
    slots = draw(st.permutations(range(len(rows))))
    borders = np.cumsum([0, *map(len, of_files)])
    return borders, np.array(rows, np.int64), np.array(slots, np.int64)


@pytest.mark.parametrize("name", LAYOUTS)
@given(draw=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_and_windows_of_many_files(name, data, draw):
    run = draw.draw(st.sampled_from([1, 1, 4]))
    dtype = draw.draw(st.sampled_from(["f4", "f8"]))
    borders, rows, slots = draw.draw(entries(run))
    window = (run,) if run > 1 else ()
    out = np.zeros((len(rows) + 1, *window, *LAYOUTS[name][0]), dtype)
    reader = draw.draw(st.sampled_from([data.reader, data.without_cache]))
    reader.read(data.paths, [ReadRequest(source_of(name), borders, rows, slots, out, run)])
    files = np.repeat(np.arange(FILES), np.diff(borders))
    expected = data.values[name][files[:, None], rows[:, None] + np.arange(run)]
    np.testing.assert_array_equal(out[slots], expected.reshape(len(rows), *out.shape[1:]))
    assert not out[-1].any(), "a slot that was not requested"


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("step", [0, 2, 3, 7], ids="step {}".format)
def test_a_step_of_the_same_windows(name, step, data):
    rng = np.random.default_rng(step)
    borders = np.arange(0, FILES * 3 + 1, 3)
    rows, slots = rng.integers(0, ROWS - 8, FILES * 3), rng.permutation(FILES * 3)
    row = LAYOUTS[name][0]
    windows, steps = np.zeros((len(rows), 4, *row), "f4"), np.zeros((len(rows), *row), "f4")
    requests = [
        ReadRequest(source_of(name), borders, rows + step, slots, steps),
        ReadRequest(source_of(name), borders, rows, slots, windows, 4),
    ]
    data.reader.read(data.paths, requests)
    files = np.repeat(np.arange(FILES), 3)
    np.testing.assert_array_equal(steps[slots], data.values[name][files, rows + step])
    np.testing.assert_array_equal(
        windows[slots], data.values[name][files[:, None], rows[:, None] + np.arange(4)]
    )


@pytest.mark.parametrize("slot", [-1, -2, 5])
@pytest.mark.parametrize("run", [1, 4])
def test_a_slot_outside_of_the_buffer(slot, run, data):
    out = np.zeros((5, *((run,) if run > 1 else ()), 3), "f4")
    request = ReadRequest(source_of("short"), np.array([0, 1]), np.array([3]), np.array([slot]), out, run)
    with pytest.raises(IndexError, match=f"slot {slot} is out of bounds"):
        data.reader.read(data.paths[:1], [request])
    assert not out.any()


def test_few_descriptors(data):
    borders, rows = np.arange(FILES + 1), np.full(FILES, 5)
    out = np.zeros((FILES, 3), "f4")
    with HandlePool(Access(max_open_files=2)) as pool:
        H5pyReader(pool).read(
            data.paths, [ReadRequest(source_of("short"), borders, rows, np.arange(FILES), out)]
        )
        assert len(pool) <= 2
        assert pool.opened == FILES
    np.testing.assert_array_equal(out, data.values["short"][:, 5])
