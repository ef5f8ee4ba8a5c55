"""Two gloo ranks, whatever way the loaders come to the run: together each sample once, in equally many steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]
JOB = Path(__file__).parents[1] / "support" / "share_jobs.py"
TRAINED, VALIDATED, TESTED, BATCH = 54, 33, 22, 4
SCENARIOS = [
    "early", "plain", "with_workers", "torch_loader", "given_to_fit", "hook_of_the_model", "wrapped_datamodule",
    "combined", "wrapped_loader", "own_trainer", "fabric",
]  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, write_one) -> list[dict[str, Any]]:
    """What each of two ranks has seen, by scenario and stage."""
    folder, results = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("results")
    for number, rows in enumerate((40, 25, 34, 10)):
        write_one(folder / f"{number}.h5", number, rows)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run(
        [*launcher, str(JOB), str(folder / "*.h5"), str(results)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]
    assert "val: rank 0 of 2: 16 of 33 samples; rank=0, world_size=1 for all" in run.stderr
    return [json.loads((results / f"{rank}.json").read_text()) for rank in range(2)]


def batches(found, scenario: str, stage: str) -> tuple[list[list[int]], list[list[int]]]:
    return found[0][scenario][stage], found[1][scenario][stage]


def counts(parts) -> Counter[int]:
    return Counter(number for part in parts for batch in part for number in batch)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_training_sees_each_sample_once_in_each_epoch(found, scenario) -> None:
    parts = batches(found, scenario, "train")
    assert len(parts[0]) == len(parts[1])
    assert len(parts[0]) % 2 == 0
    half = len(parts[0]) // 2
    epochs = [[part[:half] for part in parts], [part[half:] for part in parts]]
    for epoch in epochs:
        assert set(counts(epoch).values()) == {1}
        assert len(counts(epoch)) == TRAINED
    assert epochs[0] != epochs[1]


VALIDATIONS = [name for name in SCENARIOS if name not in ("early", "torch_loader")]


@pytest.mark.parametrize("scenario", VALIDATIONS)
def test_validation_sees_each_sample_once_in_equally_many_steps(found, scenario) -> None:
    parts = batches(found, scenario, "val")
    assert len(parts[0]) == len(parts[1])
    passes = len(parts[0]) // 5
    assert set(counts(parts).values()) == {passes}
    assert len(counts(parts)) == VALIDATED
    sizes = [[len(batch) for batch in part[:5]] for part in parts]
    assert sizes == [[4, 4, 4, 3, 1], [4, 4, 4, 4, 1]]


def test_two_loaders_of_a_validation_are_alike(found) -> None:
    assert batches(found, "plain", "val") == batches(found, "plain", "again")


def test_predictions_come_once(found) -> None:
    parts = batches(found, "own_trainer", "predict")
    assert set(counts(parts).values()) == {1}
    assert len(counts(parts)) == TESTED


def test_what_the_user_gives_counts(found) -> None:
    every = batches(found, "explicit", "all")
    assert every[0] == every[1]
    assert len(counts(every[:1])) == VALIDATED
    swapped, plain = batches(found, "explicit", "train"), batches(found, "plain", "train")
    assert swapped == plain[::-1]


def test_repeated_samples_make_ranks_equal_and_are_marked(found) -> None:
    parts, marks = batches(found, "repeated", "val"), batches(found, "repeated", "marks")
    assert [len(batch) for batch in parts[0]] == [len(batch) for batch in parts[1]]
    flat = chain.from_iterable
    marked = [list(zip(flat(part), flat(mark), strict=True)) for part, mark in zip(parts, marks, strict=True)]
    once = [number for part in marked for number, is_repeat in part if not is_repeat]
    assert sorted(once) == sorted(counts(parts))
    assert len(once) == VALIDATED
    assert [sum(is_repeat for _, is_repeat in part) for part in marked] == [1, 0]


def test_ranks_that_cannot_know_their_share_are_an_error(found) -> None:
    for rank in range(2):
        error = found[rank]["early"]["error"]
        assert error.startswith(f"ShardingError: this is one of 2 ranks (WORLD_SIZE=2, RANK={rank})")
