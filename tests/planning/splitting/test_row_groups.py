"""Rows of one value stay together: no value is in two splits, and what is known stays when files come."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import make_index

from h5lightning.core.string_table import StringTable
from h5lightning.errors import ManifestError, OptionError, SplitError
from h5lightning.options import Rows, Split, Whole, Windows
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.value_list import ValueList
from h5lightning.planning.splitting import manifest_members, row_groups
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest import explain_moves
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.overlap import shared_rows
from h5lightning.planning.splitting.plan_split import plan_split

DONOR = "field:donor"


def values_of(files):
    """The values of the rows of each file, as a scan finds them."""
    units = []
    for values in files:
        listed = (
            ValueList.of_texts(values)
            if values and isinstance(values[0], str)
            else ValueList.of_numbers(np.asarray(values, int))
        )
        units.append(RowValues.of_unit(listed, listed.positions(values)))
    return RowValues.joined(units)


def index_of(files, samples=None):
    names = [f"{number}.h5" for number in range(len(files))]
    return make_index([len(values) for values in files], samples or Rows(), names=names)


def rows_of(plan, files):
    """Split → (file, row) of all its rows."""
    found = {}
    for name, part in plan.parts.items():
        rows = [
            (series, row)
            for runs in part.runs()
            for series, start, stop in zip(*(array.tolist() for array in runs[:3]), strict=True)
            for row in range(start, stop)
        ]
        assert len(rows) == part.rows == len(set(rows))
        found[name] = rows
    return found


def labels_of(plan, files):
    return {name: {files[file][row] for file, row in rows} for name, rows in rows_of(plan, files).items()}


@st.composite
def donors(draw, least=3):
    """Files of rows with values of a few donors; text or numbers."""
    names = draw(st.sampled_from([["a", "b", "c", "d", "é", "f"], [0, 1, 2, 5, 7, -3]]))
    files = draw(st.lists(st.lists(st.sampled_from(names), max_size=12), min_size=1, max_size=5))
    if len({one for values in files for one in values}) < least:
        files.append(names[:least])
    return files


SPLITS = st.one_of(
    st.builds(
        Split,
        val=st.sampled_from([None, 0.1, 0.3]),
        test=st.sampled_from([None, 0.2]),
        order=st.sampled_from(["random", "path"]),
        by=st.sampled_from(["auto", "sample"]),
        seed=st.integers(0, 3),
        keep_together=st.just(DONOR),
    ),
    st.builds(Split, folds=st.just(2), fold=st.integers(0, 1), test=st.none(), keep_together=st.just(DONOR)),
)


@settings(max_examples=200)
@given(donors(), SPLITS, st.sampled_from([5, 1 << 20]))
def test_no_value_is_in_two_splits_and_no_row_is_lost(files, split, piece):
    index = index_of(files)
    with pytest.MonkeyPatch.context() as patch:  # small pieces, so that series cross them
        patch.setattr(row_groups, "_PIECE", piece)
        plan = plan_split(index, split, seed=0, labels=values_of(files))
    labels, rows = labels_of(plan, files), rows_of(plan, files)
    assert plan.by == "group"
    assert sum(map(len, labels.values())) == len({one for values in files for one in values})
    assert sum(map(len, rows.values())) == sum(map(len, files))
    parts = list(plan.parts.values())
    assert sum(shared_rows(parts[0], other, index) for other in parts[1:]) == 0
    assert shared_rows(parts[0], parts[0], index) == parts[0].rows
    assert set(np.concatenate([part.files(index) for part in parts])) == set(range(len(files)))


@settings(max_examples=100)
@given(donors(), SPLITS, st.sampled_from([0, 100]), st.data())
def test_a_saved_split_stays_when_files_come(files, split, most_runs, data):
    index = index_of(files)
    plan = plan_split(index, split, seed=0, labels=values_of(files))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_members, "_MOST_RUNS", most_runs)
        plain = json.loads(json.dumps(Manifest.of(plan, index).to_json()))
    manifest = Manifest.from_json(plain, "the split")
    again = apply_manifest(manifest, index, Split(), seed=1)
    assert again.fingerprint == plan.fingerprint
    assert explain_moves(plain, plain) == "its series have other names"

    more = data.draw(donors(least=1))
    if len({type(value) for values in (*files, *more) for value in values}) > 1:
        return
    at = data.draw(st.integers(0, len(files)))
    every = [*files[:at], *more, *files[at:]]
    names = [f"old{i}.h5" for i in range(len(files))]
    old = dataclasses.replace(index, names=StringTable.of(names))
    names[at:at] = [f"new{i}.h5" for i in range(len(more))]
    saved = Manifest.from_json(Manifest.of(plan, old).to_json(), "the split")
    grown = dataclasses.replace(index_of(every), names=StringTable.of(names))
    on_new = data.draw(st.sampled_from(["train", "split"]))
    found = apply_manifest(
        saved, grown, Split(on_new=on_new, keep_together=DONOR), seed=0, labels=values_of(every)
    )
    before, after = rows_of(plan, files), rows_of(found, every)
    place = [i for i, name in enumerate(names) if name.startswith("old")]
    for name, rows in before.items():
        assert {(place[file], row) for file, row in rows} <= set(after[name])
    assert sum(map(len, after.values())) == sum(map(len, every))
    labels = labels_of(found, every)
    assert sum(map(len, labels.values())) == len({one for values in every for one in values})


def test_windows_and_series_lie_in_one_split():
    files = [["a"] * 5 + ["b"] * 5, ["a"] * 4, ["b"] * 4, ["c"] * 6]
    split = Split(val=0.4, test=0.2, order="path", keep_together=DONOR)
    plan = plan_split(index_of(files), split, seed=0, labels=values_of(files))
    windows, whole = index_of(files, Windows(3)), index_of(files, Whole())
    assert labels_of(plan, files) == {"train": {"a"}, "val": {"b"}, "test": {"c"}}
    ids = {name: plan.selection(name, windows) for name in plan.parts}
    where = {name: windows.locate(one(np.arange(len(one)))) for name, one in ids.items()}
    found = {
        name: list(zip(one.series.tolist(), one.row.tolist(), strict=True)) for name, one in where.items()
    }
    assert found["train"] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert found["val"] == [(0, 5), (0, 6), (0, 7), (2, 0), (2, 1)]
    assert plan.selection("train", whole)(np.arange(1)).tolist() == [1]  # file 0 is in no split as a whole


def test_a_block_cuts_no_group_and_a_series_of_two_values_is_named():
    files = [["a", "a", "b"], ["c"]]
    with pytest.raises(OptionError, match="by='block' cuts series in order"):
        plan_split(index_of(files), Split(by="block", keep_together=DONOR), seed=0, labels=values_of(files))
    with pytest.raises(
        SplitError, match=r"0.h5 has 'a' in row 0 and 'b' in row 2, and by='series' would keep"
    ):
        plan_split(index_of(files), Split(by="series", keep_together=DONOR), seed=0, labels=values_of(files))


def test_series_of_one_value_are_divided_as_series():
    files = [["a", "a"], ["b"], ["a"], ["c", "c"]]
    split = Split(by="series", val=0.2, test=None, keep_together=DONOR)
    plan = plan_split(index_of(files), split, seed=0, labels=values_of(files))
    assert plan.by == "series"
    assert labels_of(plan, files)["train"].isdisjoint(labels_of(plan, files)["val"])


def test_a_value_in_two_entries_of_files_is_an_error():
    files = [["a", "b"], ["c", "b"], ["c"]]
    roles = {"train": np.asarray([0]), "val": np.asarray([1, 2])}
    split = Split(val=None, test=None, keep_together=DONOR)
    message = r"rows of 0.h5 of train and of 1.h5 of val share the value 'b'. Move one of them"
    with pytest.raises(SplitError, match=message):
        plan_split(index_of(files), split, seed=0, roles=roles, labels=values_of(files))


def test_rows_without_a_value_and_other_lengths_are_errors():
    values = ValueList.of_texts(["a", "b"])
    missing = RowValues.of_unit(values, np.asarray([0, -1, 1]))
    split, index = Split(val=0.4, test=None, keep_together=DONOR), index_of([["a"] * 3])
    with pytest.raises(SplitError, match=r"row 1 of 0.h5 has no value in '/donor'"):
        plan_split(index, split, seed=0, labels=missing)
    with pytest.raises(SplitError, match=r"has 2 rows of 1 value, expected one value for each of the 3 rows"):
        plan_split(index, split, seed=0, labels=RowValues.of_unit(values, np.asarray([0, 1])))
    with pytest.raises(SplitError, match=r"0.h5 has no dataset"):
        plan_split(index, split, seed=0, labels=RowValues.broken("has no dataset"))


def test_a_manifest_of_rows_needs_the_values_for_new_files():
    files = [["a", "b", "c"]]
    plan = plan_split(
        index_of(files), Split(val=0.3, test=None, keep_together=DONOR), seed=0, labels=values_of(files)
    )
    manifest = Manifest.of(plan, index_of(files))
    more = [*files, ["a"]]
    with pytest.raises(ManifestError, match=r"data\.split\.keep_together=field:PATH"):
        apply_manifest(manifest, index_of(more), Split(on_new="train"), seed=0)
    changed = [["b", "a", "a"], ["b"]]
    with pytest.raises(SplitError, match=r"both have rows with the value '.'"):
        apply_manifest(
            manifest,
            index_of(changed),
            Split(on_new="train", keep_together=DONOR),
            seed=0,
            labels=values_of(changed),
        )


@pytest.mark.parametrize(
    "rows", ["eJw=", "eJxjZGBgAAAACgAD", [[0, 2, 9]], [[1, 0, 1]]], ids=["torn", "long", "beyond", "series"]
)
def test_damaged_sets_of_rows_are_refused(rows):
    files = [["a", "b", "c"]]
    plan = plan_split(
        index_of(files), Split(val=0.3, test=None, keep_together=DONOR), seed=0, labels=values_of(files)
    )
    plain = Manifest.of(plan, index_of(files)).to_json()
    plain["splits"]["val"]["members"] = {"0.h5": rows}
    with pytest.raises(ManifestError, match="is damaged"):
        Manifest.from_json(plain, "the split")
