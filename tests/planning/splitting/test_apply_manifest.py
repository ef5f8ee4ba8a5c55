"""apply_manifest: the same split of other files."""

import numpy as np
import pytest
from indexes import files_by_split, make_index

from h5lightning.errors import ManifestError, OptionError
from h5lightning.options import Split, Whole, Windows
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.plan_split import plan_split

ROWS = [40, 25, 33, 10, 52, 18, 27, 36, 44, 21]


def manifest_of(plan, index):
    return Manifest.from_json(Manifest.of(plan, index).to_json(), "the manifest")


def named_runs(part, index):
    return {(index.names[s], a, b) for s, a, b in zip(part.series, part.start, part.stop, strict=True)}


@pytest.mark.parametrize("by", ["file", "series", "block"])
@pytest.mark.parametrize("on_new", ["train", "split"])
def test_no_listed_file_moves(by, on_new):
    index = make_index(ROWS)
    plan = plan_split(index, Split(by=by), seed=3)
    # The new files sort before, between and after the listed ones.
    names = sorted(
        [f"run-{n:04}.h5" for n in range(10)] + [f"run-{n:04}-new.h5" for n in range(9)] + ["a.h5", "z.h5"]
    )
    rows = [ROWS[int(name[4:8])] if len(name) == 11 else 30 for name in names]
    grown = make_index(rows, names=names)
    again = apply_manifest(manifest_of(plan, index), grown, Split(on_new=on_new), seed=0)
    for name, part in plan.parts.items():
        kept = {run for run in named_runs(again.parts[name], grown) if run[0] in set(index.names)}
        assert kept == named_runs(part, index)
    assert sum(again.rows.values()) == sum(rows)
    assert again.files.tolist() == list(range(21))


def test_new_files_bring_the_totals_to_the_fractions():
    index, grown = make_index([10] * 7), make_index([10] * 60)
    plan = plan_split(index, Split(val=0.2, test=0.1), seed=0)
    again = apply_manifest(manifest_of(plan, index), grown, Split(on_new="split"), seed=0)
    assert again.rows == {"train": 420, "val": 120, "test": 60}


def test_new_files_follow_the_fraction_of_a_smaller_train():
    index, grown = make_index([10] * 10), make_index([10] * 50)
    plan = plan_split(index, Split(by="file", train=0.4), seed=0)
    again = apply_manifest(manifest_of(plan, index), grown, Split(on_new="split"), seed=0)
    assert (again.rows, again.unused_rows) == ({"train": 200, "val": 50, "test": 50}, 200)


def test_new_files_in_path_order():
    index, grown = make_index([10] * 10), make_index([10] * 20)
    manifest = manifest_of(plan_split(index, Split(order="path", by="file"), seed=0), index)
    files = files_by_split(
        apply_manifest(manifest, grown, Split(on_new="split", order="path"), seed=0), grown
    )
    assert files == {"train": [*range(8), *range(10, 18)], "val": [8, 18], "test": [9, 19]}


@pytest.mark.parametrize("on_new", ["train", "split"])
def test_a_new_file_joins_its_group(on_new):
    patients = [f"p{number:02}" for number in range(10)]
    index = make_index([10] * 10, names=[f"{patient}-a.h5" for patient in patients])
    split = Split(keep_together="path:(p..)", on_new=on_new, train=0.6)
    plan = plan_split(index, split, seed=0)
    names = [f"{patient}-{scan}.h5" for patient in patients for scan in "ab"]
    grown = make_index([10] * 20, names=names)
    again = files_by_split(apply_manifest(manifest_of(plan, index), grown, split, seed=0), grown)
    for name, files in files_by_split(plan, index).items():
        assert again[name] == [file for number in files for file in (2 * number, 2 * number + 1)]


