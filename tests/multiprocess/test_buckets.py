"""Bucketed training by real Trainers: killed and resumed with other ranks and batch sizes, each sample comes once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from training_jobs import Jobs

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]
LENGTHS = (130, 90)
SAMPLES, EPOCHS = sum(LENGTHS), 2
SIZES = np.random.default_rng(4).permutation(SAMPLES)  # all differ, so that the order of a window is known


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, write_one: Callable[..., None]) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("runs")
    for number, rows in enumerate(LENGTHS):
        write_one(folder / f"{number}.h5", number, rows)
        with h5py.File(folder / f"{number}.h5", "r+") as file:
            file["n"] = SIZES[number * LENGTHS[0] :][:rows]
    data = {"batch_size": 2, "split": {"val": None, "test": None}, "shuffle": {"bucket": "n"}}
    fixed = {"samples": SAMPLES, "epochs": EPOCHS, "fields": ["x", "n"], "world": 1, "data": data}
    jobs = Jobs(str(folder / "*.h5"), tmp_path_factory.mktemp("jobs"), **fixed)
    yield jobs
    jobs.close()


@pytest.fixture(scope="module")
def whole(jobs: Jobs) -> dict[str, Any]:
    """An undisturbed run of one rank that saved after some steps; an epoch has 110, two windows and ten steps."""
    ended = jobs.run("whole", save_every=7)
    assert ended["errors"] == []
    assert_complete(ended)
    return ended


def assert_complete(ended: dict[str, Any]) -> None:
    for counts in ended["ranks"][0]["seen"]:
        assert counts == [1] * SAMPLES


def ranges(ended: dict[str, Any], epoch: int) -> list[int]:
    """The range of sizes of each batch of an epoch."""
    return [
        int(np.ptp(SIZES[ids]))
        for rank in ended["ranks"]
        for number, _, ids in rank["steps"]
        if number == epoch
    ]


def test_batches_have_similar_sizes(whole) -> None:
    # Two neighbours of the 100 samples of a window are about 2.2 of 220 apart.
    assert np.mean(ranges(whole, 0)) < 6
    steps = [ids for _, _, ids in whole["ranks"][0]["steps"]]
    assert sorted(map(sorted, steps[:110])) != sorted(map(sorted, steps[110:]))


def test_two_ranks_deliver_each_sample_once(jobs) -> None:
    ended = jobs.run("two", world=2)
    assert ended["errors"] == []
    assert_complete(ended)
    first, second = ([ids for _, _, ids in rank["steps"]] for rank in ended["ranks"])
    together = [int(np.ptp(SIZES[a + b])) for a, b in zip(first, second, strict=True)]
    assert np.mean(together) < 12, "the ranks have neighbouring parts of one step"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_goes_on_in_the_same_order(jobs, whole, workers) -> None:
    ended = jobs.resume("whole/1-56", data={"num_workers": workers})
    assert_complete(ended)
    assert ended["ranks"][0]["steps"] == whole["ranks"][0]["steps"][110 + 56 :]


@pytest.mark.parametrize(("world", "batch_size"), [(1, 3), (1, 5), (2, 2), (2, 3)])
def test_other_steps_go_on(jobs, whole, world, batch_size) -> None:
    """The order says so: the next steps take the samples that the old ones would have taken."""
    ended = jobs.resume("whole/0-21", world=world, data={"batch_size": batch_size}, save_every=4)
    for counts in ended["ranks"][0]["seen"]:
        assert set(counts) <= {0, 1}
        assert sum(counts) >= SAMPLES - (world - 1)
    old = np.concatenate([ids for _, _, ids in whole["ranks"][0]["steps"][21:50]])
    steps = zip(*(rank["steps"] for rank in ended["ranks"]), strict=True)
    new = np.concatenate([ids for ranks in steps for _, _, ids in ranks])
    assert np.array_equal(new[: old.size], old)


def test_a_run_that_is_killed_twice_is_survived(jobs) -> None:
    job = {"save_every": 3, "slow_s": 0.004, "timeout_s": 60}
    killed = jobs.run("killed", kill_after_saves=8, kill_after_s=0.01, **job)
    assert killed["killed"]
    newest = max((jobs.folder / "killed").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    killed = jobs.run(
        "again-killed", checkpoint=str(newest), kill_after_saves=4, kill_after_s=0.01, world=2,
        **job, data={"batch_size": 3},
    )  # fmt: skip
    assert killed["killed"]
    newest = max((jobs.folder / "again-killed").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    ended = jobs.run("third", checkpoint=str(newest), data={"batch_size": 5})
    assert ended["errors"] == []
    assert_complete(ended)
