"""Sets of numbers as bits: members, positions and runs as NumPy finds them in the array of booleans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from h5lightning.core import bits as module
from h5lightning.core.bits import Bits

BOOLS = arrays.arrays(np.bool_, st.integers(0, 300))


@given(BOOLS, st.sampled_from([8, 64, 100]))
def test_a_set_answers_as_the_array_of_booleans_does(bools: np.ndarray, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        found = Bits.of_bools(bools)
        members = np.flatnonzero(bools)
        assert len(found) == len(members)
        assert found(np.arange(len(members))).tolist() == members.tolist()
        numbers = np.arange(-3, len(bools) + 3)
        expected = np.where(np.isin(numbers, members), np.searchsorted(members, numbers), -1)
        assert found.inverse(numbers).tolist() == expected.tolist()
        bounds = np.arange(len(bools) + 1)
        assert found.below(bounds).tolist() == np.searchsorted(members, bounds).tolist()
        assert found.contains(np.arange(len(bools))).tolist() == bools.tolist()
        runs = [(start, stop) for pair in found.runs() for start, stop in zip(*pair, strict=True)]
        edges = np.flatnonzero(np.diff(bools, prepend=False, append=False)).reshape(-1, 2)
        assert runs == [tuple(pair) for pair in edges.tolist()]
        again = Bits.of_bytes(found.to_bytes(), found.size)
        assert np.array_equal(again.words, found.words)


@given(BOOLS, st.lists(st.integers(0, 300), max_size=5), st.data())
def test_pieces_and_parts_of_a_set_are_those_of_the_array(
    bools: np.ndarray, cuts: list[int], data: st.DataObject
) -> None:
    pieces = np.split(bools, sorted(min(cut, len(bools)) for cut in cuts))
    found = Bits.of_pieces(pieces, len(bools))
    start = data.draw(st.integers(0, len(bools)))
    stop = data.draw(st.integers(start, len(bools)))
    assert found.bools(start, stop).tolist() == bools[start:stop].tolist()
    other = data.draw(arrays.arrays(np.bool_, len(bools)))
    assert (found & Bits.of_bools(other)).bools().tolist() == (bools & other).tolist()


def test_counts_are_the_same_without_the_function_of_new_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    bools = np.random.default_rng(0).random(1000) < 0.3
    expected = Bits.of_bools(bools).below(np.arange(1001))
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert Bits.of_bools(bools).below(np.arange(1001)).tolist() == expected.tolist()


def test_bytes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 bytes do not hold 8 bits"):
        Bits.of_bytes(b"\x01\x01", 8)
    with pytest.raises(ValueError, match="beyond 3"):
        Bits.of_bytes(b"\x08", 3)
    with pytest.raises(ValueError, match="3 entries, expected 4"):
        Bits.of_pieces([np.ones(3, bool)], 4)
    with pytest.raises(ValueError, match="no common members"):
        Bits.of_bools(np.ones(3, bool)) & Bits.of_bools(np.ones(4, bool))
