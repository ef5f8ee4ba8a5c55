"""The h5py reader: the same values as NumPy for every layout and type, and never a fill value for a fault."""

import os
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from h5py import h5t
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, FileChangedError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.reader import H5pyReader
from h5lightning.storage.readers.protocol import DatasetColumn

ROWS = 97

LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (8, 3, 2)},
    "split-rows": {"chunks": (16, 2, 1), "compression": "gzip"},
    "gzip-shuffle-fletcher32": {
        "chunks": (10, 3, 2),
        "compression": "gzip",
        "shuffle": True,
        "fletcher32": True,
    },
    "lzf": {"chunks": (7, 3, 2), "compression": "lzf"},
    "one-chunk": {"chunks": (ROWS, 3, 2), "compression": "gzip"},
    "one-row-chunks": {"chunks": (1, 3, 2), "compression": "lzf"},
}
DTYPES = ("<f4", ">f4", ">i2", "<u2", "<u4", "<u8", ">u8", "|b1", "<c8", ">c16", "<f2", "<f8", "|i1", "<i8")
TABLE = np.dtype(
    [
        *(("a", "<i4"), ("b", ">f8"), ("name", "S5"), ("flag", "?"), ("z", "<c8"), ("half", "<f2")),
        *(("vector", "<f4", (3,)), ("swapped", ">i2", (2, 2)), ("one", "<f8", (1,)), ("flags", "?", (2,))),
        ("waves", ">c8", (2,)),
    ]
)


def sample_values(dtype, shape):
    rng = np.random.default_rng(0)
    if dtype == "|b1":
        return rng.integers(0, 2, shape).astype(bool)
    values = rng.integers(0, 100, shape).astype(dtype)
    return values + 1j * values.real[::-1] if np.dtype(dtype).kind == "c" else values


def write_compact(file, name, values):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    tid = h5py.h5t.py_create(values.dtype)
    did = h5py.h5d.create(file.id, name.encode(), tid, h5py.h5s.create_simple(values.shape), plist)
    did.write(h5py.h5s.ALL, h5py.h5s.ALL, values, tid)


def write_everything(path):
    """Each layout and each type, as a mapping of (path, member) to the values."""
    expected = {}
    with h5py.File(path, "w", userblock_size=1024) as file:
        for name, options in LAYOUTS.items():
            expected[f"layouts/{name}", None] = values = sample_values("<i4", (ROWS, 3, 2))
            file.create_dataset(f"layouts/{name}", data=values, **options)
        for dtype in DTYPES:
            for shape in ((ROWS,), (ROWS, 5)):
                name = f"types/{dtype[1:]}{'be' if dtype[0] == '>' else ''}-{len(shape)}"
                expected[name, None] = values = sample_values(dtype, shape)
                file.create_dataset(name, data=values, chunks=(9, *shape[1:]) if dtype == "<f2" else None)
        expected["compact", None] = values = sample_values("<i4", (ROWS, 2))
        write_compact(file, "compact", values)
        table = np.zeros((ROWS, 2), TABLE)
        for member in set(TABLE.names) - {"name"}:
            table[member] = sample_values(TABLE[member].base.str, table[member].shape)
            for name in ("table", "packed"):
                expected[name, member] = table[member]
        file["table"] = table
        file.create_dataset("packed", data=table, chunks=(6, 2), compression="gzip")
        file.create_dataset("split", data=table, chunks=(6, 1), compression="gzip")
        file.create_dataset("raw", data=table[:, 0], chunks=(6,))
        for member in set(TABLE.names) - {"name"}:
            expected["split", member] = table[member]
            expected["raw", member] = table[member][:, 0]
    return expected


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("everything") / "all.h5")
    return path, write_everything(path)


@pytest.fixture(scope="module")
def reader():
    with HandlePool(Access()) as pool:
        yield H5pyReader(pool)


@pytest.fixture
def make(tmp_path):
    """A function that writes one dataset ``x``, and returns the path and the source."""

    def make(values, name="a.h5", **options):
        path = str(tmp_path / name)
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=values, **options)
        return path, DatasetColumn("x", None, values.dtype.str, values.shape[1:])

    return make


