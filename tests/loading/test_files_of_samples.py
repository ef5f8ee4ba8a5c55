"""`info.file()` in transforms: the sample's file through the pool, and errors that say which sample it was."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import traceback

import h5py
import numpy as np
import pytest
import torch
from file_transforms import with_more

from h5lightning import Access, H5DataModule, H5Dataset, Windows
from h5lightning.errors import ClosedFileError, FileChangedError, OptionError

ROWS = 12


@pytest.fixture
def files(tmp_path) -> str:
    for number in range(5):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(ROWS) + 100 * number
            file["more/z"] = np.arange(ROWS) * 2 + 100 * number
            file.attrs["number"] = number
    return str(tmp_path / "*.h5")


@pytest.fixture
def dataset_of():
    """A function that makes datasets, which are closed after the test."""
    made = []

    def make(*arguments, **options) -> H5Dataset:
        made.append(H5Dataset(*arguments, **options))
        return made[-1]

    yield make
    for dataset in made:
        dataset.close()


def batch_with_more(batch, info):
    batch["z"] = torch.tensor([int(place.file()["more/z"][place.row]) for place in info.places])
    assert [place.id for place in info.places] == list(info.ids)
    return batch


def check(batch) -> None:
    rows = batch["x"] % 100
    assert torch.equal(batch["z"], batch["x"] - rows + 2 * rows)


@pytest.mark.parametrize("reader", ["direct", "h5py"])
@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")])
@pytest.mark.parametrize("most", [None, 2])
def test_a_transform_reads_what_no_field_has(ready, files, reader, workers, context, most) -> None:
    dm = ready(H5DataModule(
        files, ["x"], transform=with_more, batch_size=7, num_workers=workers, multiprocessing_context=context,
        reader=reader, access=Access(max_open_files=most), split={"val": None, "test": None, "by": "block"},
    ))  # fmt: skip
    batches = list(dm.train_dataloader())
    assert sum(len(batch["x"]) for batch in batches) == 5 * ROWS
    for batch in batches:
        check(batch)
        assert torch.equal(batch["number"], batch["x"] // 100)


@pytest.mark.parametrize("workers", [0, 1])
def test_batch_transforms_have_a_place_for_each_sample(ready, files, workers) -> None:
    dm = ready(H5DataModule(
        files, ["x"], batch_transform=batch_with_more, batch_size=30, num_workers=workers,
        access=Access(max_open_files=2), split={"val": None, "test": None, "by": "block"},
    ))  # fmt: skip
    for batch in dm.train_dataloader():
        check(batch)


def test_files_stay_open_within_the_budget(dataset_of, files) -> None:
    held, opened = [], []

    def look(sample, info):
        with_more(sample, info)
        pool = dataset._batches.reader.pool
        held.append(len(pool))
        opened.append(pool.opened)
        return sample

    dataset = dataset_of(files, ["x"], transform=look, access=Access(max_open_files=2))
    check(dataset.read_batch(range(5 * ROWS)))
    assert max(held) <= 2
    roomy = dataset_of(files, ["x"], transform=with_more)
    check(roomy.read_batch(range(5 * ROWS)))
    before = roomy._batches.reader.pool.opened
    check(roomy.read_batch(range(5 * ROWS)))
    assert roomy._batches.reader.pool.opened == before
    roomy.close()
    dataset.close()


def test_after_the_call_everything_is_closed(dataset_of, files) -> None:
    kept = {}

    def keep(sample, info):
        file = info.file()
        kept.update(info=info, file=file, group=file["more"], dataset=file["more/z"], again=file["more"]["z"])
        assert isinstance(kept["dataset"], h5py.Dataset)
        assert isinstance(kept["group"], h5py.Group)
        assert isinstance(file, h5py.File)
        assert kept["dataset"].file is file
        with file:
            pass
        assert file["x"][0] == file["x"][()][0]  # closing does nothing
        return sample

    dataset = dataset_of(files, ["x"], transform=keep)
    dataset.read_batch([3])
    for use in (
        kept["info"].file,
        lambda: kept["file"]["x"],
        lambda: kept["group"]["z"],
        lambda: kept["dataset"][0],
        lambda: kept["again"][()],
        lambda: kept["dataset"].read_direct(np.empty(ROWS, np.int64)),
    ):
        with pytest.raises(ClosedFileError, match=r"0\.h5"):
            use()
    for one in (copy.deepcopy(kept["info"]), pickle.loads(pickle.dumps(kept["info"]))):
        assert one == kept["info"]
        with pytest.raises(ClosedFileError, match="only while the transform is called"):
            one.file()
    dataset.close()
    # The pool has closed what the user still holds.
    assert not kept["file"].id.valid
    assert not kept["dataset"].id.valid


def test_writing_is_an_error(dataset_of, files) -> None:
    def write(sample, info):
        with pytest.raises((OSError, ValueError, KeyError)):
            info.file()["new"] = 3
        with pytest.raises((OSError, ValueError, RuntimeError)):
            info.file()["x"][0] = 3
        return sample

    dataset_of(files, ["x"], transform=write).read_batch([0])


def test_a_changed_file_is_noticed(dataset_of, files, tmp_path) -> None:
    def change(sample, info):
        info.file()["more/z"][0]
        if info.row == 2:
            with h5py.File(tmp_path / "new.h5", "w") as file:
                file["x"] = file["more/z"] = np.zeros(ROWS)
            with open(tmp_path / "new.h5", "rb") as new, open(info.path, "r+b") as old:
                old.write(new.read())
            os.utime(info.path, ns=(1, 1))
        return sample

    dataset = dataset_of(files, ["x"], transform=change)
    with pytest.raises(FileChangedError, match=r"0\.h5"):
        dataset.read_batch(range(4))
    with pytest.raises(FileChangedError, match=r"0\.h5"):
        dataset.read_batch([0])


class MyError(RuntimeError):
    pass


def broken(sample, info):
    if info.id == 17:
        raise MyError("what the user says")
    return sample


def test_errors_say_which_sample_it_was(dataset_of, files) -> None:
    dataset = dataset_of(files, ["x"], Windows(2), transform=broken)
    with pytest.raises(MyError, match="what the user says") as caught:
        dataset.read_batch(range(10, 20))
    path = files.replace("*", "1")
    note = f"in the transform of sample 17 (row 6 of {path}, stage 'train')"
    assert caught.value.__notes__ == [note]
    assert note in "".join(traceback.format_exception(caught.value))
    plain = dataset_of(files, ["x"], transform=lambda _: None)
    with pytest.raises(OptionError) as caught:
        plain.read_batch([13, 2])
    assert f"sample 13 (row 1 of {path}" in caught.value.__notes__[0]


def test_errors_of_batch_transforms_name_the_first_and_last_sample(dataset_of, files) -> None:
    def fail(batch):
        raise MyError("no")

    with pytest.raises(MyError) as caught:
        dataset_of(files, ["x"], batch_transform=fail).read_batch([30, 2])
    note = caught.value.__notes__[0]
    assert note.startswith("in the batch_transform of 2 samples, from sample 30 (row 6 of ")
    assert "to sample 2 (row 2 of " in note


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_arrive_from_workers(ready, files, workers) -> None:
    dm = ready(H5DataModule(files, ["x"], transform=broken, num_workers=workers, shuffle="none",
                            split={"val": None, "test": None, "by": "block"}))  # fmt: skip
    with pytest.raises(MyError) as caught:
        list(dm.train_dataloader())
    assert "in the transform of sample 17 (row 5 of " in "".join(traceback.format_exception(caught.value))


def kill_once(sample, info):
    info.file()["x"][0]
    if info.id == 20 and torch.utils.data.get_worker_info() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample


def test_a_killed_worker_leaves_the_files_usable(ready, files) -> None:
    dm = ready(H5DataModule(files, ["x"], transform=kill_once, num_workers=1, batch_size=4, shuffle="none",
                            split={"val": None, "test": None, "by": "block"}))  # fmt: skip
    with pytest.raises(RuntimeError):
        list(dm.train_dataloader())
    assert dm.train_dataset.read_batch(range(60))["x"].tolist() == [
        row + 100 * number for number in range(5) for row in range(ROWS)
    ]


def test_series_and_row_of_a_star(dataset_of, tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in (2, 10):
            file[f"data/demo_{number}/x"] = np.arange(4) + 100 * number
            file[f"data/demo_{number}/z"] = np.arange(4) + 100 * number
    seen = []

    def look(sample, info):
        seen.append((info.series, info.row))
        assert info.file()["data"][info.series]["z"][info.row] == sample["x"]
        return sample

    dataset_of(str(tmp_path / "a.h5"), {"x": "data/*/x"}, transform=look).read_batch(range(8))
    assert seen == [(f"demo_{number}", row) for number in (2, 10) for row in range(4)]
