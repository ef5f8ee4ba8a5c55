"""The starts of chunks are the same from one table for all files and from a table for each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.readers.direct import chunk_starts
from h5lightning.storage.readers.direct.chunk_starts import ChunkStarts


@pytest.fixture(params=[0, 1 << 16], ids=["large", "small"])
def most(request, monkeypatch):
    monkeypatch.setattr(chunk_starts, "_MOST_IN_A_TABLE", request.param)


@pytest.mark.usefixtures("most")
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    columns=st.integers(1, 3),
    picks=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20),
)
def test_chunks_of_any_files(counts, columns, picks):
    starts = [
        1000 * number + np.arange(count * columns).reshape(count, columns)
        for number, count in enumerate(counts)
    ]
    picks = sorted((dataset % len(counts), row) for dataset, row in picks)
    picks = [(dataset, row % counts[dataset]) for dataset, row in picks]
    found = ChunkStarts(starts).of(*np.array(picks).T)
    assert np.array_equal(found, [starts[dataset][row] for dataset, row in picks])


def test_large_tables_are_not_copied():
    starts = [np.arange(1 << 17).reshape(-1, 2) for _ in range(3)]
    made = ChunkStarts(starts)
    assert made._table is None
    assert all(np.shares_memory(mine, yours) for mine, yours in zip(made._starts, starts, strict=True))
