"""Windows of a bucketed order: those that a run has begun are finished, and its own begin at one of its steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.sampling.window_cuts import WINDOW_STEPS, WindowCut, WindowCuts

steps = st.integers(1, 40)
indices = np.arange(40_000)


def test_windows_of_a_whole_epoch_begin_at_its_first_sample():
    cuts = WindowCuts.of(None, 0, 3)
    assert WINDOW_STEPS == 50
    assert cuts.own == WindowCut(0, 3)
    assert np.array_equal(cuts.starts_of(indices), indices // 150 * 150)


@given(st.lists(st.tuples(steps, st.integers(1, 300)), min_size=2, max_size=5))
def test_a_run_finishes_the_window_and_begins_its_own_at_one_of_its_steps(runs):
    cuts, consumed = None, 0
    for step, done in runs:
        before = cuts
        cuts = WindowCuts.of(None if before is None else before.at(consumed), consumed, step)
        starts = cuts.starts_of(indices)
        if before is not None:
            old = before.starts_of(indices)
            is_begun = (old == old[consumed]) & (old[consumed] < consumed)
            assert np.array_equal(starts[is_begun], old[is_begun])
            own = int((consumed + np.flatnonzero(is_begun[consumed:]).size) if is_begun.any() else consumed)
            assert 0 <= cuts.own.start - own < step
            assert np.all(starts[own : cuts.own.start] == -1)
        assert (cuts.own.start - consumed) % step == 0
        after = indices[cuts.own.start :]
        assert np.array_equal(
            starts[after], cuts.own.start + (after - cuts.own.start) // (50 * step) * 50 * step
        )
        consumed += step * done


@given(steps, st.integers(0, 400), st.integers(0, 400))
def test_a_run_of_the_same_steps_has_the_same_windows(step, first, second):
    consumed = first * step
    cuts = WindowCuts.of(WindowCuts.of(None, 0, step).at(consumed), consumed, step)
    expected = WindowCuts.of(None, 0, step).starts_of(indices)
    assert np.array_equal(cuts.starts_of(indices)[consumed:], expected[consumed:])
    assert np.array_equal(
        WindowCuts.of(cuts.at(consumed + second * step), consumed + second * step, step).starts_of(indices)[
            consumed + second * step :
        ],
        expected[consumed + second * step :],
    )


@pytest.mark.parametrize(("start", "step"), [(-1, 3), (0, 0)])
def test_windows_that_cannot_be_are_refused(start, step):
    with pytest.raises(ValueError, match="windows must begin at 0 or later and have samples"):
        WindowCut(start, step)
