"""What holds for every split: no row in two splits, none lost, and nothing moves without a reason."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from indexes import files_by_split, make_index, rows_by_split

from h5lightning.errors import SplitError
from h5lightning.options import Split, Windows
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest import (
    Manifest,
    describe_difference,
    from_plain_split,
    to_plain_split,
)
from h5lightning.planning.splitting.plan_split import plan_split
from h5lightning.planning.splitting.split_plan import SplitPlan

common = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])

file_rows = st.lists(st.integers(0, 60), min_size=1, max_size=14)
series_rows = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=10)
seeds = st.integers(0, 2**64)
fractions = st.sampled_from([None, 0, 0.05, 0.1, 0.2, 0.25, 1 / 3, 0.4])


@st.composite
def splits(draw: st.DrawFn) -> Split:
    by = draw(st.sampled_from(["auto", "file", "series", "block", "sample"]))
    folds = draw(st.sampled_from([None, None, 2, 3, 5]))
    return Split(
        val=draw(fractions),
        test=draw(fractions),
        by=by,
        order="random" if by == "sample" else draw(st.sampled_from(["random", "path"])),
        gap=draw(st.integers(0, 4)) if by == "block" else 0,
        folds=folds,
        fold=None if folds is None else draw(st.integers(0, folds - 1)),
    )


def plan_or_skip(index, split, seed=0) -> SplitPlan:
    """The plan; an example without enough rows for its splits says nothing."""
    try:
        return plan_split(index, split, seed=seed)
    except SplitError:
        assume(False)
        raise


@common
@given(series_rows, splits(), seeds)
def test_every_row_is_in_one_split_or_unused(rows, split, seed):
    index = make_index(rows)
    plan = plan_or_skip(index, split, seed)
    found = list(itertools.chain.from_iterable(rows_by_split(plan, index).values()))
    total = int(index.series_rows.sum())
    assert len(found) == len(set(found)) == total - plan.unused_rows
    assert set(found) <= set(range(total))
    assert all(plan.rows.values())
    if not split.gap:
        assert plan.unused_rows == 0


@common
@given(series_rows, splits(), seeds)
def test_no_file_is_in_two_splits_by_file(rows, split, seed):
    index = make_index(rows)
    plan = plan_or_skip(index, split, seed)
    files = list(itertools.chain.from_iterable(files_by_split(plan, index).values()))
    if plan.by == "file":
        assert sorted(files) == list(range(len(rows)))
    if plan.by == "series":
        series = np.concatenate([part.series for part in plan.parts.values()])
        assert sorted(series.tolist()) == list(range(len(index.series_rows)))


@common
@given(series_rows, splits(), seeds, st.lists(st.floats(0.01, 1), min_size=2, max_size=2))
def test_a_smaller_train_is_a_subset_and_moves_nothing_else(rows, split, seed, sizes):
    index = make_index(rows)
    room = 1 - (split.test or 0) - (0 if split.folds else split.val or 0)
    assume(room > 0.01)
    smaller, larger = sorted(min(size, 1) * room for size in sizes)
    plans = [plan_or_skip(index, replace(split, train=train), seed) for train in (smaller, larger, None)]
    found = [rows_by_split(plan, index) for plan in plans]
    for name in ("val", "test"):
        assert found[0].get(name) == found[1].get(name) == found[2].get(name)
    assert set(found[0]["train"]) <= set(found[1]["train"]) <= set(found[2]["train"])


@common
@given(series_rows, splits(), seeds)
def test_folds_are_disjoint_and_complete(rows, split, seed):
    assume(split.folds is not None)
    index = make_index(rows)
    plans = [plan_or_skip(index, replace(split, fold=fold), seed) for fold in range(split.folds)]
    found = [rows_by_split(plan, index) for plan in plans]
    tests = {tuple(rows.get("test", ())) for rows in found}
    vals = list(itertools.chain.from_iterable(rows["val"] for rows in found))
    assert len(tests) == 1
    assert len(vals) == len(set(vals))
    if not split.gap:
        assert set(vals) == set(range(int(index.series_rows.sum()))) - set(*tests)


@common
@given(series_rows, splits(), seeds, st.integers(2, 6))
def test_test_is_the_same_for_all_numbers_of_folds(rows, split, seed, folds):
    assume(split.by != "auto")
    index = make_index(rows)
    plans = [plan_or_skip(index, replace(split, folds=number, fold=0), seed) for number in (2, folds)]
    first, second = (rows_by_split(plan, index).get("test") for plan in plans)
    assert first == second


# ── the optimum ──────────────────────────────────────────────────────────────────────────────────────


def least_deviation(rows: Sequence[int], goals: Sequence[float], contiguous: bool) -> float:
    """The smallest sum of |rows − goal| over all ways to give each part a file: tries all of them."""
    best = float("inf")
    for parts in itertools.product(range(len(goals)), repeat=len(rows)):
        if len(set(parts)) < len(goals) or (contiguous and list(parts) != sorted(parts)):
            continue
        totals = [0] * len(goals)
        for count, part in zip(rows, parts, strict=True):
            totals[part] += count
        best = min(best, sum(abs(total - goal) for total, goal in zip(totals, goals, strict=True)))
    return best


@common
@given(
    st.lists(st.integers(1, 100), min_size=3, max_size=7),
    st.sampled_from([(0.1, 0.1), (0.2, 0.1), (0.3, 0.4), (0.5, None), (None, 0.15), (1 / 3, 2 / 3)]),
    st.sampled_from(["random", "path"]),
    seeds,
)
def test_files_are_as_near_to_the_fractions_as_possible(rows, sizes, order, seed):
    val, test = sizes
    plan = plan_split(make_index(rows), Split(val=val, test=test, by="file", order=order), seed=seed)
    fractions_of = {"train": 1 - (val or 0) - (test or 0), "val": val or 0, "test": test or 0}
    goals = {name: fraction * sum(rows) for name, fraction in fractions_of.items() if fraction > 1e-9}
    found = sum(abs(plan.rows[name] - goal) for name, goal in goals.items())
    assert found == pytest.approx(least_deviation(rows, list(goals.values()), order == "path"), abs=1e-6)


@common
@given(st.lists(st.integers(1, 1000), min_size=40, max_size=200), seeds)
def test_many_files_come_near_to_the_fractions(rows, seed):
    plan = plan_split(make_index(rows), Split(by="file"), seed=seed)
    assert plan.reached == pytest.approx(plan.requested, abs=max(rows) / sum(rows))


@common
@given(st.lists(st.integers(1, 9), min_size=30, max_size=100), st.sampled_from([None, 2, 5]))
def test_blocks_of_short_series_come_near_to_the_fractions(rows, folds):
    split = Split(by="block", folds=folds, fold=None if folds is None else folds - 1)
    plan = plan_split(make_index(rows), split, seed=0)
    assert all(
        abs(plan.reached[name] - fraction) * sum(rows) <= 2 for name, fraction in plan.requested.items()
    )


# ── windows and gaps ─────────────────────────────────────────────────────────────────────────────────


@common
@given(series_rows, splits(), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
def test_no_window_leaves_its_split(rows, split, length, stride, dilation):
    assume(split.by != "sample")
    index = make_index(rows, Windows(length, stride, dilation))
    plan = plan_or_skip(index, split)
    first = np.concatenate([[0], np.cumsum(index.series_rows)])
    owned = {name: set(numbers) for name, numbers in rows_by_split(plan, index).items()}
    for name, part in plan.parts.items():
        selection = part.selection(index)
        where = index.locate(selection(np.arange(len(selection))))
        starts = first[where.series] + where.row
        touched = starts[:, None] + np.arange(length) * dilation
        assert set(touched.ravel().tolist()) <= owned[name]


@common
@given(series_rows, splits(), st.integers(1, 5))
def test_windows_do_not_change_the_rows(rows, split, length):
    assume(split.by != "sample")
    plain, windows = make_index(rows), make_index(rows, Windows(length), root="/elsewhere")
    plan = plan_or_skip(plain, split)
    assert plan.fingerprint == plan_split(windows, split, seed=0).fingerprint


@common
@given(series_rows, splits())
def test_parts_of_a_series_are_a_gap_apart(rows, split):
    assume(split.by == "block")
    plan = plan_or_skip(make_index(rows), split)
    runs = sorted(
        (series, start, stop, name)
        for name, part in plan.parts.items()
        for series, start, stop in zip(part.series, part.start, part.stop, strict=True)
        if stop > start
    )
    for (series, _, stop, name), (next_series, start, _, next_name) in itertools.pairwise(runs):
        if series == next_series:
            assert start - stop >= (split.gap if name != next_name else 0)


# ── keeping a split ──────────────────────────────────────────────────────────────────────────────────


@common
@given(series_rows, splits(), seeds)
def test_a_saved_split_is_the_same_split(rows, split, seed):
    index = make_index(rows)
    plan = plan_or_skip(index, split, seed)
    plain = to_plain_split(plan, index)
    again = apply_manifest(from_plain_split(plain), make_index(rows, root="/copy"), Split(), seed=1)
    assert again.fingerprint == plan.fingerprint
    assert rows_by_split(again, index) == rows_by_split(plan, index)
    assert describe_difference(plain, to_plain_split(again, index)) == ""


@common
@given(file_rows, file_rows, splits(), st.sampled_from(["train", "split"]), st.randoms(use_true_random=False))
def test_no_known_row_moves_when_files_come(rows, more, split, on_new, random):
    assume(split.by != "sample")
    index = make_index(rows)
    manifest = Manifest.of(plan_or_skip(index, split), index)
    names = [*index.names, *(f"{random.choice('arz')}-{number}.h5" for number in range(len(more)))]
    order = sorted(range(len(names)), key=names.__getitem__)
    all_rows = [*rows, *more]
    grown = make_index([all_rows[place] for place in order], names=[names[place] for place in order])
    again = apply_manifest(manifest, grown, Split(on_new=on_new), seed=0)
    first = np.concatenate([[0], np.cumsum(grown.series_rows)])
    number = {row: file for file in range(len(order)) for row in range(first[file], first[file + 1])}
    for name, found in rows_by_split(again, grown).items():
        known = [
            (grown.names[number[row]], row - first[number[row]])
            for row in found
            if order[number[row]] < len(rows)
        ]
        start = np.concatenate([[0], np.cumsum(rows)])
        expected = rows_by_split(manifest.plan, index).get(name, [])
        file_of = np.searchsorted(start, expected, side="right") - 1
        assert known == [
            (index.names[file], row - start[file])
            for file, row in zip(file_of.tolist(), expected, strict=True)
        ]
