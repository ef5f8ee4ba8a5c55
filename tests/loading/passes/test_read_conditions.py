"""Rows that conditions leave out, against values that h5py reads, in files of many layouts."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning import Access, Field, H5DataModule, H5Dataset, Rows, Series, Split, Table, Whole, Windows
from h5lightning.errors import OptionError, ResumeError, SplitError
from h5lightning.loading.passes.row_pass import RowPass

pytestmark = pytest.mark.timeout(240)
ROWS = 60
TEXT = h5py.string_dtype()
BY_FILE = Split(by="file", val=None, test=0.5)
BLOCK = Split(by="block", val=None, test=0.5)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of 60 rows with values of all kinds, some of them bad."""
    for number in range(2):
        draw = np.random.default_rng(number)
        with h5py.File(tmp_path / f"f{number}.h5", "w") as file:
            x = draw.normal(size=(ROWS, 3)).astype("f4")
            x[draw.random(ROWS) < 0.1, 1] = np.nan
            file.create_dataset("x", data=x, chunks=(7, 3), compression="gzip")
            file["pt"] = draw.normal(size=ROWS).astype("f4")
            file["y"] = draw.integers(0, 5, ROWS).astype("i2")
            file["ok"] = draw.random(ROWS) < 0.9
            donors = [f"d{one}" for one in draw.integers(0, 4, ROWS)]
            file.create_dataset("donor", data=donors, dtype=TEXT)
            file.create_dataset("fixed", data=np.asarray(donors, "S2"))
            kind = h5py.enum_dtype({"low": 0, "high": 7}, basetype="i1")
            file.create_dataset("level", data=draw.choice([0, 7], ROWS).astype("i1"), dtype=kind)
            file["table"] = np.rec.fromarrays([x[:, 0], draw.integers(0, 3, ROWS)], names="a,b")
            file.attrs["acq"], file.attrs["mag"] = ("AX", "AY")[number], float(number)
    return tmp_path


MADE: list[H5DataModule] = []


@pytest.fixture(autouse=True)
def closed():
    """Close the files of all modules that a test made."""
    yield
    for dm in MADE:
        dm.teardown()
    MADE.clear()


def module(path: Path, where, samples=None, split=BY_FILE, **options) -> H5DataModule:
    fields = options.pop("fields", {"x": "x", "y": "y"})
    dm = H5DataModule(f"{path}/*.h5", fields, samples, split, where=where, index_dir=str(path), **options)
    MADE.append(dm)
    dm.prepare_data()
    dm.setup()
    return dm


def ids_of(dataset) -> list[int]:
    """The ids of all samples of a dataset."""
    return dataset.sample_ids(np.arange(len(dataset))).tolist()


def kept(dm: H5DataModule) -> list[tuple[str, int]]:
    """File and row of all samples of train, val and test, as they are delivered."""
    ids = []
    for name in ("train", "val", "test"):
        dataset = getattr(dm, f"{name}_dataset")
        if dataset is not None:
            ids += ids_of(dataset)
    return [(os.path.basename(where.file), where.row) for where in dm.locate(sorted(ids))]


def rows_with(path: Path, fulfils) -> list[tuple[str, int]]:
    found = []
    for number in range(2):
        with h5py.File(path / f"f{number}.h5") as file:
            found += [(f"f{number}.h5", row) for row in range(ROWS) if fulfils(file, row)]
    return found


def text(file: h5py.File, row: int) -> str:
    return file["donor"][row].decode()


