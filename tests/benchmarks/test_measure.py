"""The meters of a process measure what they say."""

import mmap
from itertools import repeat

import numpy as np
import pytest
from loading.measure import Batch, anonymous_bytes, read_bytes, run_epoch

BATCH = Batch(np.zeros((4, 2)), np.arange(4))


def test_samples_are_counted_not_fields():
    assert run_epoch(repeat(BATCH, 5)).samples == 20


def test_anonymous_memory_is_counted():
    before = anonymous_bytes()
    # Memory of its own: an array may get some that was freed before.
    with mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"\1" * len(held))
        assert anonymous_bytes() - before == pytest.approx(len(held), rel=0.1)


def test_bytes_that_are_read_are_counted(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100_000))
    before = read_bytes()
    (tmp_path / "a").read_bytes()
    assert 100_000 <= read_bytes() - before <= 102_000