def read(reader, path, source, rows, dtype=None):
    out = np.empty((len(rows), *source.row_shape), dtype or np.dtype(source.dtype).newbyteorder("="))
    reader.read_rows(path, source, np.asarray(rows, dtype=np.int64), out)
    return out


# ── the same values as NumPy ─────────────────────────────────────────────────────────────────────────


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_of_any_dataset_equal_fancy_indexing(everything, reader, data):
    path, expected = everything
    name, member = data.draw(st.sampled_from(sorted(expected, key=str)))
    values = expected[name, member]
    rows = np.array(data.draw(st.lists(st.integers(0, ROWS - 1), max_size=150)), dtype=np.int64)
    slots = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)
    source = DatasetColumn(name, member, values.dtype.str, values.shape[1:])
    out = np.zeros((len(rows), *values.shape[1:]), values.dtype.newbyteorder("="))
    reader.read_rows(path, source, rows, out, slots)
    assert np.array_equal(out[slots], values[rows])


ORDERS = {
    "all": np.arange(ROWS),
    "reversed": np.arange(ROWS)[::-1],
    "shuffled": np.random.default_rng(1).permutation(ROWS),
    "twice": np.repeat(np.arange(ROWS), 2),
    "windows": (np.array([50, 3, 4, 80])[:, None] + np.arange(9)).ravel(),
    "every-third": np.arange(0, ROWS, 3),
    "one": np.array([42]),
    "none": np.array([], dtype=np.int64),
}


@pytest.mark.parametrize("layout", [*(f"layouts/{name}" for name in LAYOUTS), "compact"])
@pytest.mark.parametrize("order", list(ORDERS))
def test_orders(layout, order, everything, reader):
    path, expected = everything
    values = expected[layout, None]
    source = DatasetColumn(layout, None, "<i4", values.shape[1:])
    assert np.array_equal(read(reader, path, source, ORDERS[order]), values[ORDERS[order]])


@pytest.mark.parametrize("width", [1, 700, 5000], ids=["short", "middle", "long"])
@pytest.mark.parametrize("rows", [30, 300], ids=["few", "many"])
def test_scattered_rows_of_contiguous_data(width, rows, make, reader):
    values = np.arange(1200 * width, dtype="<f4").reshape(1200, width)
    path, source = make(values)
    requested = np.random.default_rng(0).integers(0, 1200, rows) // 7 * 7
    assert np.array_equal(read(reader, path, source, requested), values[requested])


def test_scattered_columns_of_a_table(make, reader):
    table = np.zeros(40_000, TABLE)
    table["b"] = np.arange(40_000)
    path, _ = make(table)
    requested = np.random.default_rng(0).permutation(40_000)[:200]
    assert np.array_equal(
        read(reader, path, DatasetColumn("x", "b", ">f8", ()), requested), requested.astype(float)
    )


def compound_file(path, rows, *columns, shape=()):
    """A table of HDF5 types that NumPy may not have, filled with the given bytes of each column."""
    size = sum(tid.get_size() for _, tid, _ in columns)
    table, offset = h5t.create(h5t.COMPOUND, size), 0
    stored = np.zeros((rows, size), "u1")
    for name, tid, values in columns:
        table.insert(name.encode(), offset, tid)
        if values is not None:
            stored[:, offset : offset + tid.get_size()] = values.reshape(rows, -1).view("u1")
        offset += tid.get_size()
    with h5py.File(path, "w") as file:
        did = h5py.h5d.create(file.id, b"x", table, h5py.h5s.create_simple(shape or (rows,)))
        did.write(h5py.h5s.ALL, h5py.h5s.ALL, stored.view(f"V{size}"), table)


