"""Rows along two leading axes: both readers deliver what h5py reads, for any shape of data and chunks."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanned_series import parts_of, scan_series

from h5lightning.errors import FileChangedError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.leading_axes import LeadingAxes, trajectory_parts
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

RECORD = np.dtype([("a", "<f4"), ("b", "<i2", (2,))])
FILTERS = ({}, {"compression": "gzip"}, {"shuffle": True, "fletcher32": True})


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_places_are_those_of_the_chunks(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    chunks = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    axes = LeadingAxes(shape, chunks)
    rows = np.arange(axes.rows)
    places = axes.places_of(rows)
    assert axes.is_in_order == np.array_equal(places, rows) or axes.rows <= 1 or not axes.is_in_order
    stored = np.full(axes.places, -1)
    for number in range(axes.grid[0] * axes.grid[1]):
        (row, column), (height, width) = axes.box_of(number)
        chunk = stored[number * axes.chunk_rows :][: axes.chunk_rows].reshape(chunks)
        chunk[:height, :width] = rows.reshape(shape)[row : row + height, column : column + width]
    if axes.is_in_order:
        stored = stored[: axes.rows]
    assert np.array_equal(stored[places], rows)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 9))
def test_boxes_hold_all_rows_in_order(start, stop, length):
    rows = np.arange(600).reshape(-1, 1)[: 600 // length * length].reshape(-1, length)
    boxes = [
        rows[i : i + count, t : t + steps].ravel()
        for (i, t), (count, steps) in trajectory_parts(start, stop, length)
    ]
    assert np.array_equal(np.concatenate([np.zeros(0, int), *boxes]), np.arange(start, stop))
    assert len(boxes) <= 3


class Case:
    """Some files of trajectories, and what is asked of them."""

    def __init__(self, data, folder):
        draw = data.draw
        self.row_shape = draw(st.sampled_from([(), (3,), (2, 3)]))
        self.is_table = not self.row_shape and draw(st.booleans())
        self.values, self.files, self.is_filtered = [], {}, False
        for number in range(draw(st.integers(1, 3))):
            shape = (draw(st.integers(1, 6)), draw(st.integers(2, 9)))
            size = int(np.prod((*shape, *self.row_shape)))
            values = (np.arange(size) + 1000 * number).reshape(*shape, *self.row_shape).astype("<f4")
            if self.is_table:
                records = np.zeros(shape, RECORD)
                records["a"], records["b"] = values, values[..., None] + [1, 2]
                values = records
            self.values.append(values)
            path = str(folder / f"{number}.h5")
            with h5py.File(path, "w") as file:
                file.create_dataset("d/s/x", data=values, **self.storage(draw, values.shape))
            self.files[path] = ["s"]

    def storage(self, draw, shape):
        if draw(st.booleans()):
            return {}
        chunks = tuple(draw(st.integers(1, length)) for length in shape)
        filters = draw(st.sampled_from(FILTERS))
        self.is_filtered |= bool(filters)
        return {"chunks": chunks, **filters}

    def columns(self):
        if self.is_table:
            return [
                DatasetColumn("d/*/x", "a", "<f4", (), leading=2),
                DatasetColumn("d/*/x", "b", "<i2", (2,), leading=2),
            ]
        return [DatasetColumn("d/*/x", None, "<f4", self.row_shape, leading=2)]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_and_windows_are_those_of_h5py(tmp_path_factory, data):
    case = Case(data, tmp_path_factory.mktemp("trajectories"))
    run = data.draw(st.integers(1, 4))
    rows, counts, expected = [], [], []
    for values in case.values:
        trajectories, length = values.shape[:2]
        steps = min(run, length)
        starts = st.tuples(st.integers(0, trajectories - 1), st.integers(0, length - steps))
        chosen = [] if steps < run else data.draw(st.lists(starts, max_size=6))
        counts.append(len(chosen))
        rows += [i * length + t for i, t in chosen]
        expected += [values[i, t : t + run] for i, t in chosen]
    options = {
        "memory_map": data.draw(st.sampled_from([None, False])),
        "cache_bytes": data.draw(st.sampled_from([0, 10_000_000])),
    }
    scanned = scan_series(case.files, ["d/*/x"]) if data.draw(st.booleans()) else None
    slots = np.random.default_rng(len(rows)).permutation(len(rows))
    for name in ("auto", "h5py"):
        with HandlePool(Access(**options), scanned_files=scanned) as pool:
            reader = make_reader(name, pool)
            requests = []
            for column in case.columns():
                shape = column.row_shape if run == 1 else (run, *column.row_shape)
                out = np.zeros((len(rows), *shape), column.dtype)
                requests.append(
                    ReadRequest(column, np.cumsum([0, *counts]), np.asarray(rows, np.int64), slots, out, run)
                )
            if data.draw(st.booleans()):
                reader.prefetch(parts_of(case.files), requests, only_remote=False, is_probe=False)
                reader.decode_ahead(parts_of(case.files), requests, reads=1)
            reader.read(parts_of(case.files), requests)
            for request in requests:
                member = request.source.member
                for slot, values in zip(slots, expected, strict=True):
                    wanted = values if member is None else values[member]
                    assert np.array_equal(request.out[slot], np.reshape(wanted, request.out.shape[1:]))
            if name == "auto" and not case.is_filtered:
                assert not pool._files()._by_path  # none of it needs HDF5
            reader.close()


@pytest.mark.parametrize("name", ["auto", "direct", "h5py"])
@pytest.mark.parametrize(
    "storage", [{}, {"chunks": (2, 5), "compression": "gzip"}, {"chunks": (1, 4)}], ids=str
)
def test_rows_that_do_not_exist_are_errors(tmp_path, name, storage):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(20, dtype="<f4").reshape(4, 5), **storage)
        file.create_dataset("flat", data=np.arange(20, dtype="<f4"), **{"chunks": (4,)} if storage else {})
    source = DatasetColumn("x", None, "<f4", (), leading=2)
    with HandlePool(Access()) as pool:
        reader = make_reader(name, pool)
        out = np.zeros(1, np.float32)
        reader.read_rows(path, source, np.asarray([19]), out)
        assert out == 19
        with pytest.raises(FileChangedError, match=r"'/x' in .* has 20 rows, but row 20 is requested"):
            reader.read_rows(path, source, np.asarray([20]), out)
        with pytest.raises(IndexError, match="row -1"):
            reader.read_rows(path, source, np.asarray([-1]), out)
        with pytest.raises(FileChangedError, match=r"has shape .*expected rows"):
            reader.read_rows(
                path,
                DatasetColumn("x", None, "<f4", (2,), leading=2),
                np.asarray([0]),
                np.zeros((1, 2), "f4"),
            )
        with pytest.raises(FileChangedError, match=r"has shape \(20,\), expected rows along 2 axes"):
            reader.read_rows(
                path, DatasetColumn("flat", None, "<f4", (), leading=2), np.asarray([0]), np.zeros(1, "f4")
            )
        reader.close()
