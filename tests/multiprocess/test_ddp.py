"""Two gloo ranks under a real Trainer: the same split, and every sample where it belongs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]
SUPPORT = Path(__file__).parents[1] / "support"


def launch(files: str, folder: Path, **job) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    arguments = {"files": files, "folder": str(folder), "data": {"batch_size": 7}, **job}
    # A hung job of two ranks survives SIGTERM.
    command = [
        "timeout",
        "-k",
        "5",
        "150",
        sys.executable,
        str(SUPPORT / "ddp_job.py"),
        json.dumps(arguments),
    ]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def seen(folder: Path, stage: str, epoch: int) -> list[list[int]]:
    return [json.loads((folder / f"{stage}-{epoch}-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("ddp", {}),
        ("ddp_spawn", {"samples": {"kind": "windows", "length": 3, "dilation": 2}}),
        (
            "ddp",
            {
                "num_workers": 1,
                "shuffle": "block",
                "persistent_workers": True,
                "normalize": {"n": {"kind": "standard", "per": "all"}},
            },
        ),
    ],
    ids=["ddp", "spawn-windows", "ddp-block-workers"],
)
def test_every_sample_once_over_the_ranks(write_files, tmp_path, strategy, options) -> None:
    files = write_files(options={"chunks": (8, 2, 3), "compression": "gzip"})
    fields = {"x": "x", "y": "y", "n": "x"} if "normalize" in options else ["x", "y"]
    data = {"batch_size": 7, **options}
    job = launch(files, tmp_path / "out", strategy=strategy, fields=fields, data=data)
    assert job.returncode == 0, job.stderr[-3000:]
    folder = tmp_path / "out"
    evaluated = list(chain(*seen(folder, "val", 0), *seen(folder, "test", 0)))
    if strategy == "ddp":
        assert seen(folder, "test", 0) == seen(folder, "predict", 0)
    trained = [list(chain(*seen(folder, "train", epoch))) for epoch in range(2)]
    assert trained[0] != trained[1]
    for epoch in range(2):
        first, second = seen(folder, "train", epoch)
        assert max(Counter(trained[epoch]).values()) == 1
        assert abs(len(first) - len(second)) <= 1
        assert set(trained[epoch]).isdisjoint(evaluated)
    whole = set(evaluated) | set(trained[0]) | set(trained[1])
    # At most one training sample is left out of an epoch, another one in each.
    assert len(trained[0]) + len(evaluated) >= len(whole) - 1
    assert Counter(evaluated) == Counter(set(evaluated))
    if strategy == "ddp":
        splits = [json.loads((folder / f"splits-{rank}.json").read_text()) for rank in range(2)]
        assert splits[0] == splits[1]
        statistics = [json.loads((folder / f"statistics-{rank}.json").read_text()) for rank in range(2)]
        assert statistics[0] == statistics[1]
        if "normalize" in options:
            of_train = [h5py.File(path)["x"][:].astype("f8").ravel() for path in splits[0]["train"]]
            mean, count = statistics[0]["n"]
            assert (mean, count) == (
                pytest.approx(np.concatenate(of_train).mean(), rel=1e-9),
                sum(map(len, of_train)),
            )


def test_an_error_of_the_first_rank_ends_all_ranks(tmp_path) -> None:
    job = launch(str(tmp_path / "none-*.h5"), tmp_path / "out", strategy="ddp")
    assert job.returncode not in (0, 124, 137)
    assert "NoMatchError" in job.stderr
