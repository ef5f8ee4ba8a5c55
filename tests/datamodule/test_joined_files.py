"""Files that go on where others end: windows cross them, splits do not leak, rows keep their file."""

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5DataModule, H5Dataset, Series, Split, Whole, Windows
from h5lightning.errors import OptionError, SchemaError

ROWS = (7, 5, 9, 1, 6)
GAP = 3  # before this file, two steps are missing


@pytest.fixture
def years(tmp_path):
    """One file a year, whose names are not in the order of time; row t holds t."""
    time = 0
    for year, rows in enumerate(ROWS):
        time += 2 * (year == GAP)
        with h5py.File(tmp_path / f"y{(year * 3) % 5}.nc", "w") as file:
            file["x"] = np.arange(time, time + rows, dtype="f4")[:, None] * [1, 10]
            file["time"] = np.arange(time, time + rows) * 6.0
            file["time"].attrs["units"] = "hours since 1900-01-01"
        time += rows
    return str(tmp_path / "*.nc")


@pytest.fixture
def kept():
    """Keeps what a test opens, and closes it in the end."""
    opened = []

    def keep(one):
        opened.append(one)
        return one

    yield keep
    for one in opened:
        one.teardown() if isinstance(one, H5DataModule) else one.close()


FIELDS = {"x": Field("x", steps=(-1, 2)), "y": Field("x", steps=(2, 4))}


def starts_of(batch):
    steps = np.concatenate([batch["x"][:, :, 0].numpy(), batch["y"][:, :, 0].numpy()], axis=1)
    assert (np.diff(steps, axis=1) == 1).all()
    return sorted(steps[:, 1].astype(int).tolist())


