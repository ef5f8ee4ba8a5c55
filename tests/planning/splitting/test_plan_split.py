"""plan_split: files, series, blocks, rows, folds, roles and groups."""

import dataclasses
import itertools

import numpy as np
import pytest
from indexes import files_by_split, make_index, row_numbers, rows_by_split

from h5lightning.errors import OptionError, SplitError
from h5lightning.options import Rows, Split, Whole, Windows
from h5lightning.planning.splitting.candidates import Candidates, Fractions
from h5lightning.planning.splitting.plan_split import STRATEGIES, plan_split

MANY = [40, 25, 33, 10, 52, 18, 27, 36, 44, 21, 30, 15, 60, 12, 29]


def plan(index, seed=0, roles=None, labels=None, **options):
    numbers = None if roles is None else {name: np.asarray(files) for name, files in roles.items()}
    return plan_split(index, Split(**options), seed=seed, roles=numbers, labels=labels)


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


def segments(found, name):
    part = found.parts[name]
    return list(zip(part.series.tolist(), part.start.tolist(), part.stop.tolist(), strict=True))


# ── what is divided ──────────────────────────────────────────────────────────────────────────────────


def test_one_file_with_ten_rows_works_as_it_is():
    found = plan(make_index([10]))
    assert (found.by, found.rows) == ("block", {"train": 8, "val": 1, "test": 1})
    assert (segments(found, "train"), segments(found, "val"), segments(found, "test")) == (
        [(0, 0, 8)],
        [(0, 8, 9)],
        [(0, 9, 10)],
    )


@pytest.mark.parametrize(
    ("rows", "by"),
    [
        pytest.param([10] * 12, "file", id="enough files"),
        pytest.param([10] * 5, "file", id="a fifth is twice a tenth"),
        pytest.param([10] * 4, "block", id="a quarter is too much"),
        pytest.param([500] + [1] * 20, "block", id="one file has nearly all rows"),
        pytest.param([[10] * 20], "series", id="one file with many series"),
        pytest.param([[10] * 6, [10] * 6], "series", id="two files with many series"),
        pytest.param([[10], [10]], "block", id="two files"),
    ],
)
def test_auto_takes_files_then_series_then_blocks(rows, by):
    assert plan(make_index(rows)).by == by


def test_auto_does_not_depend_on_the_size_of_train():
    index = make_index([10] * 6)
    assert {plan(index, train=train).by for train in (None, 0.8, 0.3, 0.01)} == {"file"}


def test_by_file_keeps_all_series_of_a_file_together():
    index = make_index([[5, 7], [3, 3, 3], [20], [8, 8], [11], [4, 4]] * 3)
    found = plan(index, by="file")
    files = files_by_split(found, index)
    assert sorted(joined(files.values())) == list(range(18))
    assert found.rows == {name: int(index.file_rows[numbers].sum()) for name, numbers in files.items()}


def test_by_series_may_part_the_series_of_a_file():
    index = make_index([[10] * 30])
    assert files_by_split(plan(index, by="series"), index) == {"train": [0], "val": [0], "test": [0]}


@pytest.mark.parametrize("by", ["file", "series", "block", "sample"])
@pytest.mark.parametrize(
    "options", [{}, {"train": 0.3}, {"folds": 3, "fold": 1}], ids=["all", "less", "folds"]
)
def test_fractions_are_reached(by, options):
    index = make_index([[rows, rows + 3] for rows in MANY * 4])
    found = plan(index, by=by, val=0.2, **options)
    total = int(index.series_rows.sum())
    assert found.reached == pytest.approx(found.requested, abs=0.01)
    assert found.reached == {name: rows / total for name, rows in found.rows.items()}
    assert found.unused_rows == total - sum(found.rows.values())


def test_seeds_give_different_splits():
    index = make_index([10] * 20)
    assert len({plan(index, seed=seed).fingerprint for seed in range(10)}) == 10


def test_the_seed_of_the_split_wins_over_that_of_the_run():
    index = make_index([10] * 20)
    found = {plan_split(index, Split(seed=3), seed=seed).fingerprint for seed in range(5)}
    assert found == {plan(index, seed=3).fingerprint}


