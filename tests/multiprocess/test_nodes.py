"""Two "nodes" of two ranks on one machine, started by torchrun, each node with its own index."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from h5lightning import H5DataModule

pytestmark = [pytest.mark.timeout(200), pytest.mark.slow]
SUPPORT = Path(__file__).parents[1] / "support"
RANKS = range(4)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(node: int, port: int, cache: Path, job: dict) -> subprocess.Popen[str]:
    # A hung job survives SIGTERM.
    command = [
        "timeout", "-k", "5", "150", sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2",
        f"--node-rank={node}", "--master-addr=127.0.0.1", f"--master-port={port}",
        str(SUPPORT / "node_job.py"), json.dumps(job),
    ]  # fmt: skip
    environment = {
        **os.environ, "PYTHONPATH": f"{SUPPORT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1",
        "H5LIGHTNING_CACHE_DIR": str(cache), "TMPDIR": str(cache.parent),
    }  # fmt: skip
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(job: dict, caches: list[Path]) -> list[tuple[int, str]]:
    """Exit code and output of each node."""
    port = free_port()
    nodes = [start(node, port, cache, job) for node, cache in enumerate(caches)]
    outputs = [node.communicate()[0] for node in nodes]
    return [(node.returncode, output) for node, output in zip(nodes, outputs, strict=True)]


def seen(folder: Path, stage: str, epoch: int) -> list[list[int]]:
    return [json.loads((folder / f"{stage}-{epoch}-{rank}.json").read_text()) for rank in RANKS]


def check_draws(files: str, drawn: list[int]) -> None:
    """All ranks together draw what one process would, but for at most three samples that are dropped."""
    dm = H5DataModule(files, ["x", "y"], shuffle={"balance": "y"}, provenance=True)
    dm.setup()
    expected = Counter(number for batch in dm.train_dataloader() for number in batch["sample_id"].tolist())
    dm.teardown()
    assert max(expected.values()) > 1
    assert Counter(drawn) <= expected
    assert len(drawn) >= sum(expected.values()) - 3


def test_every_sample_once_over_two_nodes(write_files, tmp_path) -> None:
    files = write_files(options={"chunks": (8, 2, 3), "compression": "gzip"})
    folder, caches = tmp_path / "out", [tmp_path / "node-0", tmp_path / "node-1"]
    (folder / "balanced").mkdir(parents=True)
    job = {"files": files, "folder": str(folder), "data": {"batch_size": 7, "num_workers": 1}}
    for code, output in run(job, caches):
        assert code == 0, output[-3000:]
    assert sorted(path.name for path in folder.glob("scanned-*")) == [
        "scanned-by-rank-0",
        "scanned-by-rank-2",
    ]
    assert [path.read_text() for path in folder.glob("scanned-*")] == ["8", "8"]
    assert all(any(cache.rglob("*")) for cache in caches), "each node keeps an index on its own disk"
    evaluated = list(chain(*seen(folder, "val", 0), *seen(folder, "test", 0)))
    assert max(Counter(evaluated).values()) == 1
    for epoch in range(2):
        trained = list(chain(*seen(folder, "train", epoch)))
        assert max(Counter(trained).values()) == 1
        assert set(trained).isdisjoint(evaluated)
        # At most one sample less than there are ranks is left out of an epoch.
        assert len(trained) + len(evaluated) >= sum((40, 25, 33, 10, 52, 18, 27, 36)) - 3
    check_draws(files, list(chain(*seen(folder / "balanced", "train", 0))))
    splits = [(folder / f"splits-{rank}.json").read_text() for rank in RANKS]
    assert len(set(splits)) == 1
