"""The summary against files and splits whose numbers are known."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from h5lightning.core.permutation import derive_key
from h5lightning.datamodule.summary import summarise
from h5lightning.options import Access, Field, Rows, Split, Windows
from h5lightning.planning.splitting.plan_split import plan_split
from h5lightning.planning.splitting.split_plan import Segments
from h5lightning.storage.survey import survey

FIELDS = {"x": Field("x"), "y": Field("y"), "grid": Field("grid", constant=True)}
ROW_BYTES = 2 * 3 * 4 + 8  # of conftest.write_file


def examine(files, split, samples=None, access=None):
    found = survey(
        files, FIELDS, samples or Rows(), access=access or Access(), keep_together=split.keep_together
    )
    plan = plan_split(found.index, split, seed=0, roles=found.roles, labels=found.labels)
    return found, plan


def summary_of(files, split, **options):
    return summarise(*examine(files, split, **options), keep_together=split.keep_together)


def by_name(summary):
    return {split.name: split for split in summary.splits}


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────


def test_sizes_are_those_of_the_named_files(write_files):
    files = {
        "train": write_files((40, 25), "a"),
        "val": write_files((10,), "b"),
        "predict": write_files((7,), "c"),
    }
    summary = summary_of(files, Split(val=None, test=None), samples=Windows(8))
    train, val, predict = (by_name(summary)[name] for name in ("train", "val", "predict"))
    assert (train.files, train.series, train.rows, train.samples) == (2, 2, 65, 33 + 18)
    assert (val.files, val.rows, val.samples, predict.rows, predict.samples) == (1, 10, 3, 7, 0)
    assert (train.decoded_bytes, val.decoded_bytes) == (65 * ROW_BYTES, 10 * ROW_BYTES)
    assert (val.requested, val.reached) == (None, None)


def test_fractions_are_requested_and_reached(write_files):
    summary = summary_of(write_files((50,) * 10), Split(val=0.2, test=0.2, train=0.5))
    splits = by_name(summary)
    assert {name: split.requested for name, split in splits.items()} == {
        "train": 0.5,
        "val": 0.2,
        "test": 0.2,
    }
    assert splits["val"].reached == pytest.approx(0.2)
    assert summary.unused_rows == 50
    assert sum(split.rows for split in summary.splits) + summary.unused_rows == 500


def test_a_dataset_that_serves_two_fields_counts_once(write_files):
    fields = {"now": Field("x", steps=(0, 4)), "next": Field("x", steps=(4, 5))}
    found = survey(write_files((30,) * 10), fields, Windows(5), access=Access())
    summary = summarise(found, plan_split(found.index, Split(), seed=0))
    assert sum(split.decoded_bytes for split in summary.splits) == 300 * 24


def test_series_without_a_sample_are_listed(write_files):
    summary = summary_of(write_files((50, 3, 50, 50, 2, 50)), Split(val=None, test=None), samples=Windows(4))
    assert summary.without_samples == ("run-001.h5 (3 rows)", "run-004.h5 (2 rows)")
    assert summary.without_samples_count == 2
    assert "Too short for a sample, of 6 series: 2 series: run-001.h5 (3 rows); run-004.h5 (2 rows)" in str(
        summary
    )


def test_many_short_series_are_counted_and_a_few_named(write_files):
    summary = summary_of(write_files((50, *[2] * 9)), Split(val=None, test=None), samples=Windows(4))
    assert (len(summary.without_samples), summary.without_samples_count) == (5, 9)
    assert "9 series: run-001.h5 (2 rows); " in str(summary)
    assert "; …" in str(summary)


def test_skipped_files_have_their_reason(write_files, tmp_path):
    files = write_files((20,) * 5)
    (tmp_path / "runs" / "torn.h5").write_bytes(b"")
    summary = summary_of(files, Split(), access=Access(on_bad_file="skip", max_bad_fraction=0.5))
    assert [file.name for file in summary.skipped] == ["torn.h5"]
    assert "Left out: 1 file: torn.h5: " in str(summary)
    assert "is empty" in str(summary)


# ── what is shared ───────────────────────────────────────────────────────────────────────────────────


def test_a_split_by_file_shares_nothing(write_files):
    assert "Between splits: 0 files, 0 groups, 0 rows shared" in str(summary_of(write_files(), Split()))


@pytest.mark.parametrize("by", ["block", "sample"])
def test_a_split_inside_of_files_shares_files_but_no_row(write_files, by):
    summary = summary_of(write_files((60,) * 4), Split(by=by))
    assert (summary.shared_files, summary.shared_rows) == (4, 0)


def test_rows_in_two_splits_are_counted(write_files):
    found, plan = examine(write_files((60,) * 10), Split(by="block"))
    train = plan.parts["train"]
    late = Segments(train.series, train.start + 3, train.stop)
    leaking = replace(plan, parts={**plan.parts, "test": late})
    assert summarise(found, leaking).shared_rows == late.rows


def test_drawn_rows_in_two_splits_are_counted(write_files):
    found, plan = examine(write_files((60,) * 4), Split(by="sample"))
    val, drawn = plan.parts["val"], plan.parts["train"]
    same = replace(plan, parts={"train": drawn, "val": val, "test": val})
    assert summarise(found, same).shared_rows == val.rows
    whole = Segments(val.series, val.start, val.stop)
    assert summarise(found, replace(plan, parts={"train": whole, "val": val})).shared_rows == val.rows
    other = replace(val, subset=replace(val.subset, key=derive_key("other")))
    expected = np.intersect1d(
        *(part.selection(found.index)(np.arange(part.rows)) for part in (val, other))
    ).size
    assert expected > 0
    assert summarise(found, replace(plan, parts={"train": other, "val": val})).shared_rows == expected


@pytest.mark.parametrize("keep_together", ["attr:machine", "path:run-(00[0-7])"], ids=["attribute", "path"])
def test_groups_in_two_splits_are_counted(write_files, keep_together):
    found, plan = examine(write_files((30,) * 8), Split(keep_together=keep_together, val=0.25, test=None))
    assert summarise(found, plan, keep_together=keep_together).shared_groups == 0
    files = {"train": np.array([0, 2]), "val": np.array([1, 3])}
    leaking = {name: Segments.of_files(found.index, numbers) for name, numbers in files.items()}
    # Files 0 and 1 share their machine, as do 2 and 3; by this path each file is its own group.
    expected = 2 if keep_together == "attr:machine" else 0
    assert (
        summarise(found, replace(plan, parts=leaking), keep_together=keep_together).shared_groups == expected
    )


# ── files with the same content ──────────────────────────────────────────────────────────────────────


def test_copies_in_different_splits_are_found(write_files, tmp_path):
    train, val = write_files((40, 25, 33), "a"), write_files((10, 18), "b")
    shutil.copy(tmp_path / "a" / "run-001.h5", tmp_path / "b" / "copy.h5")
    summary = summary_of({"train": train, "val": val}, Split(val=None, test=None))
    assert summary.identical == ((("a/run-001.h5", "train"), ("b/copy.h5", "val")),)
    assert "Same content in different splits: 1 case: a/run-001.h5 (train) = b/copy.h5 (val)" in str(summary)


def test_of_many_copies_two_in_different_splits_are_shown(write_files, tmp_path):
    train, val = write_files((40, 25), "a"), write_files((10,), "b")
    for copy in ("a/run-003.h5", "a/run-004.h5", "b/copy.h5"):
        shutil.copy(tmp_path / "a" / "run-001.h5", tmp_path / copy)
    text = str(summary_of({"train": train, "val": val}, Split(val=None, test=None)))
    assert "1 case: a/run-001.h5 (train) = b/copy.h5 (val) and 2 more" in text


def test_copies_in_one_split_are_no_leak(write_files, tmp_path):
    train, val = write_files((40, 25, 33), "a"), write_files((10, 18), "b")
    shutil.copy(tmp_path / "a" / "run-001.h5", tmp_path / "a" / "copy.h5")
    assert summary_of({"train": train, "val": val}, Split(val=None, test=None)).identical == ()


def test_copies_that_are_each_cut_in_blocks_leak(write_files, tmp_path):
    files = write_files((40,) * 2)
    shutil.copy(tmp_path / "runs" / "run-000.h5", tmp_path / "runs" / "run-000b.h5")
    summary = summary_of(files, Split(by="block"))
    assert [[name for name, _ in group] for group in summary.identical] == [["run-000.h5", "run-000b.h5"]]


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_plain_for_json(write_files):
    summary = summarise(*examine(write_files(), Split()), new_files=["run-007.h5"])
    plain = json.loads(json.dumps(summary.to_plain()))
    assert plain["new_files"] == ["run-007.h5"]
    assert [split["name"] for split in plain["splits"]] == ["train", "val", "test"]
    assert "New since the manifest: 1 file: run-007.h5" in str(summary)


def test_remarks_about_fields_are_told(write_files):
    found, plan = examine(write_files(), Split())
    odd = replace(found.fields, remarks=("'/x' is odd",))
    stages = {stage: replace(section, fields=odd) for stage, section in found.sections.of_stage.items()}
    found = replace(found, sections=replace(found.sections, of_stage=stages))
    summary = summarise(found, plan)
    assert summary.to_plain()["remarks"] == ("'/x' is odd",)
    assert "'/x' is odd" in str(summary)


def test_the_text_is_a_table_without_control_characters(write_files):
    text = str(summary_of(write_files(), Split()))
    lines = text.splitlines()
    assert "\x1b" not in text
    assert lines[2].split() == [
        "split",
        "files",
        "series",
        "rows",
        "samples",
        "decoded",
        "requested",
        "reached",
    ]
    assert {line.split()[0] for line in lines[4:7]} == {"train", "val", "test"}
    assert len({len(line) for line in lines[2:7]}) == 1


def test_html_escapes_names(tmp_path):
    for number in range(4):
        with h5py.File(tmp_path / f"<b>{number}.h5", "w") as file:
            file["x"], file["y"], file["grid"] = np.zeros((3 + 9 * number, 2)), np.zeros(3 + 9 * number), 0.0
    summary = summary_of(str(tmp_path / "*.h5"), Split(val=None, test=None), samples=Windows(5))
    assert "&lt;b&gt;0.h5" in summary._repr_html_()
    assert "<b>0.h5" not in summary._repr_html_()


# ── what was perhaps never written ───────────────────────────────────────────────────────────────────


def test_files_that_end_with_their_fill_value_are_told(write_files, tmp_path):
    pattern = write_files()
    with h5py.File(tmp_path / "runs/run-004.h5", "r+") as file:
        file["x"][40:] = 0
    found, plan = examine(pattern, Split())
    (remark,) = summarise(found, plan).remarks
    assert remark.startswith(
        "'/x' ends with rows of its fill value alone ('h5lightning check' says where they begin): 1 file: "
    )
    assert "run-004.h5" in str(summarise(found, plan))
    assert summarise(found, plan, on_missing="fill").remarks == ()
