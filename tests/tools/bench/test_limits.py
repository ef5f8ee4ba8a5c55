"""The limits read and decode what they claim to."""

import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from h5lightning.storage.codecs import CodecError
from h5lightning.tools.bench.limits import DecodeOnce, GatherFromMemory, ReadInOrder, find_measured_bytes

ROWS = 96
KINDS = {
    "contiguous": {},
    "chunks": {"chunks": (8, 16)},
    "split rows": {"chunks": (8, 5), "compression": "gzip"},
    "gzip": {"chunks": (32, 16), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "zstd": {"chunks": (7, 16), **hdf5plugin.Zstd()},
}


@pytest.fixture(params=list(KINDS))
def paths(request, tmp_path):
    return [write(tmp_path / f"{number}.h5", **KINDS[request.param]) for number in range(3)]


def write(path, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.random.default_rng(0).random((ROWS, 16), "f4"), **options)
        file["y"] = np.arange(ROWS)
    return str(path)


def measured_in(paths, share=1.0):
    return find_measured_bytes(
        {path: ["x", "y"] for path in paths}, share=share, samples=int(share * ROWS) * len(paths)
    )


def bytes_in(paths):
    total = 0
    for path in paths:
        with h5py.File(path) as file:
            total += file["x"].id.get_storage_size() + file["y"].id.get_storage_size()
    return total


def test_all_stored_bytes_are_found(paths):
    assert measured_in(paths).stored_bytes == bytes_in(paths)


def test_the_first_rows_are_found(paths):
    half = measured_in(paths, 0.5).stored_bytes
    assert 0.4 * bytes_in(paths) < half < 0.7 * bytes_in(paths)


@pytest.mark.parametrize(
    "limit", [ReadInOrder, lambda measured: DecodeOnce(measured, threads=2)], ids=["read", "decode"]
)
def test_each_sample_counts_once(limit, paths):
    assert sum(limit(measured_in(paths))(0)) == pytest.approx(3 * ROWS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process reads")
@pytest.mark.parametrize(
    "limit", [ReadInOrder, lambda measured: DecodeOnce(measured, threads=2)], ids=["read", "decode"]
)
def test_all_bytes_are_read(limit, paths):
    def read_bytes():
        with open("/proc/self/io", encoding="ascii") as file:
            return int(file.readline().split()[1])

    run, stored = limit(measured_in(paths)), bytes_in(paths)
    before = read_bytes()
    for _ in run(0):
        pass
    # What is read of /proc is some hundred bytes.
    assert stored <= read_bytes() - before <= stored + 2000


def test_chunks_are_really_decoded(tmp_path):
    path = write(tmp_path / "a.h5", **KINDS["gzip"])
    with h5py.File(path) as file:
        offset = file["x"].id.get_chunk_info(1).byte_offset
    with open(path, "r+b") as raw:
        raw.seek(offset + 20)
        raw.write(b"\xa5" * 8)
    with pytest.raises(CodecError):
        list(DecodeOnce(measured_in([path]), threads=1)(0))


def test_what_only_hdf5_decodes_is_said(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(ROWS), chunks=(8,), scaleoffset=8)
        file["y"] = np.arange(ROWS)
    found = measured_in([str(tmp_path / "a.h5")])
    assert found.only_hdf5 == "'/x' has filter 6, which only HDF5 decodes"
    assert not find_measured_bytes({str(tmp_path / "a.h5"): ["y"]}, share=1, samples=ROWS).is_decoded


def test_chunks_that_were_never_written_leave_no_limit_of_decoding(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (ROWS, 16), "f4", chunks=(8, 16), compression="gzip")[:8] = 1
        file["y"] = np.arange(ROWS)
    found = measured_in([str(tmp_path / "a.h5")])
    assert found.only_hdf5 == "'/x' has chunks that only HDF5 can locate"
    assert found.stored_bytes == 8 * ROWS


def test_gather():
    gather = GatherFromMemory([16, 8], samples=1000, batch_size=64, seed=0)
    assert list(gather(0)) == [64] * 15 + [40]
    assert {array.shape for array in gather._arrays} == {(1000, 16), (1000, 8)}


def test_gathered_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("h5lightning.tools.bench.limits._GATHERED_BYTES", 4800)
    assert sum(GatherFromMemory([16, 8], samples=10**9, batch_size=64, seed=0)(0)) == 200
