"""One pass over a loader: it starts late, and nothing ends it without a word."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.seed import pl_worker_init_function
from lightning.pytorch import seed_everything

from h5lightning import H5DataModule
from h5lightning.errors import WorkerError
from h5lightning.loading.epochs.epoch_iterator import EpochIterator

pytestmark = pytest.mark.timeout(90)
TIMEOUT_S = 2


def killed(sample, info):
    if info.id == 16:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample


def leaves(sample, info):
    if info.id == 16:
        os._exit(0)
    return sample


def stuck(sample, info):
    if info.id == 16:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    return sample


class Stops:
    """Not a transform of ours: what stands between them and torch may stop too."""

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, samples):
        if 3 in samples.batch()["sample_id"]:
            raise StopIteration
        return self.collate(samples)


@pytest.fixture
def make(write_files, ready):
    usual = {"batch_size": 2, "provenance": True, "split": {"val": None, "test": None}}
    return lambda **options: ready(H5DataModule(write_files([8, 8, 8]), ["x"], **usual, **options))


# All ways to start are a campaign: a worker that imports everything again takes seconds.
LOSSES = [
    pytest.param(context, transform, id=f"{transform.__name__}-{context}", marks=marks)
    for context in ("fork", "forkserver", "spawn")
    for transform in (killed, leaves, stuck)
    for marks in [
        [] if context == "fork" or (context, transform) == ("spawn", killed) else [pytest.mark.campaign]
    ]
]


@pytest.mark.slow
@pytest.mark.parametrize(("context", "transform"), LOSSES)
def test_a_lost_worker_is_an_error_in_time(make, context, transform) -> None:
    dm = make(
        transform=transform, shuffle="none", num_workers=2, timeout_s=60, multiprocessing_context=context
    )
    batches = iter(dm.train_dataloader())
    given = [next(batches)]
    batches._timeout_s = TIMEOUT_S  # from now on: a worker that is not forked takes long to start
    with pytest.raises(
        WorkerError, match=r"a worker process .* (has ended|given nothing for) .*after [1-8] batches"
    ):
        given.extend(batches)
    ids = [number for batch in given for number in batch["sample_id"].tolist()]
    assert ids == list(range(len(ids)))
    assert not any(worker.is_alive() for worker in batches._batches._workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("threads", [0, 1])
def test_an_epoch_that_is_stopped_early_is_an_error(make, workers, threads) -> None:
    loader = make(num_workers=workers, threads=threads).train_dataloader()
    loader.collate_fn = Stops(loader.collate_fn)
    with pytest.raises(WorkerError, match=r"ended after \d+ of 12 batches"):
        list(loader)


def test_data_that_are_closed_meanwhile_end_no_epoch(make) -> None:
    dm = make(threads=1)
    batches = iter(dm.train_dataloader())
    next(batches)
    dm.teardown()
    with pytest.raises(WorkerError, match=r"ended after \d+ of 12 batches.*dm\.teardown"):
        list(batches)


def test_it_starts_with_the_first_batch() -> None:
    started = []
    batches = EpochIterator(lambda _: (iter(started.append(1) or [7, 8]), 2))
    assert not started
    assert list(batches) == [7, 8]
    assert list(batches) == []


def test_errors_that_are_not_of_workers_pass() -> None:
    def fails():
        yield 1
        raise RuntimeError("DataLoaders are fine")

    with pytest.raises(RuntimeError, match="DataLoaders are fine") as caught:
        list(EpochIterator(lambda _: (fails(), None)))
    assert not isinstance(caught.value, WorkerError)


def draws(sample, info):
    """What global generators give in a worker, where a user draws from them."""
    drawn = {"torch": torch.randint(2**62, ()), "python": random.getrandbits(62)}
    return {**sample, **drawn, "numpy": np.random.randint(0, 2**62)}  # noqa: NPY002 - as many do


@pytest.mark.parametrize("seeds_workers", ["0", "1"], ids=["seed_everything", "workers too"])
def test_no_two_workers_or_ranks_or_stages_share_random_numbers(make, monkeypatch, seeds_workers) -> None:
    monkeypatch.setenv("PL_SEED_WORKERS", seeds_workers)
    dm = make(transform=draws, num_workers=2)
    found = {"torch": [], "numpy": [], "python": []}
    for rank in range(2):
        seed_everything(1, verbose=False)  # the same in each rank's process
        dm.trainer = SimpleNamespace(
            distributed_sampler_kwargs={"rank": rank, "num_replicas": 2},
            fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))),
        )
        loader = dm.train_dataloader()
        if seeds_workers == "1":
            loader.worker_init_fn = partial(pl_worker_init_function, rank=rank)  # as Lightning does
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                for name, numbers in found.items():
                    numbers.extend(batch[name].tolist())
    dm.trainer = None
    for name, numbers in found.items():
        assert len(numbers) == 48
        assert len(set(numbers)) == 48, name
