"""One call over many files: whatever their layouts, each row in its slot, and the same from both readers."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, FileChangedError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.discovery import discover
from h5lightning.storage.files import file_budget, raw_files
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.mapped_file import maps_held
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.readers.direct import chunk_map_cache
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.scanning import ScanRequest

LAYOUTS = {
    "contiguous": {},
    "chunks": {"chunks": (5, 3)},
    "split rows": {"chunks": (4, 2)},
    "gzip": {"chunks": (7, 3), "compression": "gzip", "shuffle": True},
    "gzip, other height": {"chunks": (16, 3), "compression": "gzip"},
    "gzip, split rows": {"chunks": (7, 2), "compression": "gzip"},
    "only HDF5": {"chunks": (8, 3), "scaleoffset": 0},
}
SOURCES = DatasetColumn("x", None, "<i4", (3,)), DatasetColumn("y", None, "<f8", ())
ROWS = 40


class Files:
    """Paths, and the values of each file."""

    def __init__(self, folder):
        self.folder = folder
        self.paths = []
        self.values = []


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three files of each layout."""
    folder = tmp_path_factory.mktemp("files")
    made = Files(folder)
    for number, options in enumerate(list(LAYOUTS.values()) * 3):
        path = str(folder / f"{number}.h5")
        x = np.random.default_rng(number).integers(0, 1000, (ROWS, 3)).astype("<i4")
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=x, **options)
            file["y"] = np.arange(ROWS) + 1000.0 * number
        made.paths.append(path)
        made.values.append({"x": x, "y": np.arange(ROWS) + 1000.0 * number})
    return made


@pytest.fixture(scope="module")
def scanned(files):
    """What the index says of the files."""
    found = discover(f"{files.folder}/*.h5")
    request = ScanRequest(("x", "y"))
    return ScannedFiles(
        build_catalog(
            found, request, access=Access(), index_dir=files.folder / "index", progress=False
        ).catalog
    )


@pytest.fixture(
    scope="module",
    params=[
        "auto",
        "h5py",
        "two open files",
        "two maps, five known files",
        "index",
        "index, two maps, five files",
    ],
)
def reader(request, scanned):
    access = Access(max_open_files=2) if request.param == "two open files" else Access()
    known = scanned if "index" in request.param else None
    with HandlePool(access, scanned_files=known) as pool, pytest.MonkeyPatch.context() as patch:
        if "two maps" in request.param:
            patch.setattr(file_budget, "map_limit", lambda: 2)
            patch.setattr(raw_files, "_MOST_FILES", 5)
        made = make_reader("h5py" if request.param == "h5py" else "auto", pool)
        yield made
        made.close()


@st.composite
def wishes(draw):
    """Which files, how many rows of each, and a seed for the rest."""
    numbers = draw(st.lists(st.integers(0, 3 * len(LAYOUTS) - 1), min_size=1, max_size=9, unique=True))
    counts = draw(st.lists(st.integers(0, 12), min_size=len(numbers), max_size=len(numbers)))
    return numbers, counts, draw(st.integers(0, 99))


@given(wishes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_many_files(files, reader, wish):
    numbers, counts, seed = wish
    rng = np.random.default_rng(seed)
    paths = [files.paths[number] for number in numbers]
    rows = rng.integers(0, ROWS, sum(counts))
    slots = rng.permutation(sum(counts))
    requests = [request_of(source, counts, rows, slots) for source in SOURCES]
    reader.read(paths, requests)
    owners = np.repeat(numbers, counts)
    for request in requests:
        expected = np.zeros((sum(counts), *request.source.row_shape), request.source.dtype)
        for slot, owner, row in zip(slots, owners, rows, strict=True):
            expected[slot] = files.values[owner][request.source.path][row]
        assert np.array_equal(request.out, expected)


def request_of(source, counts, rows, slots):
    out = np.empty((sum(counts), *source.row_shape), source.dtype)
    return ReadRequest(source, np.cumsum([0, *counts]), rows, slots, out)


def test_rows_in_one_piece_are_found_for_all_files_at_once(files, scanned, monkeypatch):
    paths, looked_up = files.paths, []
    made = chunk_map_cache.ChunkMapCache._made
    monkeypatch.setattr(
        chunk_map_cache.ChunkMapCache,
        "_made",
        lambda *args: (looked_up.append(args[1][1].path), made(*args))[1],
    )
    counts, rows = [1] * len(paths), np.arange(len(paths))
    with HandlePool(Access(), scanned_files=scanned) as pool:
        reader = make_reader("auto", pool)
        requests = [request_of(source, counts, rows, rows) for source in SOURCES]
        reader.read(paths, requests)
        for request in requests:
            found = zip(request.out, files.values, rows, strict=True)
            assert all(np.array_equal(one, values[request.source.path][row]) for one, values, row in found)
        reader.close()
    # `y` is contiguous in all files. `x` is in three of 21, and needs HDF5 in three.
    assert looked_up == ["x"] * 15


def test_a_whole_dataset_is_read_without_a_map(files, reader):
    maps = maps_held()
    for path, values in zip(files.paths, files.values, strict=True):
        out = np.zeros(ROWS)
        reader.read_whole(path, DatasetColumn("y", None, "<f8", (ROWS,)), out)
        assert np.array_equal(out, values["y"])
    assert maps_held() <= maps


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f8"])
def test_a_whole_dataset_in_another_buffer(files, reader, dtype):
    out = np.zeros((ROWS, 2), dtype)[:, 0]
    reader.read_whole(files.paths[1], DatasetColumn("y", None, "<f8", (ROWS,)), out)
    assert np.array_equal(out, files.values[1]["y"])


def test_without_a_fallback_the_file_is_named(files):
    paths = files.paths[:7]
    with HandlePool(Access()) as pool:
        direct = make_reader("direct", pool)
        request = request_of(SOURCES[0], [1] * 7, np.zeros(7, np.int64), np.arange(7))
        with pytest.raises(UnsupportedFieldError, match=r"'/x' in .*6\.h5 .*reader='direct' cannot read it"):
            direct.read(paths, [request])
        direct.close()


@pytest.mark.parametrize("row", [-1, ROWS], ids=["before", "behind"])
def test_a_row_outside_is_told_of_its_file(files, reader, row):
    rows = np.array([3, 4, row, 5])
    request = request_of(SOURCES[0], [2, 2], rows, np.arange(4))
    with pytest.raises((IndexError, FileChangedError), match=r"7\.h5 "):
        reader.read([files.paths[0], files.paths[7]], [request])


def test_one_bad_file_among_many_is_named(tmp_path, files):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"no HDF5 at all" * 99)
    with HandlePool(Access()) as pool:
        reader = make_reader("auto", pool)
        request = request_of(SOURCES[1], [1, 1, 1], np.zeros(3, np.int64), np.arange(3))
        with pytest.raises(BadFileError, match=r"bad\.h5"):
            reader.read([files.paths[0], str(bad), files.paths[1]], [request])
        # Nothing is left in use: the others still read.
        reader.read(files.paths[:3], [request])
        assert request.out.tolist() == [0, 1000, 2000]
        reader.close()
