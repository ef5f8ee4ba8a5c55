"""Runs of rows of different lengths: the h5py reader, and the direct one on data of any layout, read the same."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import FileChangedError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.runs_request import RunsRequest

ROWS = 23
KINDS = {
    "plain": {},
    "one chunk": {"chunks": (ROWS, 3)},
    "chunks": {"chunks": (5, 3)},
    "split": {"chunks": (5, 2)},
    "gzip": {"chunks": (5, 3), "compression": "gzip"},
}
TYPES = ("<f4", ">f4", "<f8")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Paths of files, and their values by name, ``(files, rows, 3)``; the last file has fewer rows in one piece."""
    folder, values, paths = tmp_path_factory.mktemp("runs"), {}, []
    for number in range(3):
        paths.append(str(folder / f"{number}.h5"))
        with h5py.File(paths[-1], "w") as file:
            for name, options in KINDS.items():
                for dtype in TYPES:
                    own = np.random.default_rng(number).normal(size=(ROWS, 3)).astype(dtype)
                    # One of the files stores it in another way.
                    used = (
                        {"chunks": (4, 3)} if name == "plain" and number == 1 and dtype == "<f8" else options
                    )
                    file.create_dataset(f"{name} {dtype}", data=own, **used)
                    values.setdefault(f"{name} {dtype}", []).append(own)
    return paths, values


@st.composite
def runs(draw):
    """Runs of each of three files, and an order of their places."""
    each = st.tuples(st.integers(0, ROWS - 1), st.integers(1, ROWS)).map(
        lambda run: (run[0], min(run[1], ROWS - run[0]))
    )
    files = [draw(st.lists(each, max_size=4)) for _ in range(3)]
    order = draw(st.permutations(range(sum(map(len, files)))))
    return files, np.asarray(order, np.int64)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("reader", ["direct", "h5py"])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=runs(),
    dtype=st.sampled_from(TYPES),
    wide=st.booleans(),
    gap=st.integers(0, 2),
    least=st.sampled_from([0, 9999]),
)
def test_runs_are_the_rows_one_by_one(stored, monkeypatch, name, reader, case, dtype, wide, gap, least):
    paths, values = stored
    files, order = case
    flat = [(number, *run) for number, own in enumerate(files) for run in own]
    counts = np.asarray([count for *_, count in flat], np.int64)
    slots = np.empty(len(flat), np.int64)
    ends = np.cumsum(counts[order] + gap)
    slots[order] = ends - counts[order] - gap
    # With a gap, slots of the buffer are left out.
    out = np.full(
        (int(ends[-1]) if len(ends) else 0, 3), -1.0, np.dtype("f8" if wide else dtype).newbyteorder("=")
    )
    expected = out.copy()
    for (number, row, count), slot in zip(flat, slots.tolist(), strict=True):
        expected[slot : slot + count] = values[f"{name} {dtype}"][number][row : row + count]
    borders = np.cumsum([0, *map(len, files)])
    rows = np.asarray([row for _, row, _ in flat], np.int64)
    column = DatasetColumn(f"{name} {dtype}", None, dtype, (3,))
    request = RunsRequest(column, borders, rows, slots, out, counts=counts)
    monkeypatch.setattr("h5lightning.storage.readers.direct.plain_rows._LEAST_RUN_BYTES", least)
    with HandlePool(Access()) as pool:
        reading = make_reader(reader, pool)
        reading.prefetch(paths, [request], only_remote=False, is_probe=False)
        reading.decode_ahead(paths, [request], reads=1)
        reading.read(paths, [request])
        reading.close()
    np.testing.assert_array_equal(out, expected)
    some = request.of([0, 2])
    assert some.by_row().rows.tolist() == request.by_row().of([0, 2]).rows.tolist()
    assert some.row_count == len(some.by_row().rows)


@pytest.mark.parametrize("reader", ["direct", "h5py"])
@pytest.mark.parametrize(("row", "count", "error"), [(ROWS - 2, 3, FileChangedError), (-1, 2, IndexError)])
def test_runs_that_do_not_lie_in_the_dataset_are_an_error(stored, reader, row, count, error):
    paths, _ = stored
    out, column = np.zeros((count, 3), "f4"), DatasetColumn("plain <f4", None, "<f4", (3,))
    one = np.asarray
    request = RunsRequest(column, one([0, 1]), one([row]), one([0]), out, counts=one([count]))
    with HandlePool(Access()) as pool:
        reading = make_reader(reader, pool)
        with pytest.raises(error):
            reading.read(paths[:1], [request])
        reading.close()


def test_a_run_beyond_its_buffer_is_an_error(stored):
    paths, _ = stored
    out, column = np.zeros((5, 3), "f4"), DatasetColumn("plain <f4", None, "<f4", (3,))
    one = np.asarray
    request = RunsRequest(column, one([0, 1]), one([0]), one([1]), out, counts=one([ROWS]))
    with HandlePool(Access()) as pool:
        reading = make_reader("direct", pool)
        with pytest.raises(IndexError, match="out of bounds"):
            reading.read(paths[:1], [request])
        reading.close()
