"""Memory and open files of worker processes stay flat over many files and epochs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import defaultdict

import h5py
import numpy as np
import pytest
import torch

from h5lightning import H5DataModule

FILES = 500
EPOCHS = 3


def anonymous_kib() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def open_data_files() -> int:
    """Files, not descriptors: a map holds one, and so does each batch that is in flight."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return sum(name.endswith(".h5") for name in found)


def with_usage(batch):
    """What the process that reads takes, beside what it read."""
    usage = (os.getpid(), anonymous_kib(), open_data_files())
    return {**batch, "usage": torch.tensor(usage)}


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as on Linux")
@pytest.mark.parametrize(
    "options", [{}, {"chunks": (16, 1024), "compression": "gzip"}], ids=["plain", "gzip"]
)
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_four_workers_stay_flat_over_500_files(reader, options, tmp_path):
    for number in range(FILES):
        with h5py.File(tmp_path / f"{number:03}.h5", "w") as file:
            values = np.random.default_rng(number).integers(0, 99, (64, 1024)).astype("f4")
            file.create_dataset("x", data=values, **options)
    dm = H5DataModule(
        str(tmp_path / "*.h5"),
        ["x"],
        split={"val": None, "test": None},
        batch_size=64,
        num_workers=4,
        persistent_workers=True,
        reader=reader,
        access={"cache_bytes": 32 << 20},
        shuffle={"window_bytes": 16 << 20},
        batch_transform=with_usage,
    )
    dm.prepare_data()
    dm.setup()
    usage = defaultdict(lambda: [[] for _ in range(EPOCHS)])
    loader = dm.train_dataloader()
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            pid, kib, files = batch["usage"].tolist()
            usage[pid][epoch].append((kib, files))
    dm.teardown()
    assert len(usage) == 4
    budget = 512 // 4  # of the 512 that all processes share
    for epochs in usage.values():
        ends = [np.mean([kib for kib, _ in epoch[-20:]]) for epoch in epochs]
        sys.stdout.write(f"MiB at the end of epochs: {[round(end / 1024) for end in ends]}; ")
        most = max(files for epoch in epochs for _, files in epoch)
        sys.stdout.write(f"open files at most: {most}\n")
        assert max(ends) < 1.03 * min(ends)
        assert most <= budget
