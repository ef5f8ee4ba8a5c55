"""Both readers read parts of files, each one match of a ``*``, as h5py reads them, however each part is stored."""

import os
import pickle

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanned_series import parts_of, scan_series, write_series
from typer.testing import CliRunner

from h5lightning import H5Dataset
from h5lightning.cli import app
from h5lightning.errors import (
    BadFileError,
    ChecksumError,
    FileChangedError,
    MissingFieldError,
    UnsupportedFieldError,
)
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.direct import chunk_map_cache
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.series_parts import SeriesParts

READERS = ("auto", "h5py")
RECORD = np.dtype([("a", "<f4", (2,)), ("flag", "u1"), ("b", ">i8")])


def compact(file, name, values):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.COMPACT)
    parent, _, last = name.rpartition("/")
    group = file.require_group(parent)
    space, kind = h5s.create_simple(values.shape), h5t.py_create(values.dtype)
    made = h5d.create(group.id, last.encode(), kind, space, plist)
    made.write(h5s.ALL, h5s.ALL, values)


def stored(**options):
    return lambda file, name, values: file.create_dataset(name, data=values, **options)


STORAGE = {
    "contiguous": stored(),
    "compact": compact,
    "one chunk": stored(chunks=(40, 3), maxshape=(None, 3)),
    "chunks": stored(chunks=(4, 3)),
    "split": stored(chunks=(3, 2)),
    "gzip": stored(chunks=(5, 3), compression="gzip"),
    "gzip split": stored(chunks=(5, 2), compression="gzip", shuffle=True),
}
X = DatasetColumn("data/*/x", None, "<f4", (3,))


def numbered(part, rows):
    return (1000 * part + np.arange(rows * 3).reshape(rows, 3)).astype("<f4")


class Written:
    """Files with the parts that were asked for; ``values`` of each part in order."""

    def __init__(self, folder, kinds, lengths, *, files=3):
        self.values = [numbered(part, length) for part, length in enumerate(lengths)]
        self.files = {}
        for number in range(files):
            own = range(number, len(kinds), files)
            path = os.path.join(folder, f"{number}.h5")
            with h5py.File(path, "w") as file:
                for part in own:
                    STORAGE[kinds[part]](file, f"data/s{part}/x", self.values[part])
            self.files[path] = [f"s{part}" for part in own]
        # In the order of the catalog.
        self.values = [self.values[int(text[1:])] for texts in self.files.values() for text in texts]

    def parts(self, chosen=None):
        return parts_of(self.files, chosen)


def read(reader, parts, source, rows_of, run=1):
    """Read rows of each part into slots that lie anywhere; the entries of each part."""
    counts = [len(rows) for rows in rows_of]
    total = sum(counts)
    slots = np.random.default_rng(total).permutation(total)
    shape = source.row_shape if run == 1 else (run, *source.row_shape)
    out = np.zeros((total, *shape), np.dtype(source.dtype).newbyteorder("="))
    borders, rows = np.cumsum([0, *counts]), np.concatenate([*rows_of, np.zeros(0)]).astype(np.int64)
    reader.read(parts, [ReadRequest(source, borders, rows, slots, out, run)])
    return np.split(out[slots], borders[1:-1])


@pytest.fixture(params=["scanned", "not scanned"])
def is_scanned(request):
    return request.param == "scanned"


def open_pool(written, *, is_scanned=True, fields=("data/*/x",), **access):
    allowed = access.get("allow_external")
    scanned = scan_series(written.files, fields, allow_external=allowed) if is_scanned else None
    return HandlePool(Access(**access), scanned_files=scanned)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_part_is_read_as_it_is_stored(tmp_path_factory, data):
    kinds = data.draw(st.lists(st.sampled_from(sorted(STORAGE)), min_size=1, max_size=9))
    lengths = [data.draw(st.integers(5, 20)) for _ in kinds]
    written = Written(tmp_path_factory.mktemp("parts"), kinds, lengths)
    chosen = sorted(data.draw(st.sets(st.integers(0, len(kinds) - 1), min_size=1)))
    run = data.draw(st.integers(1, 2))
    rows = [
        data.draw(st.lists(st.integers(0, len(written.values[part]) - run), max_size=5)) for part in chosen
    ]
    options = {
        "memory_map": data.draw(st.sampled_from([None, False])),
        "cache_bytes": data.draw(st.sampled_from([0, 10_000_000])),
    }
    is_scanned = data.draw(st.booleans())
    for name in READERS:
        with open_pool(written, is_scanned=is_scanned, **options) as pool:
            reader = make_reader(name, pool)
            for _ in range(2):
                found = read(reader, written.parts(chosen), X, rows, run)
                for part, own, values in zip(chosen, rows, found, strict=True):
                    expected = [written.values[part][row : row + run] for row in own]
                    assert np.array_equal(values, np.reshape(expected, values.shape))
            reader.decode_ahead(written.parts(chosen), [], reads=1)
            reader.close()


