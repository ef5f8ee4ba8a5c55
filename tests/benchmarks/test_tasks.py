"""Whatever is raced over a task delivers the same samples, and the meters count what they say."""

import numpy as np
import pytest
from clocks import Clock
from loading import compound, scaling, task_meters
from loading.ours import training
from loading.plain import PlainH5py
from loading.task import CONSTANT, Stored, Task, write_files
from loading.task_limits import CopyFromMemory, ReadRowsInOrder
from loading.task_races import epoch_of

CONTIGUOUS = Stored(3, 20, (4, 2))
GZIP = Stored(2, 64, (3, 8, 8), chunks=(8, 1, 4, 4), filters="gzip")
TASKS = {
    "rows": Task("rows", CONTIGUOUS, 16),
    "fields": Task("fields", Stored(2, 10, (4,), fields=3), 7),
    "windows": Task("windows", CONTIGUOUS, 8, 5),
    "steps": Task("steps", CONTIGUOUS, 8, 5, {"x": (0, 4), "y": (4, 5)}),
    "chunks": Task("chunks", Stored(2, 64, (16,), chunks=True), 10),
    "gzip": Task("gzip", GZIP, 10),
    "constant": Task("constant", Stored(4, 6, (4,), constant=3), 5),
}


def delivered(batches):
    """The samples of all batches by key, in the order of their first elements."""
    arrays = [{key: np.asarray(values).copy() for key, values in batch.items()} for batch in batches]
    found = {key: np.concatenate([batch[key] for batch in arrays]) for key in arrays[0]}
    by_number = np.argsort(
        next(iter(found.values())).reshape(len(next(iter(found.values()))), -1)[:, 0], kind="stable"
    )
    return {key: values[by_number] for key, values in found.items()}


def same(one, other):
    return list(one) == list(other) and all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", TASKS)
def test_plain_h5py_delivers_what_h5lightning_does(name, tmp_path):
    task = TASKS[name]
    files = write_files(task.stored, tmp_path / "data")
    assert len(files.paths) == task.files
    plain = PlainH5py(files, task)
    with training(files, **task.arguments()) as dm:
        ours = delivered(epoch_of(dm, 0))
    assert len(next(iter(ours.values()))) == task.samples
    for epoch in range(2):
        batches = list(plain(epoch))
        assert max(len(next(iter(batch.values()))) for batch in batches) == task.batch
        assert same(delivered(batches), ours)
    plain.close()


@pytest.mark.parametrize("most_open", [1, 2])
def test_plain_h5py_closes_what_was_used_longest_ago(most_open, tmp_path, monkeypatch):
    monkeypatch.setattr("loading.plain._MOST_OPEN", most_open)
    task = TASKS["constant"]
    plain = PlainH5py(write_files(task.stored, tmp_path / "data"), task)
    found = delivered(plain(0))
    assert np.array_equal(found["f000"][:, 0], np.arange(24))
    assert (found[CONSTANT] == np.arange(3)).all()
    assert len(plain._open) == most_open
    plain.close()


@pytest.mark.parametrize("name", ["rows", "windows", "steps"])
def test_copies_from_memory(name, tmp_path):
    task = TASKS[name]
    files = write_files(task.stored, tmp_path / "data")
    found, expected = delivered(CopyFromMemory(files, task)()), delivered(PlainH5py(files, task)())
    assert list(found) == list(expected)
    assert all(np.array_equal(found[key].reshape(expected[key].shape), expected[key]) for key in expected)


def test_rows_in_order(tmp_path):
    task = TASKS["rows"]
    files = write_files(task.stored, tmp_path / "data")
    batches = [
        {key: values.copy() for key, values in batch.items()} for batch in ReadRowsInOrder(files, task)()
    ]
    assert np.array_equal(np.concatenate([batch["f000"] for batch in batches])[:, 0, 0], np.arange(60))
    assert same(delivered(batches), delivered(PlainH5py(files, task)()))


@pytest.mark.parametrize("shuffle", ["none", "auto"])
def test_members_of_records(shuffle, tmp_path):
    tracks = compound.Tracks("tracks", 2, 30, shuffle)
    files = compound.write_tracks(tracks, tmp_path / "data")
    slices = compound.RecordSlices(files)
    expected = np.concatenate([batch["tracks"] for batch in slices()])
    slices.close()
    with training(files, **tracks.arguments()) as dm:
        batches = [
            {key: np.asarray(values).copy() for key, values in batch.items()} for batch in epoch_of(dm, 0)
        ]
    found = np.stack(
        [np.concatenate([batch[name] for batch in batches]) for name in compound.MEMBERS], axis=2
    )
    assert found.shape == expected.shape == (60, 40, 12)
    assert sorted(map(bytes, found.astype("f4"))) == sorted(map(bytes, expected))
    assert np.array_equal(found, expected) == (shuffle == "none")


# ── meters ───────────────────────────────────────────────────────────────────────────────────────────


def test_open_files_and_maps_are_counted(tmp_path):
    task = TASKS["rows"]
    descriptors, maps = task_meters.held_files(task, write_files(task.stored, tmp_path / "data"))
    assert 0 <= descriptors.reached.median < 100
    assert maps.reached.median >= task.files


def test_the_longest_wait_is_found(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("loading.task_meters.time", clock)
    waits = [9, 0.25, 0.5, 0.125]  # the first is the start
    batches = (clock.sleep(seconds) or seconds for seconds in waits)
    assert task_meters.longest_wait_s(batches, step_s=0.25) == 0.5


@pytest.mark.timeout(60)
def test_bytes_that_workers_read_are_counted(tmp_path):
    stored = Stored(2, 640, (1024,), chunks=(32, 1024), filters="gzip")
    task = Task("gzip", stored, 32, options={"num_workers": 2})
    goal = task_meters.decoded_by_workers(task, write_files(stored, tmp_path / "data"), 1.5)
    assert 0.99 <= goal.reached.median <= 2.5


# ── scaling ──────────────────────────────────────────────────────────────────────────────────────────


def test_one_factor_differs_from_the_base():
    base, *others = scaling.points()
    assert len({point.task.name for point in others}) == len(others) == 21
    for point in [base, *others]:
        stored, task = point.task.stored, point.task
        assert task.batch * task.sample_bytes <= 64 << 20
        assert task.samples >= 15 * task.batch or task.window > 1
        found = {
            "files": stored.files, "fields": stored.fields, "window": task.window, "row": stored.row_bytes,
            "batch": task.batch,
        }  # fmt: skip
        expected = {**scaling.BASE, **({} if point is base else {point.factor: point.value})}
        expected["batch"] = min(expected["batch"], (64 << 20) // task.sample_bytes)
        assert found == expected


def test_points_of_the_same_data_are_together():
    groups = list(scaling.points_by_data(1.0, 10_000))
    stored = [one for one, _ in groups]
    assert len(set(stored)) == len(stored)
    assert sorted(point.task.name for _, group in groups for point in group) == sorted(
        point.task.name for point in scaling.points()
    )
    assert max(len(group) for _, group in groups) >= 4
