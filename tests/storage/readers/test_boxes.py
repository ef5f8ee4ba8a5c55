"""Boxes along all axes: both readers deliver what h5py reads, for any shape, layout, type and buffer."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanned_series import parts_of, scan_series

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.box_request import BoxRequest, DatasetArray
from h5lightning.storage.readers.make_reader import make_reader

RECORD = np.dtype([("a", "<f4"), ("b", ">i2", (2, 3)), ("c", "u1")])
# The stored type, and those of the buffers that take it.
TYPES = {
    "<f4": ["f4", "f8"],
    ">i2": ["i2", "i4"],
    "<f2": ["f2", "f4"],
    "|u1": ["u1", "f4"],
    "|b1": ["b1"],
    "<c8": ["c8"],
    "<f8": ["f8", "f4"],
}
STORAGES = ("contiguous", "compact", "chunks", "gzip", "fletcher")


class Case:
    """Some files with one or two parts each, and the boxes that are asked for."""

    def __init__(self, data, folder):
        draw = data.draw
        self.ndim = draw(st.integers(0, 4))
        self.stored = draw(st.sampled_from([*TYPES, RECORD]))
        self.storage = draw(st.sampled_from(STORAGES))
        self.files, self.values = {}, []
        for number in range(draw(st.integers(1, 3))):
            path = str(folder / f"{number}.h5")
            self.files[path] = ["p", "q"][: draw(st.integers(1, 2))]
            with h5py.File(path, "w") as file:
                for text in self.files[path]:
                    self.values.append(self.write(draw, file, f"d/{text}/x"))

    @property
    def is_table(self):
        return self.stored is RECORD

    def write(self, draw, file, name):
        shape = tuple(draw(st.integers(0, 9)) for _ in range(self.ndim))
        dtype = np.dtype(self.stored)
        rng = np.random.default_rng(draw(st.integers(0, 9)))
        raw = rng.integers(0, 100, (*shape, dtype.itemsize), np.uint8)
        values = np.zeros(shape, dtype)
        if self.is_table:
            values["a"], values["b"], values["c"] = (
                raw[..., 0],
                raw[..., :6].reshape(*shape, 2, 3),
                raw[..., 2],
            )
        else:
            values[...] = raw[..., 0] % 2 if dtype.kind == "b" else raw[..., 0]
        options, is_partial = {}, False
        if self.ndim and self.storage not in {"contiguous", "compact"}:
            options["maxshape"] = (None,) * self.ndim
            options["chunks"] = tuple(draw(st.integers(1, length + 1)) for length in shape)
            options |= {
                "gzip": {"compression": "gzip", "shuffle": True},
                "fletcher": {"fletcher32": True},
            }.get(self.storage, {})
            is_partial = draw(st.booleans()) and not self.is_table
        if self.storage == "compact":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            group = file.require_group(name.rpartition("/")[0])
            space = h5py.h5s.create_simple(shape) if self.ndim else h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5d.create(group.id, b"x", h5py.h5t.py_create(dtype, logical=True), space, plist)
            file[name][...] = values
        elif is_partial:
            fill = {} if dtype.kind in "bc" else {"fillvalue": 1}
            dataset = file.create_dataset(name, shape, dtype, **fill, **options)
            written = tuple(slice(0, draw(st.integers(0, length))) for length in shape)
            dataset[written] = values[written]
            values = dataset[()]
        else:
            file.create_dataset(name, data=values, **options)
        return values

    def arrays(self):
        if self.is_table:
            return [
                (DatasetArray("d/*/x", "a", "<f4", self.ndim), ["f4", "f8"]),
                (DatasetArray("d/*/x", "b", ">i2", self.ndim, (2, 3)), ["i2", "f4"]),
            ]
        return [(DatasetArray("d/*/x", None, self.stored, self.ndim), TYPES[self.stored])]


def buffer(draw, count, shape, dtype):
    """A buffer of any strides, and all of the memory that it lies in."""
    pads = [draw(st.integers(0, 2)) for _ in range(len(shape) + 1)]
    whole = np.full([size + pad for size, pad in zip((count, *shape), pads, strict=True)], 77, dtype)
    out = whole[tuple(slice(pad, None) for pad in pads)]
    return (out[::-1] if draw(st.booleans()) else out), whole


def drawn_boxes(draw, shapes):
    """Sizes, the number of boxes of each part, and their starts."""
    ndim = len(shapes[0])
    least = [min(shape[axis] for shape in shapes) for axis in range(ndim)]
    sizes = tuple(draw(st.integers(0 if draw(st.integers(0, 9)) == 0 else min(1, n), n)) for n in least)
    counts, starts = [], []
    for shape in shapes:
        count = draw(st.integers(0, 7))
        counts.append(count)
        starts += [
            [draw(st.integers(0, length - size)) for length, size in zip(shape, sizes, strict=True)]
            for _ in range(count)
        ]
    return sizes, np.cumsum([0, *counts]), np.asarray(starts, np.int64).reshape(len(starts), ndim)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.timeout(600)
def test_boxes_are_those_of_h5py(tmp_path_factory, data):
    draw = data.draw
    case = Case(data, tmp_path_factory.mktemp("boxes"))
    parts = parts_of(case.files)
    shapes = [values.shape for values in case.values]
    boxes = [drawn_boxes(draw, shapes) for _ in range(draw(st.integers(1, 2)))]
    options = {
        "memory_map": draw(st.sampled_from([None, False])),
        "cache_bytes": draw(st.sampled_from([0, 300, 10_000_000])),
        "on_missing": "fill",
    }
    scanned = scan_series(case.files, ["d/*/x"]) if draw(st.booleans()) else None
    for name in ("auto", "h5py"):
        requests, memories = [], []
        for sizes, borders, starts in boxes:
            slots = np.random.default_rng(len(starts)).permutation(len(starts))
            for source, dtypes in case.arrays():
                shape = (*sizes, *source.element_shape)
                out, whole = buffer(draw, len(starts), shape, draw(st.sampled_from(dtypes)))
                memories.append(whole)
                requests.append(BoxRequest(source, borders, starts, sizes, slots, out))
        with HandlePool(Access(**options), scanned_files=scanned) as pool:
            reader = make_reader(name, pool)
            reader.prefetch_boxes(parts, requests, only_remote=False, is_probe=draw(st.booleans()))
            for _ in range(2):
                reader.read_boxes(parts, requests)
            for request, whole in zip(requests, memories, strict=True):
                check(request, case.values)
                request.out[...] = 77
                assert (whole == whole.dtype.type(77)).all()  # nothing was written around the buffer
            reader.close()


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_boxes_without_entries_may_be_all_that_files_of_one_layout_are_asked_for(tmp_path, reader):
    paths = [str(tmp_path / f"{length}.h5") for length in (2, 3)]
    for path, length in zip(paths, (2, 3), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=np.arange(6.0), chunks=(length,), compression="gzip")
    source, one = DatasetArray("x", None, "<f8", 1), np.zeros(1, np.int64)
    full = BoxRequest(source, np.asarray([0, 1, 1]), one[None] + 1, (2,), one, np.empty((1, 2)))
    empty = BoxRequest(source, np.asarray([0, 0, 1]), one[None], (0,), one, np.empty((1, 0)))
    with HandlePool(Access()) as pool:
        make_reader(reader, pool).read_boxes(paths, [full, empty])
    assert full.out.tolist() == [[1, 2]]


def check(request, values):
    """Raise unless all boxes of a request have the values of their datasets."""
    borders, sizes = request.borders.tolist(), request.sizes
    for part, dataset in enumerate(values):
        stored = dataset if request.source.member is None else dataset[request.source.member]
        for number in range(borders[part], borders[part + 1]):
            start = request.starts[number].tolist()
            box = tuple(slice(a, a + size) for a, size in zip(start, sizes, strict=True))
            expected = stored[box].astype(request.out.dtype)
            assert np.array_equal(request.out[request.slots[number]], expected)