def test_new_groups_stay_together():
    index = make_index([10] * 10, names=[f"p{n:02}-a.h5" for n in range(10)])
    manifest = manifest_of(plan_split(index, Split(by="file"), seed=0), index)
    grown = make_index(
        [10] * 50, names=[f"p{n:02}-a.h5" for n in range(10)] + [f"q{n:02}-{n // 4}.h5" for n in range(40)]
    )
    split = Split(on_new="split", keep_together="path:-(.+)\\.h5")
    files = files_by_split(apply_manifest(manifest, grown, split, seed=0), grown)
    groups = [{(file - 10) // 4 for file in listed if file >= 10} for listed in files.values()]
    assert sorted(group for found in groups for group in found) == list(range(10))


def test_new_files_of_a_split_of_roles_are_train():
    index = make_index([10] * 4)
    roles = {"train": np.asarray([0, 1]), "val": np.asarray([2]), "test": np.asarray([3])}
    manifest = manifest_of(plan_split(index, Split(val=None, test=None), seed=0, roles=roles), index)
    grown = make_index([10] * 6)
    files = files_by_split(apply_manifest(manifest, grown, Split(on_new="split"), seed=0), grown)
    assert files == {"train": [0, 1, 4, 5], "val": [2], "test": [3]}


def test_new_files_without_rows_are_train():
    index = make_index([10] * 8)
    manifest = manifest_of(plan_split(index, Split(by="file"), seed=0), index)
    grown = make_index([10] * 8 + [0, 0])
    files = files_by_split(apply_manifest(manifest, grown, Split(on_new="split"), seed=0), grown)
    assert {8, 9} < set(files["train"])


# ── what does not fit ────────────────────────────────────────────────────────────────────────────────


def test_new_files_are_named():
    index = make_index([10] * 5)
    manifest = manifest_of(plan_split(index, Split(), seed=0), index)
    with pytest.raises(
        ManifestError, match=r"does not list 7 files \(run-0005.h5, .* and 2 more\).*on_new=train"
    ):
        apply_manifest(manifest, make_index([10] * 12), Split(), seed=0)


def test_missing_files_are_named():
    index = make_index([10] * 5)
    manifest = manifest_of(plan_split(index, Split(), seed=0), index)
    with pytest.raises(ManifestError, match=r"lists 1 file \(run-0004\.h5\) that the patterns do not find"):
        apply_manifest(manifest, make_index([10] * 4), Split(on_new="train"), seed=0)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        pytest.param([10, 10, 11, 10, 10], r"run-0002\.h5 had 10 rows and has 11", id="rows"),
        pytest.param([10, 10, [5, 5], 10, 10], r"run-0002\.h5 had 10 rows and has 5", id="series"),
        pytest.param([10, 10, [], 10, 10], r"run-0002\.h5 is gone", id="no series"),
    ],
)
def test_changed_files_are_named(changed, what):
    index = make_index([10] * 5)
    manifest = manifest_of(plan_split(index, Split(), seed=0), index)
    with pytest.raises(ManifestError, match=rf"1 series had other rows or names.*: {what}\. Save it again"):
        apply_manifest(manifest, make_index(changed), Split(on_new="train"), seed=0)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["a", "b", "d"], r"series 'c' of run-0000\.h5 is gone"),
        (["a", "c", "b"], r"series 'c' of run-0000\.h5 had 12 rows and has 11"),
    ],
    ids=["gone", "other rows"],
)
def test_changed_series_are_named(names, what):
    index = make_index([[10, 11, 12]], series_names=["a", "b", "c"])
    manifest = manifest_of(plan_split(index, Split(by="series"), seed=0), index)
    with pytest.raises(ManifestError, match=what):
        apply_manifest(
            manifest, make_index([[10, 11, 12]], series_names=names), Split(on_new="train"), seed=0
        )


def test_series_of_a_table_are_known_by_their_number():
    index = make_index([[10, 11, 12]])
    manifest = manifest_of(plan_split(index, Split(by="series"), seed=0), index)
    again = apply_manifest(manifest, make_index([[10, 11, 12, 9]]), Split(on_new="train"), seed=0)
    assert 3 in again.parts["train"].series
    with pytest.raises(ManifestError, match=r"series '1' of run-0000\.h5 had 11 rows and has 9"):
        apply_manifest(manifest, make_index([[10, 9, 12]]), Split(), seed=0)
    with pytest.raises(ManifestError, match=r"does not list 1 series \(series '3' of run-0000\.h5\)"):
        apply_manifest(manifest, make_index([[10, 11, 12, 9]]), Split(), seed=0)