@pytest.mark.parametrize("by", ["file", "series"])
def test_path_order_puts_the_latest_in_test(by):
    index = make_index(MANY)
    found = plan(index, by=by, order="path")
    files = files_by_split(found, index)
    assert joined(files.values()) == list(range(len(MANY)))
    assert files["train"][-1] < files["val"][0] <= files["val"][-1] < files["test"][0]


def test_a_smaller_train_in_path_order_is_the_earliest():
    files = files_by_split(
        plan(make_index([10] * 10), by="file", order="path", train=0.3), make_index([10] * 10)
    )
    assert files == {"train": [0, 1, 2], "val": [8], "test": [9]}


def test_files_without_rows_are_train_and_fill_no_split():
    index = make_index([10, 0, 10, 0, 10, 0])
    found = plan(index, by="file")
    assert {1, 3, 5} < set(files_by_split(found, index)["train"])
    assert found.rows == {"train": 10, "val": 10, "test": 10}
    with pytest.raises(SplitError, match="2 files cannot fill train, val and test"):
        plan(make_index([10, 0, 0, 10]), by="file")


@pytest.mark.parametrize("by", ["series", "block"])
def test_series_without_rows_are_train(by):
    index = make_index([[0, 20, 20, 20], [0], [20]])
    assert {0, 4} < set(plan(index, by=by).parts["train"].series.tolist())


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────


def test_blocks_lie_in_order_with_gaps_between():
    found = plan(make_index([100, 50]), by="block", gap=3)
    assert segments(found, "train") == [(0, 0, 74), (1, 0, 34)]
    assert segments(found, "val") == [(0, 77, 87), (1, 37, 42)]
    assert segments(found, "test") == [(0, 90, 100), (1, 45, 50)]
    assert found.unused_rows == 12


def test_fractions_of_rows_are_carried_over_short_series():
    found = plan(make_index([3] * 100), by="block")
    assert found.rows == {"train": 240, "val": 30, "test": 30}


@pytest.mark.parametrize("rows", [3, 4, 5, 9], ids=str)
def test_a_block_split_of_few_rows_leaves_no_split_empty(rows):
    assert min(plan(make_index([rows]), by="block").rows.values()) >= 1


def test_a_fold_of_blocks_has_train_on_both_sides():
    found = plan(make_index([120]), by="block", test=None, folds=4, fold=1, gap=5)
    assert segments(found, "val") == [(0, 30, 60)]
    assert segments(found, "train") == [(0, 0, 25), (0, 65, 120)]


# ── folds ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "order"),
    [("file", "random"), ("file", "path"), ("series", "random"), ("block", "path"), ("sample", "random")],
)
def test_folds_share_one_test_part_and_cover_the_rest_once(by, order):
    index = make_index(MANY)
    tests, vals = set(), {}
    for folds in (2, 5):
        found = [
            rows_by_split(plan(index, by=by, order=order, folds=folds, fold=fold), index)
            for fold in range(folds)
        ]
        tests |= {tuple(rows["test"]) for rows in found}
        vals[folds] = sorted(joined(rows["val"] for rows in found))
        assert all(sorted(rows["val"] + rows["train"]) == vals[folds] for rows in found)
    assert len(tests) == 1
    assert vals[2] == vals[5] == sorted(set(range(sum(MANY))) - set(*tests))


def test_folds_have_equal_rows():
    sizes = [plan(make_index(MANY * 4), by="file", folds=5, fold=fold).rows["val"] for fold in range(5)]
    assert max(sizes) - min(sizes) <= 2


def test_folds_ignore_val():
    index = make_index(MANY)
    assert (
        plan(index, val=0.5, folds=3, fold=0).fingerprint
        == plan(index, val=None, folds=3, fold=0).fingerprint
    )


