"""Interrupted epochs, and runs that go on in the wrong place: which must be found."""

import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.options import Shuffle
from h5lightning.planning.sampling.training_progress import RemainingEpoch
from h5lightning.tools.check.resume_check import check_resumption
from h5lightning.tools.check.run import CheckRun

COMPRESSED = {"chunks": (8, 2, 3), "compression": "gzip"}


@pytest.mark.parametrize(
    "shuffle",
    [
        Shuffle("full"),
        Shuffle("block", 2000),
        Shuffle("none"),
        Shuffle("block", 2000, balance="y"),
        Shuffle(bucket="y"),
    ],
    ids=["full", "block", "none", "balanced", "bucketed"],
)
@pytest.mark.parametrize("tail", ["drop", "repeat"])
def test_what_is_right_passes(write_files, shuffle, tail):
    with check_run(write_files(options=COMPRESSED), shuffle=shuffle, tail=tail) as run:
        result = check_resumption(run, ignore)
    assert result.failures == ()
    assert result.scope == "20 interrupted epochs, ranks 1, 2, 3, 4, 8 in turn"


class OneStepBehind(CheckRun):
    """Its resumed runs repeat the step before the interruption."""

    def sampler(self, stage, order, shards, rank, epoch=0, *, remaining=None):
        if remaining is not None:
            again = max(0, remaining.shards.start - shards.step_samples)
            remaining = RemainingEpoch(remaining.epoch, remaining.steps_done, shards.after(again))
        return super().sampler(stage, order, shards, rank, epoch, remaining=remaining)


class ShuffledAgain(CheckRun):
    """Its resumed runs deliver the right samples in another order."""

    def sampler(self, stage, order, shards, rank, epoch=0, *, remaining=None):
        sampler = super().sampler(stage, order, shards, rank, epoch, remaining=remaining)
        if remaining is not None:
            stretches = sampler.stretches
            sampler.stretches = lambda **options: (part[::-1] for part in stretches(**options))
        return sampler


def test_a_run_that_goes_on_too_early_is_found(write_files):
    with check_run(write_files(), kind=OneStepBehind) as run:
        failures = check_resumption(run, ignore).failures
    assert any("samples repeated, expected 0: run-" in failure for failure in failures)
    assert any("the samples differ from those of the uninterrupted epoch" in failure for failure in failures)


def test_another_order_is_found(write_files):
    with check_run(write_files(), kind=ShuffledAgain, ranks=[2]) as run:
        failures = check_resumption(run, ignore).failures
    assert any("the samples differ from those of the uninterrupted epoch" in failure for failure in failures)


def test_too_few_samples_for_any_of_the_ranks(write_files):
    with check_run(write_files((10, 9)), ranks=[40]) as run:
        assert check_resumption(run, ignore).failures == ()
    assert np.array_equal(run.worlds(), [])
