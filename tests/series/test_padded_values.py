"""What stands in padding, and which rows errors name: missing values, other types, chunks that are decoded ahead."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5DataModule, H5Dataset, Series, Windows
from h5lightning.errors import FieldError, MissingDataError, NonFiniteError

pytestmark = pytest.mark.timeout(120)
READERS = ("auto", "h5py")
ROWS = 6


@pytest.fixture
def opened():
    made = []

    def make(*args, **options):
        made.append(H5Dataset(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("pad", ["edge", "zero"])
def test_padding_beside_missing_values(tmp_path, opened, pad, dtype, reader):
    """Missing values at the borders are NaN in the rows, and repeated or 0 in the padding."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, last in (("demo_0", ROWS - 1), ("demo_1", 2)):
            stored = np.arange(2 * ROWS, dtype="i2").reshape(ROWS, 2)
            stored[0], stored[last, 1] = -1, -1
            made = file.create_dataset(f"{name}/x", data=stored, chunks=(4, 2), compression="gzip")
            made.attrs.update(scale_factor=0.5, add_offset=1.0, _FillValue=np.int16(-1))
    fields = {"x": Field("*/x", decode="cf", dtype=dtype, steps=(-2, 3)), "gone": "pad:x"}
    dataset = opened(str(tmp_path / "a.h5"), fields, Windows(1, pad=pad), reader=reader)
    batch = dataset.read_batch(range(2 * ROWS))
    with h5py.File(tmp_path / "a.h5") as file:
        for number in range(2 * ROWS):
            stored = file[f"demo_{number // ROWS}/x"][()]
            values = np.where(stored == -1, np.nan, stored * 0.5 + 1)
            rows = number % ROWS + np.arange(-2, 3)
            gone = (rows < 0) | (rows >= ROWS)
            expected = values[rows.clip(0, ROWS - 1)]
            if pad == "zero":
                expected[gone] = 0
            np.testing.assert_array_equal(batch["x"][number].double().numpy(), expected)
            np.testing.assert_array_equal(batch["gone"][number].numpy(), gone)
    assert str(batch["x"].dtype) == f"torch.{dtype}"


SERIES = {
    "file": ("x", None, {}),
    "names": ("data/*/x", None, {}),
    "table": ("x", Series(ends="ends"), {}),
    "axis": ("x", Series(axis=0), {"axis": 1}),
}


def write(path, kind, values):
    """Three series of as many rows as ``values[0]`` has, or one."""
    attrs = {"missing_value": 1e20}
    with h5py.File(path, "w") as file:
        for number, one in enumerate(values if kind == "names" else [0]):
            name = f"data/demo_{number}/x" if kind == "names" else "x"
            data = (
                one if kind == "names" else values if kind == "axis" else values.reshape(-1, values.shape[-1])
            )
            file[name] = values[1] if kind == "file" else data
            file[name].attrs.update(attrs)
        file["ends"] = np.arange(1, len(values) + 1) * values.shape[1]
    return str(path)


