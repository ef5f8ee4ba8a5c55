"""Real loaders and worker processes; loaders that deliver something else are found."""

import gc
from functools import partial

import numpy as np
import pytest
from check_runs import LyingReader, check_run, ignore

from h5lightning.options import Shuffle
from h5lightning.tools.check.loader_check import check_loaders
from h5lightning.tools.check.run import CheckRun

pytestmark = [pytest.mark.timeout(120)]


class Shifted(CheckRun):
    """Its loaders are planned with one order, and made with another one."""

    def sampler(self, stage, order, shards, rank, epoch=0, *, remaining=None):
        sampler = super().sampler(stage, order, shards, rank, epoch, remaining=remaining)
        planned = sampler.stretches
        sampler.stretches = lambda **options: (
            planned(**options) if "multiple" in options else reversed_parts(planned())
        )
        return sampler


def reversed_parts(parts):
    return [part[::-1] for part in parts]


def test_sound_loaders_pass(write_files):
    files = write_files(options={"chunks": (8, 2, 3), "compression": "gzip"})
    with check_run(files, shuffle=Shuffle("block"), ranks=[1, 3], batches=3) as run:
        result = check_loaders(run, ignore)
    assert result.failures == ()
    assert result.scope == "workers 0, 2 × ranks 1, 3 × 2 epochs and a resumed one, at most 3 batches each"


def test_other_samples_than_planned_are_found(write_files):
    with check_run(write_files(), kind=Shifted, ranks=[1], workers=[0], epochs=1, batches=2) as run:
        failures = check_loaders(run, ignore).failures
    assert len(failures) == 2 * 2, "of a whole run and of a resumed one"
    assert failures[0].startswith("0 workers, rank 0 of 1, epoch 0, batch 0: it has sample ids ")


@pytest.mark.parametrize("workers", [0, 1])
def test_other_values_than_in_the_files_are_found(write_files, workers):
    with check_run(
        write_files(),
        reader=partial(LyingReader, path="y"),
        ranks=[1],
        workers=[workers],
        epochs=1,
        batches=1,
    ) as run:
        whole, resumed = check_loaders(run, ignore).failures
    assert "rank 0 of 1, epoch 0, batch 0: field 'y' differs from what h5py reads, first in run-" in whole
    assert "steps, epoch 0, batch 0: field 'y' differs from what h5py reads, first in run-" in resumed


def test_a_file_that_fails_ends_no_other_check(write_files, capfd):
    pattern = write_files((40, 30))
    with check_run(pattern, ranks=[1, 2], workers=[0, 1], epochs=1) as run:
        for name in run.index.names:
            with open(f"{run.index.root}/{name}", "r+b") as file:
                file.truncate(3000)
        failures = check_loaders(run, ignore).failures
    assert len(failures) == 2 * 3 * 2
    assert all("FileChangedError" in failure or "BadFileError" in failure for failure in failures)
    gc.collect()
    assert "Exception ignored" not in capfd.readouterr().err


def test_places_are_few(write_files):
    with check_run(write_files(), ranks=[1, 2, 500]) as run:
        assert run.loader_ranks() == [(1, 0), (2, 0), (2, 1)]
        assert run.is_shuffled
        assert np.array_equal(run.worlds(), [1, 2])
