"""Plain h5py reads each sample once, whatever the files hold."""

import h5py
import numpy as np
import pytest

from h5lightning.core.string_table import StringTable
from h5lightning.options import Access, Whole, Windows
from h5lightning.tools.bench.plain_h5py import PlainH5py, PlainSeries

RECORD = np.dtype([("a", "<f4"), ("b", "<i8", (2,)), ("c", "u1")])


def write(path, rows, **storage):
    storage = storage if rows else {}  # a chunk may not be larger than the data
    with h5py.File(path, "w") as file:
        first = int(path.stem) * 1000
        file.create_dataset("x", data=np.arange(first, first + rows).astype(">i4"), **storage)
        records = np.zeros(rows, RECORD)
        records["b"] = np.arange(first, first + rows)[:, None]
        file.create_dataset("table", data=records, **storage)
    return str(path)


@pytest.fixture(params=[{}, {"chunks": (8,)}, {"chunks": (8,), "compression": "gzip"}], ids=str)
def files(request, tmp_path):
    return {
        write(tmp_path / f"{number}.h5", rows, **request.param): rows
        for number, rows in enumerate((30, 0, 17))
    }


def plain_h5py(files, columns=("x",), **options):
    members = columns if isinstance(columns, dict) else {name: [None] for name in columns}
    series = files if isinstance(files, PlainSeries) else PlainSeries.of_files(files)
    return PlainH5py(series, members, Access(), **{"batch_size": 8, "seed": 0, **options})


def batches_of(plain):
    """What each batch holds, and how many samples it says."""
    read, found = plain._read, []
    plain._read = lambda *arguments: found.append(read(*arguments))
    return found, list(plain())


def test_each_row_once_with_all_its_columns(files):
    found, counts = batches_of(plain_h5py(files, {"x": [None], "table": ["b", "c"]}))
    assert [len(batch[0]) for batch in found] == counts == [8] * 5 + [7]
    x, b, c = (np.concatenate(part) for part in zip(*found, strict=True))
    assert np.array_equal(np.sort(x), [*range(30), *range(2000, 2017)])
    assert not np.array_equal(np.sort(x), x)
    assert np.array_equal(b, np.stack([x, x], axis=1))
    assert not c.any()


def test_the_first_rows(files):
    found, _ = batches_of(plain_h5py({path: min(rows, 3) for path, rows in files.items()}))
    assert np.array_equal(found[0][0], [0, 1, 2, 2000, 2001, 2002])


def test_whole_files(files):
    found, counts = batches_of(
        plain_h5py({path: rows for path, rows in files.items() if rows}, samples=Whole())
    )
    assert counts == [2]
    assert [len(values) for values in found[0]] == [30, 17]


def test_a_reason_in_place_of_an_error(tmp_path):
    path = write(tmp_path / "0.h5", 10)
    assert plain_h5py({path: 10}).why_not() == ""
    assert plain_h5py({path: 10}, ["y"]).why_not().startswith(f"MissingFieldError: '/y' is not in {path}")


def test_files_are_closed_after_an_epoch(tmp_path):
    path = write(tmp_path / "0.h5", 10)
    plain = plain_h5py({path: 10})
    list(plain())
    plain.why_not()
    with h5py.File(path, "r+") as file:  # HDF5 refuses to write to what is open elsewhere
        file["z"] = 1


def test_series_of_a_table(tmp_path):
    path = write(tmp_path / "0.h5", 10)
    table = PlainSeries([path], np.zeros(2, np.int64), np.array([0, 6]), np.array([6, 3]))
    found, _ = batches_of(plain_h5py(table, batch_size=20))
    assert np.array_equal(found[0][0], range(9))
    found, _ = batches_of(plain_h5py(table, samples=Whole()))
    assert [values.tolist() for values in found[0]] == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]
    found, counts = batches_of(plain_h5py(table, samples=Windows(2, stride=2, dilation=2)))
    assert (counts, found[0][0].tolist()) == ([3], [[0, 2], [2, 4], [6, 8]])


def test_series_of_a_star(tmp_path):
    path = str(tmp_path / "0.h5")
    with h5py.File(path, "w") as file:
        for number in range(3):
            file[f"demo_{number}/x"] = np.arange(number) + 10 * number
    texts = StringTable.of(["0", "1", "2"])
    demos = PlainSeries([path], np.zeros(3, np.int64), np.zeros(3, np.int64), np.arange(3), texts)
    found, counts = batches_of(plain_h5py(demos, ["demo_*/x"]))
    assert (counts, found[0][0].tolist()) == ([3], [10, 20, 21])


def test_series_of_a_leading_axis(tmp_path):
    path = str(tmp_path / "0.h5")
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(12).reshape(3, 4)
    rows = np.full(3, 4)
    axis = PlainSeries([path], np.zeros(3, np.int64), np.arange(3) * 4, rows, is_leading=True)
    found, _ = batches_of(plain_h5py(axis, batch_size=20))
    assert found[0][0].tolist() == list(range(12))
    found, _ = batches_of(plain_h5py(axis, samples=Windows(3), batch_size=20))
    assert found[0][0].tolist() == [[row, row + 1, row + 2] for row in (0, 1, 4, 5, 8, 9)]
    found, _ = batches_of(plain_h5py(axis, samples=Whole()))
    assert [values.tolist() for values in found[0]] == np.arange(12).reshape(3, 4).tolist()