def test_parts_in_one_piece_are_found_together(tmp_path, monkeypatch):
    written = Written(tmp_path, ["contiguous"] * 50, [9] * 50)
    monkeypatch.setattr(chunk_map_cache.ChunkMapCache, "find", None)
    with open_pool(written) as pool:
        reader = make_reader("direct", pool)
        found = read(reader, written.parts(), X, [[8, 0, 3]] * 50)
        assert all(
            np.array_equal(one, values[[8, 0, 3]]) for one, values in zip(found, written.values, strict=True)
        )
        assert pool.opened == 3
        reader.close()


def test_only_parts_that_need_hdf5_are_read_by_it(tmp_path, is_scanned):
    written = Written(tmp_path, ["contiguous", "compact", "chunks", "gzip", "compact", "contiguous"], [5] * 6)
    with open_pool(written, is_scanned=is_scanned) as pool:
        auto = make_reader("auto", pool)
        parts = written.parts()
        source, borders = X, np.arange(7)
        out = np.zeros((6, 3), np.float32)
        request = ReadRequest(source, borders, np.full(6, 4), np.arange(6), out)
        ((unread, _),) = auto._direct.read_possible(parts, [request])
        assert sorted(unread.texts) == ["s1", "s4"]
        with pytest.raises(UnsupportedFieldError, match=r"'/data/s4/x' in .*1.h5 .*compact"):
            auto._direct.read(parts.of([3]), [request.of([3])])
        auto.close()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("options", [{}, {"chunks": (3,), "compression": "gzip"}], ids=["plain", "gzip"])
