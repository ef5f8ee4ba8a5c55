"""A direct reader in other processes: nothing of its files, chunk rows and threads is taken along."""

import multiprocessing
import os
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import direct_jobs
import h5py
import numpy as np
import pytest

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.decoded.decode_pool import DecodedChunkRows
from h5lightning.storage.readers.direct.reader import DirectReader

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(3)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            values = number * 1000 + np.arange(300).reshape(100, 3)
            file["x"] = values
            file.create_dataset("z", data=values, chunks=(10, 3), compression="gzip")
    return names


def in_process(start, target, *arguments):
    context = multiprocessing.get_context(start)
    results = context.SimpleQueue()
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is the very thing under test.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = context.Process(target=target, args=(*arguments, results))
        process.start()
    answer = results.get()
    process.join(30)
    assert process.exitcode == 0
    return answer


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_a_used_reader_reads_in_another_process(start, paths):
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool, decoded=DecodedChunkRows(pool.access.cache_bytes, 2))
        expected = direct_jobs.values_of(reader, paths)
        assert expected == [number * 1000 + row * 3 for number in range(3) for row in (99, 5, 50)] * 2
        assert in_process(start, direct_jobs.read, reader, paths) == expected
        assert direct_jobs.values_of(reader, paths) == expected
        reader.close()


def test_inherited_files_are_closed(paths):
    with HandlePool(Access()) as pool:
        before = len(os.listdir("/dev/fd"))
        reader = DirectReader(pool)
        direct_jobs.values_of(reader, paths)
        mine = len(os.listdir("/dev/fd"))
        assert mine > before
        inherited, kept = in_process("fork", direct_jobs.count_descriptors, reader, paths)
        assert inherited - kept == mine - before
        reader.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is mapped")
def test_inherited_maps_are_unmapped(paths):
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool)
        direct_jobs.values_of(reader, paths)
        inherited, kept = in_process("fork", direct_jobs.count_maps, reader, paths)
        assert (inherited, kept) == (len(paths), 0)
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8")
        assert all(path in mapped for path in paths), "those of this process stay"
        reader.close()


def test_a_lock_held_at_the_fork_does_not_block_the_child(paths):
    with HandlePool(Access()) as pool:
        reader = DirectReader(pool, decoded=DecodedChunkRows(pool.access.cache_bytes, 2))
        expected = direct_jobs.values_of(reader, paths)
        files, columns, decode_pool = pool.raw_files, reader._local.peek(), reader._decoded.pool()
        (cache,) = decode_pool._caches.values()
        guards = [files._guard, files.budget._descriptors._guard, files.budget._maps._guard]
        guards += [columns.maps._guard, columns.maps._asking, decode_pool._guard, cache._monitor]
        with ExitStack() as held:
            for guard in guards:
                held.enter_context(guard._lock)
            assert in_process("fork", direct_jobs.read, reader, paths) == expected
        reader.close()
