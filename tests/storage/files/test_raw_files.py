"""Many files without HDF5: each is opened once, and descriptors and maps stay within their budgets."""

import os
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from h5lightning.errors import FileChangedError, ResourceError
from h5lightning.options import Access
from h5lightning.storage.files import file_budget, raw_files
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.mapped_file import map_limit, maps_held

FILES = 30


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number:02}.h5") for number in range(FILES)]
    for number, name in enumerate(names):
        Path(name).write_bytes(bytes([number]) * 100)
    return names


@pytest.fixture(params=[3, FILES + 1], ids=["few", "many"])
def most(request):
    return request.param


def descriptors(paths):
    """How many of the files are open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(link) and os.readlink(link) in paths for link in links)


def mapped(paths):
    """How many of the files are mapped."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return sum(path in maps for path in paths)


def first_bytes(pool, paths):
    batch = pool.raw_files.checked(paths)
    return [int(file.read(0, 1)[0]) for file in batch.files]


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is open and mapped")


@linux
def test_descriptors_stay_within_the_budget(paths, most):
    with HandlePool(Access(max_open_files=most)) as pool:
        for _ in range(2):
            assert first_bytes(pool, paths) == [*range(FILES)]
            assert descriptors(paths) == len(pool) == min(most, FILES)
        assert pool.opened == FILES
    assert descriptors(paths) == 0


@linux
def test_a_mapped_file_needs_no_descriptor(paths):
    with HandlePool(Access(max_open_files=2)) as pool:
        batch = pool.raw_files.checked(paths)
        maps, addresses = batch.mapped(memory_map=None)
        assert descriptors(paths) == 2
        assert mapped(paths) == FILES
        assert [int(one.view[99]) for one in maps] == [*range(FILES)]
        assert addresses.tolist() == [one.address for one in maps]
        again = pool.raw_files.checked(paths)
        assert again is batch
    del batch, again, maps
    assert mapped(paths) == 0


@linux
def test_maps_stay_within_the_budget(paths, most, monkeypatch):
    monkeypatch.setattr(file_budget, "map_limit", lambda: most)
    others = maps_held()
    with HandlePool(Access()) as pool:
        for _ in range(2):
            for number, path in enumerate(paths):
                (one,), _ = pool.raw_files.checked([path]).mapped(memory_map=None)
                assert int(one.view[0]) == number
                del one
                # The last batch holds its map besides.
                assert mapped(paths) == maps_held() - others <= most + 1
        assert pool.opened == FILES
    assert mapped(paths) == 0


@linux
def test_half_of_the_maps_of_the_system_are_left_to_others():
    allowed = int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    assert map_limit() == min(32_768, allowed // 2)


@linux
def test_without_memory_for_another_map_the_oldest_go(paths):
    size = 64 << 20
    for path in paths:
        os.truncate(path, size)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    with HandlePool(Access()) as pool:
        resource.setrlimit(resource.RLIMIT_AS, (used + 10 * size, limits[1]))
        try:
            for path in paths:
                (one,), _ = pool.raw_files.checked([path]).mapped(memory_map=None)
                assert one.size == size
            assert 1 <= pool.raw_files.most_at_once <= 5
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)


@linux
def test_a_file_that_does_not_fit_into_memory_is_not_mapped(paths):
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    os.truncate(paths[0], 1 << 40)
    with HandlePool(Access()) as pool:
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28), limits[1]))
        try:
            batch = pool.raw_files.checked(paths[:2])
            maps, addresses = batch.mapped(memory_map=None)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
        assert [one is None for one in maps] == (addresses == 0).tolist() == [True, False]
        assert first_bytes(pool, paths[:2]) == [0, 1]


def test_when_too_many_files_are_known_the_oldest_are_forgotten(paths, monkeypatch):
    monkeypatch.setattr(raw_files, "_MOST_FILES", 16)
    with HandlePool(Access()) as pool:
        numbers = []
        for turn in range(3):
            for number, path in enumerate(paths):
                batch = pool.raw_files.checked([path])
                assert int(batch.files[0].read(0, 1)[0]) == number
                numbers.append(int(batch.numbers[0]))
                assert len(batch.known) <= 16
                assert len(pool) <= 16
            # A file that was seen just now is still known.
            assert pool.raw_files.checked(paths[-10:]).numbers.tolist() == numbers[-10:]
            assert pool.opened == (turn + 1) * FILES
    assert numbers == [*range(3 * FILES)], "no number comes twice"