def test_columns_of_a_table_are_read_together(tmp_path, is_scanned, name, options):
    values = []
    for part in range(4):
        records = np.zeros(8, RECORD)
        records["a"], records["b"] = np.arange(16).reshape(8, 2) + 100 * part, np.arange(8) - part
        values.append(records)
    paths = [str(tmp_path / f"{number}.h5") for number in range(2)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            for part in (2 * number, 2 * number + 1):
                file.create_dataset(f"t{part}/rows", data=values[part], **options)
    files = {paths[0]: ["t0", "t1"], paths[1]: ["t2", "t3"]}
    columns = [DatasetColumn("*/rows", "a", "<f4", (2,)), DatasetColumn("*/rows", "b", ">i8", ())]
    scanned = scan_series(files, ["*/rows"]) if is_scanned else None
    with HandlePool(Access(), scanned_files=scanned) as pool:
        reader = make_reader(name, pool)
        rows = np.asarray([7, 0, 3, 1, 6, 5, 2, 4])
        outs = [
            np.zeros((8, *column.row_shape), np.dtype(column.dtype).newbyteorder("=")) for column in columns
        ]
        borders = np.asarray([0, 2, 4, 6, 8])
        requests = [
            ReadRequest(one, borders, rows, np.arange(8), out) for one, out in zip(columns, outs, strict=True)
        ]
        reader.read(parts_of(files), requests)
        for column, out in zip(columns, outs, strict=True):
            expected = [values[slot // 2][column.member][row] for slot, row in enumerate(rows)]
            assert np.array_equal(out, np.asarray(expected))
        reader.close()


@pytest.mark.parametrize("name", READERS)
def test_a_constant_of_a_part_is_read_whole(tmp_path, is_scanned, name):
    path = str(tmp_path / "a.h5")
    series = {f"data/d{part}/grid": np.full((2, 2), part, "<i4") for part in range(3)}
    write_series(path, {**series, "scale": np.asarray(7.0)})
    files = {path: ["d0", "d1", "d2"]}
    scanned = scan_series(files, ["data/*/grid", "scale"]) if is_scanned else None
    with HandlePool(Access(), scanned_files=scanned) as pool:
        reader = make_reader(name, pool)
        for part in range(3):
            one = parts_of(files, [part])
            grid, scale = np.zeros((2, 2), np.int32), np.zeros(())
            reader.read_whole(one, DatasetColumn("data/*/grid", None, "<i4", (2, 2)), grid)
            reader.read_whole(one, DatasetColumn("scale", None, "<f8", ()), scale)
            assert (grid == part).all()
            assert scale == 7
        # With a path that holds no star, the file is enough.
        reader.read_whole(path, DatasetColumn("data/d1/grid", None, "<i4", (2, 2)), grid)
        assert (grid == 1).all()
        reader.close()


@pytest.mark.parametrize("name", READERS)
def test_an_error_names_the_dataset_of_the_part(tmp_path, is_scanned, name):
    written = Written(tmp_path, ["contiguous", "gzip", "chunks"], [5, 6, 7], files=1)
    with open_pool(written, is_scanned=is_scanned) as pool:
        reader = make_reader(name, pool)
        with pytest.raises(
            FileChangedError, match=r"'/data/s1/x' in .*0.h5 has 6 rows, but row 6 is requested"
        ):
            read(reader, written.parts(), X, [[0], [6], [0]])
        with pytest.raises(IndexError, match=r"'/data/s2/x'"):
            read(reader, written.parts(), X, [[0], [5], [-1]])
        lacking = SeriesParts.of_paths(written.parts().paths[:1], ["other"])
        with pytest.raises(MissingFieldError, match=r"'/data/other/x' is not in"):
            read(reader, lacking, X, [[0]])
        reader.close()


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_changed_is_noticed_once_for_all_its_parts(tmp_path, is_scanned, name):
    written = Written(tmp_path, ["contiguous"] * 6, [5] * 6)
    with open_pool(written, is_scanned=is_scanned) as pool:
        reader = make_reader(name, pool)
        read(reader, written.parts(), X, [[0]] * 6)
        os.utime(written.parts().files[1], ns=(1, 1))
        with pytest.raises(FileChangedError, match=r"1\.h5"):
            read(reader, written.parts(), X, [[0]] * 6)
        read(reader, written.parts([0, 1, 4]), X, [[0]] * 3)
        os.unlink(written.parts().files[2])
        with pytest.raises((FileChangedError, BadFileError), match=r"2\.h5"):
            read(reader, written.parts([4, 5]), X, [[0]] * 2)
        reader.close()


def test_few_datasets_of_parts_stay_open(tmp_path, monkeypatch):
    written = Written(tmp_path, ["contiguous"] * 60, [5] * 60)
    monkeypatch.setattr("h5lightning.storage.files.open_files._MOST_PARTS", 30)
    with open_pool(written) as pool:
        reader = make_reader("h5py", pool)
        for _ in range(2):
            found = read(reader, written.parts(), X, [[1]] * 60)
            assert all(
                np.array_equal(one[0], values[1]) for one, values in zip(found, written.values, strict=True)
            )
        for path in written.files:
            with pool.file(path) as file:
                assert h5py.h5f.get_obj_count(file.id, h5py.h5f.OBJ_DATASET) == 10
        reader.close()


@pytest.mark.parametrize("name", READERS)
def test_a_reader_that_was_pickled_reads_parts(tmp_path, name):
    written = Written(tmp_path, ["contiguous", "gzip"], [5, 6])
    with open_pool(written) as pool:
        reader = pickle.loads(pickle.dumps(make_reader(name, pool)))
        parts = pickle.loads(pickle.dumps(written.parts()))
        found = read(reader, parts, X, [[4], [5]])
        assert np.array_equal(found[1][0], written.values[1][5])
        reader.close()
        reader._direct._pool.close() if name == "auto" else reader._pool.close()


@pytest.mark.parametrize("kind", ["contiguous", "gzip"])
def test_prefetching_asks_for_the_chunks_of_the_parts(tmp_path, is_scanned, kind):
    written = Written(tmp_path, [kind] * 4, [8] * 4)
    with open_pool(written, is_scanned=is_scanned) as pool:
        reader = make_reader("auto", pool)
        request = ReadRequest(X, np.arange(5), np.full(4, 7), np.arange(4), np.zeros((0, 3), np.float32))
        reader.prefetch(written.parts(), [request], only_remote=False, is_probe=False)
        reader.prefetch(written.parts(), [request], only_remote=False, is_probe=True)
        reader.decode_ahead(written.parts(), [request], reads=2)
        cache = reader._direct._decoded.pool()._caches
        assert sum(one.filled for one in cache.values()) == (4 if kind == "gzip" else 0)
        found = read(reader, written.parts(), X, [[7]] * 4)
        assert all(
            np.array_equal(one[0], values[7]) for one, values in zip(found, written.values, strict=True)
        )
        assert sum(one.filled for one in cache.values()) == (4 if kind == "gzip" else 0)
        reader.close()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("mapped", [None, False])
def test_a_damaged_part_is_named_and_the_others_are_read(tmp_path, name, mapped):
    pattern, rows = str(tmp_path / "*.h5"), 40_000
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for part in range(4):
            file[f"s{part}/x"] = np.arange(rows) + rows * part
        offset = file["s2/x"].id.get_offset()
    assert CliRunner().invoke(app, ["index", pattern, "--checksum"]).exit_code == 0
    status = os.stat(tmp_path / "a.h5")
    with open(tmp_path / "a.h5", "r+b") as raw:
        raw.seek(offset + 8 * 20_000)
        raw.write(b"\xff")
    os.utime(tmp_path / "a.h5", ns=(status.st_atime_ns, status.st_mtime_ns))
    dataset = H5Dataset(pattern, {"x": "*/x"}, reader=name, access={"verify": True, "memory_map": mapped})
    with pytest.raises(ChecksumError, match=r"'/s2/x' in .*a\.h5" if name == "auto" else r"a\.h5"):
        dataset.read_batch([5, rows + 7, 2 * rows + 20_000, 3 * rows])
    if name == "auto":
        ids = [0, rows + 1, 2 * rows + 1, 3 * rows + 1]
        assert dataset.read_batch(ids)["x"].tolist() == ids
    dataset.close()
