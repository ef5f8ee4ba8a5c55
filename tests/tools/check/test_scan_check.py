"""Checks of the scan: files that cannot be used or change, columns that differ, and what splits share."""

import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from check_runs import check_run

from h5lightning.options import Access, Split
from h5lightning.planning.catalog.annotations import NOTHING, Annotations, AxisLabels
from h5lightning.tools.check.scan_check import check_catalog, check_changes, check_columns, check_splits

pytestmark = pytest.mark.timeout(60)
GENES = AxisLabels(1, "var/_index", "text", 3, "abc", "abc")


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


def test_files_that_stay_pass(write_files):
    with check_run(write_files()) as run:
        result = check_changes(run)
    assert (result.failures, result.scope) == ((), "8 files")


def test_each_file_that_changed_is_named(write_files):
    pattern = write_files()
    with check_run(pattern) as run:
        with h5py.File(pattern.replace("*", "run-002"), "r+") as file:
            file["more"] = np.zeros(100)
        os.remove(pattern.replace("*", "run-005"))
        result = check_changes(run)
    assert [failure.split(" ")[0] for failure in result.failures] == ["run-002.h5", "run-005.h5"]
    assert "grew from" in result.failures[0]
    assert "was removed since it was scanned" in result.failures[1]


def test_a_source_that_changed_is_named(tmp_path):
    source = tmp_path / "source.h5"
    with h5py.File(source, "w") as file:
        file["d"] = np.ones((30, 4), "f4")
    layout = h5py.VirtualLayout((30, 4), "f4")
    layout[:] = h5py.VirtualSource("source.h5", "d", (30, 4))
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["y"] = np.arange(30)
    access = Access(allow_external=str(tmp_path), on_bad_file="skip", max_bad_fraction=1)
    with check_run(str(tmp_path / "run.h5"), access=access) as run:
        assert check_changes(run).failures == ()
        assert check_changes(run).scope == "1 file, 1 source"
        with h5py.File(source, "r+") as file:
            file["more"] = np.zeros(1000)
        (failure,) = check_changes(run).failures
    assert failure.startswith(f"{source}, which other files take values from, grew")


@pytest.fixture
def result_of(tmp_path):
    """The result for three files whose field `x` has these labels."""

    def check(*labels, stored=()):
        for number in range(3):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file["x"], file["y"] = np.ones((20, 3), "f4"), np.arange(20)
        said = [NOTHING, *(Annotations(labels=(one,)) for one in dict.fromkeys(labels))]
        with check_run(str(tmp_path / "*.h5")) as run:
            catalog = run.data.survey.catalog
            numbers = np.zeros_like(catalog.annotation_of)
            numbers[::2] = [said.index(Annotations(labels=(one,))) for one in labels]
            catalog = replace(catalog, annotations=tuple(said), annotation_of=numbers)
            found = replace(run.data.survey, catalog=catalog)
            data = replace(run.data, survey=found)
            return check_columns(replace(run, data=data, stored=frozenset(stored)))

    return check


def test_equal_labels_pass(result_of):
    result = result_of(GENES, GENES, GENES)
    assert (result.failures, result.note, result.scope) == ((), "", "1 axis with labels")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(GENES, in_order="acb"), "the same labels in another order than in 0.h5"),
        (replace(GENES, in_order="abd", as_set="abd"), "other labels than in 0.h5"),
        (
            replace(GENES, kind="numbers", in_order="acb"),
            "the same labels in another order than in 0.h5",
        ),
    ],
    ids=["order", "names", "order of numbers"],
)
def test_columns_of_other_meaning_are_named(result_of, other, words):
    result = result_of(GENES, GENES, other)
    assert result.failures == (f"2.h5: axis 1 of '/x' has in '/var/_index' {words}",)
    accepted = result_of(GENES, GENES, other, stored=["x"])
    assert (accepted.failures, words in accepted.note) == ((), True)


def test_tiles_are_a_remark(result_of):
    tiles = [AxisLabels(1, "lat", "numbers", 3, name, name) for name in "abc"]
    result = result_of(*tiles)
    assert result.failures == ()
    assert result.note.count("other labels than in 0.h5") == 2


def test_files_without_labels(write_files):
    with check_run(write_files()) as run:
        assert check_columns(run).scope == "no axis with labels"
