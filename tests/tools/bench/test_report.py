"""Figures of a way, from its turns."""

import pytest

from h5lightning.tools.bench.configurations import Way
from h5lightning.tools.bench.report import speed_of, waiting
from h5lightning.tools.bench.timing import Spread, Turn


def test_figures_are_medians():
    turns = [Turn(100, 10, 0.1, seconds) for seconds in (1, 2, 4)]
    found = speed_of(Way(), "a", turns, batch_size=10, step_s=0.1)
    assert found.rate == Spread(50, 25, 100)
    assert (found.batch_s, found.first_batch_s, found.waiting) == (0.2, 0.1, 0.5)


@pytest.mark.parametrize("was_cut", [(True, True), (True, False)], ids=["all", "one"])
def test_cut_only_if_each_turn_was(was_cut):
    turns = [Turn(100, 10, 0.1, 1, was_cut=cut) for cut in was_cut]
    assert speed_of(Way(), "a", turns, batch_size=10, step_s=None).was_cut == all(was_cut)


@pytest.mark.parametrize(
    ("way", "batch_s", "share"),
    [
        (Way(), 0.02, 0.5),
        (Way(), 0.009, 0),
        (Way(threads=0), 0.01, 0.5),
        (Way(threads=0, num_workers=2), 0.01, 0),
    ],
    ids=["slower", "faster", "nothing ahead", "workers"],
)
def test_waiting(way, batch_s, share):
    assert waiting(way, batch_s, 0.01) == pytest.approx(share)