@linux
def test_a_forgotten_file_keeps_nothing(paths, monkeypatch):
    monkeypatch.setattr(raw_files, "_MOST_FILES", 16)
    with HandlePool(Access()) as pool:
        for path in paths:
            pool.raw_files.checked([path]).mapped(memory_map=True)
        assert descriptors(paths) == len(pool) <= 16
        assert mapped(paths) <= 16
    assert mapped(paths) == 0


def test_a_batch_of_more_files_than_are_kept_in_mind(paths, monkeypatch):
    monkeypatch.setattr(raw_files, "_MOST_FILES", 7)
    with HandlePool(Access()) as pool:
        for _ in range(2):
            assert first_bytes(pool, paths) == [*range(FILES)]


def test_a_changed_status_is_looked_at_again(paths):
    with HandlePool(Access(max_open_files=1)) as pool:
        before = pool.raw_files.checked(paths[:2]).files
        os.chmod(paths[0], 0o600)
        after = pool.raw_files.checked(paths[:2]).files
        assert after[0] is not before[0]
        assert after[0].number not in (file.number for file in before)
        assert after[1] is before[1]
        assert pool.raw_files.checked(paths[:2]).files == after


def test_a_change_is_noticed_before_anything_is_mapped(paths):
    with HandlePool(Access(max_open_files=2)) as pool:
        pool.raw_files.checked(paths)
        os.truncate(paths[0], 50)
        with pytest.raises(FileChangedError, match=r"00\.h5 was cut off from 100 to 50 bytes"):
            pool.raw_files.checked(paths)
        assert first_bytes(pool, paths[1:]) == [*range(1, FILES)]


def lowest_free():
    """The number of the next descriptor: no file can be opened where it is the limit."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_process_that_runs_out_of_descriptors_gives_some_back(paths, few_descriptors):
    with HandlePool(Access(max_open_files=FILES)) as pool:
        first_bytes(pool, paths[:10])
        few_descriptors(lowest_free())
        assert first_bytes(pool, paths) == [*range(FILES)]
        assert len(pool) <= pool.budget < 10


def test_without_any_descriptor_to_give_back_it_says_so(paths, few_descriptors):
    with HandlePool(Access()) as pool:
        few_descriptors(lowest_free())
        with pytest.raises(ResourceError, match="Too many open files"):
            pool.raw_files.checked(paths)


@pytest.fixture
def limits():
    found = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, found)


@pytest.mark.parametrize("asked", [None, 10], ids=["by default", "few"])
def test_the_limit_of_open_files_stays(asked, limits, paths):
    with HandlePool(Access(max_open_files=asked)) as pool:
        first_bytes(pool, paths)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_the_limit_of_open_files_is_raised_where_more_are_asked_for(limits, paths):
    soft = len(os.listdir("/dev/fd")) + 80
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    with HandlePool(Access(max_open_files=300)) as pool:
        assert pool.budget == 300
        found, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft + 200 < found <= 500
        assert hard == limits[1]


def test_a_file_read_while_all_are_closed_keeps_nothing(paths):
    with HandlePool(Access(max_open_files=2)) as pool:
        batch = pool.raw_files.checked(paths)
        pool.close()
        before = len(os.listdir("/dev/fd"))
        maps, _ = batch.mapped(memory_map=True)
        assert [int(one.view[0]) for one in maps] == [int(file.read(0, 1)[0]) for file in batch.files]
        assert len(os.listdir("/dev/fd")) == before
        assert len(pool) == 0


def test_addresses_of_files_that_are_not_mapped_are_zero(paths):
    with HandlePool(Access()) as pool:
        maps, addresses = pool.raw_files.checked(paths[:3]).mapped(memory_map=False)
        assert maps == [None] * 3
        assert np.array_equal(addresses, np.zeros(3))
