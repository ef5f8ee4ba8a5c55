"""What is prefetched: what is not in memory, whole blocks once, and never an error."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule
from h5lightning.errors import BadFileError
from h5lightning.loading.prefetch_hints import PrefetchAdvisor, available_bytes, fetched_by_thread
from h5lightning.storage.files.raw_file import RawFile


class Storage:
    """Says whether it has samples in memory, and notes those that it is asked for."""

    def __init__(self, is_warm=False) -> None:
        self.is_warm = is_warm
        self.probed, self.asked = [], []

    def prefetch(self, positions, *, is_probe=False) -> bool:
        (self.probed if is_probe else self.asked).append(positions.tolist())
        return not self.is_warm

    def advisor(self, **options) -> PrefetchAdvisor:
        return PrefetchAdvisor(self.prefetch, **options)


def test_single_samples_are_requested_as_they_are() -> None:
    storage = Storage()
    advisor = storage.advisor(size=100)
    advisor.prefetch(np.array([7, 3, 90]))
    advisor.prefetch(np.array([3]))
    assert storage.asked == [[7, 3, 90], [3]]


def test_blocks_are_requested_whole_and_once() -> None:
    storage = Storage()
    advisor = storage.advisor(block_samples=4, size=10)
    advisor.prefetch(np.array([9, 1, 2]))
    advisor.prefetch(np.array([0, 5, 8]))
    advisor.prefetch(np.array([3, 6]))
    assert storage.asked == [[0, 1, 2, 3, 8, 9], [4, 5, 6, 7]]


def test_what_is_in_memory_is_not_requested_and_looked_at_less_and_less() -> None:
    storage = Storage(is_warm=True)
    advisor = storage.advisor(size=1000)
    for _ in range(1000):
        advisor.prefetch(np.arange(100))
        advisor.note(0)
    assert storage.asked == []
    # Several samples of the first group, then one of each 64th group.
    assert [len(probed) for probed in storage.probed] == [4] + [1] * (len(storage.probed) - 1)
    assert 1000 / 64 <= len(storage.probed) < 40


def test_a_cold_stretch_after_a_warm_one_is_noticed() -> None:
    storage = Storage(is_warm=True)
    advisor = storage.advisor(size=1000)
    for _ in range(1000):
        advisor.prefetch(np.arange(100))
    storage.is_warm = False
    for _ in range(64):
        advisor.prefetch(np.arange(100))
        if storage.asked:
            break
    assert storage.asked
    advisor.prefetch(np.arange(100))
    assert len(storage.asked) == 2


def test_a_read_that_had_to_wait_for_the_disk_is_followed_by_a_probe() -> None:
    storage = Storage(is_warm=True)
    advisor = storage.advisor(size=1000)
    for _ in range(1000):
        advisor.prefetch(np.arange(100))
    storage.is_warm, storage.probed = False, []
    advisor.note(1)
    advisor.prefetch(np.arange(100))
    assert storage.probed == [[0, 25, 50, 75]]
    assert storage.asked == [list(range(100))]


def test_what_a_thread_had_to_fetch_is_counted(tmp_path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(1 << 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = fetched_by_thread()
        os.pread(file.fileno(), 4096, 1 << 19)
        cold = fetched_by_thread()
        os.pread(file.fileno(), 4096, 1 << 19)
        warm = fetched_by_thread()
    if cold == before:
        pytest.skip("the temporary directory lies in memory")
    assert warm == cold


def test_errors_are_left_to_the_reading() -> None:
    calls = []

    def fails(positions, *, is_probe=False):
        calls.append(is_probe)
        if not is_probe:
            raise BadFileError("it is gone")
        return True

    PrefetchAdvisor(fails, size=9).prefetch(np.arange(3))
    assert calls == [True, False]


def test_available_memory_is_said_in_bytes() -> None:
    assert 1 << 26 < available_bytes() < 1 << 63


@pytest.fixture
def asked(monkeypatch):
    """Byte ranges that files are asked for, as if none of them were in memory."""
    found = []
    monkeypatch.setattr(RawFile, "is_cached", lambda self, offset: False)
    prefetch = RawFile.prefetch

    def note(self, starts, sizes):
        found.append((os.path.basename(self.path), starts.tolist(), sizes.tolist()))
        prefetch(self, starts, sizes)

    monkeypatch.setattr(RawFile, "prefetch", note)
    return found


def batches_of(tmp_path, **options):
    dm = H5DataModule(
        str(tmp_path / "*.h5"), fields=["x"], split={"val": None, "test": None}, batch_size=8, **options
    )
    dm.prepare_data()
    dm.setup()
    try:
        return [batch["x"].clone() for batch in dm.train_dataloader()]
    finally:
        dm.teardown()


@pytest.fixture
def files(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(64.0) + 64 * number
            file.create_dataset("z", data=np.arange(64.0), chunks=(8,), compression="gzip")
    return tmp_path


@pytest.mark.parametrize("threads", [0, 2])
def test_all_blocks_of_a_cold_file_are_asked_for(tmp_path, asked, threads) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(3000.0)
        first = file["x"].id.get_offset()
    batches = batches_of(tmp_path, shuffle="block", threads=threads)
    assert sorted(value for batch in batches for value in batch.tolist()) == list(range(3000))
    held = np.zeros(first + 8 * 3000, np.bool_)
    for _, starts, sizes in asked:
        for start, size in zip(starts, sizes, strict=True):
            held[start : start + size] = True
    assert held[first:].all()


def test_rows_of_data_that_fit_into_memory_are_left_to_the_system(files, asked) -> None:
    batches_of(files, shuffle="full")
    assert asked == []


@pytest.mark.parametrize("shuffle", ["full", "block"])
def test_a_network_file_system_is_asked_for_everything(files, asked, monkeypatch, shuffle) -> None:
    monkeypatch.setattr(RawFile, "may_be_mapped", property(lambda self: False))
    batches = batches_of(files, shuffle=shuffle)
    assert sorted(value for batch in batches for value in batch.tolist()) == list(range(192))
    assert sum(len(starts) for _, starts, _ in asked) == 192
