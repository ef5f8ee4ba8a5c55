"""Checksums: made once, then no flipped bit is read, whatever holds it; and where there are none, an error says so."""

import json
import os
import pickle
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from h5lightning import H5DataModule, H5Dataset
from h5lightning.cli import app
from h5lightning.errors import BadFileError, ChecksumError, H5LightningError, OptionError
from h5lightning.options import Access
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES
from h5lightning.storage.checksums.make_checksums import make_checksums as remake
from h5lightning.storage.checksums.verify_files import verify_files
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.scanning import ScanRequest

pytestmark = pytest.mark.timeout(60)

ROWS = 400
STORED = {
    "contiguous": {},
    "chunked": {"chunks": (30, 64)},
    "columns": {"chunks": (30, 40)},
    "gzip": {"chunks": (30, 64), "compression": "gzip", "compression_opts": 1},
    "lzf": {"chunks": (30, 64), "compression": "lzf"},
    "scaleoffset": {"chunks": (30, 64), "scaleoffset": 0},
}


def command(*arguments, catch=True):
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=catch)


def make_checksums(pattern, *arguments):
    done = command("index", pattern, "--checksum", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["checksums"]


def write(path, options):
    """One file of about 200 KB: three to four blocks."""
    values = np.random.default_rng(1).integers(0, 2**62, (ROWS, 64))
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **options)
        file["y"] = np.arange(ROWS)
        file["text"] = "not a field"
    return values