@pytest.mark.parametrize("width", [2, 2048], ids=["short", "scattered"])
def test_columns_beside_types_that_numpy_lacks(width, tmp_path, reader):
    path, rows = str(tmp_path / "a.h5"), 1500
    nested = h5t.array_create(h5t.array_create(h5t.STD_I16BE, (2,)), (width,))
    kinds = h5t.enum_create(h5t.STD_I16LE)
    kinds.enum_insert(b"cat", 0)
    kinds.enum_insert(b"dog", 5)
    values = np.arange(rows * width * 2).astype(">i2").reshape(rows, width, 2)
    kind = np.arange(rows * 2).astype("<i2").reshape(rows, 2) % 2 * 5
    columns = (
        ("time", h5t.UNIX_D64LE, None),
        ("nested", nested, values),
        ("kind", h5t.array_create(kinds, (2,)), kind),
    )
    compound_file(path, rows, *columns)
    requested = np.random.default_rng(0).permutation(rows)[:60]
    source = DatasetColumn("x", "nested", ">i2", (width, 2))
    assert np.array_equal(read(reader, path, source, requested), values[requested])
    assert np.array_equal(
        read(reader, path, DatasetColumn("x", "kind", "<i2", (2,)), requested), kind[requested]
    )


@pytest.mark.parametrize("dtype", ["f4", "f8"], ids=["as-stored", "converted"])
def test_a_column_that_is_an_array_of_a_scalar_table(dtype, make, reader):
    value = np.zeros((), TABLE)
    value["vector"] = [1, 2, 3]
    path, _ = make(value)
    out = np.empty(3, dtype)
    reader.read_whole(path, DatasetColumn("x", "vector", "<f4", (3,)), out)
    assert out.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (16, 4), "compression": "gzip"}], ids=["contiguous", "gzip"]
)
@pytest.mark.parametrize(
    ("stored", "delivered"),
    [("<f8", "f4"), (">f8", "f2"), ("<f4", "f8"), ("<i2", "i8"), ("|b1", "f4"), ("<i4", "f8"), (">f4", "f4")],
)
def test_values_are_converted_to_the_type_of_the_buffer(stored, delivered, options, make, reader):
    values = sample_values(stored, (200, 4))
    path, source = make(values, **options)
    requested = np.random.default_rng(0).permutation(200)
    found = read(reader, path, source, requested, delivered)
    assert found.dtype == np.dtype(delivered)
    assert np.array_equal(found, values[requested].astype(delivered))


def test_a_buffer_may_be_a_part_of_another(make, reader):
    values = sample_values("<f4", (50, 4))
    path, source = make(values)
    wide = np.zeros((20, 2, 4), "f4")
    rows = np.arange(10, 30)
    reader.read_rows(path, source, rows, wide[:, 1])
    assert np.array_equal(wide[:, 1], values[rows])
    assert not wide[:, 0].any()


def test_only_the_given_slots_are_written(make, reader):
    values = sample_values("<i8", (50, 2)) + 1
    path, source = make(values, chunks=(8, 2), compression="lzf")
    out = np.zeros((9, 2), "i8")
    reader.read_rows(path, source, np.array([30, 2, 31]), out, np.array([8, 0, 4]))
    assert np.array_equal(out[[8, 0, 4]], values[[30, 2, 31]])
    assert not out[[1, 2, 3, 5, 6, 7]].any()


def test_rows_without_elements(make, reader):
    path, source = make(np.zeros((5, 0, 3), "<f4"))
    assert read(reader, path, source, [4, 0]).shape == (2, 0, 3)


def test_rows_longer_than_a_run(make, reader):
    values = np.arange(6 * 300_000, dtype="<i8").reshape(6, 300_000)
    path, source = make(values, chunks=(2, 150_000), compression="lzf")
    assert np.array_equal(read(reader, path, source, [5, 0, 3, 3]), values[[5, 0, 3, 3]])


def test_enumerations_are_numbers(tmp_path, reader):
    path = str(tmp_path / "enum.h5")
    with h5py.File(path, "w") as file:
        kinds = h5py.enum_dtype({"CAT": 0, "DOG": 5}, basetype="<i2")
        file.create_dataset("x", data=np.array([0, 5, 5, 0]), dtype=kinds)
    assert read(reader, path, DatasetColumn("x", None, "<i2", ()), [3, 2, 0]).tolist() == [0, 5, 0]


@pytest.mark.parametrize("dtype", ["f4", "f8"], ids=["as-stored", "converted"])
@pytest.mark.parametrize("shape", [(), (3,), (4, 5)], ids=["scalar", "vector", "matrix"])
def test_a_constant_is_read_whole(shape, dtype, make, reader):
    values = np.asarray(sample_values("<f4", shape))
    path, _ = make(values)
    out = np.empty(shape, dtype)
    reader.read_whole(path, DatasetColumn("x", None, "<f4", shape), out)
    assert np.array_equal(out, values)


