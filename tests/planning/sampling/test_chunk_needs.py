"""When chunks are needed first and last, against a count by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.options import Rows, Windows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.chunk_needs import ChunkLayout, ChunkNeeds


def index_of(rows, samples) -> SampleIndex:
    names = StringTable.of([f"{number}.h5" for number in range(len(rows))])
    return SampleIndex("/data", names, np.arange(len(rows)), np.asarray(rows), samples)


@st.composite
def epochs(draw):
    """Files, fields and the order of samples."""
    rows = draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    length = draw(st.integers(1, 12))
    samples = draw(st.sampled_from([Rows(), Windows(length, stride=2), Windows(length, dilation=2)]))
    span = 1 if isinstance(samples, Rows) else samples.span_rows
    layouts = []
    for _ in range(draw(st.integers(1, 3))):
        heights = draw(st.lists(st.integers(1, 15), min_size=len(rows), max_size=len(rows)))
        start = draw(st.integers(0, span - 1))
        stop = draw(st.integers(start + 1, span))
        layouts.append(ChunkLayout(np.asarray(heights), draw(st.integers(1, 9)), (start, stop)))
    index = index_of(rows, samples)
    order = draw(st.permutations(range(len(index))))
    return index, layouts, np.asarray(order, np.int64), draw(st.integers(0, len(index)))


def needed_by(index, layouts, sample) -> set[tuple[int, int, int]]:
    """Field, file and number of each chunk row that a sample needs."""
    where = index.locate([sample])
    file, row = int(where.file[0]), int(where.row[0])
    return {
        (field, file, (row + offset) // int(layout.chunk_rows[file]))
        for field, layout in enumerate(layouts)
        if layout.chunk_rows[file] > 1
        for offset in range(*layout.span)
    }


@settings(max_examples=200, deadline=None)
@given(epochs())
def test_each_chunk_row_is_needed_first_by_its_first_sample(epoch) -> None:
    index, layouts, order, border = epoch
    needs = ChunkNeeds(index, layouts)
    found = needs.look(order[:border]) + needs.look(order[border:])
    first, last = {}, {}
    for number, sample in enumerate(order.tolist()):
        for chunk in needed_by(index, layouts, sample):
            first.setdefault(chunk, number)
            last[chunk] = number
    assert found.due.tolist() == sorted(first.values())
    assert order[found.due].tolist() == found.ids.tolist()
    assert len(set(found.numbers.tolist())) == len(first)
    sizes = [int(layouts[field].chunk_rows[file]) * layouts[field].row_bytes for field, file, _ in first]
    assert sorted(found.sizes.tolist()) == sorted(sizes)
    for sample in range(0, len(order) + 1, 3):
        still = sum(number >= sample for number in last.values())
        assert len(needs.still_needed(found, sample)) == still
    assert needs.looked == len(order)


def test_what_two_fields_need_of_a_column_is_decoded_once() -> None:
    one = ChunkLayout(np.asarray([8]), 4, (0, 2))
    other = ChunkLayout(np.asarray([8]), 4, (5, 7))
    assert one.joined(other).span == (0, 7)
    assert one.total_bytes(np.asarray([20])) == 24 * 4
