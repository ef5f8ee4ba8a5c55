"""Manifests: write a split, read it, describe what changed."""

import json
import os
import pickle

import numpy as np
import pytest
from indexes import files_by_split, make_index, rows_by_split

from h5lightning.errors import ManifestError
from h5lightning.options import Split, Windows
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest import (
    describe_difference,
    explain_moves,
    from_plain_split,
    load_manifest,
    save_manifest,
    to_plain_split,
)
from h5lightning.planning.splitting.plan_split import plan_split

ROWS = [40, 25, 33, 10, 52, 18, 27, 36, 44, 21]
KINDS = {
    "file": Split(by="file"),
    "less train": Split(by="file", train=0.3),
    "fold": Split(by="file", folds=3, fold=1),
    "series": Split(by="series"),
    "block": Split(by="block", gap=2),
    "block fold": Split(by="block", gap=1, folds=3, fold=1),
    "sample": Split(by="sample"),
    "sample fold": Split(by="sample", folds=3, fold=1),
}


@pytest.fixture
def manifest_of(tmp_path):
    """A function that saves a split and reads it again."""

    def write_and_read(plan, index):
        path = str(tmp_path / "split.json")
        save_manifest(plan, index, path)
        return load_manifest(path)

    return write_and_read


def some_index(**options):
    return make_index([[rows, 7, rows // 2] for rows in ROWS], **options)


# ── there and back ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("split", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("series_names", [None, [f"demo_{n}" for n in range(30)]], ids=["unnamed", "named"])
def test_a_saved_split_is_found_again_elsewhere(manifest_of, split, series_names):
    index = some_index(series_names=series_names)
    plan = plan_split(index, split, seed=3)
    elsewhere = some_index(root="/scratch/copy", series_names=series_names)
    again = apply_manifest(manifest_of(plan, index), elsewhere, Split(), seed=99)
    assert again.fingerprint == plan.fingerprint
    assert (again.by, again.rows, again.reached, again.requested, again.unused_rows) == (
        plan.by,
        plan.rows,
        plan.reached,
        plan.requested,
        plan.unused_rows,
    )


@pytest.mark.parametrize("split", KINDS.values(), ids=KINDS)
def test_a_checkpoint_keeps_the_same(split):
    index = some_index()
    plan = plan_split(index, split, seed=3)
    plain = to_plain_split(plan, index)
    assert {type(value) for value in plain.values()} == {str}
    assert from_plain_split(json.loads(json.dumps(plain))).plan.fingerprint == plan.fingerprint


def test_a_split_of_roles_is_kept_and_predict_is_not_in_it(manifest_of):
    index = make_index(ROWS)
    roles = {
        name: np.asarray(files)
        for name, files in {"train": range(6), "test": [6, 7], "predict": [8, 9]}.items()
    }
    plan = plan_split(index, Split(test=None), seed=0, roles=roles)
    manifest = manifest_of(plan, index)
    assert manifest.plan.fingerprint == plan.fingerprint
    assert len(manifest.index.names) == 8
    assert manifest.plan.reached == plan.reached


def test_names_that_are_not_unicode_survive(manifest_of):
    index = make_index([10] * 6, names=[os.fsdecode(b"run-\xff-%d.h5" % number) for number in range(6)])
    plan = plan_split(index, Split(), seed=0)
    assert apply_manifest(manifest_of(plan, index), index, Split(), seed=0).fingerprint == plan.fingerprint


def test_the_file_can_be_read_by_people(tmp_path):
    index = make_index([10, 20, 30], names=["a.h5", "b.h5", "c.h5"])
    save_manifest(
        plan_split(index, Split(by="file", order="path"), seed=0), index, str(tmp_path / "split.json")
    )
    assert (tmp_path / "split.json").read_text().splitlines() == [
        "{",
        ' "format": "h5lightning split",',
        ' "version": 1,',
        ' "by": "file",',
        ' "requested": {',
        '  "train": 0.8,',
        '  "val": 0.1,',
        '  "test": 0.1',
        " },",
        ' "rows": {',
        '  "a.h5": [10],',
        '  "b.h5": [20],',
        '  "c.h5": [30]',
        " },",
        ' "splits": {',
        '  "train": {',
        '   "files": [',
        '    "a.h5"',
        "   ]",
        "  },",
        '  "val": {',
        '   "files": [',
        '    "b.h5"',
        "   ]",
        "  },",
        '  "test": {',
        '   "files": [',
        '    "c.h5"',
        "   ]",
        "  }",
        " }",
        "}",
    ]


def test_a_manifest_is_replaced_as_a_whole(tmp_path):
    index = make_index([10] * 5)
    for seed in range(3):
        save_manifest(plan_split(index, Split(), seed=seed), index, str(tmp_path / "split.json"))
    assert os.listdir(tmp_path) == ["split.json"]


def test_other_windows_keep_the_manifest(manifest_of):
    index = make_index(ROWS)
    manifest = manifest_of(plan_split(index, Split(by="file"), seed=0), index)
    windows = make_index(ROWS, Windows(4))
    assert apply_manifest(manifest, windows, Split(), seed=0).fingerprint == manifest.plan.fingerprint


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────


def changed(**entries):
    return lambda plain: {**plain, **entries}


def without(name):
    return lambda plain: {key: value for key, value in plain.items() if key != name}


A_AND_B = {"a.h5": [10], "b.h5": [10]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda _: [1, 2], "is not a split saved by h5lightning", id="list"),
        pytest.param(without("format"), "is not a split saved by h5lightning", id="no format"),
        pytest.param(
            changed(version=4),
            "has version 4, expected 1, 2 or 3: it was saved by another release",
            id="version",
        ),
        pytest.param(without("version"), "has version None", id="no version"),
        pytest.param(without("rows"), "is damaged: KeyError: 'rows'", id="no rows"),
        pytest.param(without("splits"), "is damaged: KeyError: 'splits'", id="no splits"),
        pytest.param(without("requested"), "is damaged", id="no fractions"),
        pytest.param(without("by"), "is damaged: KeyError: 'by'", id="no by"),
        pytest.param(changed(by="colour"), "is damaged: .*'colour'", id="unknown by"),
        pytest.param(
            changed(by=[0.5]), "is damaged: ValueError: .by. must be one of file", id="by in a list"
        ),
        pytest.param(changed(rows=[1]), "is damaged", id="rows in a list"),
        pytest.param(changed(rows={"a.h5": ["x"]}), "is damaged", id="rows in letters"),
        pytest.param(
            changed(rows={"a.h5": ["10"]}), "is damaged: TypeError: rows must be whole", id="rows in text"
        ),
        pytest.param(
            changed(rows={"a.h5": [10.5]}), "is damaged: TypeError: rows must be whole", id="half a row"
        ),
        pytest.param(
            changed(splits={"train": {"runs": {"a.h5": [[0, 0, 6.5]]}}, "val": {"files": ["b.h5"]}}),
            "is damaged: TypeError: rows must be whole",
            id="half a row in a run",
        ),
        pytest.param(
            changed(splits={"train": {"runs": {"a.h5": [[0, 6]]}}, "val": {"files": ["b.h5"]}}),
            "is damaged: ValueError",
            id="run of two numbers",
        ),
        pytest.param(
            changed(splits={"train": {"key": "1", "slices": [[0, True]], "files": ["a.h5", "b.h5"]}}),
            "is damaged: TypeError: rows must be whole",
            id="bool in a slice",
        ),
        pytest.param(changed(rows={"a.h5": [-4], "b.h5": [10]}), "is damaged: .*-4 rows", id="negative rows"),
        pytest.param(
            changed(splits={"train": {"files": ["c.h5"]}}), "is damaged: KeyError: 'c.h5'", id="unknown file"
        ),
        pytest.param(
            changed(splits={"training": {"files": ["a.h5"]}}),
            "'training' is not one of its splits",
            id="unknown split",
        ),
        pytest.param(
            changed(splits={"train": {"files": ["a.h5", "b.h5"]}, "val": {"files": ["b.h5"]}}),
            "rows of b.h5 are in two splits",
            id="file in two splits",
        ),
        pytest.param(
            changed(
                splits={"train": {"runs": {"a.h5": [[0, 0, 6]]}}, "val": {"runs": {"a.h5": [[0, 5, 9]]}}}
            ),
            "rows of a.h5 are in two splits",
            id="runs overlap",
        ),
        pytest.param(
            changed(splits={"train": {"runs": {"a.h5": [[0, 0, 11]]}}, "val": {"files": ["b.h5"]}}),
            "a run lies outside of its series",
            id="run too long",
        ),
        pytest.param(
            changed(splits={"train": {"runs": {"a.h5": [[1, 0, 1]]}}, "val": {"files": ["b.h5"]}}),
            "names a series that its file does not have",
            id="unknown series",
        ),
        pytest.param(
            changed(
                splits={
                    "train": {"key": "1", "slices": [[0, 12]], "files": ["a.h5", "b.h5"]},
                    "val": {"key": "1", "slices": [[11, 20]], "files": ["a.h5", "b.h5"]},
                }
            ),
            "slices of the 20 rows overlap",
            id="slices overlap",
        ),
        pytest.param(
            changed(
                splits={
                    "train": {"key": "1", "slices": [[0, 12]], "files": ["a.h5", "b.h5"]},
                    "val": {"key": "2", "slices": [[12, 20]], "files": ["a.h5", "b.h5"]},
                }
            ),
            "with different keys",
            id="two keys",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, damage, message):
    index = make_index([10, 10], names=["a.h5", "b.h5"])
    path = tmp_path / "split.json"
    save_manifest(plan_split(index, Split(by="file", test=None, val=0.5), seed=0), index, str(path))
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ManifestError, match=f"split.json .*{message}"):
        load_manifest(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is not JSON", id="empty"),
        pytest.param(b'{"format": "h5li', "is not JSON", id="torn"),
        pytest.param(b"\xff\xfe\x00", "is not JSON", id="binary"),
        pytest.param(b"[" * 100_000, "is not JSON", id="deep"),
    ],
)
def test_a_file_that_is_no_json_is_refused(tmp_path, content, message):
    (tmp_path / "split.json").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        load_manifest(str(tmp_path / "split.json"))


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"nowhere\.json cannot be read: No such file"):
        load_manifest(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize(
    "packed", [{}, {"zlib_base64": "!"}, {"zlib_base64": "AAAA"}, {"zlib_base64": None}], ids=str
)
def test_a_damaged_checkpoint_is_refused(packed):
    with pytest.raises(ManifestError, match="in the checkpoint is damaged"):
        from_plain_split(packed)


# ── differences ──────────────────────────────────────────────────────────────────────────────────────


def test_equal_splits_have_no_difference():
    index = make_index(ROWS)
    first, second = (to_plain_split(plan_split(index, Split(), seed=0), index) for _ in range(2))
    assert describe_difference(first, pickle.loads(pickle.dumps(second))) == ""


def test_a_difference_names_the_files():
    before, after = (
        make_index([10] * 6),
        make_index([10] * 4 + [12, 10, 10], names=[f"run-{n:04}.h5" for n in (0, 1, 2, 3, 4, 6, 7)]),
    )
    old = plan_split(before, Split(by="file", order="path"), seed=0)
    new = plan_split(after, Split(by="file", order="path", test=None, val=0.6), seed=0)
    assert files_by_split(old, before) == {"train": [0, 1, 2, 3], "val": [4], "test": [5]}
    assert files_by_split(new, after) == {"train": [0, 1, 2], "val": [3, 4, 5, 6]}
    assert describe_difference(to_plain_split(old, before), to_plain_split(new, after)) == (
        "1 file went from train to val (run-0003.h5); "
        "1 file has other rows (run-0004.h5: 10, now 12); "
        "2 files are new (run-0006.h5 in val, run-0007.h5 in val); "
        "1 file is gone (run-0005.h5 in test)"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(Split(by="file"), Split(by="block"), "it was by 'file' and is by 'block'; ", id="by"),
        pytest.param(
            Split(by="block"),
            Split(by="block", gap=1),
            "10 files are divided in another way (run-0000.h5, run-0001.h5, run-0002.h5 and 7 more)",
            id="gap",
        ),
        pytest.param(
            Split(by="sample"), Split(by="sample", seed=9), "10 files are divided in another way", id="draw"
        ),
        pytest.param(
            Split(by="file", order="path"),
            Split(by="file", order="path", train=0.5),
            "from train to no split",
            id="unused",
        ),
    ],
)
def test_a_difference_says_what_kind_it_is(old, new, message):
    index = make_index([10] * 10)
    first, second = (to_plain_split(plan_split(index, split, seed=0), index) for split in (old, new))
    assert message in describe_difference(first, second)