def test_a_constant_column_is_read_whole(everything, reader):
    path, expected = everything
    out = np.empty((ROWS, 2), "f8")
    reader.read_whole(path, DatasetColumn("table", "b", ">f8", (ROWS, 2)), out)
    assert np.array_equal(out, expected["table", "b"])


# ── processes and threads ────────────────────────────────────────────────────────────────────────────


def test_threads_read_with_one_reader(everything, reader):
    path, expected = everything

    def work(seed):
        rng = np.random.default_rng(seed)
        for name in LAYOUTS:
            rows = rng.integers(0, ROWS, 40)
            source = DatasetColumn(f"layouts/{name}", None, "<i4", (3, 2))
            if not np.array_equal(read(reader, path, source, rows), expected[source.path, None][rows]):
                return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(24)))


def test_a_pickled_reader_reads(everything, reader):
    path, expected = everything
    copy = pickle.loads(pickle.dumps(reader))
    source = DatasetColumn("compact", None, "<i4", (2,))
    assert np.array_equal(read(copy, path, source, [3, 1]), expected["compact", None][[3, 1]])
    copy._pool.close()


def test_a_file_is_opened_once_for_many_batches(make):
    path, source = make(sample_values("<f4", (50, 4)))
    with HandlePool(Access()) as pool:
        reader = H5pyReader(pool)
        for start in range(40):
            read(reader, path, source, [start, start + 5])
        assert pool.opened == 1


# ── never silently wrong ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rows", "requested"), [([3, 50], 50), ([-1, 3], -1), ([60], 60)], ids=["after", "before", "one"]
)
def test_a_row_outside_of_the_dataset(rows, requested, make, reader):
    path, source = make(sample_values("<f4", (50, 4)))
    error = IndexError if requested < 0 else FileChangedError
    with pytest.raises(error, match=rf"'/x' in .*a\.h5 has 50 rows, but row {requested} is requested"):
        read(reader, path, source, rows)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            DatasetColumn("x", None, "<f4", (8,)),
            r"'/x' in .*a\.h5 has shape \(50, 4\), expected rows of shape \(8,\)",
        ),
        (DatasetColumn("x", None, "<f4", ()), r"has shape \(50, 4\), expected rows of shape \(\)"),
        (DatasetColumn("x", None, "<f8", (4,)), r"'/x' in .*a\.h5 holds <f4, expected <f8 as it was scanned"),
        (
            DatasetColumn("x", "b", "<f8", (4,)),
            r"'/x' \(column 'b'\) in .*a\.h5 holds no such column, expected <f8",
        ),
    ],
    ids=["shape", "rank", "type", "column"],
)
def test_a_dataset_other_than_the_scanned_one(source, message, make, reader):
    path, _ = make(sample_values("<f4", (50, 4)))
    with pytest.raises(FileChangedError, match=message):
        read(reader, path, source, [1, 2])


def test_a_constant_of_another_shape(make, reader):
    path, _ = make(sample_values("<f4", (50, 4)))
    with pytest.raises(FileChangedError, match=r"has shape \(50, 4\), expected \(50, 5\)"):
        reader.read_whole(path, DatasetColumn("x", None, "<f4", (50, 5)), np.empty((50, 5), "f4"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros(50, [("v", "<f4", (4,))]),
            r"has shape \(50,\) of arrays \(4,\), expected rows of shape \(3,\)",
        ),
        (np.zeros(50, [("v", "<f4")]), r"has shape \(50,\), expected rows of shape \(3,\)"),
        (
            np.zeros((), [("v", "<f4", (3,))]),
            r"has shape \(\) of arrays \(3,\), expected rows of shape \(3,\)",
        ),
        (np.zeros(50, [("v", "<f8", (3,))]), "holds <f8, expected <f4"),
        (np.zeros(50, [("v", "S4", (3,)), ("a", "i4")]), "holds text of 4 bytes, expected <f4"),
    ],
    ids=["longer arrays", "numbers", "one row", "type", "text"],
)
def test_a_column_other_than_the_scanned_one(values, message, make, reader):
    path, _ = make(values)
    with pytest.raises(FileChangedError, match=message):
        read(reader, path, DatasetColumn("x", "v", "<f4", (3,)), [1, 2])


