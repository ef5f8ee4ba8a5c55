"""Statistics of files of many layouts against NumPy's over the rows of train, one after the other."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning import Access, Field, H5DataModule, Rows, Series, Split, Whole, Windows
from h5lightning.errors import FieldError, MissingDataError, MissingFieldError, OptionError, SplitError
from h5lightning.loading.passes.read_statistics import read_statistics
from h5lightning.planning.statistics import StatisticsRequest

pytestmark = pytest.mark.timeout(240)
GZIP = {"chunks": True, "compression": "gzip", "shuffle": True}


def statistics(dm: H5DataModule, requests, **options):
    dm.setup()
    data = dm._data
    options = {"threads": 2, "progress": False, "access": Access(), **options}
    return read_statistics(data.survey, data.plan, requests, **options)


def train_rows(dm: H5DataModule):
    """File, unit, series and row in the series of each row of train, by the plan of the split."""
    index, part = dm._data.survey.index, dm._data.plan.parts["train"]
    each = [
        (int(series), row)
        for series, start, stop in zip(
            part.series.tolist(), part.start.tolist(), part.stop.tolist(), strict=True
        )
        for row in range(start, stop)
    ]
    if part.subset is not None:
        from h5lightning.core.permutation import KeyedPermutation

        permutation = KeyedPermutation(len(each), part.subset.key)
        slices = zip(part.subset.slices.starts.tolist(), part.subset.slices.stops.tolist(), strict=True)
        chosen = np.concatenate([permutation(np.arange(*span)) for span in slices])
        each = [each[number] for number in sorted(chosen.tolist())]
    return [(int(index.series_file[series]), series, row) for series, row in each]


def check(found, rows, per, *, shares=(), masks=None):
    """Compare statistics with those of a list of rows, which may have different shapes along their leading axes."""
    kept, nonfinite, masked = {}, {}, {}
    for number, row in enumerate(map(np.asarray, rows)):
        mask = np.ones(row.shape, bool)
        if masks is not None:
            own = np.asarray(masks[number]).astype(bool)
            mask = np.broadcast_to(own.reshape(*own.shape, *(1,) * (row.ndim - own.ndim)), row.shape)
        for place in np.ndindex(*found.mean.shape):
            at = {"all": (), "last": (..., *place), "first": place, "element": place}[per]
            one, counts = (row[at], mask[at]) if at else (row, mask)
            one, counts = np.ravel(one).astype("f8"), np.ravel(counts)
            kept.setdefault(place, []).append(one[counts & np.isfinite(one)])
            nonfinite[place] = nonfinite.get(place, 0) + int((counts & ~np.isfinite(one)).sum())
            masked[place] = masked.get(place, 0) + int((~counts).sum())
    for place, parts in kept.items():
        own = np.concatenate(parts)
        counts = found.count[place], found.nonfinite[place], found.masked[place]
        assert counts == (own.size, nonfinite[place], masked[place])
        assert found.mean[place] == pytest.approx(own.mean(), rel=1e-12)
        assert found.std[place] == pytest.approx(own.std(), rel=1e-8, abs=1e-12)
        assert (found.min[place], found.max[place]) == (own.min(), own.max())
        for share in shares:
            assert found.quantiles[share][place] == pytest.approx(np.quantile(own, share), rel=1e-12)


@pytest.fixture
def tables(tmp_path: Path):
    """Seven files of rows, stored in several ways, and what is in them."""
    rng, contents = np.random.default_rng(0), []
    record = np.dtype([("a", "<f4"), ("b", "<i2"), ("c", "<f4", (2,))])
    for number in range(7):
        rows = 60 + 11 * number
        table = np.zeros(rows, record)
        table["a"], table["b"], table["c"] = (
            rng.normal(size=rows),
            rng.integers(0, 99, rows),
            rng.normal(size=(rows, 2)),
        )
        own = {
            "x": (rng.normal(size=(rows, 3, 4)) + 1e6).astype("<f4"),
            "y": rng.integers(0, 255, rows).astype("u1"),
            "big": rng.integers(-9, 9, (rows, 3)).astype(">i4"),
            "lost": np.where(rng.random((rows, 3)) < 0.3, np.nan, rng.normal(size=(rows, 3))),
            "mask": rng.random((rows, 3)) < 0.6,
            "t": table,
            "grid": rng.normal(size=(3, 4)),
            "packed": rng.integers(-90, 90, (rows, 2)).astype("<i2"),
        }
        own["packed"][::7] = -99
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for name, values in own.items():
                file.create_dataset(name, data=values, **(GZIP if number % 2 or name == "t" else {}))
            file["packed"].attrs.update(
                scale_factor=0.25 * (number + 1), add_offset=3.0, _FillValue=np.int16(-99)
            )
            file.attrs["cell"] = np.arange(2.0) + number
        own["decoded"] = np.where(own["packed"] == -99, np.nan, own["packed"] * (0.25 * (number + 1)) + 3.0)
        own["cell"] = np.arange(2.0) + number
        contents.append(own)
    return f"{tmp_path}/*.h5", contents


FIELDS = {
    "x": "x",
    "y": "y",
    "big": Field("big", dtype="float32"),
    "lost": "lost",
    "mask": "mask",
    "a": Field("t", member="a"),
    "cb": Field("t", member=["c", "b"], dtype="float32"),
    "grid": Field("grid", constant=True),
    "decoded": Field("packed", decode="cf"),
    "cell": "attr:cell",
}


@pytest.mark.parametrize(
    ("by", "per", "reader"),
    [
        ("file", "last", "h5py"),
        ("block", "first", "auto"),
        ("sample", "element", "auto"),
        ("sample", "all", "h5py"),
        ("block", "last", "auto"),
    ],
)
def test_files_of_rows(tables, by, reader, per):
    files, contents = tables
    dm = H5DataModule(files, FIELDS, split=Split(by=by), seed=4)
    shares = (0.01, 0.5)
    requests = {key: StatisticsRequest(per, quantiles=shares if key in "xya" else ()) for key in FIELDS}
    requests["lost"] = StatisticsRequest(per, where="mask")
    found = statistics(dm, requests, reader=reader)
    rows = train_rows(dm)
    for key, field in FIELDS.items():
        path = field.path if isinstance(field, Field) else key
        values = []
        for file, _, row in rows:
            own = contents[file]
            if key in ("grid", "cell"):
                values.append(own[key])
            elif key == "a":
                values.append(own["t"]["a"][row])
            elif key == "cb":
                values.append([*own["t"]["c"][row], own["t"]["b"][row]])
            else:
                values.append(own["decoded" if key == "decoded" else path][row])
        masks = [contents[file]["mask"][row] for file, _, row in rows] if key == "lost" else None
        check(found[key], values, per, shares=shares if key in "xya" else (), masks=masks)


def test_windows_steps_and_padding_count_each_row_once(tables):
    files, contents = tables
    dm = H5DataModule(
        files,
        {"x": Field("x", steps=(-3, 2)), "next": Field("x", steps=(0, 7)), "y": "y"},
        samples=Windows(5, stride=2, dilation=2, pad="zero"),
        split=Split(by="block"),
    )
    found = statistics(dm, {key: StatisticsRequest("first") for key in ("x", "next", "y")})
    rows = train_rows(dm)
    check(found["x"], [contents[file]["x"][row] for file, _, row in rows], "first")
    check(found["y"], [contents[file]["y"][row] for file, _, row in rows], "first")
    assert found["x"].mean.tolist() == found["next"].mean.tolist()


def test_the_number_of_threads_changes_no_bit(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset(
                "x", data=rng.normal(size=(40_000 * (1 + 9 * (number == 1)), 30)).astype("f4")
            )
    request = {"x": StatisticsRequest(quantiles=(0.01, 0.99))}
    found = []
    for threads in (1, 2, 5):
        dm = H5DataModule(f"{tmp_path}/*.h5", ["x"], split=Split(by="block"))
        found.append(statistics(dm, request, threads=threads)["x"])
    for other in found[1:]:
        assert np.array_equal(found[0].mean, other.mean)
        assert np.array_equal(found[0].std, other.std)
        assert np.array_equal(found[0].quantiles[0.01], other.quantiles[0.01])


@pytest.mark.parametrize("by", ["block", "sample"])
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_long_runs_of_whole_chunks(tmp_path, by, reader):
    rng, contents = np.random.default_rng(7), []
    for number in range(2):
        values = rng.integers(-9, 9, 150_000).astype("<f4")
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=values, chunks=(20_000,), compression="gzip", compression_opts=1)
            file.create_dataset("big", data=values, dtype=">f8", chunks=(9_000,), compression="lzf")
        contents.append(values)
    dm = H5DataModule(f"{tmp_path}/*.h5", ["x", "big"], split=Split(by=by, val=0.2), reader=reader)
    requests = {"x": StatisticsRequest(), "big": StatisticsRequest()}
    found, rows = statistics(dm, requests, reader=reader), train_rows(dm)
    files, _, places = np.asarray(rows).T
    values = np.stack(contents)[files, places].astype("f8")
    for one in found.values():
        assert (one.count, one.mean) == (values.size, pytest.approx(values.mean(), rel=1e-12))
        assert one.std == pytest.approx(values.std(), rel=1e-12)


@pytest.mark.parametrize("by", ["series", "block", "sample"])
def test_series_of_many_kinds(tmp_path, by):
    rng, contents = np.random.default_rng(2), []
    for number in range(3):
        own = {}
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for demo in range(5 + number):
                values = rng.normal(size=(9 + 3 * demo, 2)).astype("f4")
                group = file.create_group(f"data/demo_{demo}")
                group["x"], group.attrs["goal"] = values, float(demo * number)
                own[f"demo_{demo}"] = values, float(demo * number)
        contents.append(own)
    fields = {"x": "data/*/x", "goal": "attr:goal"}
    dm = H5DataModule(
        f"{tmp_path}/*.h5", {"x": "data/*/x", "goal": Field("data/*", attr="goal")}, split=Split(by=by)
    )
    found = statistics(dm, {key: StatisticsRequest() for key in fields})
    index, rows = dm._data.survey.index, train_rows(dm)
    parts = [(contents[file][index.series_name(series)], row) for file, series, row in rows]
    check(found["x"], [own[0][row] for own, row in parts], "last")
    check(found["goal"], [own[1] for own, _ in parts], "last")


@pytest.mark.parametrize("samples", [Rows(axis=1), Windows(3, axis=1), Whole(axis=1)])
def test_series_along_a_leading_axis(tmp_path, samples):
    rng, contents = np.random.default_rng(3), []
    for number in range(3):
        own = {
            "x": rng.normal(size=(4 + number, 12, 3)),
            "p": rng.normal(size=(4 + number, 2)),
            "t": rng.normal(size=12),
        }
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=own["x"], chunks=(2, 5, 3), compression="gzip")
            file["p"], file["t"] = own["p"], own["t"]
        contents.append(own)
    fields = {
        "x": "x",
        "p": Field("p", constant=True, series_axis=0),
        "t": Field("t", axis=0),
    }
    dm = H5DataModule(
        f"{tmp_path}/*.h5", fields, samples=samples, series=Series(axis=0), split=Split(by="series")
    )
    found = statistics(dm, {key: StatisticsRequest() for key in fields})
    index, rows = dm._data.survey.index, train_rows(dm)
    place = [(contents[file], series - int(index.first_series[file]), row) for file, series, row in rows]
    check(found["x"], [own["x"][one, row] for own, one, row in place], "last")
    check(found["p"], [own["p"][one] for own, one, _ in place], "last")
    check(found["t"], [own["t"][row] for own, _, row in place], "last")


@pytest.mark.parametrize("per", ["last", "all"])
@pytest.mark.parametrize("samples", [Windows(4, axis=-1), Whole(axis=-1), Rows(axis=-1)])
def test_rows_along_the_last_axis(tmp_path, samples, per):
    rng, contents = np.random.default_rng(4), []
    for number in range(3):
        own = {"x": rng.normal(size=(3, 40 + number)), "y": rng.normal(size=(3, 40 + number))}
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=own["x"], **GZIP)
            file["y"] = own["y"]
        contents.append(own)
    ragged = "list" if isinstance(samples, Whole) else "error"
    fields = {"x": Field("x", ragged=ragged), "y": Field("y", ragged=ragged)}
    if not isinstance(samples, Whole):
        fields["xy"] = Field(["x", "y"], join="concat")
    dm = H5DataModule(f"{tmp_path}/*.h5", fields, samples=samples, split=Split(by="file", val=0.3, test=None))
    found = statistics(dm, {key: StatisticsRequest(per) for key in fields})
    rows = train_rows(dm)
    check(found["x"], [contents[file]["x"][:, row] for file, _, row in rows], per)
    if "xy" in found:
        both = [np.concatenate([contents[file][name][:, row] for name in "xy"]) for file, _, row in rows]
        check(found["xy"], both, per)


@pytest.mark.parametrize(("by", "tile_bytes"), [("file", 2**25), ("block", 2**12), ("file", 1)])
def test_volumes(tmp_path, monkeypatch, by, tile_bytes):
    monkeypatch.setattr("h5lightning.loading.passes.row_pass._TILE_BYTES", tile_bytes)
    rng, contents = np.random.default_rng(5), []
    for number in range(4):
        shape = (9 + number, 12, 10 + number)
        own = {"x": rng.normal(size=(*shape, 2)).astype("f4"), "m": rng.random(shape) < 0.5}
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=own["x"], chunks=(4, 5, 3, 1), compression="gzip")
            file.create_dataset("m", data=own["m"], **GZIP)
        contents.append(own)
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        ["x", "m"],
        samples=Windows((3, 4, 4), axis=(0, 1, 2), pad="edge"),
        split=Split(by=by),
    )
    found = statistics(dm, {"x": StatisticsRequest(where="m"), "m": StatisticsRequest()})
    rows = train_rows(dm)
    masks = [contents[file]["m"][row] for file, _, row in rows]
    check(found["x"], [contents[file]["x"][row] for file, _, row in rows], "last", masks=masks)
    check(found["m"], masks, "all")


@pytest.mark.parametrize("by", ["sample", "block", "file"])
def test_rows_of_unequal_shapes(tmp_path, by):
    rng, contents = np.random.default_rng(6), []
    for number in range(4):
        lengths = rng.integers(0, 6, 30)
        points = rng.normal(size=(int(lengths.sum()), 3)).astype("f4")
        own = {
            "points": np.split(points, np.cumsum(lengths)[:-1]),
            "valid": np.split(rng.random(len(points)) < 0.5, np.cumsum(lengths)[:-1]),
            "image": rng.normal(size=(30, 4, 5 + number)),
        }
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["points"], file["valid"] = points, np.concatenate(own["valid"])
            file["offsets"] = np.concatenate([[0], np.cumsum(lengths)])
            file.create_dataset("image", data=own["image"], **GZIP)
        contents.append(own)
    fields = {
        "points": Field("points", index="offsets", ragged="concat"),
        "valid": Field("valid", index="offsets", ragged="list"),
        "image": Field("image", ragged="pad"),
    }
    dm = H5DataModule(f"{tmp_path}/*.h5", fields, split=Split(by=by))
    asked = {
        "points": StatisticsRequest(where="valid"),
        "image": StatisticsRequest("first"),
        "valid": StatisticsRequest(),
    }
    found, rows = statistics(dm, asked), train_rows(dm)
    own = [(contents[file], row) for file, _, row in rows]
    check(
        found["points"],
        [one["points"][row] for one, row in own],
        "last",
        masks=[one["valid"][row] for one, row in own],
    )
    check(found["valid"], [one["valid"][row] for one, row in own], "all")
    check(found["image"], [one["image"][row] for one, row in own], "first")
    with pytest.raises(FieldError, match="per='element' needs rows of one shape"):
        statistics(dm, {"image": StatisticsRequest("element")})


def test_extra_rows_and_files_that_go_on(tmp_path):
    for number in range(4):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["o"] = np.arange(20.0) + 20 * number, np.arange(21.0) * number
            file["time"] = np.arange(20.0) + 20 * number
    files = f"{tmp_path}/*.h5"
    dm = H5DataModule(
        files, {"x": "x", "o": Field("o", extra_rows=1)}, samples=Windows(4), split=Split(by="file")
    )
    found, rows = statistics(dm, {"o": StatisticsRequest()}), train_rows(dm)
    check(found["o"], [float(row * file) for file, _, row in rows], "last")
    dm = H5DataModule(files, ["x"], samples=Windows(7), series=Series(join_files="time"))
    found, rows = statistics(dm, {"x": StatisticsRequest()}), train_rows(dm)
    check(found["x"], [20.0 * file + row for file, _, row in rows], "last")


def test_what_cannot_be_computed_is_an_error(tmp_path, tables):
    files, _ = tables
    dm = H5DataModule(files, {"x": "x", "lost": "lost", "grid": Field("grid", constant=True)})
    with pytest.raises(MissingFieldError, match="no field 'lots' for statistics"):
        statistics(dm, {"lots": StatisticsRequest()})
    with pytest.raises(FieldError, match=r"rows of the shape \(3,\), and where='x' has \(3, 4\)"):
        statistics(dm, {"lost": StatisticsRequest(where="x")})
    with pytest.raises(FieldError, match="no rows in common"):
        statistics(dm, {"grid": StatisticsRequest(where="lost")})
    with h5py.File(tmp_path / "wide.hdf5", "w") as file:
        file["x"], file["z"] = np.zeros((60, 5000)), np.zeros((60, 2), complex)
        values = np.ones((60, 1000), "i2")  # a scan looks at all rows of less
        values[4] = -1
        file["m"] = values
        file["m"].attrs["_FillValue"] = np.int16(-1)
    dm = H5DataModule(
        str(tmp_path / "wide.hdf5"), {"x": "x", "z": "z", "m": Field("m")}, split=Split(by="block")
    )
    with pytest.raises(OptionError, match="quantiles of 5000 channels"):
        statistics(dm, {"x": StatisticsRequest(quantiles=(0.5,))})
    with pytest.raises(FieldError, match="complex"):
        statistics(dm, {"z": StatisticsRequest()})
    with pytest.raises(MissingDataError, match=r"holds -1 at row 4 of .*wide\.hdf5"):
        statistics(dm, {"m": StatisticsRequest()})
    dm = H5DataModule({"test": str(tmp_path / "wide.hdf5")}, ["x"])
    with pytest.raises(SplitError, match="no 'train'"):
        statistics(dm, {"x": StatisticsRequest()})