@pytest.mark.parametrize(
    ("where", "fulfils"),
    [
        ({"x": "finite"}, lambda f, r: np.isfinite(f["x"][r]).all()),
        ({"pt": (-0.5, None)}, lambda f, r: f["pt"][r] >= -0.5),
        ({"pt": (None, 0.5)}, lambda f, r: f["pt"][r] < 0.5),
        ({"x": (-1, 1)}, lambda f, r: ((f["x"][r] >= -1) & (f["x"][r] < 1)).all()),
        ({"y": [0, 3.0, 99]}, lambda f, r: f["y"][r] in (0, 3)),
        ({"ok": True}, lambda f, r: f["ok"][r]),
        ({"ok": [False]}, lambda f, r: not f["ok"][r]),
        ({"donor": ["d1", "d3"]}, lambda f, r: text(f, r) in ("d1", "d3")),
        ({"fixed": ["d0"]}, lambda f, r: f["fixed"][r] == b"d0"),
        ({"level": ["high"]}, lambda f, r: f["level"][r] == 7),
        ({"table[b]": [1, 2]}, lambda f, r: f["table"][r]["b"] in (1, 2)),
        ({"table[a]": (0, None)}, lambda f, r: f["table"][r]["a"] >= 0),
        ({"attr:acq": ["AY"]}, lambda f, _: f.attrs["acq"] == "AY"),
        ({"attr:mag": (0.5, None)}, lambda f, _: f.attrs["mag"] >= 0.5),
        ({"x": "finite", "y": (1, None)}, lambda f, r: np.isfinite(f["x"][r]).all() and f["y"][r] >= 1),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_rows_that_fulfil_all_conditions_are_delivered(files, where, fulfils) -> None:
    dm = module(files, where, split=BLOCK)
    assert kept(dm) == rows_with(files, fulfils)
    summary = dm.summary()
    assert sum(part.rows for part in summary.splits) == 2 * ROWS
    left_out = 2 * ROWS - len(rows_with(files, fulfils))
    assert sum(part.rows_left_out for part in summary.splits) == left_out
    assert (f"Left out by where: {left_out} rows" in str(summary)) == (left_out > 0)
    dataset = H5Dataset(f"{files}/*.h5", {"x": "x"}, where=where, index_dir=str(files))
    assert len(dataset) == len(rows_with(files, fulfils))


def test_the_values_of_categories_are_compared_and_not_their_numbers(files) -> None:
    fields = {"x": "x", "d": Field("donor", categories=True), "n": Field("y", categories=[4, 3, 2, 1, 0])}
    dm = module(files, {"d": ["d2"]}, fields=fields)
    assert kept(dm) == rows_with(files, lambda f, r: text(f, r) == "d2")
    dm = module(files, {"n": (3, None)}, fields=fields)
    assert kept(dm) == rows_with(files, lambda f, r: f["y"][r] >= 3)
    with pytest.raises(OptionError, match=r"where\.d: no file has the value 'd22'; did you mean 'd2'"):
        module(files, {"d": ["d22"]}, fields=fields)
    with pytest.raises(OptionError, match=r"where\.d: the field has categories, whose values are text"):
        module(files, {"d": (1, 2)}, fields=fields)


def test_a_window_is_dropped_with_any_row_that_a_field_reads(files) -> None:
    fields = {"x": Field("x", steps=(0, 1)), "y": Field("y", steps=(2, 4))}
    dm = module(files, {"x": "finite", "ok": True}, Windows(2, dilation=2), fields=fields)

    def fulfils(file, row):
        rows = [row, row + 4, row + 6]
        return row + 6 < ROWS and np.isfinite(file["x"][rows]).all() and file["ok"][rows].all()

    assert kept(dm) == rows_with(files, fulfils)
    batches = list(dm.train_dataloader())
    assert sum(len(batch["x"]) for batch in batches) == len(dm.train_dataset)


@pytest.mark.parametrize("pad", ["edge", "zero"])
def test_padding_is_not_read(files, pad) -> None:
    with h5py.File(files / "f0.h5", "r+") as file:
        file["ok"][:] = True
        file["ok"][ROWS - 1] = False
    dm = module(files, {"ok": True}, Windows(1, pad=pad), fields={"x": Field("x", steps=(1, 2))})

    def fulfils(file, row):
        # At the edge, the last row stands for the one after it.
        return file["ok"][row + 1] if row + 1 < ROWS else (file["ok"][row] if pad == "edge" else True)

    assert kept(dm) == rows_with(files, fulfils)


def test_a_whole_series_is_left_out_with_any_of_its_rows(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, rows in enumerate([4, 5, 6, 3]):
            file[f"demo_{number}/x"] = np.arange(rows, dtype="f4")
            file[f"demo_{number}/obs"] = np.arange(rows + 1, dtype="f4") - 1
            file[f"demo_{number}"].attrs["success"] = number != 3
    fields = {
        "x": Field("demo_*/x", ragged="list"),
        "obs": Field("demo_*/obs", extra_rows=1, ragged="list"),
    }
    split = Split(by="series", val=None, test=0.5)
    for where, names in (
        ({"x": (None, 4.5)}, ["demo_0", "demo_1", "demo_3"]),
        ({"obs": (None, 4)}, ["demo_0", "demo_3"]),  # the row that only obs has counts
        ({"attr:success": [1]}, ["demo_0", "demo_1", "demo_2"]),
    ):
        for samples in (Whole(), Whole(take=2)):
            dm = module(tmp_path, where, samples, Split(by="series", val=None, test=None), fields=fields)
            assert [one.series for one in dm.locate(ids_of(dm.train_dataset))] == names
    fields = {"x": "demo_*/x", "obs": Field("demo_*/obs", extra_rows=1)}
    fields |= {"next": Field("demo_*/obs", steps=(1, 2), extra_rows=1)}
    dm = module(tmp_path, {"obs": (None, 4)}, Windows(1), split, fields=fields)
    ids = ids_of(dm.train_dataset) + ids_of(dm.test_dataset)
    found = [(one.series, one.row) for one in dm.locate(sorted(ids))]
    assert found == [(f"demo_{n}", r) for n, rows in enumerate([4, 5, 6, 3]) for r in range(rows) if r < 4]


def test_rows_of_other_layouts(tmp_path) -> None:
    draw = np.random.default_rng(0)
    v, e = draw.normal(size=(3, 8, 2)).astype("f4"), draw.normal(size=(4, 9)).astype("f4")
    ends, flat = np.asarray([2, 2, 5, 9]), draw.normal(size=9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"], file["shared"], file["e"] = v, np.arange(8), e
        file["flat"], file["ends"] = flat, ends
    pattern, every = str(tmp_path / "a.h5"), {"index_dir": str(tmp_path)}
    leading = H5Dataset(
        pattern,
        {"v": "v", "t": Field("shared", axis=0)},
        Rows(1),
        series=Series(axis=0),
        where={"v": (-1, 2), "t": (2, None)},
        **every,
    )
    expected = [8 * s + t for s in range(3) for t in range(2, 8) if ((v[s, t] >= -1) & (v[s, t] < 2)).all()]
    assert ids_of(leading) == expected
    along = H5Dataset(pattern, {"e": "e"}, Windows(2, axis=1), where={"e": (-1.5, None)}, **every)
    expected = [t for t in range(8) if (e[:, t : t + 2] >= -1.5).all()]
    assert ids_of(along) == expected
    boxes = H5Dataset(pattern, {"e": "e"}, Windows((1, 2), axis=(0, 1)), where={"e": (-1.7, None)}, **every)
    expected = [8 * r + c for r in range(4) for c in range(8) if (e[r] >= -1.7).all()]
    assert ids_of(boxes) == expected
    entries = H5Dataset(
        pattern, {"h": Field("flat", index="ends", ragged="list")}, where={"h": (-1, None)}, **every
    )
    parts = np.split(flat, ends[:-1])
    assert ids_of(entries) == [i for i in range(4) if (parts[i] >= -1).all()]


def test_windows_cross_files_that_go_on(tmp_path) -> None:
    x = np.arange(24, dtype="f4")
    x[[5, 12]] = np.nan
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["time"] = x[8 * number : 8 * number + 8], np.arange(8.0) + 8 * number
    dm = module(
        tmp_path,
        {"x": "finite"},
        Windows(3),
        Split(by="block", val=None, test=0.25),
        series=Series(join_files="time"),
        fields={"x": "x"},
    )
    starts = [8 * int(file[0]) + row for file, row in kept(dm)]
    assert starts == [s for s in range(22) if np.isfinite(x[s : s + 3]).all() and not s < 18 < s + 3]


def test_a_column_of_a_table(files) -> None:
    (files / "labels.csv").write_text("file,case\nf0.h5,a\nf1.h5,b\n")
    table = Table(str(files / "labels.csv"), file="file")
    dm = module(files, {"table:case": ["b"]}, split=BLOCK, table=table)
    assert {file for file, _ in kept(dm)} == {"f1.h5"}
    (files / "labels.csv").write_text("file,case\nf0.h5,b\nf1.h5,a\n")
    dm = module(files, {"table:case": ["b"]}, split=BLOCK, table=table)
    assert {file for file, _ in kept(dm)} == {"f0.h5"}
    assert set(dm.train_dataset[0]) == {"x", "y"}


def test_only_changed_files_are_read_again(files, monkeypatch) -> None:
    read = []
    run = RowPass.run
    monkeypatch.setattr(
        RowPass,
        "run",
        lambda self, begin, some, **how: read.append(some.tolist()) or run(self, begin, some, **how),
    )
    where = {"x": "finite", "y": (1, None)}
    first = kept(module(files, where))
    assert kept(module(files, where, Windows(2)))
    assert kept(module(files, where)) == first
    assert read == [[0, 1]]
    with h5py.File(files / "f1.h5", "r+") as file:
        file["y"][:] = 0
    assert kept(module(files, where, split=BLOCK)) == [one for one in first if one[0] == "f0.h5"]
    assert read == [[0, 1], [1]]
    for name in files.glob("*.h5rows"):
        name.write_bytes(name.read_bytes()[:-9])
    assert kept(module(files, where, split=BLOCK))
    assert read[2:] == [[0, 1]]


def test_what_is_left_out_travels_with_the_survey_and_the_dataset(files) -> None:
    dm = module(files, {"x": "finite"})
    survey = pickle.loads(pickle.dumps(dm._data.survey))
    part = dm._data.plan.parts["train"]
    ids = part.selection(survey.index)
    assert ids(np.arange(len(ids))).tolist() == ids_of(dm.train_dataset)
    loaded = [
        batch["x"] for batch in module(files, {"x": "finite"}, num_workers=2, batch_size=7).train_dataloader()
    ]
    assert sum(len(one) for one in loaded) == len(ids)
    assert all(one.isfinite().all() for one in loaded)


def test_statistics_are_of_the_rows_that_remain(files) -> None:
    dm = module(files, {"x": "finite", "ok": True}, normalize={"x": "standard"})
    rows = []
    for file in dm.splits["train"]:
        with h5py.File(file) as opened:
            x, ok = opened["x"][:], opened["ok"][:]
        rows.append(x[np.isfinite(x).all(axis=1) & ok])
    values = np.concatenate(rows).astype("f8")
    found = dm.statistics["x"]
    assert np.allclose(found.mean, values.mean(axis=0), rtol=1e-6)
    assert np.allclose(found.std, values.std(axis=0), rtol=1e-6)


def test_statistics_of_entries_of_an_index_are_of_all_entries(tmp_path) -> None:
    values = np.arange(9.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["h"], file["ends"] = values, np.asarray([2, 2, 5, 9])
    fields = {"h": Field("h", index="ends", ragged="list")}
    dm = module(
        tmp_path,
        {"h": (None, 8)},
        None,
        Split(val=None, test=None),
        fields=fields,
        normalize={"h": "standard"},
    )
    assert float(dm.statistics["h"].mean) == values[:5].mean()


def test_rows_that_are_not_finite_may_be_left_out_where_they_are_an_error(files) -> None:
    dm = module(files, {"x": "finite"}, access=Access(on_nonfinite="raise"))
    assert sum(len(batch["x"]) for batch in dm.train_dataloader()) == len(dm.train_dataset)


def test_a_run_goes_on_with_the_same_conditions_only(files) -> None:
    where = {"y": (1, None)}
    state = module(files, where, batch_size=8).state_dict()
    dm = H5DataModule(
        f"{files}/*.h5",
        {"x": "x", "y": "y"},
        split=BY_FILE,
        batch_size=8,
        where={"y": (2, None)},
        index_dir=str(files),
    )
    dm.load_state_dict(state)
    dm.prepare_data()
    with pytest.raises(ResumeError, match=r"where was \{'y': \{'min': 1, 'below': None\}\}, is"):
        dm.setup()
    same = H5DataModule(
        f"{files}/*.h5", {"x": "x", "y": "y"}, split=BY_FILE, batch_size=8, where=where, index_dir=str(files)
    )
    same.load_state_dict(state)
    same.setup()
    assert same.state_dict()["where"] == state["where"]
    assert "where" not in module(files, None).state_dict()


def test_files_to_predict_may_lack_what_conditions_look_at(files) -> None:
    (files / "new").mkdir()
    with h5py.File(files / "new" / "p.h5", "w") as file:
        file["x"] = np.asarray([[0, 0, 0], [np.nan, 0, 0]], "f4")
    dm = H5DataModule(
        {"train": f"{files}/f0.h5", "predict": f"{files}/new/*.h5"},
        {"x": "x", "y": "y"},
        where={"x": "finite", "y": [1]},
        index_dir=str(files),
    )
    dm.setup()
    assert len(dm.predict_dataset) == 1
    assert len(dm.train_dataset) == len(
        [
            one
            for one in rows_with(files, lambda f, r: np.isfinite(f["x"][r]).all() and f["y"][r] == 1)
            if one[0] == "f0.h5"
        ]
    )


@pytest.mark.parametrize(
    ("where", "samples", "error", "message"),
    [
        (
            {"x": ["a"]},
            None,
            OptionError,
            r"where\.x: field 'x' \('/x'\) has numbers, and the condition lists text",
        ),
        (
            {"x": True},
            None,
            OptionError,
            r"where\.x: True is for a mask of booleans or whole numbers, found float32",
        ),
        ({"x": (1e9, None)}, None, SplitError, "every sample reads a row that 'where' leaves out"),
        ({"x": "finite"}, Windows(2, 2, jitter=True), OptionError, r"jitter=True.*remove jitter or where"),
    ],
    ids=["text", "mask", "nothing left", "jitter"],
)
def test_conditions_that_cannot_be_are_errors(files, where, samples, error, message) -> None:
    with pytest.raises(error, match=message):
        module(files, where, samples)