def test_a_dataset_without_values(tmp_path, reader):
    path = str(tmp_path / "null.h5")
    with h5py.File(path, "w") as file:
        file["x"] = h5py.Empty("<f4")
    with pytest.raises(FileChangedError, match=r"has shape None, expected rows of shape \(\)"):
        read(reader, path, DatasetColumn("x", None, "<f4", ()), [0])


def test_text_that_takes_the_place_of_numbers(tmp_path, reader):
    path = str(tmp_path / "text.h5")
    with h5py.File(path, "w") as file:
        file["x"] = ["a", "b"]
    with pytest.raises(FileChangedError, match="holds text, expected <f4"):
        read(reader, path, DatasetColumn("x", None, "<f4", ()), [0])


def test_a_link_that_takes_the_place_of_the_data(tmp_path, make, reader):
    target, source = make(sample_values("<f4", (50, 4)), name="target.h5")
    path = str(tmp_path / "link.h5")
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(target, "/x")
    with pytest.raises(UnsupportedFieldError, match="link"):
        read(reader, path, source, [0])


def damage(path, name, offset=40, size=8):
    """Overwrite a part of the second chunk."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(1)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset + offset)
        raw.write(b"\xa5" * size)


@pytest.mark.parametrize("rows", [[12], [3, 12, 30], list(range(20))], ids=["one", "some", "run"])
@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"fletcher32": True}], ids=["gzip", "fletcher32"]
)
def test_a_damaged_chunk_names_file_dataset_and_rows(options, rows, make, reader):
    path, source = make(sample_values("<f8", (50, 40)), chunks=(10, 40), **options)
    damage(path, "x")
    with pytest.raises(
        BadFileError, match=r"'/x' in .*a\.h5: (the chunk at \(10, 0\)|rows \d+ to \d+).*copy"
    ) as caught:
        read(reader, path, source, rows)
    if named := re.search(r"rows (\d+) to (\d+)", str(caught.value)):
        assert int(named[1]) <= 19
        assert int(named[2]) >= 10
    assert np.array_equal(read(reader, path, source, [45, 3]), sample_values("<f8", (50, 40))[[45, 3]])


@pytest.mark.parametrize("count", [1, 300], ids=["runs", "scattered"])
def test_a_file_cut_off_while_it_is_open(count, make, reader):
    path, source = make(np.ones((100_000, 4), "<f4"))
    rows = np.random.default_rng(0).permutation(100_000)[:count]
    assert np.all(read(reader, path, source, rows) == 1)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(FileChangedError, match=r"a\.h5 was cut off from \d+ to \d+ bytes while it was read"):
        read(reader, path, source, rows)


def test_a_cut_off_file_with_filters(make, reader):
    path, source = make(
        np.arange(40_000, dtype="<i8").reshape(10_000, 4), chunks=(100, 4), compression="gzip"
    )
    read(reader, path, source, [0])
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(FileChangedError, match="cut off"):
        read(reader, path, source, [9_999])


@pytest.mark.parametrize("rows", [[1], [1, 2], [1, 40]], ids=["one", "run", "two"])
def test_a_buffer_that_does_not_fit_is_never_overrun(rows, make, reader):
    path, source = make(sample_values("<f4", (50, 4)))
    for shape in ((len(rows), 2), (len(rows), 8), (len(rows), 1), (len(rows),)):
        with pytest.raises(ValueError, match=r"needs a buffer for \(4,\)"):
            reader.read_rows(path, source, np.array(rows), np.zeros(shape, "f4"))
    with pytest.raises((ValueError, IndexError), match=r"need a buffer|out of bounds"):
        reader.read_rows(path, source, np.array(rows), np.zeros((1, 4), "f4"), np.arange(len(rows)) + 1)


def test_a_constant_is_not_broadcast(make, reader):
    path, _ = make(np.zeros((1, 4), "<f4"))
    with pytest.raises(ValueError, match="needs a buffer"):
        reader.read_whole(path, DatasetColumn("x", None, "<f4", (1, 4)), np.zeros((3, 4), "f4"))
