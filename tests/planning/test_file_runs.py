"""Runs of files: rows in other files, and samples that cross files, held against a list of all rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.file_runs import FileRuns, RunReach
from h5lightning.planning.reach import WindowReach


def runs_of(draw):
    rows = np.asarray(draw(st.lists(st.integers(0, 9), min_size=1, max_size=7)), np.int64)
    order = draw(st.permutations(range(len(rows))))
    cuts = sorted(draw(st.sets(st.integers(1, len(rows)), max_size=3)) - {len(rows)})
    runs = [list(part) for part in np.split(np.asarray(order), cuts)]
    return FileRuns.of(runs, rows), runs, rows


@given(st.data())
def test_rows_beyond_a_file_lie_in_the_next_one(data):
    files, runs, rows = runs_of(data.draw)
    for run in runs:
        every = [(file, row) for file in run for row in range(rows[file])]
        for number, (file, row) in enumerate(every):
            others = np.arange(len(every)) - number + row
            found = files.locate(np.full(len(every), file), others)
            assert list(zip(*(one.tolist() for one in found), strict=True)) == every


@given(st.data())
def test_samples_are_those_of_the_run(data):
    files, runs, rows = runs_of(data.draw)
    before, after = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    stride, is_padded = data.draw(st.integers(1, 4)), data.draw(st.booleans())
    reach = RunReach(WindowReach(stride, before, after, after, "edge" if is_padded else None), files)
    # Each run is cut into parts, as a split by block does it.
    part_of = {}
    for number, run in enumerate(runs):
        size = int(rows[run].sum())
        parts = sorted(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
        part_of |= {(number, row): part for row, part in enumerate(parts)}
    counts = reach.counts(rows)
    starts = {file: set() for file in range(len(rows))}
    inside = {(part, file): set() for part in (0, 1) for file in range(len(rows))}
    for number, run in enumerate(runs):
        every = [(file, row) for file in run for row in range(rows[file])]
        for first in range(0 if is_padded else before, len(every), stride):
            needed = range(first, first + 1) if is_padded else range(first - before, first + after + 1)
            if needed.stop > len(every):
                continue
            file, row = every[first]
            starts[file].add(row)
            if len(parts := {part_of[number, one] for one in needed}) == 1:
                inside[parts.pop(), file].add(row)
    of_file = {
        file: [int(reach.first[file]) + number * stride for number in range(counts[file])]
        for file in range(len(rows))
    }
    assert {file: set(found) for file, found in of_file.items()} == starts
    for part in (0, 1):
        segments = [
            (number, [row for (one, row), which in part_of.items() if (one, which) == (number, part)])
            for number in range(len(runs))
        ]
        segments = [(number, rows_in[0], rows_in[-1] + 1) for number, rows_in in segments if rows_in]
        pieces = files.in_files(*np.asarray(segments, np.int64).reshape(-1, 3).T)
        first, stop = reach.of(pieces[0]).numbers_within(pieces[1], pieces[2], rows[pieces[0]])
        for file, low, high in zip(*(one.tolist() for one in (pieces[0], first, stop)), strict=True):
            assert set(of_file[file][low : max(low, high)]) == inside[part, file]
