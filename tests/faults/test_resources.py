"""Too little of what the system gives: shared memory, memory, threads. It is said what is to blame."""

import errno
import json
import shutil
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.hdf5.file_checks import check_resources
from h5lightning.storage.hdf5.open_file import _explain

pytestmark = pytest.mark.timeout(100)

# To start a process takes seconds: one does all jobs, each under a limit of its own.
JOBS = """
    import json, resource, sys
    from h5lightning import H5DataModule
    from h5lightning.errors import ResourceError

    def used():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()

    def job(path, options, spare_bytes=None):
        split = {"val": None, "test": None}
        dm = H5DataModule(path, ["x"], split=split, index_dir=sys.argv[1], **options)
        dm.prepare_data()
        dm.setup()
        memory = resource.getrlimit(resource.RLIMIT_AS)
        if spare_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (used() + spare_bytes, memory[1]))
        try:
            for _ in dm.train_dataloader():
                pass
            return "all read"
        except ResourceError as error:
            return f"ResourceError: {error}"
        finally:
            resource.setrlimit(resource.RLIMIT_AS, memory)
            dm.teardown()

    if __name__ == "__main__":
        print(json.dumps([job(**one) for one in json.loads(sys.argv[2])]))
"""


def outcomes(tmp_path, jobs, *wrapped):
    script = tmp_path / "jobs.py"
    script.write_text(textwrap.dedent(JOBS))
    command = [*wrapped, sys.executable, str(script), str(tmp_path / "index"), json.dumps(jobs)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=80)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def may_mount():
    try:
        probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
        return subprocess.run(probe, check=False, capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


@pytest.fixture
def rows(tmp_path):
    """64 rows of a MiB."""
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((64, 1 << 18), np.float32)
    return str(path)


@pytest.mark.skipif(shutil.which("unshare") is None or not may_mount(), reason="nothing may be mounted here")
def test_workers_without_shared_memory(rows, tmp_path):
    shell = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    jobs = [{"path": rows, "options": {"num_workers": workers, "batch_size": 16}} for workers in (1, 0)]
    workers, threads = outcomes(tmp_path, jobs, "unshare", "-rm", "sh", "-c", shell, "sh")
    assert "ResourceError" in workers
    assert "worker processes need shared memory" in workers
    assert "enlarge /dev/shm" in workers
    assert "num_workers=0" in workers
    assert threads == "all read"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as on Linux")
def test_too_little_memory_and_threads(rows, tmp_path):
    chunks = str(tmp_path / "chunks.h5")
    with h5py.File(chunks, "w") as file:
        file.create_dataset("x", data=np.zeros((64, 4096)), chunks=(8, 4096), compression="gzip")
    jobs = [
        {"path": rows, "options": {"batch_size": 60, "threads": 0}, "spare_bytes": 30 << 20},
        {"path": rows, "options": {"batch_size": 16, "threads": 2}, "spare_bytes": 2 << 20},
        {"path": chunks, "options": {"threads": 0}, "spare_bytes": 100 << 20},
    ]
    batches, threads, decoded = outcomes(tmp_path, jobs)
    assert batches.startswith(
        "ResourceError: there is no memory for batches of 60 MiB: use a smaller batch_size"
    )
    assert threads.startswith("ResourceError: 2 threads that read ahead cannot be started")
    assert decoded.startswith(
        "ResourceError: there is no memory for 384 MiB of decoded chunks: set access.cache_b"
    )


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_no_file_is_blamed_for_want_of_resources(number):
    with pytest.raises(
        ResourceError, match=r"^/data/a\.h5 cannot be opened: no more\. (Raise the limit|Free some)"
    ) as caught:
        check_resources("/data/a.h5", number, "no more")
    assert not isinstance(caught.value, BadFileError)
    check_resources("/data/a.h5", errno.ENOENT, "gone")


@pytest.mark.parametrize(
    "number", [37, 95, 30, 524], ids=["ENOLCK", "EOPNOTSUPP", "EROFS", "ENOTSUPP of NFS"]
)
def test_file_systems_without_locks_name_the_option(number):
    # As HDF5 says it; no file system that is here by itself refuses locks.
    said = f"Unable to synchronously open file (unable to lock file, errno = {number}, error message = 'not supported')"
    assert _explain("/data/a.h5", OSError(said)) == (
        "/data/a.h5 cannot be opened: not supported. Its file system has no locks, or a writer holds one: set "
        "access.locking=False"
    )


@pytest.mark.skipif(
    sys.platform != "linux", reason="/proc/self/mem is a file that cannot be read from its start"
)
def test_a_file_that_the_system_cannot_read():
    """Reading fails with EIO, as from a disk that breaks."""
    raw = RawFile("/proc/self/mem")
    with pytest.raises(
        BadFileError, match=r"/proc/self/mem cannot be read: Input/output error\. Check the disk"
    ):
        raw.read(0, 16)
    raw.close()
