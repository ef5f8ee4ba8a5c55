"""Real Trainers, killed or stopped anywhere and resumed: what the saved model has seen and what follows is an epoch."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from training_jobs import Jobs

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]
LENGTHS = (13, 9, 20, 8)
SAMPLES, TRAINED, EPOCHS, STEPS = sum(LENGTHS), 40, 3, 7
DATA = {"batch_size": 3, "split": {"val": 0.2, "test": None, "by": "sample"}}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, write_one: Callable[..., None]) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("runs")
    for number, rows in enumerate(LENGTHS):
        write_one(folder / f"{number}.h5", number, rows)
    fixed = {"samples": SAMPLES, "epochs": EPOCHS, "data": DATA}
    jobs = Jobs(str(folder / "*.h5"), tmp_path_factory.mktemp("jobs"), **fixed)
    yield jobs
    jobs.close()


@pytest.fixture(scope="module")
def whole(jobs: Jobs) -> dict[str, Any]:
    """An undisturbed run of two ranks that saved after each step."""
    ended = jobs.run("whole", save_every=1)
    assert ended["errors"] == []
    assert_complete(ended)
    assert len(ended["ranks"][0]["steps"]) == EPOCHS * STEPS
    return ended


def assert_complete(ended: dict[str, Any], dropped: int = 0) -> None:
    """Each training sample once in each epoch, but for those that are dropped, at most."""
    for counts in ended["ranks"][0]["seen"]:
        assert set(counts) <= {0, 1}
        assert TRAINED - dropped <= sum(counts) <= TRAINED


def assert_validated(ended: dict[str, Any]) -> None:
    """The epochs from the second on were validated, each sample once on one of the ranks."""
    parts = [one["validated"] for one in ended["ranks"]]
    for epoch in range(1, EPOCHS):
        assert min(sum(part[epoch]) for part in parts) >= 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [*range(1, STEPS + 1), "validated", "end"])
def test_the_tail_is_that_of_the_run_that_went_on(jobs, whole, workers, step) -> None:
    ended = jobs.resume(f"whole/1-{step}", data={"num_workers": workers})
    for rank, expected in zip(ended["ranks"], whole["ranks"], strict=True):
        first = STEPS + (step if isinstance(step, int) else STEPS)
        assert rank["steps"] == expected["steps"][first:]
        assert rank["seen"] == expected["seen"]
    if step != STEPS:  # Lightning takes an epoch whose last step was saved for one that was validated
        assert_validated(ended)


OTHER = {
    "accumulated gradients": {"trainer": {"accumulate_grad_batches": 4}},
    "validation inside of epochs": {"trainer": {"val_check_interval": 2}},
    "loaders made for each epoch": {"trainer": {"reload_dataloaders_every_n_epochs": 1}},
    "a sanity check first": {"trainer": {"num_sanity_val_steps": 2}},
    "h5py's reader": {"data": {"reader": "h5py"}},
    "no threads": {"data": {"threads": 0}},
    "several fits": {"fits": 2},
    "Lightning leaves samplers alone": {"trainer": {"use_distributed_sampler": False}},
}


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_other_ways_to_train_change_nothing(jobs, whole, other) -> None:
    ended = jobs.resume("whole/1-3", **other)
    assert_complete(ended)
    assert_validated(ended)
    for rank, expected in zip(ended["ranks"], whole["ranks"], strict=True):
        assert rank["steps"] == expected["steps"][STEPS + 3 :]


# Ranks before and after, and samples that no step can be made of in the resumed epoch.
WORLDS = [(2, 1, 0), (1, 2, 1), (2, 4, 3), (4, 3, 2)]


@pytest.fixture(scope="module")
def runs(jobs: Jobs, whole: dict[str, Any]) -> None:
    for world in (1, 4):
        ended = jobs.run(f"world-{world}", world=world, save_every=1)
        assert ended["errors"] == []


@pytest.mark.parametrize("step", [2, "last", "validated"])
@pytest.mark.parametrize(("before", "after", "dropped"), WORLDS, ids=str)
def test_another_world_goes_on(jobs, runs, before, after, dropped, step) -> None:
    folder = "whole" if before == 2 else f"world-{before}"
    last = -(-TRAINED // (3 * before))
    ended = jobs.resume(f"{folder}/0-{last if step == 'last' else step}", world=after)
    assert_complete(ended, dropped)
    assert_validated(ended)
    assert ended["ranks"][0]["reload"] == 0


@pytest.mark.parametrize("batch_size", [2, 5])
def test_another_batch_size_goes_on(jobs, whole, batch_size) -> None:
    ended = jobs.resume("whole/1-3", data={"batch_size": batch_size})
    assert_complete(ended)
    assert_validated(ended)


@pytest.mark.parametrize("world", [1, 2])
def test_a_loader_that_was_made_early_goes_on(jobs, world) -> None:
    """OneCycleLR asks for the number of steps before Lightning has restored its counters (lightning#20550)."""
    model = {"asks_for_steps": True}
    if not (jobs.folder / "asking").exists():
        assert_complete(jobs.run("asking", save_every=1, model=model))
    ended = jobs.resume("asking/1-3", world=world, model=model)
    assert_complete(ended)
    assert_validated(ended)


def test_a_limit_of_batches_holds_in_the_resumed_epoch_too(jobs, whole) -> None:
    expected = jobs.run("limited", save_every=1, trainer={"limit_train_batches": 5})
    ended = jobs.resume("limited/1-3", trainer={"limit_train_batches": 5})
    for rank, other in zip(ended["ranks"], expected["ranks"], strict=True):
        assert rank["steps"] == other["steps"][5 + 3 :]


@pytest.mark.parametrize("where", ["model", "transform"])
def test_an_error_is_survived(jobs, whole, where) -> None:
    sample = whole["ranks"][0]["steps"][STEPS + 4][2][0]
    # One rank that fails alone leaves the others waiting, and none of them saves.
    in_transform = {"environment": {"FAILS_AT_SAMPLE": str(sample)}, "world": 1}
    job = {"fails_at": 4} if where == "model" else in_transform
    failed = jobs.run(f"failed-{where}", save_every=1, timeout_s=20, **job)
    assert f"the {where} fails" in failed["errors"][0]
    assert_complete(jobs.resume(f"failed-{where}/exception"))


def test_a_run_that_is_terminated_is_survived(jobs, whole) -> None:
    ended = jobs.run("terminated", save_every=1, terminate_after_step=STEPS + 2)
    assert "SIGTERMException" in ended["errors"][0]
    assert_complete(jobs.resume("terminated/exception"))


WRONG = {
    "seed": ({"seed": 4}, r"SplitMismatchError.*seed was 0, is 4"),
    "shuffle": ({"shuffle": "none"}, r"ResumeError.*shuffle was .*'auto'.*is .*'none'"),
    "samples": (
        {"samples": {"kind": "windows", "length": 2}, "split": {"by": "file"}},
        "samples was .*'rows'",
    ),
    "split": ({"split": {"val": 0.3, "by": "sample"}}, "SplitMismatchError"),
    "files": ({"split": {"val": 0.2, "test": None, "by": "sample"}, "access": {}}, "is gone"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_data_are_an_error_that_says_what_to_do(jobs, whole, name) -> None:
    data, message = WRONG[name]
    job = {"data": data, "world": 1, "checkpoint": str(jobs.folder / "whole" / "1-3.ckpt")}
    if name == "files":
        job["files"] = jobs.files.replace("*", "[0-2]")
    (error,) = jobs.run(f"wrong-{name}", **job)["errors"]
    assert re.search(message, error.splitlines()[0])
    assert "on_other_data='restart_epoch'" in error.splitlines()[0]


def test_other_data_may_begin_the_epoch_again(jobs, whole) -> None:
    split = {**DATA["split"], "seed": 0}
    ended = jobs.resume(
        "whole/1-3", data={"shuffle": "none", "split": split, "on_other_data": "restart_epoch"}
    )
    first, second, third = ended["ranks"][0]["seen"]
    assert sum(second) == TRAINED + 3 * 6
    assert sorted(set(second)) == [0, 1, 2]
    assert (sum(first), sum(third)) == (TRAINED, TRAINED)
    assert ended["ranks"][0]["reload"] == 0


def test_ranks_with_other_seeds_take_that_of_the_first(jobs, whole) -> None:
    ended = jobs.run("seeds", seed_everything=5, seeds_differ=True, epochs=1)
    assert ended["errors"] == []
    assert_complete(ended)


def test_ranks_with_other_options_fail_together(jobs, whole) -> None:
    ended = jobs.run("options", data_of_rank={"1": {"batch_size": 4}}, timeout_s=30)
    assert not ended["killed"]
    for error in ended["errors"]:
        assert error.startswith("RanksDifferError: ")
        assert "batch_size is 4 on rank 1, 3 on rank 0" in error
    assert len(ended["errors"]) == 2


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────────


def evaluated(
    jobs: Jobs, write_one: Callable[..., None], name: str, rows: int, **data: Any
) -> dict[str, Any]:
    """One epoch whose validation data are one file, the first of the index."""
    folder = jobs.folder.parent / name
    folder.mkdir()
    write_one(folder / "a-val.h5", 0, rows)
    write_one(folder / "b-train.h5", 1, 30)
    files = {"val": str(folder / "a-*.h5"), "train": str(folder / "b-*.h5")}
    return jobs.run(f"{name}-job", files=files, epochs=1, timeout_s=30, data={"split": None, **data})


def test_a_metric_of_nine_samples_on_two_ranks_is_exact(jobs, write_one) -> None:
    """Padding would give 3.6: a sample counted twice."""
    ended = evaluated(jobs, write_one, "nine", 9)
    assert ended["errors"] == []
    assert [rank["metrics"]["mean"] for rank in ended["ranks"]] == [4.0, 4.0]
    assert [sum(rank["validated"][0]) for rank in ended["ranks"]] == [4, 5]


def test_a_rank_without_a_sample_is_an_error_on_all(jobs, write_one) -> None:
    ended = evaluated(jobs, write_one, "one", 1)
    assert not ended["killed"]
    assert len(ended["errors"]) == 2
    for error in ended["errors"]:
        assert error.startswith("ShardingError: 1 samples cannot be evaluated on 2 ranks")
        assert "allow_zero_length_dataloader_with_multiple_devices" in error


# ── kills ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", range(5))
def test_a_killed_job_is_survived(jobs, whole, number) -> None:
    survive_kill(jobs, number)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_fifty_killed_jobs_are_survived(jobs, whole) -> None:
    for number in range(5, 55):
        survive_kill(jobs, number)


def survive_kill(jobs: Jobs, number: int) -> None:
    """Kill all ranks at a random moment, resume what was saved last, and count."""
    draw = random.Random(number)
    name, workers = f"killed-{number}", draw.choice([0, 0, 1])
    job = {"save_every": draw.choice([1, 2, 3]), "data": {"num_workers": workers}, "slow_s": 0.02}
    began = time.monotonic()
    ended = jobs.run(name, **job, kill_after_saves=draw.randint(1, 8), kill_after_s=draw.uniform(0, 0.1))
    assert ended["killed"], f"it was over after {time.monotonic() - began:.1f} s"
    saved = max((jobs.folder / name).glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert_complete(jobs.resume(f"{name}/{saved.stem}", world=draw.choice([1, 2])), dropped=1)
