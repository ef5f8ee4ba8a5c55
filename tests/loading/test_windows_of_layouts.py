"""Windows from every layout, type and reader: the values that h5py reads, whatever the way there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning import Field, H5Dataset, Windows
from h5lightning.errors import FileChangedError
from h5lightning.options import Access
from h5lightning.storage.codecs import FilterPipeline
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

pytestmark = pytest.mark.timeout(120)

LENGTHS = (23, 9, 31)
LAYOUTS = {
    "contiguous": {},
    "rows": {"chunks": (4, 3, 5)},
    "parts of rows": {"chunks": (4, 2, 5)},
    "decoded": {"chunks": (4, 3, 5), "compression": "gzip", "shuffle": True},
}
DTYPES = ("<f4", ">f4", ">i2", "u1")
READERS = ("direct", "h5py", "auto")
ACCESS = {"mapped": {}, "system calls": {"memory_map": False}, "little cache": {"cache_bytes": 4096}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files with a dataset for each layout and type, of rows ``(3, 5)``."""
    folder = tmp_path_factory.mktemp("windows")
    for number, rows in enumerate(LENGTHS):
        values = np.random.default_rng(number).integers(0, 200, (rows, 3, 5))
        with h5py.File(folder / f"{number}.h5", "w") as file:
            for layout, options in LAYOUTS.items():
                for dtype in DTYPES:
                    file.create_dataset(f"{layout}/{dtype}", data=values.astype(dtype), **options)
    return folder


def stored(folder, name):
    values = []
    for number in range(len(LENGTHS)):
        with h5py.File(folder / f"{number}.h5") as file:
            values.append(file[name][...])
    return values


@st.composite
def cases(draw):
    length = draw(st.integers(1, 8))
    steps = st.tuples(st.integers(0, length - 1), st.integers(1, length)).filter(lambda one: one[0] < one[1])
    return {
        "samples": Windows(length, stride=draw(st.integers(1, 3)), dilation=draw(st.sampled_from([1, 1, 2]))),
        "steps": draw(st.lists(steps, min_size=1, max_size=3)),
        "name": f"{draw(st.sampled_from(list(LAYOUTS)))}/{draw(st.sampled_from(DTYPES))}",
        "dtype": draw(st.sampled_from([None, "float64"])),
        "reader": draw(st.sampled_from(READERS)),
        "access": ACCESS[draw(st.sampled_from(list(ACCESS)))],
        "seed": draw(st.integers(0, 99)),
    }


@settings(max_examples=80, deadline=None)
@given(case=cases())
def test_windows_are_what_h5py_reads(folder, case):
    samples, name = case["samples"], case["name"]
    fields = {
        f"f{number}": Field(name, steps=steps, dtype=case["dtype"])
        for number, steps in enumerate(case["steps"])
    }
    dataset = H5Dataset(str(folder / "*.h5"), fields, samples, reader=case["reader"], access=case["access"])
    try:
        windows = [
            values[first : first + samples.span_rows : samples.dilation]
            for values in stored(folder, name)
            for first in range(0, len(values) - samples.span_rows + 1, samples.stride)
        ]
        assert len(dataset) == len(windows)
        batches = [np.random.default_rng(case["seed"] + n).permutation(len(windows))[:20] for n in range(3)]
        with ThreadPoolExecutor(3) as threads:
            found = list(threads.map(dataset.read_batch, batches))
        for positions, batch in zip(batches, found, strict=True):
            for number, (start, stop) in enumerate(case["steps"]):
                expected = np.stack([windows[position][start:stop] for position in positions])
                np.testing.assert_array_equal(batch[f"f{number}"].numpy(), expected)
    finally:
        dataset.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_run_that_ends_outside_of_its_dataset_is_an_error(folder, layout, reader):
    source = DatasetColumn(f"{layout}/<f4", None, "<f4", (3, 5))
    path = str(folder / "1.h5")  # 9 rows
    with HandlePool(Access()) as pool:
        one = make_reader(reader, pool)
        for first, expected in (
            (5, None),
            (6, FileChangedError),
            (-1, IndexError),
            (2**62, FileChangedError),
        ):
            out = np.zeros((2, 4, 3, 5), "f4")
            request = ReadRequest(source, np.array([0, 1]), np.array([first]), np.array([1]), out, 4)
            if expected is None:
                one.read([path], [request])
                np.testing.assert_array_equal(out[1], stored(folder, source.path)[1][5:9])
                assert not out[0].any()
            else:
                with pytest.raises(expected):
                    one.read([path], [request])
        small = ReadRequest(
            source, np.array([0, 1]), np.array([1]), np.array([0]), np.zeros((1, 3, 3, 5), "f4"), 4
        )
        with pytest.raises(ValueError, match="needs a buffer"):
            one.read([path], [small])
        for slot in (-1, 2):
            out = np.zeros((2, 4, 3, 5), "f4")
            outside = ReadRequest(source, np.array([0, 1]), np.array([1]), np.array([slot]), out, 4)
            with pytest.raises(IndexError):
                one.read([path], [outside])
        one.close()


@pytest.mark.parametrize("reader", ["direct", "h5py"])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_fields_that_share_rows_decode_each_chunk_once(tmp_path, reader, cache_bytes, monkeypatch):
    values = np.arange(40.0 * 6, dtype="f4").reshape(40, 6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(4, 6), compression="gzip")
    fields = {"x": Field("x", steps=(0, 5)), "y": Field("x", steps=(4, 6))}
    dataset = H5Dataset(
        str(tmp_path / "a.h5"), fields, Windows(6), reader=reader, access={"cache_bytes": cache_bytes}
    )
    decoded = chunks_decoded_by(reader, monkeypatch)
    batch = dataset.read_batch([30, 2, 11])
    dataset.close()
    np.testing.assert_array_equal(batch["x"].numpy(), [values[at : at + 5] for at in (30, 2, 11)])
    np.testing.assert_array_equal(batch["y"].numpy(), [values[at + 4 : at + 6] for at in (30, 2, 11)])
    assert len(decoded) == len({row // 4 for at in (30, 2, 11) for row in range(at, at + 6)})


def chunks_decoded_by(reader, monkeypatch):
    """What grows by an item for each chunk, of 4 rows, that a reader decodes."""
    decoded = []
    decode, read = FilterPipeline.decode, DatasetRows.read

    def counted(self, stored, out, mask=0):
        decoded.append(None)
        decode(self, stored, out, mask)

    def counted_reads(self, reads):
        read(self, (counted_read(*one) for one in reads))

    def counted_read(start, stop, into):
        decoded.extend(range(start // 4, -(-stop // 4)))
        return start, stop, into

    if reader == "direct":
        monkeypatch.setattr(FilterPipeline, "decode", counted)
    else:
        monkeypatch.setattr(DatasetRows, "read", counted_reads)
    return decoded
