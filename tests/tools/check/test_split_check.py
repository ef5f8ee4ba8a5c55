"""What is shared between splits, and files that cannot be used: found and named."""

import shutil
from dataclasses import replace

import h5py
import pytest
from check_runs import check_run

from h5lightning.options import Split
from h5lightning.tools.check.split_check import check_catalog, check_splits


def test_sound_files_and_splits_pass(write_files):
    with check_run(write_files()) as run:
        assert check_catalog(run).failures == ()
        result = check_splits(run, None)
    assert result.failures == ()
    assert (result.note, result.scope.split()[0]) == ("split by file", "train")


@pytest.mark.parametrize("by", ["block", "sample"])
def test_files_may_be_cut(write_files, by):
    with check_run(write_files(), split=Split(by=by)) as run:
        assert check_splits(run, None).failures == ()


def test_twins_in_two_splits_are_found(write_files, tmp_path):
    write_files((40, 30), folder="train")
    write_files((40, 30), folder="test")
    shutil.copy(tmp_path / "train/run-001.h5", tmp_path / "test/run-001.h5")
    with h5py.File(tmp_path / "test/run-000.h5", "r+") as file:
        file["x"][:] += 1
        file["y"][:] += 1
    files = {"train": str(tmp_path / "train/*.h5"), "test": str(tmp_path / "test/*.h5")}
    with check_run(files, split=Split(None, None)) as run:
        (failure,) = check_splits(run, None).failures
    assert failure.startswith("files of different splits have the same content: ")
    assert "run-001.h5 (train)" in failure


def test_rows_files_and_groups_in_two_splits_are_found(write_files):
    with check_run(write_files()) as run:
        parts = dict(run.data.plan.parts)
        plan = replace(run.data.plan, parts={**parts, "val": parts["train"]})
        leaky = replace(run, data=replace(run.data, plan=plan))
        failures = check_splits(leaky, r"path:run-00(\d)").failures
    files = len(parts["train"].series)
    assert failures == (
        f"{parts['train'].rows} rows are in two splits",
        f"{files} groups of keep_together are in two splits",
        f"{files} files are in two splits",
    )


def test_each_file_that_cannot_be_used_is_named(write_files, tmp_path):
    pattern = write_files()
    for number in (1, 4):
        with open(tmp_path / f"runs/run-{number:03}.h5", "r+b") as file:
            file.truncate(900)
    with h5py.File(tmp_path / "runs/run-006.h5", "r+") as file:
        del file["x"], file["y"]
        file.create_dataset("x", shape=(0, 2, 3), dtype="f4")
        file.create_dataset("y", shape=(0,), dtype="i8")
    with check_run(pattern) as run:
        result = check_catalog(run)
    assert result.scope == "8 files"
    named = [
        next(name for name in ("run-001", "run-004", "run-006") if name in text) for text in result.failures
    ]
    assert named == ["run-001", "run-004", "run-006"]
    assert result.failures[2] == "run-006.h5: no rows (the sample axis has length 0)"