def test_path_folds_are_contiguous():
    index = make_index([10] * 12)
    files = [
        files_by_split(plan(index, order="path", test=None, folds=4, fold=fold), index)["val"]
        for fold in range(4)
    ]
    assert files == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_shares_a_part_of_the_path_stays_together():
    names = [f"patient_{number // 3:02}/scan_{number}.h5" for number in range(30)]
    index = make_index([10 + number for number in range(30)], names=names)
    files = files_by_split(plan(index, keep_together="path:(patient_[0-9]+)/"), index)
    patients = {name: {number // 3 for number in numbers} for name, numbers in files.items()}
    assert sorted(joined(patients.values())) == list(range(10))


def test_what_shares_an_attribute_stays_together():
    index = make_index([10] * 12)
    labels = [f"machine {number % 4}" for number in range(12)]
    files = files_by_split(plan(index, keep_together="attr:machine", labels=labels), index)
    machines = [{number % 4 for number in numbers} for numbers in files.values()]
    assert sorted(machine for group in machines for machine in group) == [0, 1, 2, 3]


def test_groups_are_in_the_order_of_their_first_files():
    index = make_index([10] * 6, names=["1-b.h5", "2-a.h5", "3-b.h5", "4-c.h5", "5-a.h5", "6-c.h5"])
    files = files_by_split(plan(index, keep_together="path:-(.)", order="path", val=0.3, test=0.3), index)
    assert files == {"train": [0, 2], "val": [1, 4], "test": [3, 5]}


@pytest.mark.parametrize(
    ("keep_together", "error", "message"),
    [
        pytest.param("path:(x+)", SplitError, r"run-0000\.h5 does not match '\(x\+\)'", id="no match"),
        pytest.param("path:0(z)?", SplitError, r"run-0000\.h5 does not match", id="empty group"),
        pytest.param("path:(", OptionError, r"'\(' is not a regular expression", id="bad regex"),
        pytest.param(
            "path:run", OptionError, "has no group; put what files share in parentheses", id="no group"
        ),
        pytest.param(
            "attr:machine", SplitError, r"run-0002\.h5 has no attribute 'machine'", id="no attribute"
        ),
        pytest.param(
            "path:(run)",
            SplitError,
            "1 group cannot fill train, val and test; use data.split.test=null",
            id="one",
        ),
    ],
)
def test_groups_that_cannot_be_made(keep_together, error, message):
    with pytest.raises(error, match=message):
        plan(make_index([10] * 4), keep_together=keep_together, labels=["a", "b", None, "c"])


# ── an explicit mapping of files ─────────────────────────────────────────────────────────────────────


def test_named_splits_take_exactly_their_files():
    index = make_index([10] * 8)
    roles = {"train": [0, 1, 2, 3], "val": [4], "test": [5, 6], "predict": [7]}
    found = plan(index, roles=roles, val=None, test=None)
    assert files_by_split(found, index) == {name: roles[name] for name in ("train", "val", "test")}
    assert found.requested == {"train": 1.0}


def test_sizes_are_fractions_of_the_files_of_train():
    index = make_index([10] * 20)
    found = plan(
        index, roles={"train": list(range(10)), "test": [10, 11], "predict": [12]}, val=0.3, test=None
    )
    files = files_by_split(found, index)
    assert files["test"] == [10, 11]
    assert sorted(files["train"] + files["val"]) == list(range(10))
    assert (found.requested, found.reached) == (pytest.approx({"train": 0.7, "val": 0.3}),) * 2


def test_a_named_split_is_not_cut_again():
    index = make_index([10] * 10)
    files = files_by_split(
        plan(index, roles={"train": list(range(9)), "val": [9]}, val=0.5, test=None), index
    )
    assert files == {"train": list(range(9)), "val": [9]}


def test_roles_without_train_divide_nothing():
    index = make_index([10] * 3)
    assert files_by_split(plan(index, roles={"test": [0, 1], "predict": [2]}), index) == {"test": [0, 1]}


def test_predict_files_change_nothing():
    names = [f"{letter}.h5" for letter in "abcdefghij"]
    alone = plan(make_index([10] * 10, names=names))
    both = plan(
        make_index([99, *[10] * 10, 99], names=["A.h5", *names, "z.h5"]),
        roles={"train": list(range(1, 11)), "predict": [0, 11]},
    )
    assert alone.fingerprint == both.fingerprint


def test_a_group_in_two_roles_is_refused():
    index = make_index([10] * 4, names=["p1-a.h5", "p1-b.h5", "p2-a.h5", "p3-a.h5"])
    with pytest.raises(SplitError, match=r"p1-a\.h5 of train and p1-b\.h5 of test share the value 'p1'"):
        plan(index, keep_together="path:(p.)", roles={"train": [0, 2, 3], "test": [1]}, val=None, test=None)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        pytest.param(
            [10, 10],
            {"by": "file"},
            "2 files cannot fill train, val and test; use by='block', or data.split.test=null",
            id="files",
        ),
        pytest.param([[10, 10]], {"by": "series"}, "2 series cannot fill train, val and test", id="series"),
        pytest.param(
            [10],
            {"by": "file", "test": None},
            "1 file cannot fill train and val; use by='block', or data.split.val=null",
            id="one file",
        ),
        pytest.param(
            [10] * 5,
            {"by": "file", "folds": 5, "fold": 0},
            "5 files cannot fill 5 folds and test; use by='block', or fewer folds",
            id="folds",
        ),
        pytest.param(
            [1, 1, 1, 97],
            {"by": "file", "test": 0.03, "folds": 3, "fold": 0},
            "4 files cannot fill 3 folds and test",
            id="folds after test",
        ),
        pytest.param([0, 0], {}, "have 2 series, but no rows", id="no rows"),
        pytest.param([], {}, "have 0 series, but no rows", id="no files"),
        pytest.param([2], {"by": "block"}, r"gets no row with by='block'", id="two rows"),
        pytest.param(
            [10],
            {"by": "block", "gap": 6},
            r"(train|val) \(0\.\d \w+ 10 rows\) gets no row with by='block' and gap=6",
            id="gap",
        ),
        pytest.param([2], {"by": "sample"}, "train .* gets no row with by='sample'", id="rows"),
        pytest.param(
            [5],
            {"by": "sample", "folds": 7, "fold": 1},
            "4 rows cannot fill 7 folds",
            id="more folds than rows",
        ),
        pytest.param(
            [5, 3],
            {"by": "block", "folds": 8, "fold": 3},
            "7 rows cannot fill 8 folds",
            id="more folds than blocks",
        ),
    ],
)
def test_a_split_without_rows_is_an_error(rows, options, message):
    with pytest.raises(SplitError, match=message):
        plan(make_index(rows), **options)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        pytest.param(
            Rows(),
            {"by": "file", "gap": 2},
            "gap=2 applies to by='block' only, found by='file'",
            id="gap by file",
        ),
        pytest.param(
            Rows(), {"gap": 2}, "gap=2 applies to by='block' only, found by='file'", id="gap with auto"
        ),
        pytest.param(Rows(), {"by": "sample", "gap": 2}, "found by='sample'", id="gap by sample"),
        pytest.param(
            Rows(),
            {"by": "block", "keep_together": "path:(.)"},
            "keeps whole files or series together",
            id="groups by block",
        ),
        pytest.param(
            Rows(),
            {"by": "sample", "order": "path"},
            "draws rows at random, found order='path'",
            id="sample in order",
        ),
        pytest.param(
            Windows(4), {"by": "sample"}, "found samples='windows': neighbours", id="windows by sample"
        ),
        pytest.param(Whole(), {"by": "sample"}, "found samples='whole'", id="whole by sample"),
        pytest.param(Whole(), {"by": "block"}, "would cut each series", id="whole by block"),
        pytest.param(
            Rows(),
            {"val": 0, "test": None, "train": 0.0},
            "train, val and test are all 0 or None",
            id="nothing",
        ),
    ],
)
def test_options_that_contradict_each_other(samples, options, message):
    with pytest.raises(OptionError, match=message):
        plan(make_index([50] * 12, samples), **options)


