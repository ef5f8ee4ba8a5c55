"""Bytes of variable length of several files: mapped or not, verified or not, damaged or not."""

import os
import shutil

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ChecksumError, FileChangedError, ResourceError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import BLOCK_BYTES, ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.storage.checksums.make_checksums import _checksums_of
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.readers.heap.global_heap import REFERENCE
from h5lightning.storage.readers.heap.read_heap import read_heap
from h5lightning.storage.scanning import ScanRequest, scan_file

pytestmark = pytest.mark.timeout(60)
MOST = 1 << 20


def write(path, values):
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("x", (len(values),), h5py.vlen_dtype("u1"))
        for number, value in enumerate(values):
            rows[number] = np.frombuffer(value, np.uint8)
        offset = rows.id.get_offset()
    return np.frombuffer(path.read_bytes(), REFERENCE, len(values), offset)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three files, what a scan says of them, and their checksums."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("whole")
    values = [[rng.bytes(size) for size in rng.choice([0, 9, 3_000, 90_000], 12)] for _ in range(3)]
    paths = [folder / f"{number}.h5" for number in range(3)]
    refs = np.concatenate([write(path, own) for path, own in zip(paths, values, strict=True)])
    schemas = [scan_file(str(path), ScanRequest(("x",))) for path in paths]
    sums = {path.name: _checksums_of(str(path), one) for path, one in zip(paths, schemas, strict=True)}
    return folder, refs, [value for own in values for value in own], schemas, ChecksumTable.of(sums)


@pytest.fixture
def made(whole, tmp_path):
    """Copies of the files, for tests that damage them."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return [str(tmp_path / f"{number}.h5") for number in range(3)], *whole[1:]


def pool_of(made, *, verify=False, **access):
    paths, _, _, schemas, sums = made
    stamps = np.asarray([stamp(os.stat(path)) for path in paths])
    names = [os.path.basename(path) for path in paths]
    known = ScannedFiles(
        Catalog.of(os.path.dirname(paths[0]), names, stamps, schemas), sums if verify else None
    )
    return HandlePool(Access(verify=verify, **access), scanned_files=known)


def read(pool, made, chosen=None, most_bytes=MOST):
    paths, refs = made[:2]
    chosen = np.arange(len(refs)) if chosen is None else np.asarray(chosen)
    files = chosen // 12
    return read_heap(
        pool, paths, files, refs[chosen].view("V16"), lambda i: f"element {i}", most_bytes=most_bytes
    )


@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("verify", [False, True])
def test_values_of_many_files_in_any_order(made, memory_map, verify):
    values = made[2]
    order = np.random.default_rng(1).integers(0, len(values), 100)
    with pool_of(made, memory_map=memory_map, verify=verify) as pool:
        assert read(pool, made) == values
        found = read(pool, made, order)
        assert found == [values[number] for number in order.tolist()]
        # What is asked for twice is copied once.
        assert len({id(value) for value in found if value}) <= len(values)
    with pool_of(made, max_open_files=2, memory_map=memory_map) as pool:
        assert read(pool, made, order) == found


def longest_of_second_file(made):
    _, refs, values = made[:3]
    number = max(range(12, 24), key=lambda number: len(values[number]))
    return number, int(refs["address"][number])


@pytest.mark.parametrize("memory_map", [None, False])
@pytest.mark.parametrize("place", [8, 16, 24, 80_000])
def test_a_flipped_bit_is_noticed_with_checksums(made, memory_map, place):
    paths, _, values = made[:3]
    number, address = longest_of_second_file(made)
    at = address + place
    with open(paths[1], "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 4]))
    with pool_of(made, memory_map=memory_map, verify=True) as pool:
        assert read(pool, made, [0, 3, 30]) == [values[0], values[3], values[30]]
        start = at // BLOCK_BYTES * BLOCK_BYTES
        with pytest.raises(ChecksumError, match=f"element [01]: bytes {start} to "):
            read(pool, made, [2, number])


@pytest.mark.parametrize("memory_map", [None, False])
def test_damage_names_the_element(made, memory_map):
    paths, refs, values = made[:3]
    number, address = longest_of_second_file(made)
    with open(paths[1], "r+b") as file:
        file.seek(address)
        file.write(b"LOCG")
    with pool_of(made, memory_map=memory_map) as pool:
        with pytest.raises(
            BadFileError, match=r"element 2 has an address at which no heap lies. The file is damaged"
        ):
            read(pool, made, [2, 4, number])
        assert read(pool, made, [2]) == [values[2]]
        wrong = refs.copy()
        empty = int(np.argmin(refs["length"][:12]))
        far, other = np.flatnonzero(refs["length"][:12])[:2].tolist()
        wrong["address"][far], wrong["number"][other] = 2**64 - 4, 999
        for entry, message in (
            (far, "element 1 has an address beyond the end"),
            (other, "element 1 names an object"),
        ):
            with pytest.raises(BadFileError, match=message):
                read(pool, (paths, wrong), [empty, entry])
        longest = max(range(12), key=lambda number: len(values[number]))
        with pytest.raises(ResourceError, match=r"element 0 takes .*max_padded_bytes is"):
            read(pool, made, [longest], most_bytes=1_000)


def test_a_file_that_changed_is_an_error(made):
    paths, _, values = made[:3]
    with pool_of(made) as pool:
        assert read(pool, made, [0]) == values[:1]
        with open(paths[0], "ab") as file:
            file.write(b"more")
        with pytest.raises(FileChangedError, match=r"0.h5"):
            read(pool, made, [0])
