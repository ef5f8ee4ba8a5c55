"""The meters of a process measure what they say."""

import mmap
from itertools import repeat

import numpy as np
import pytest
from clocks import Clock
from loading.measure import Batch, anonymous_bytes, ratios, read_bytes, run_epoch, waiting_share

from h5lightning.tools.bench.timing import Timing, Trial

BATCH = Batch(np.zeros((4, 2)), np.arange(4))
TICK_S = 1 / 64  # which a float holds exactly


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


def test_ratios_are_of_the_same_round():
    ours = [Trial(100, 10, 0, seconds) for seconds in (1, 2, 4)]
    theirs = [Trial(50, 50, seconds, seconds) for seconds in (1, 2, 8)]
    assert ratios(ours, theirs) == Timing(2, 2, 4)


@pytest.mark.parametrize(("seconds", "share"), [(0, 0), (3 * TICK_S, 15 / 21)], ids=["ready", "late"])
def test_waiting_share(monkeypatch, seconds, share):
    """Five batches after the first are waited for, and six steps are made."""
    clock = Clock()
    monkeypatch.setattr("loading.measure.time", clock)
    batches = (clock.sleep(seconds) or BATCH for _ in range(6))
    assert waiting_share(batches, step_s=TICK_S) == pytest.approx(share)