def test_folds_and_named_val_contradict_each_other():
    with pytest.raises(OptionError, match="'files' names val"):
        plan(make_index([10] * 9), roles={"train": list(range(8)), "val": [8]}, folds=2, fold=0)


# ── from rows to samples ─────────────────────────────────────────────────────────────────────────────


def test_windows_stay_inside_of_their_block():
    index = make_index([100, 100], Windows(5, stride=2))
    found = plan(index, by="block", gap=1)
    ids = {name: found.selection(name, index) for name in found.parts}
    for name, selection in ids.items():
        where = index.locate(selection(np.arange(len(selection))))
        for series, row in zip(where.series, where.row, strict=True):
            assert any(
                run[0] == series and run[1] <= row and row + 5 <= run[2] for run in segments(found, name)
            )


def test_a_split_without_a_sample_names_the_longest_run_and_the_span():
    index = make_index([30] * 4, Windows(4, dilation=2))
    with pytest.raises(
        SplitError, match=r"val has 12 rows, but no sample: its longest run of rows is 3, a window spans 7"
    ):
        plan(index, by="block").selection("val", index)


def test_a_split_that_does_not_exist_names_those_that_do():
    index = make_index([10] * 9)
    with pytest.raises(SplitError, match="there is no 'test', only train, val"):
        plan(index, test=None).selection("test", index)