def test_other_names_of_series_are_a_difference():
    indexes = (make_index([10] * 6), make_index([10] * 6, series_names=list("abcdef")))
    first, second = (to_plain_split(plan_split(index, Split(), seed=0), index) for index in indexes)
    assert describe_difference(first, second) == "its series have other names"


def test_rows_are_the_same_before_and_after(manifest_of):
    index = make_index(ROWS)
    plan = plan_split(index, Split(by="sample"), seed=1)
    again = apply_manifest(manifest_of(plan, index), index, Split(), seed=0)
    assert rows_by_split(again, index) == rows_by_split(plan, index)


def saved_split(by="file", rows=None, **splits):
    """A saved split of one-series files of ten rows."""
    names = sorted({name for part in splits.values() for name in part})
    return {
        "by": by,
        "rows": {name: [10] for name in names} | (rows or {}),
        "splits": {
            name: {"files": part} if isinstance(part, list) else {"runs": part}
            for name, part in splits.items()
        },
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            saved_split(train=["a", "b"], test=["c"]),
            saved_split(train=["a"], test=["b", "c"]),
            "1 file went from train to test (b)",
            id="moved",
        ),
        pytest.param(
            saved_split(train=["a", "b"], test=["c"]),
            saved_split(train=["c"], test=["a", "b"]),
            "2 files went from train to test (a, b); 1 file went from test to train (c)",
            id="exchanged",
        ),
        pytest.param(
            saved_split(train=list("abcdef")),
            saved_split(val=list("abcdef")),
            "6 files went from train to val (a, b, c and 3 more)",
            id="many",
        ),
        pytest.param(
            saved_split(train=["a"]),
            saved_split(train=["a"], rows={"a": [4, 5]}),
            "1 file has other rows (a: 10 in 1 series, now 9 in 2 series)",
            id="other rows",
        ),
        pytest.param(
            saved_split(train=["a"]),
            saved_split(train=["a"], val=["b"], rows={"c": [1]}),
            "2 files are new (b in val, c in no split)",
            id="new",
        ),
        pytest.param(
            saved_split(train=["a"], val=["b"]),
            saved_split(train=["a"]),
            "1 file is gone (b in val)",
            id="gone",
        ),
        pytest.param(
            saved_split("block", train={"a": [[0, 0, 5]]}, val={"a": [[0, 5, 10]]}),
            saved_split("block", train={"a": [[0, 0, 6]]}, val={"a": [[0, 6, 10]]}),
            "1 file is divided in another way (a)",
            id="divided elsewhere",
        ),
        pytest.param(
            saved_split(train=["a"]),
            saved_split("block", train={"a": [[0, 0, 6]]}, val={"a": [[0, 6, 10]]}),
            "it was by 'file' and is by 'block'; 1 file went from train to train and val (a)",
            id="by",
        ),
    ],
)
def test_moves_are_explained(old, new, expected):
    assert explain_moves(old, new) == expected
