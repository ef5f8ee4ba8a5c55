"""What is known of a column in many files: the table grows with the files, and each file is looked up once.

The table follows the files that are known: of those that were forgotten it says the same, and keeps nothing.
"""

from pathlib import Path

import numpy as np
import pytest

from h5lightning.options import Access
from h5lightning.planning.catalog.one_piece import StoredPieces
from h5lightning.storage.files import raw_files
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowSlots
from h5lightning.storage.readers.decoded.decode_pool import DecodePool
from h5lightning.storage.readers.direct.chunk_map import ChunkMap
from h5lightning.storage.readers.direct.column_table import NEEDS_HDF5, OTHER, PLAIN, ColumnTable
from h5lightning.storage.readers.direct.known_source import KnownSource
from h5lightning.storage.readers.protocol import DatasetColumn

FILES, BYTES = 200, 1000
COLUMN = DatasetColumn("x", None, "<f8", (5,))


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(FILES)]
    for name in names:
        Path(name).write_bytes(bytes(BYTES))
    return names


def known_of(raw, offsets, rows, chunk_rows):
    offsets = np.asarray(offsets)
    chunk_map = ChunkMap((rows, 5), 8, (chunk_rows, 5), offsets, offsets, offsets, pipeline=None)
    return KnownSource(raw, COLUMN, chunk_map, ChunkRowSlots(0, "x"), blocks=None, pool=DecodePool(0, 1))


class Lookup:
    """Of a third of the files the index says where the rows lie; others have two chunks, or need HDF5."""

    def __init__(self):
        self.in_index, self.asked = [], []

    def in_one_piece(self, files):
        self.in_index += files.tolist()
        places = np.flatnonzero(files % 3 == 0)
        return StoredPieces(places, files[places], 6 + files[places])

    def find(self, raw):
        self.asked.append(raw.scan_number)
        number = raw.scan_number
        return None if number % 3 == 2 else known_of(raw, [number, 500], 7, 6)


def expected_of(files):
    """What a table says of files of some numbers: kinds, starts and rows."""
    kinds = np.array([PLAIN, OTHER, NEEDS_HDF5])[files % 3]
    return kinds, np.where(kinds == PLAIN, files, 0), np.choose(files % 3, [6 + files, 7, 0])


@pytest.fixture(params=[1000, 40], ids=["all are known", "files are forgotten"])
def most(request, monkeypatch):
    monkeypatch.setattr(raw_files, "_MOST_FILES", request.param)
    return request.param


def checked(pool, paths, picked):
    batch = pool.raw_files.checked([paths[number] for number in picked])
    for number, file in zip(picked.tolist(), batch.files, strict=True):
        file.scan_number = number
    return batch


def test_each_file_is_looked_up_once(paths, most):
    rng, lookup = np.random.default_rng(0), Lookup()
    table = ColumnTable(lookup.in_one_piece, lookup.find)
    with HandlePool(Access()) as pool:
        for _ in range(60):
            picked = rng.choice(FILES, 20, replace=False)
            batch = checked(pool, paths, picked)
            for found, expected in zip(table.of(batch), expected_of(picked), strict=True):
                assert np.array_equal(found, expected)
        opened = pool.opened
    assert len(lookup.asked) == sum(number % 3 > 0 for number in lookup.in_index)
    if most > FILES:
        assert len(set(lookup.in_index)) == len(lookup.in_index) == opened > 150
    else:  # some files are forgotten by the batch that they belong to
        assert 300 < opened <= len(lookup.in_index) < 1.2 * opened


def test_files_that_were_forgotten_while_they_are_read(paths, monkeypatch):
    monkeypatch.setattr(raw_files, "_MOST_FILES", 40)
    lookup, picked = Lookup(), np.arange(20)
    table = ColumnTable(lookup.in_one_piece, lookup.find)
    with HandlePool(Access()) as pool:
        before = checked(pool, paths, picked)
        table.of(before)
        for first in range(20, FILES, 20):
            table.of(checked(pool, paths, np.arange(first, first + 20)))
            for found, expected in zip(table.of(before), expected_of(picked), strict=True):
                assert np.array_equal(found, expected)
        assert before.first < before.known.first
        again = checked(pool, paths, picked)
        assert again.first >= FILES
        for found, expected in zip(table.of(again), expected_of(picked), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("start", "is_plain"), [(0, True), (BYTES - 240, True), (BYTES - 239, False), (-1, False), (2**62, False)]
)
def test_only_rows_inside_of_the_file_are_plain(paths, start, is_plain):
    with HandlePool(Access()) as pool:
        (raw,) = pool.raw_files.checked(paths[:1]).files
        assert known_of(raw, [start], 6, 6).is_plain == is_plain
