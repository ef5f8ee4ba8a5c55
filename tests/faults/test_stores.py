"""The index and the checksums among many writers that are killed, on full disks and on disks that cannot be written."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest

WRITER = """
    import sys
    import numpy as np
    from h5lightning.planning.catalog.catalog import Catalog
    from h5lightning.storage.checksums.checksum_store import ChecksumStore
    from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums
    from h5lightning.planning.catalog.extents import Extents
    from h5lightning.storage.indexing.catalog_store import CatalogStore
    from h5lightning.storage.scanning import ScanRequest
    from h5lightning.planning.catalog.file_schema import FileSchema
    from h5lightning.planning.catalog.schema import DatasetSchema

    REQUEST, SIZES = ScanRequest(("x",)), (1000, 200_000)
    index, sums = CatalogStore(sys.argv[1]), ChecksumStore(sys.argv[1])

    def check():
        catalog, table = index.load("/data", REQUEST), sums.load("/data")
        for numbers in (catalog.extents.numbers, table.hashes):
            assert len(numbers) in SIZES and (numbers == np.arange(len(numbers))).all(), len(numbers)

    def write(size):
        schema = FileSchema((DatasetSchema("x", "<f4", (size,)),), {}, (Extents(np.arange(size)[None]),))
        assert index.save(Catalog.of("/data", ["a.h5"], np.zeros((1, 4)), [schema]), REQUEST)
        file = FileChecksums(size << 16, 0, np.arange(size, dtype="u8"), np.ones(size, "?"))
        sums.save("/data", ChecksumTable.of({"a.h5": file}))

    write(SIZES[0])
    for turn in range(int(sys.argv[2])):
        write(SIZES[turn % 2])
        check()
        print(turn, flush=True)
"""


def start(folder, writes):
    code = textwrap.dedent(WRITER)
    # A debugging logger would print why a store was not used; an assertion says that it was not.
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(folder), str(writes)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def storm(folder, *, writers, writes, kills, seed=0):
    """Let processes write and read in turn, kill some at random, start others, and see that all others end well."""
    rng = random.Random(seed)
    first = start(folder, 1)
    assert first.wait(60) == 0, first.stderr.read()
    first.stdout.close(), first.stderr.close()
    running = [start(folder, writes) for _ in range(writers)]
    for _ in range(kills):
        victim = rng.choice(running)
        victim.stdout.readline()  # it is at work
        time.sleep(rng.random() * 0.05)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        running[running.index(victim)] = start(folder, writes)
    for process in running:
        _, errors = process.communicate()
        assert process.returncode == 0, errors


@pytest.mark.timeout(120)
def test_killed_writers_leave_a_whole_store(tmp_path):
    storm(tmp_path, writers=3, writes=6, kills=6)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_sixteen_writers_and_fifty_kills(tmp_path):
    storm(tmp_path, writers=16, writes=50, kills=50)


def test_a_killed_writer_is_in_the_middle_of_a_write(tmp_path):
    """Else the storm would show nothing: what it left of the new store lies beside the old one."""
    first = start(tmp_path, 1)
    first.communicate()
    assert first.returncode == 0
    for _ in range(20):
        victim = start(tmp_path, 10_000)
        victim.stdout.readline()
        end_s = time.monotonic() + 5
        while time.monotonic() < end_s and not any(name.endswith(".tmp") for name in os.listdir(tmp_path)):
            pass
        victim.kill()
        victim.communicate()
        if any(name.endswith(".tmp") for name in os.listdir(tmp_path)):
            break
    else:
        pytest.fail("no write was interrupted")
    last = start(tmp_path, 1)
    _, errors = last.communicate()
    assert last.returncode == 0, errors


# ── disks ────────────────────────────────────────────────────────────────────────────────────────────


def may_mount():
    try:
        probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(probe, check=False, capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for number in range(3):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=np.arange(4000)[:, None], chunks=(1, 1))
    return folder


DISKS = {
    "full": ("size=64k", "No space left on device"),
    "read-only": ("ro", "Read-only file system"),
}


@pytest.mark.skipif(shutil.which("unshare") is None or not may_mount(), reason="nothing may be mounted here")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_takes_no_index(runs, tmp_path, disk):
    option, reason = DISKS[disk]
    shell = f'mount -t tmpfs -o {option} tmpfs {tmp_path} && exec "$@"'
    # Arguments after the first are those of the shell's "$@".
    command = [
        sys.executable,
        "-m",
        "h5lightning",
        "index",
        f"{runs}/*.h5",
        "--fields",
        "[x]",
        "--index-dir",
        tmp_path,
    ]

    def run(*more):
        arguments = ["unshare", "-rm", "sh", "-c", shell, "sh", *command, *more]
        return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=50)

    done = run()
    assert done.returncode == 0, done.stderr
    assert (
        f"the index cannot be stored in {tmp_path} ({reason}): each start will scan the files again"
        in done.stderr
    )
    assert "12,000 rows" in done.stdout
    done = run("--checksum")
    if disk == "full":
        assert done.returncode == 0, done.stderr  # checksums of three small files still fit
    else:
        assert done.returncode == 2
        assert f"OptionError: the checksums cannot be stored in {tmp_path} ({reason})" in done.stderr
