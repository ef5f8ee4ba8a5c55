"""Which samples are kept, where parts of a split are sets of rows and conditions leave rows out: by loops over rows."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core import bits
from h5lightning.core.bits import Bits
from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Shuffle, Whole, Windows
from h5lightning.planning import kept_samples, row_filter
from h5lightning.planning.fields import FieldSpec, RowField, StoredForm
from h5lightning.planning.file_runs import FileRuns, run_reach
from h5lightning.planning.grid import Grid
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.reach import reach_of
from h5lightning.planning.row_filter import RowFilter
from h5lightning.planning.sampling.blocks import shuffle_blocks
from h5lightning.planning.sampling.make_order import RowLayout, make_order
from h5lightning.planning.sampling.tiles import BoxChunks
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.by_row import slice_rows
from h5lightning.planning.splitting.candidates import Fractions
from h5lightning.planning.splitting.split_plan import Segments

SMALL = st.integers(1, 4)


@dataclasses.dataclass
class Case:
    """A data set, the rows of one part of its split, the rows that are left out, and what fields read."""

    index: SampleIndex
    part: Segments
    is_member: list  # of each series, by row
    is_left_out: list  # of each series, by row, and the rows that only some fields have
    fields: tuple


def field(steps, dilation, extra):
    spec = FieldSpec((1,), "float32")
    return RowField(
        key="x", path="x", spec=spec, forms=(StoredForm("<f4"),), member=None, row_shape=(), steps=steps,
        dilation=dilation, extra_rows=extra,
    )  # fmt: skip


@st.composite
def cases(draw, kinds=("rows", "windows", "joined", "whole", "grid")):
    kind = draw(st.sampled_from(kinds))
    rows = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    extra = draw(st.integers(0, 1)) if kind in ("windows", "whole") else 0
    samples, fields = Rows(), (field(None, 1, 0),)
    if kind == "whole":
        samples, fields = Whole(), (field(None, 1, 0), field(None, 1, extra))
    if kind in ("windows", "joined"):
        pad = draw(st.sampled_from([None, "edge", "zero"]))
        samples = Windows(draw(SMALL), draw(st.integers(1, 3)), draw(st.integers(1, 2)), pad=pad)
        first = draw(st.integers(-2, 2))
        steps = [draw(st.sampled_from([(0, samples.rows), (1, 2)])), (first, first + draw(SMALL))]
        fields = tuple(field(one, samples.dilation, extra * bool(i)) for i, one in enumerate(steps))
    if kind == "grid":
        samples = Windows((2, 2), (1, draw(SMALL)), axis=(0, 1), pad=draw(st.sampled_from([None, "edge"])))
        fields = (field((0, 2), 1, 0),)
    runs = None
    if kind == "joined":
        runs = FileRuns.of(
            draw(st.sampled_from([[range(len(rows))], [[one] for one in range(len(rows))]])), np.asarray(rows)
        )
    lengths = np.asarray([[draw(st.integers(1, 5))] for _ in rows])
    names = StringTable.of(f"{number}.h5" for number in range(len(rows)))
    reach = reach_of(samples, fields)
    index = SampleIndex(
        "/", names, np.arange(len(rows)), np.asarray(rows), samples, runs=runs, grid=Grid.of(samples, lengths),
        given_reach=reach if runs is None else run_reach(reach.of(np.arange(len(rows))), runs),
    )  # fmt: skip
    bools = [draw(st.lists(st.booleans(), min_size=n, max_size=n)) for n in rows]
    if draw(st.booleans()):  # a set of rows
        part = Segments(
            np.arange(len(rows)),
            np.zeros(len(rows), int),
            np.asarray(rows),
            members=Bits.of_bools(np.asarray([b for of in bools for b in of], bool)),
        )
    else:
        cuts = [
            (s, a, b)
            for s, of in enumerate(bools)
            for a, b in np.flatnonzero(np.diff([False, *of, False])).reshape(-1, 2).tolist()
        ]
        part = Segments(*np.asarray(cuts, np.int64).reshape(-1, 3).T)
    left_out = [
        draw(st.lists(st.sampled_from([False, False, False, True]), min_size=n + extra, max_size=n + extra))
        for n in rows
    ]
    if draw(st.booleans()):
        first_row = runs.first_rows if runs is not None else np.cumsum([0, *(n + extra for n in rows)])[:-1]
        order = np.argsort(first_row, kind="stable") if runs is None else runs.order
        flat = np.asarray([b for one in order for b in left_out[one]], bool)
        index = dataclasses.replace(index, filter=RowFilter(first_row, Bits.of_bools(flat), fields))
    else:
        left_out = [[False] * len(of) for of in left_out]
    return Case(index, part, bools, left_out, fields)


def joined(case):
    """The series of each run, the rows of all of them, and their places in it."""
    if case.index.runs is None:
        return [([s], case.is_member[s], case.is_left_out[s]) for s in range(len(case.is_member))]
    found = []
    for run in range(len(case.index.runs.run_rows)):
        files = [int(one) for one in case.index.runs.order if case.index.runs.run[one] == run]
        found.append(
            (
                files,
                [one for file in files for one in case.is_member[file]],
                [one for file in files for one in case.is_left_out[file]],
            )
        )
    return found


def expected(case):
    """(series, first row) of all samples that are kept, by what the contract says of each."""
    samples, found = case.index.samples, []
    for files, member, left_out in joined(case):
        starts = list(itertools.accumulate([0, *(len(case.is_member[f]) for f in files)]))
        n = len(member)
        if isinstance(samples, Whole):
            if n and all(member) and not any(left_out[: n + max(f.extra_rows for f in case.fields)]):
                found.append((files[0], 0))
            continue
        reach = case.index.reach.of_run if case.index.runs is not None else case.index.reach
        for row in range(reach.first, n, reach.stride):
            if not member[row]:
                continue
            low = row - next((k for k in range(row + 1) if not member[row - k]), row + 1) + 1
            high = next((k for k in range(row, n) if not member[k]), n)
            spans = [(*f.span, f.extra_rows) for f in case.fields] + [
                (0, samples.span_rows if isinstance(samples, Windows) else 1, 0)
            ]
            fits = all(low <= row + a and row + b <= high + (high == n) * e for a, b, e in spans)
            if getattr(samples, "pad", None) is None and not fits:
                continue
            if any(
                left_out[k]
                for f in case.fields
                for k in reads(case, f, row, low, high + (high == n) * f.extra_rows)
            ):
                continue
            which = max(i for i, s in enumerate(starts[:-1]) if s <= row and len(case.is_member[files[i]]))
            found.append((files[which], row - starts[which]))
    return sorted(found)


def reads(case, one, row, low, stop):
    rows = [row + offset for offset in one.offsets.tolist()]
    if getattr(case.index.samples, "pad", None) == "zero":
        return [k for k in rows if low <= k < stop]
    return [min(max(k, low), stop - 1) for k in rows]


@settings(max_examples=400)
@given(cases(), st.sampled_from([3, 1 << 20]))
def test_a_sample_is_kept_if_all_rows_that_it_reads_count(case, piece):
    with pytest.MonkeyPatch.context() as patch:  # small pieces, so that runs of rows cross them
        patch.setattr(bits, "_PIECE", piece)
        patch.setattr(kept_samples, "_PIECE", piece)
        patch.setattr(row_filter, "_MOST_COMPARED", piece)
        selection = case.part.selection(case.index)
        ids = selection(np.arange(len(selection)))
    where = case.index.locate(ids)
    cells = np.broadcast_to(case.index.cells, len(case.index.series_rows))
    every = [(s, r, c) for s, r in expected(case) for c in range(cells[s])]
    found = zip(
        where.series.tolist(),
        where.row.tolist(),
        (where.cell if where.cell is not None else np.zeros(len(ids), int)).tolist(),
        strict=True,
    )
    assert list(found) == every
    numbers = np.arange(len(case.index))
    positions = selection.positions(numbers)
    assert positions[ids].tolist() == list(range(len(ids)))
    assert (positions >= 0).sum() == len(ids)


@settings(max_examples=150)
@given(
    cases(("rows", "windows", "joined", "grid")),
    st.integers(1, 6),
    st.sampled_from([1, 10**6]),
    st.booleans(),
)
def test_an_order_by_blocks_has_each_kept_sample_once(case, chunk, window, is_weighted):
    selection = case.part.selection(case.index)
    if not len(selection):
        return
    units = len(case.index.series_rows)
    boxes = None if case.index.grid is None else BoxChunks(np.full((units, 2), chunk), np.ones(units, int))
    layout = RowLayout(np.full(units, chunk), 1, boxes)
    weights = np.ones(len(selection)) if is_weighted else None
    order = make_order(
        Shuffle("block", window_bytes=window), selection, case.index, layout, seed=1, weights=weights
    )
    assert np.sort(order.samples(0, np.arange(order.size))).tolist() == list(range(len(selection)))


@given(cases(("rows", "windows")), st.integers(1, 6))
def test_the_kept_samples_of_a_chunk_are_one_block(case, length):
    selection = case.part.selection(case.index)
    if selection.kept is None:
        return
    blocks = shuffle_blocks(selection, case.index, np.full(len(case.index.series_rows), length))
    ids = selection(np.arange(len(selection)))
    series = case.index.locate(ids).series
    number = (ids - case.index.first_id[series]) // length
    ranges = np.searchsorted(selection.ranges.normalized().starts, ids, side="right")
    keys = np.stack([series, number, ranges])
    assert len(blocks) == len(np.unique(keys, axis=1).T)
    starts = blocks.starts_of(np.arange(len(blocks)))
    assert len(np.unique(keys[:, starts], axis=1).T) == len(blocks)


@given(cases(("rows",)), st.integers(0, 2**60))
def test_a_random_subset_keeps_what_is_left_of_its_rows(case, key):
    index = case.index
    total = int(index.series_rows.sum())
    slices = slice_rows(total, Fractions(0.5, 0.3, 0.2, 0.5))["train"]
    series = np.arange(len(index.series_rows))
    part = Segments(series, np.zeros_like(series), index.series_rows, RandomSubset(key, slices))
    before = part.selection(dataclasses.replace(index, filter=None))
    after = part.selection(index)
    left_out = np.asarray([b for of in case.is_left_out for b in of], bool)
    every = before(np.arange(len(before)))
    ids = after(np.arange(len(after)))
    assert ids.tolist() == every[~left_out[every]].tolist()
    assert after.positions(ids).tolist() == list(range(len(ids)))
    assert (after.positions(np.flatnonzero(left_out)) == -1).all()
