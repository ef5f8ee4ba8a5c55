"""Figures of a configuration, from its trials."""

import pytest

from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.report import speed_of, waiting
from h5lightning.tools.bench.timing import Timing, Trial


def test_figures_are_medians():
    trials = [Trial(100, 10, 0.1, seconds) for seconds in (1, 2, 4)]
    found = speed_of(LoaderConfig(), "a", trials, batch_size=10, step_s=0.1)
    assert found.rate == Timing(50, 25, 100)
    assert (found.batch_s, found.first_batch_s, found.waiting) == (0.2, 0.1, 0.5)


@pytest.mark.parametrize("was_cut", [(True, True), (True, False)], ids=["all", "one"])
def test_cut_only_if_each_trial_was(was_cut):
    trials = [Trial(100, 10, 0.1, 1, was_cut=cut) for cut in was_cut]
    assert speed_of(LoaderConfig(), "a", trials, batch_size=10, step_s=None).was_cut == all(was_cut)


@pytest.mark.parametrize(
    ("config", "batch_s", "share"),
    [
        (LoaderConfig(), 0.02, 0.5),
        (LoaderConfig(), 0.009, 0),
        (LoaderConfig(threads=0), 0.01, 0.5),
        (LoaderConfig(threads=0, num_workers=2), 0.01, 0),
    ],
    ids=["slower", "faster", "nothing ahead", "workers"],
)
def test_waiting(config, batch_s, share):
    assert waiting(config, batch_s, 0.01) == pytest.approx(share)