@pytest.mark.parametrize("reader", ["auto", "direct", "h5py"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_cross_files_but_no_gap(kept, years, reader, dilation):
    fields = FIELDS if dilation == 1 else {"x": "x"}
    windows, series = Windows(3, dilation=dilation), Series(join_files="time")
    dataset = kept(H5Dataset(years, fields, windows, series=series, reader=reader))
    order = np.random.default_rng(0).permutation(len(dataset))
    batch = dataset.read_batch(order)
    runs = [range(21), range(23, 30)]
    if dilation == 1:
        assert starts_of(batch) == [start for run in runs for start in run[1:-3]]
    else:
        rows = batch["x"][:, :, 0].numpy()
        assert (np.diff(rows, axis=1) == 2).all()
        assert sorted(rows[:, 0].tolist()) == [start for run in runs for start in run[:-4]]
    for position in (0, len(dataset) - 1):
        assert (dataset[position]["x"] == dataset.read_batch([position])["x"][0]).all()


def starts_in(dataset):
    return starts_of(dataset.read_batch(range(len(dataset))))


def prepared(kept, years, **options):
    dm = kept(
        H5DataModule(years, FIELDS, Windows(3), series=Series(join_files="time"), batch_size=4, **options)
    )
    dm.prepare_data()
    dm.setup()
    return dm


def test_a_split_by_auto_cuts_runs_into_blocks(kept, years):
    dm = prepared(kept, years, split=Split(val=0.25, test=0.25), provenance=True)
    assert dm.summary().by == "block"
    found = {
        name: starts_of(
            dm.__getattribute__(f"{name}_dataset").read_batch(
                range(len(dm.__getattribute__(f"{name}_dataset")))
            )
        )
        for name in ("train", "val", "test")
    }
    rows = {name: {row + step for row in starts for step in range(-1, 4)} for name, starts in found.items()}
    assert not rows["train"] & rows["val"]
    assert not rows["val"] & rows["test"]
    assert max(rows["train"] & set(range(21))) < min(rows["val"])
    text = str(dm.summary())
    assert "Joined by '/time': 5 files make 2 series" in text
    assert "Gaps, which no window crosses: " in text
    assert "18 hours from the last row to the next one, expected 6 hours" in text


def test_rows_keep_their_file(kept, years):
    dm = prepared(kept, years, split=Split(val=None, test=None), provenance=True)
    batch = next(iter(dm.train_dataloader()))
    for location, row in zip(dm.locate(batch["sample_id"]), batch["x"][:, 1, 0].tolist(), strict=True):
        with h5py.File(location.file) as file:
            assert file["x"][location.row, 0] == row
        assert location.series == ""


def test_whole_files_in_one_split_are_joined_only_there(kept, years):
    dm = prepared(kept, years, split=Split(val=0.3, test=None, by="file", seed=2))
    assert dm.summary().shared_rows == 0
    files = {name: set(paths) for name, paths in dm.splits.items()}
    assert not files["train"] & files["val"]
    for name in ("train", "val"):
        inside = set()
        for path in files[name]:
            with h5py.File(path) as file:
                inside |= set(file["x"][:, 0].astype(int).tolist())
        starts = starts_of(
            dm.__getattribute__(f"{name}_dataset").read_batch(
                range(len(dm.__getattribute__(f"{name}_dataset")))
            )
        )
        runs = [range(21), range(23, 30)]
        expected = [s for run in runs for s in run[1:-3] if set(range(s - 1, s + 4)) <= inside]
        assert starts == expected


def test_a_saved_split_and_workers_give_the_same(kept, years, tmp_path):
    dm = prepared(kept, years, split=Split(val=0.25, test=None))
    dm.save_split(str(tmp_path / "split.json"))
    again = prepared(kept, years, split=Split(manifest=str(tmp_path / "split.json")), num_workers=2)
    first = [starts_of(batch) for batch in dm.val_dataloader()]
    assert [starts_of(batch) for batch in again.val_dataloader()] == first


def test_padding_is_beyond_the_run_not_beyond_the_file(kept, years):
    fields = {"x": Field("x", steps=(-2, 3)), "pad": "pad:x"}
    dataset = kept(H5Dataset(years, fields, Windows(3, pad="edge"), series=Series(join_files="time")))
    batch = dataset.read_batch(range(len(dataset)))
    assert len(dataset) == sum(ROWS)
    for rows, pad in zip(batch["x"][:, :, 0].numpy(), batch["pad"].numpy(), strict=True):
        start = int(rows[2])
        run = range(21) if start < 21 else range(23, 30)
        assert rows.tolist() == [min(max(start + step, run[0]), run[-1]) for step in range(-2, 3)]
        assert pad.tolist() == [start + step not in run for step in range(-2, 3)]


def test_files_of_two_roles_are_never_joined(kept, years):
    folder = years.removesuffix("*.nc")
    dm = prepared(kept, {"train": [f"{folder}y0.nc", f"{folder}y3.nc"], "val": f"{folder}y1.nc"})
    assert starts_in(dm.train_dataset) == list(range(1, 9))
    assert starts_in(dm.val_dataset) == list(range(13, 18))


def test_joining_in_path_order_is_said_to_be_unverified(kept, years):
    split = Split(val=None, test=None)
    dm = kept(H5DataModule(years, {"x": "x"}, Windows(2), split, series={"join_files": True}))
    dm.prepare_data()
    dm.setup()
    assert "Joined in the order of paths, which nothing verified: 5 files make 1 series" in str(dm.summary())
    train = dm.summary().splits[0]
    assert (train.files, train.series) == (5, 1)
    assert len(dm.train_dataset) == sum(ROWS) - 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fields": {"x": "*/x"}, "samples": Windows(2)},
            "join_files makes series of whole files, but a '\\*'",
        ),
        ({"fields": {"x": "x"}, "samples": Whole()}, "Whole delivers a whole series"),
        ({"fields": {"x": Field("x", extra_rows=1)}, "samples": Windows(2)}, "extra_rows cannot be combined"),
    ],
)
def test_what_does_not_go_together_is_refused(kept, years, options, message):
    with pytest.raises(OptionError, match=message):
        H5Dataset(years, series=Series(join_files="time"), **options)


def test_another_length_is_an_error(kept, years, tmp_path):
    with h5py.File(tmp_path / "y0.nc", "a") as file:
        del file["time"]
        file["time"] = np.arange(6.0)
    with pytest.raises(SchemaError, match=r"'/time' in .*y0\.nc has 6 rows, the fields have 7"):
        H5Dataset(years, {"x": "x"}, Windows(2), series=Series(join_files="time"))
