"""A DataModule over files of several series: splits, predict, places of samples, and what the summary tells."""

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, Windows
from h5lightning.errors import ManifestError, SplitError


def write(path, lengths, first=0, tasks="ab"):
    """Series of the given lengths; each value is 1000 × the number of the series + row."""
    with h5py.File(path, "w") as file:
        file.attrs["task"] = "of the file"
        for number, rows in enumerate(lengths, start=first):
            group = file.create_group(f"data/demo_{number}")
            group["obs"] = np.arange(rows, dtype=np.float32) + 1000 * number
            if tasks:
                group.attrs["task"] = tasks[number % len(tasks)]
    return str(path)


@pytest.fixture
def module(tmp_path):
    """Makes DataModules over the files of a folder, and closes them after the test."""
    made = []

    def make(files="*.h5", **options):
        patterns = (
            {key: str(tmp_path / one) for key, one in files.items()} if isinstance(files, dict) else None
        )
        options = {"fields": {"x": "data/*/obs"}, "batch_size": 64, "provenance": True, **options}
        dm = H5DataModule(patterns or str(tmp_path / files), index_dir=str(tmp_path / "index"), **options)
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield make
    for dm in made:
        dm.teardown()


def delivered(dm, stage):
    """(file, series, row) of the samples of a stage, ascending; the first value of each is the stored one."""
    places = []
    for batch in getattr(dm, f"{stage}_dataloader")():
        found = dm.locate(batch["sample_id"])
        first = batch["x"].reshape(len(found), -1)[:, 0].tolist()
        assert first == [1000 * int(place.series.removeprefix("demo_")) + place.row for place in found]
        places += [(place.file.rsplit("/", 1)[1], place.series, place.row) for place in found]
    return sorted(places)


def test_auto_divides_series_where_there_are_few_files(tmp_path, module):
    write(tmp_path / "a.h5", [10] * 12)
    dm = module(split={"val": 0.25, "test": None})
    assert dm.summary().by == "series"
    series = {stage: {place[1] for place in delivered(dm, stage)} for stage in ("train", "val")}
    assert {stage: len(names) for stage, names in series.items()} == {"train": 9, "val": 3}
    assert not series["train"] & series["val"]


def test_blocks_cut_each_series(tmp_path, module):
    write(tmp_path / "a.h5", [10, 20, 30])
    dm = module(split={"by": "block", "val": 0.2, "test": None, "gap": 1})
    val = delivered(dm, "val")
    assert val == [
        ("a.h5", f"demo_{n}", row)
        for n, rows in ((0, 10), (1, 20), (2, 30))
        for row in range(rows * 4 // 5, rows)
    ]
    assert len(delivered(dm, "train")) == 60 - 12 - 3
    assert dm.summary().unused_rows == 3


def test_series_are_grouped_by_their_own_attribute(tmp_path, module):
    write(tmp_path / "a.h5", [10] * 6, tasks="abc")
    write(tmp_path / "b.h5", [10] * 3, tasks="cab")
    dm = module(split={"val": 0.3, "test": None, "keep_together": "attr:task"})
    val = {place[:2] for place in delivered(dm, "val")}
    tasks = {"a.h5": "abc", "b.h5": "cab"}
    assert len({tasks[file][int(series[5:]) % 3] for file, series in val}) == 1
    assert len(val) == 3
    summary = dm.summary()
    assert (summary.by, summary.shared_groups) == ("series", 0)
    assert [split.groups for split in summary.splits] == [2, 1]
    assert "Groups: train 2, val 1" in str(summary)


def test_series_without_the_attribute_have_that_of_their_file(tmp_path, module):
    for name in "abcd":
        write(tmp_path / f"{name}.h5", [10] * 3, tasks="")
    with pytest.raises(SplitError, match="1 group cannot fill train and val"):
        module(split={"val": 0.3, "test": None, "keep_together": "attr:task"})


def test_a_file_of_several_groups_is_not_kept_whole(tmp_path, module):
    write(tmp_path / "a.h5", [10] * 6)
    with pytest.raises(
        SplitError, match=r"'demo_0' of a\.h5 has 'a', series 'demo_1' of a\.h5 has 'b'.*by='series'"
    ):
        module(split={"by": "file", "keep_together": "attr:task"})


def test_predict_takes_all_series_of_its_files(tmp_path, module):
    write(tmp_path / "train.h5", [10, 20])
    write(tmp_path / "new.h5", [3, 1, 4], first=7)
    dm = module({"train": "train.h5", "predict": "new.h5"})
    expected = [("new.h5", f"demo_{n}", row) for n, rows in ((7, 3), (8, 1), (9, 4)) for row in range(rows)]
    assert delivered(dm, "predict") == expected
    assert len(delivered(dm, "train")) == 30
    assert {split.name: split.series for split in dm.summary().splits} == {"train": 2, "predict": 3}


def test_transforms_learn_of_the_series(tmp_path, module):
    write(tmp_path / "a.h5", [4, 3])
    seen = set()

    def note(sample, info):
        assert float(sample["x"]) == 1000 * int(info.series.removeprefix("demo_")) + info.row
        seen.add((info.series, info.row))
        return sample

    dm = module(split={"val": None, "test": None}, transform=note)
    list(dm.train_dataloader())
    assert len(seen) == 7


def test_the_summary_tells_what_starts_no_window(tmp_path, module):
    write(tmp_path / "a.h5", [10, 2, 5])
    dm = module(split={"val": None, "test": None}, samples=Windows(4, stride=3))
    summary = dm.summary()
    assert summary.splits[0].rows_without_window == 3 + 2 + 3
    text = str(summary)
    assert "Start no window: 8 rows (train 8)" in text
    assert "Too short for a sample, of 3 series: 1 series: a.h5/demo_1 (2 rows)" in text


def test_new_series_of_a_known_file_move_nothing(tmp_path, module):
    write(tmp_path / "a.h5", [10] * 10)
    dm = module(split={"val": 0.3, "test": None})
    manifest = str(tmp_path / "split.json")
    dm.save_split(manifest)
    before = {stage: delivered(dm, stage) for stage in ("train", "val")}
    write(tmp_path / "a.h5", [10] * 12)
    with pytest.raises(
        ManifestError, match=r"does not list 2 series \(series 'demo_10' of a\.h5, series 'demo_11' of"
    ):
        module(split={"val": 0.3, "test": None, "manifest": manifest})
    again = module(split={"val": 0.3, "test": None, "manifest": manifest, "on_new": "train"})
    after = {stage: delivered(again, stage) for stage in ("train", "val")}
    assert after["val"] == before["val"]
    assert set(after["train"]) - set(before["train"]) == {
        ("a.h5", f"demo_{n}", row) for n in (10, 11) for row in range(10)
    }
    assert "New since the manifest: 2 series of known files" in str(again.summary())
    assert again.state_dict()["split"]["fingerprint"] != dm.state_dict()["split"]["fingerprint"]
