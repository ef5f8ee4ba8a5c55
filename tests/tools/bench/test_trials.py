"""Candidates load what they say, start with nothing open, and leave nothing open."""

import gc
import multiprocessing
import sys

import h5py
import numpy as np
import pytest
import torch

from h5lightning.options import Access
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.timing import run_trial
from h5lightning.tools.bench.trials import Source, evict, make_candidate

pytestmark = pytest.mark.timeout(60)
ROWS = 80


@pytest.fixture
def make(tmp_path):
    """A function that makes a source over two files, one of which has a name like a pattern."""
    paths = [str(tmp_path / name) for name in ("a.h5", "b[1].h5")]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            # Noise that does not shrink, so that reading it shows among all else that a process reads.
            values = np.random.default_rng(number).random((ROWS, 40))
            values[:, 0] = np.arange(ROWS) + 1000 * number
            file.create_dataset("x", data=values, chunks=(8, 40), compression="gzip")

    def source(share=1.0, forgets=False, full_cache_bytes=1 << 20):
        arguments = {"fields": {"x": "x"}, "access": Access(), "batch_size": 16, "seed": 0}
        return Source(
            paths, {**arguments, "index_dir": str(tmp_path / "index")}, share, forgets, full_cache_bytes
        )

    return source


def batches(source, config=None, mode="full", number=0, least_s=0.0):
    candidate = make_candidate("a", source, config or LoaderConfig(), mode, least_s=least_s, is_cold=False)
    return [batch["x"][:, 0].clone() for batch in candidate.batches(number)]


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["all", "half"])
def test_a_trial_has_each_sample_of_the_subset_once(make, share):
    rows = int(share * ROWS)
    expected = [*range(rows), *range(1000, 1000 + rows)]
    assert sorted(torch.cat(batches(make(share))).tolist()) == expected


def test_trials_have_the_same_order_in_each_configuration_and_differ(make):
    first, again, later = (
        torch.cat(batches(make(), config, number=number))
        for config, number in (
            (LoaderConfig(), 1),
            (LoaderConfig(reader="h5py", threads=0), 1),
            (LoaderConfig(), 2),
        )
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_a_trial_goes_on_until_an_epoch_ends_late_enough(make):
    assert len(torch.cat(batches(make(), least_s=0.05))) % (2 * ROWS) == 0


def test_workers_are_processes_that_end_with_the_trial(make):
    candidate = make_candidate("a", make(), LoaderConfig(num_workers=2), "full", least_s=0, is_cold=False)
    running = candidate.batches(0)
    next(running)
    assert len(multiprocessing.active_children()) == 2
    running.close()
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process reads")
@pytest.mark.parametrize("forgets", [True, False], ids=["forgets", "keeps"])
def test_whether_a_second_epoch_decodes_again(make, forgets):
    def reads():
        with open("/proc/self/io", encoding="ascii") as file:
            return int(file.readline().split()[1])

    dm = make_candidate(
        "a", make(forgets=forgets), LoaderConfig(), "full", least_s=0, is_cold=False
    ).batches.args[0]
    from h5lightning.tools.bench.trials import _epoch

    found = []
    for number in range(2):
        before = reads()
        assert sum(len(batch["x"]) for batch in _epoch(dm, number, forgets=forgets)) == 2 * ROWS
        found.append(reads() - before)
    dm.teardown()
    with h5py.File(make().files[0]) as file:
        stored = 2 * file["x"].id.get_storage_size()
    assert found[0] >= stored
    assert (found[1] >= stored) == forgets


def test_full_order_has_its_own_cache(make):
    source = make(full_cache_bytes=77)
    caches = [
        source.data_module(LoaderConfig(), mode).hparams["access"]["cache_bytes"]
        for mode in ("full", "block")
    ]
    assert caches == [77, Access().cache_bytes]


@pytest.mark.skipif(not hasattr(__import__("os"), "posix_fadvise"), reason="needs posix_fadvise")
def test_evicted_files_are_read_again(make):
    source = make()
    candidate = make_candidate("a", source, LoaderConfig(), "full", least_s=10, is_cold=True)
    evict(source.files)
    candidate.prepare()
    trial = run_trial(candidate, 0)
    assert (trial.samples, trial.was_cut) == (2 * ROWS, False)  # one epoch, however long a trial should be