def flip(path, offset, bit=1, keep_time=True):
    """Turn one bit around, as a bad disk does: only its value shows it."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ bit]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def some_value(path):
    """The offset of a byte in the middle of the stored values of x: its block holds nothing else."""
    with h5py.File(path) as file:
        did = file["x"].id
        if file["x"].chunks:
            chunk = did.get_chunk_info(did.get_num_chunks() // 2)
            return chunk.byte_offset + chunk.size // 2
        return did.get_offset() + did.get_storage_size() // 2


def read_all(path, reader="auto", **access):
    dataset = H5Dataset(str(path), ["x", "y"], access={"verify": True, **access}, reader=reader)
    try:
        return dataset.read_batch(np.arange(len(dataset)))
    finally:
        dataset.close()


# ── what is read is what was written ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reader", "memory_map"), [("auto", True), ("auto", False), ("h5py", None)], ids=["maps", "calls", "h5py"]
)
@pytest.mark.parametrize("stored", STORED)
def test_whole_files_are_read_and_a_flipped_bit_is_not(tmp_path, stored, reader, memory_map):
    path = tmp_path / "a.h5"
    values = write(path, STORED[stored])
    make_checksums(path)
    assert (read_all(path, reader, memory_map=memory_map)["x"].numpy() == values).all()
    flip(path, some_value(path))
    with pytest.raises(ChecksumError, match="do not match their checksum") as caught:
        read_all(path, reader, memory_map=memory_map)
    assert str(path) in str(caught.value)
    assert "The file is damaged: copy it again" in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "where"),
    [
        ("contiguous", "'/x' in {path}: rows 0 to 399: bytes"),
        ("columns", "'/x' in {path}: rows 0 to 399: bytes"),
        ("gzip", "'/x' in {path}: the chunk at (120, 0), or one beside it: bytes"),
    ],
    ids=["contiguous", "columns", "gzip"],
)
@pytest.mark.parametrize("memory_map", [True, False], ids=["maps", "calls"])
def test_dataset_and_place_are_named(tmp_path, stored, where, memory_map):
    path = tmp_path / "a.h5"
    write(path, STORED[stored])
    make_checksums(path)
    offset = some_value(path)
    flip(path, offset)
    with pytest.raises(ChecksumError) as caught:
        read_all(path, memory_map=memory_map)
    assert str(caught.value).startswith(where.format(path=path))
    assert f"bytes {offset - offset % BLOCK_BYTES} to " in str(caught.value)


def test_every_byte_of_a_file_counts(tmp_path):
    """The header, the names, the tree of chunks, the attributes and unused bytes."""
    path = tmp_path / "a.h5"
    write(path, STORED["gzip"])
    make_checksums(path)
    good = path.read_bytes()
    times = os.stat(path)
    for offset in [*range(0, 2048, 97), *range(2048, len(good), 7919), len(good) - 1]:
        flip(path, offset, bit=1 << offset % 8)
        with pytest.raises(H5LightningError):
            read_all(path)
        # HDF5 may still hold what it read of the damaged one.
        (tmp_path / "good").write_bytes(good)
        os.utime(tmp_path / "good", ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace(tmp_path / "good", path)
    assert len(read_all(path)["x"]) == ROWS


def test_damage_beside_the_values_is_found_before_anything_is_planned(tmp_path):
    path = tmp_path / "a.h5"
    write(path, STORED["contiguous"])
    make_checksums(path)
    read_all(path)
    offset = path.read_bytes().index(b"not a field")
    flip(path, offset)
    with pytest.raises(ChecksumError):
        H5Dataset(str(path), ["y"], access={"verify": True})


def test_rows_bring_in_their_blocks_alone(tmp_path):
    """Damage that is never read does not stop a run: it is found when it is read."""
    path = tmp_path / "a.h5"
    values = write(path, STORED["contiguous"])
    make_checksums(path)
    flip(path, some_value(path))
    dataset = H5Dataset(str(path), {"x": "x"}, access={"verify": True})
    assert (dataset.read_batch([0, 1])["x"].numpy() == values[:2]).all()
    with pytest.raises(ChecksumError, match=f"rows 0 to {ROWS // 2}"):
        dataset.read_batch([0, ROWS // 2])
    dataset.close()


# ── files that changed, copies, other requests ───────────────────────────────────────────────────────


def test_a_rewritten_file_is_an_error_until_its_checksums_are_made_again(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    assert make_checksums(path) == {"files": 1, "made": 1, "blocks": 4}
    flip(path, some_value(path), keep_time=False)
    with pytest.raises(ChecksumError, match=r"modified after its checksums were made.*index --checksum"):
        read_all(path)
    assert make_checksums(path)["made"] == 1
    read_all(path)


def test_damage_is_not_taken_for_the_truth_by_making_checksums_again(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path)
    flip(path, some_value(path))
    assert make_checksums(path)["made"] == 0
    with pytest.raises(ChecksumError):
        read_all(path)


def test_a_file_of_another_size_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path)
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(ChecksumError, match=r"has \d+ bytes, \d+ when its checksums were made"):
        read_all(path)


def test_a_touched_file_is_still_right(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path)
    os.utime(path)
    assert len(read_all(path)["x"]) == ROWS


def test_checksums_do_not_depend_on_what_is_looked_for(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path, "--fields", "[y]")
    assert len(read_all(path)["x"]) == ROWS


# ── without checksums ─────────────────────────────────────────────────────────────────────────────


def test_without_checksums_the_error_says_how_to_make_them(write_files):
    pattern = write_files((5, 6))
    with pytest.raises(ChecksumError) as caught:
        H5Dataset(pattern, ["x"], access={"verify": True})
    assert f"h5lightning index --checksum -- '{pattern}'" in str(caught.value)
    make_checksums(pattern)
    assert len(H5Dataset(pattern, ["x"], access={"verify": True})) == 11


def test_a_new_file_without_checksums_is_named(write_files):
    pattern = write_files((5, 6))
    make_checksums(pattern)
    write_files((5, 6, 7))
    with pytest.raises(ChecksumError, match=r"1 of 3 files, such as .*/run-002.h5, have no checksums"):
        H5Dataset(pattern, ["x"], access={"verify": True})


def test_lost_checksums_are_an_error_in_another_process(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path)
    dataset = H5Dataset(str(path), {"x": "x"}, access={"verify": True})
    pickled = pickle.dumps(dataset)
    with closing(pickle.loads(pickled)) as elsewhere:
        assert len(elsewhere.read_batch([3])["x"]) == 1
    for name in Path(os.environ["H5LIGHTNING_CACHE_DIR"]).glob("*.h5sums"):
        name.unlink()
    with closing(pickle.loads(pickled)) as elsewhere, pytest.raises(ChecksumError, match="has no checksums"):
        elsewhere.read_batch([3])
    dataset.close()


def test_a_damaged_store_of_checksums_is_as_good_as_none(tmp_path):
    path = tmp_path / "a.h5"
    write(path, {})
    make_checksums(path)
    (store,) = Path(os.environ["H5LIGHTNING_CACHE_DIR"]).glob("*.h5sums")
    data = bytearray(store.read_bytes())
    data[60] ^= 1
    store.write_bytes(data)
    with pytest.raises(ChecksumError, match="have no checksums"):
        read_all(path)
    assert make_checksums(path)["made"] == 1
    read_all(path)


def test_a_place_that_cannot_be_written_is_an_error(write_files, tmp_path):
    (tmp_path / "file").write_text("")
    done = command("index", write_files((5,)), "--checksum", "--index-dir", tmp_path / "file")
    assert isinstance(done.exception, OptionError)
    assert "the checksums cannot be stored in" in str(done.exception)


def test_values_of_other_files_cannot_be_verified():
    with pytest.raises(OptionError, match="remove one of them"):
        Access(verify=True, allow_external="/data")


# ── training ─────────────────────────────────────────────────────────────────────────────────────────


def batches(pattern, workers):
    context = "spawn" if workers else None
    dm = H5DataModule(
        pattern, ["x", "y"], batch_size=8, num_workers=workers, multiprocessing_context=context,
        access={"verify": True}, split={"val": 0, "test": 0},
    )  # fmt: skip
    dm.prepare_data()
    dm.setup("fit")
    try:
        return sum(len(batch["x"]) for batch in dm.train_dataloader())
    finally:
        dm.teardown()


@pytest.mark.parametrize("workers", [0, 1])
def test_training_stops_at_a_flipped_bit(write_files, workers, tmp_path):
    pattern = write_files((40, 40, 40))
    make_checksums(pattern)
    assert batches(pattern, 0) == 120
    with h5py.File(tmp_path / "runs" / "run-001.h5") as file:
        offset = file["x"].id.get_offset() + 3
    flip(tmp_path / "runs" / "run-001.h5", offset)
    with pytest.raises(ChecksumError, match=r"run-001\.h5"):
        batches(pattern, workers)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def test_verify_tells_what_became_of_each_file(write_files, tmp_path):
    pattern, runs = write_files((40, 40, 40, 40, 40)), tmp_path / "runs"
    make_checksums(pattern)
    done = command("verify", pattern)
    assert (done.exit_code, "all bytes are unchanged" in done.stdout) == (0, True)
    flip(runs / "run-000.h5", 4000)
    flip(runs / "run-001.h5", 4000, keep_time=False)
    os.truncate(runs / "run-002.h5", 1000)
    (runs / "run-003.h5").unlink()
    write_files((3,), folder="more")
    os.rename(tmp_path / "more" / "run-000.h5", runs / "run-005.h5")
    done = command("verify", pattern, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["files"]) == (1, 6)
    assert [(bad["file"], bad["state"]) for bad in found["bad"]] == [
        ("run-000.h5", "damaged"),
        ("run-001.h5", "rewritten"),
        ("run-002.h5", "rewritten"),
        ("run-005.h5", "unknown"),
        ("run-003.h5", "gone"),
    ]
    assert found["bad"][0]["reason"].startswith("differs in bytes 0 to ")
    words = command("verify", pattern).stdout
    assert "run-000.h5" in words
    assert "5 failed" in words


def test_verify_reads_what_training_does_not(tmp_path):
    path = tmp_path / "a.h5"
    write(path, STORED["gzip"])
    make_checksums(path)
    size = os.path.getsize(path)
    for offset in range(0, size, size // 23):
        flip(path, offset)
        assert [verdict.state for verdict in verify_files(str(path)).verdicts] == ["damaged"]
        flip(path, offset)
    assert not verify_files(str(path)).bad


def test_verify_without_checksums_says_how_to_make_them(write_files):
    pattern = write_files((4,))
    with pytest.raises(ChecksumError, match="index --checksum"):
        verify_files(pattern)
    assert isinstance(command("verify", pattern).exception, ChecksumError)


def test_verify_of_an_unreadable_file(write_files, tmp_path):
    pattern = write_files((4, 5))
    make_checksums(pattern)
    path = tmp_path / "runs" / "run-000.h5"
    path.unlink()
    path.mkdir()
    (bad,) = verify_files(pattern).bad
    assert (bad.name, bad.state) == ("run-000.h5", "unreadable")


def test_files_that_nobody_may_look_at_are_not_gone(tmp_path, shut):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.h5", {})
    pattern = tmp_path / "*" / "x.h5"
    make_checksums(pattern)
    shut(tmp_path / "b")
    everything = str(tmp_path / "**" / "*.h5")
    bad = [(one.name, one.state) for one in verify_files(everything, progress=False).bad]
    assert bad == [("b", "unreadable")]
    with pytest.raises(BadFileError, match="cannot be listed"):
        command("index", everything, "--checksum", catch=False)
    # Nor are their checksums forgotten: those that were made anew would be right, whatever happened to the files.
    skip = Access(on_bad_file="skip", max_bad_fraction=0.5)
    catalog = build_catalog(discover(everything), ScanRequest(None), access=skip, progress=False).catalog
    assert [*remake(catalog, progress=False).table.names] == ["a/x.h5", "b/x.h5"]