WHERE = {
    "file": r"row 4 of .*a\.h5",
    "names": r"row 4 of series 'demo_1' of .*a\.h5",
    "table": r"row 4 of series '1' of .*a\.h5",
    "axis": r"row 4 of series '1' of .*a\.h5",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("steps", [(-3, 2), (0, 1)], ids=["clipped", "inside"])
@pytest.mark.parametrize("kind", SERIES)
def test_errors_name_the_row_and_the_series(tmp_path, opened, kind, steps, reader):
    """A missing value, and a value that the type cannot hold, in row 4 of the second of three series."""
    path, series, axis = SERIES[kind]
    errors = ((1e39, "float32", FieldError), (1e20, "float64", MissingDataError))
    for bad, dtype, error in (
        errors[:1] if kind == "axis" else errors
    ):  # of axes, the scan finds missing values
        values = np.ones((3, ROWS, 3000))
        values[1, 4, 1701] = bad  # where no scan looks
        file = write(tmp_path / "a.h5", kind, values)
        field = Field(path, steps=steps, dtype=dtype)
        dataset = opened(file, {"x": field}, Windows(1, pad="edge", **axis), series=series, reader=reader)
        with pytest.raises(error, match=f"field 'x' .*holds 1e.{int(np.log10(bad))} at {WHERE[kind]}"):
            dataset.read_batch(range(len(dataset)))


def test_errors_of_constants_name_the_series(tmp_path, opened):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(3):
            file[f"run_{number}/x"] = np.arange(4)
            grid = np.ones((40, 3000))
            grid[13, 1701] = 1 if number != 1 else 1e20
            file[f"run_{number}/grid"] = grid
            file[f"run_{number}/grid"].attrs["missing_value"] = 1e20
    fields = {"x": "run_*/x", "grid": Field("run_*/grid", constant=True)}
    dataset = opened(str(tmp_path / "a.h5"), fields)
    with pytest.raises(MissingDataError, match=r"holds 1e\+20 at \[13, 1701\] in series 'run_1' of .*a\.h5"):
        dataset.read_batch(range(12))


@pytest.mark.parametrize("kind", SERIES)
def test_errors_of_what_is_not_finite_name_the_sample(tmp_path, opened, kind):
    path, series, axis = SERIES[kind]
    values = np.ones((3, ROWS, 2))
    values[1, 4] = np.nan
    file = write(tmp_path / "a.h5", kind, values)
    dataset = opened(
        file, {"x": Field(path, steps=(0, 1))}, Windows(1, pad="zero", **axis), series=series,
        access={"on_nonfinite": "raise"},
    )  # fmt: skip
    name = {"file": "", "names": " of series 'demo_1'", "table": " of series '1'", "axis": " of series '1'"}
    with pytest.raises(NonFiniteError, match=f"the sample at row 4{name[kind]} of .*a.h5"):
        dataset.read_batch(range(len(dataset)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["file", "names", "table", "axis", "runs of files"])
def test_chunks_that_are_decoded_ahead(tmp_path, kind, threads):
    """Each sample once, with its values, in epochs that mix compressed chunks; padded at the borders of series."""
    files, entries, rows = 4, 3, 40
    for number in range(files):
        start = 1000 * number if kind != "runs of files" else rows * number
        values = start + np.arange(entries * rows, dtype="f4")
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            gzip = {"compression": "gzip"}
            if kind == "names":
                for entry, one in enumerate(values.reshape(entries, rows)):
                    file.create_dataset(f"data/d{entry}/x", data=one, chunks=(7,), **gzip)
            elif kind == "axis":
                file.create_dataset("x", data=values.reshape(entries, rows), chunks=(1, 8), **gzip)
            else:
                own = values if kind == "table" else values[:rows]
                file.create_dataset("x", data=own, chunks=(7,), **gzip)
            file["ends"] = np.arange(1, entries + 1) * rows
            file["time"] = rows * number + np.arange(rows)
    path, series, axis = SERIES.get(kind, ("x", Series(join_files="time"), {}))
    dm = H5DataModule(
        str(tmp_path / "*.h5"), {"x": Field(path, steps=(-2, 3)), "gone": "pad:x"}, Windows(1, pad="zero", **axis),
        series=series, split={"val": None, "test": None}, batch_size=8, threads=threads, provenance=True, seed=1,
        shuffle={"mode": "block", "window_bytes": 1024}, access={"cache_bytes": 1 << 16},
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    assert dm.train_dataset._batches.chunk_needs() is not None
    count = files * rows if kind in ("file", "runs of files") else files * rows * entries
    found = []
    try:
        for _ in range(2):
            epoch = []
            for batch in dm.train_dataloader():
                for slot, where in enumerate(dm.locate(batch["sample_id"])):
                    number, row = int(os.path.basename(where.file)[0]), where.row
                    entry = int(where.series.removeprefix("d") or 0)
                    steps = row + np.arange(-2, 3)
                    first, stop, base = 0, rows, 1000 * number + rows * entry
                    if kind == "runs of files":
                        first, stop, base = -rows * number, rows * (files - number), rows * number
                    gone = (steps < first) | (steps >= stop)
                    np.testing.assert_array_equal(batch["x"][slot].numpy(), np.where(gone, 0, base + steps))
                    np.testing.assert_array_equal(batch["gone"][slot].numpy(), gone)
                    epoch.append((number, entry, row))
            assert len(epoch) == len(set(epoch)) == count
            found.append(epoch)
    finally:
        dm.teardown()
    assert found[0] != found[1]