def test_names_that_come_again_are_told_apart_by_their_order():
    index = make_index([[10, 11, 12, 13]], series_names=["a", "b", "a", "b"])
    manifest = manifest_of(plan_split(index, Split(by="series"), seed=0), index)
    grown = make_index([[10, 11, 12, 13, 14]], series_names=["a", "b", "a", "b", "a"])
    again = apply_manifest(manifest, grown, Split(on_new="train"), seed=0)
    assert {name: part.series.tolist() for name, part in again.parts.items()} == {
        name: part.series.tolist() + [4] * (name == "train") for name, part in manifest.plan.parts.items()
    }


def test_series_that_had_no_names_are_others():
    index = make_index([10] * 3)
    manifest = manifest_of(plan_split(index, Split(), seed=0), index)
    named = make_index([10] * 3, series_names=["demo_0"] * 3)
    with pytest.raises(ManifestError, match="when the series of its files had no names, now they have"):
        apply_manifest(manifest, named, Split(), seed=0)


def located(part, index):
    """The runs of a part, with the names of their series."""
    runs = zip(part.series.tolist(), part.start.tolist(), part.stop.tolist(), strict=True)
    return {(index.where(series), start, stop) for series, start, stop in runs}


def test_new_series_of_known_files_are_named():
    index = make_index([[10] * 4], series_names=list("abcd"))
    manifest = manifest_of(plan_split(index, Split(by="series"), seed=0), index)
    grown = make_index([[10] * 6], series_names=list("abcdef"))
    with pytest.raises(
        ManifestError,
        match=r"does not list 2 series \(series 'e' of run-0000\.h5, series 'f' of .*on_new=train",
    ):
        apply_manifest(manifest, grown, Split(), seed=0)


@pytest.mark.parametrize("by", ["series", "block", "file"])
@pytest.mark.parametrize("on_new", ["train", "split"])
def test_new_series_move_no_known_one(by, on_new):
    names = [f"demo_{number}" for number in range(8)]
    index = make_index([[10] * 8] * 3, series_names=names * 3)
    manifest = manifest_of(plan_split(index, Split(by=by), seed=0), index)
    more = ["demo_00", *names[:5], "demo_4b", *names[5:]]
    grown = make_index([[10] * 10] * 3, series_names=more * 3)
    again = apply_manifest(manifest, grown, Split(on_new=on_new), seed=0)
    assert again.fingerprint != manifest.plan.fingerprint
    for name, part in manifest.plan.parts.items():
        known, found = located(part, index), located(again.parts[name], grown)
        assert known <= found
        assert all("demo_00" in where or "demo_4b" in where for where, *_ in found - known)
    if by == "file":
        assert sorted(file for files in files_by_split(again, grown).values() for file in files) == [0, 1, 2]


def test_drawn_rows_take_no_new_files():
    index = make_index([10] * 5)
    manifest = manifest_of(plan_split(index, Split(by="sample"), seed=0), index)
    with pytest.raises(ManifestError, match="divides single rows of its files and does not list 1 file"):
        apply_manifest(manifest, make_index([10] * 6), Split(on_new="train"), seed=0)


@pytest.mark.parametrize(
    ("made", "used", "samples", "roles", "message"),
    [
        pytest.param(Split(), Split(folds=2, fold=0), None, None, "cannot be cut in folds", id="folds"),
        pytest.param(
            Split(by="block"),
            Split(keep_together="path:(.)"),
            None,
            None,
            "the manifest is by 'block'",
            id="groups",
        ),
        pytest.param(
            Split(),
            Split(),
            None,
            {"train": np.arange(9), "val": np.arange(9, 10)},
            "'files' names val",
            id="roles",
        ),
        pytest.param(Split(by="sample"), Split(), Windows(2), None, "found samples='windows'", id="windows"),
        pytest.param(Split(by="block"), Split(), Whole(), None, "would cut each series", id="whole"),
    ],
)
def test_options_that_contradict_the_manifest(made, used, samples, roles, message):
    index = make_index(ROWS)
    manifest = manifest_of(plan_split(index, made, seed=0), index)
    with pytest.raises(OptionError, match=message):
        apply_manifest(manifest, make_index(ROWS, samples), used, seed=0, roles=roles)


def test_predict_files_need_not_be_listed():
    index = make_index([10] * 6)
    plan = plan_split(index, Split(), seed=0)
    roles = {"train": np.arange(6), "predict": np.arange(6, 8)}
    again = apply_manifest(manifest_of(plan, index), make_index([10] * 8), Split(), seed=0, roles=roles)
    assert again.fingerprint == plan.fingerprint