def test_drawn_rows_are_each_in_one_split():
    index = make_index([[6, 4], [10], [13]])
    found = plan(index, by="sample")
    ids = [found.selection(name, index)(np.arange(found.rows[name])).tolist() for name in found.parts]
    assert sorted(joined(ids)) == list(range(33))


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["file", "series", "block", "sample"])
def test_the_place_of_the_files_changes_nothing(by):
    first, second = (plan(make_index(MANY, root=root), by=by) for root in ("/data", "/scratch/copy"))
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("by", ["file", "series", "block"])
@pytest.mark.parametrize("samples", [Windows(3), Windows(9, stride=4)], ids=["short", "long"])
def test_windows_move_no_row(by, samples):
    rows, windows = make_index(MANY), make_index(MANY, samples)
    assert plan(rows, by=by).fingerprint == plan(windows, by=by).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"rows": [*MANY[:-1], MANY[-1] + 1]}, id="a row more"),
        pytest.param({"names": [f"other-{n}" for n in range(15)]}, id="other names"),
        pytest.param({"series_names": ["s"] * 15}, id="series with names"),
        pytest.param({"seed": 1}, id="other split"),
    ],
)
def test_the_fingerprint_changes_with(change):
    index = make_index(change.pop("rows", MANY), **{k: v for k, v in change.items() if k != "seed"})
    assert plan(make_index(MANY)).fingerprint != plan(index, seed=change.get("seed", 0)).fingerprint


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan(make_index([10])).by = "file"


GOLDEN = {
    "file": Split(by="file"),
    "less": Split(by="file", train=0.4),
    "fold": Split(by="file", folds=3, fold=1),
    "path": Split(by="file", order="path"),
    "block": Split(by="block", gap=2, train=0.5),
    "sample": Split(by="sample"),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("file", "e18b0dce8e73d9d5ee6e44868cc67d22", id="file"),
        pytest.param("less", "fd9a9312ed0432e5165434b9de84ea2a", id="less"),
        pytest.param("fold", "2efc6cde475dc71ce9a826fefc76c37d", id="fold"),
        pytest.param("path", "056ca8f503c0d436d7e3b5616ccba9a2", id="path"),
        pytest.param("block", "4c4fa0d1f3a3eab26a6c29fce846460d", id="block"),
        pytest.param("sample", "920f44eea698d1095077c627efd0c13e", id="sample"),
    ],
)
def test_golden_fingerprints(name, expected):
    """A published split must be found again, at any time and on every platform."""
    assert plan_split(make_index(MANY), GOLDEN[name], seed=42).fingerprint == expected


def test_golden_files():
    index = make_index(MANY)
    files = files_by_split(plan_split(index, Split(by="file"), seed=42), index)
    assert (files["val"], files["test"]) == ([5, 6], [8])


def test_each_strategy_is_a_value_of_the_option():
    assert [Split(by=by).by for by in STRATEGIES] == ["file", "series", "block", "sample"]


@pytest.mark.parametrize("by", STRATEGIES)
def test_strategies_have_one_form(by):
    """Each takes the same arguments and gives each requested split its rows, none of them twice."""
    index = make_index([10] * 20)
    candidates = Candidates.of(index, {"train": np.arange(20)}, Split(), None)
    parts = STRATEGIES[by](candidates, Fractions.of(Split(val=0.2, test=0.1)), 1)
    rows = [row for name in ("train", "val", "test") for row in row_numbers(parts[name], index).tolist()]
    assert sorted(rows) == list(range(200))
