"""What is known of a column in many files: the table grows with the files, and each file is looked up once."""

from pathlib import Path

import numpy as np
import pytest

from h5lightning.options import Access
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


def test_each_file_is_looked_up_once(paths):
    looked_up = []

    def find(raw):
        looked_up.append(raw.number)
        if raw.number % 3 == 2:
            return None
        return known_of(raw, [raw.number, 500][: raw.number % 3 + 1], 6 + raw.number % 3, 6)

    rng, table = np.random.default_rng(0), ColumnTable()
    with HandlePool(Access()) as pool:
        for _ in range(30):
            picked = rng.choice(FILES, 20, replace=False)
            batch = pool.raw_files.checked([paths[number] for number in picked])
            facts = table.of(batch, find)
            kinds = np.array([PLAIN, OTHER, NEEDS_HDF5])[batch.numbers % 3]
            assert np.array_equal(facts.kinds, kinds)
            assert np.array_equal(facts.starts[kinds == PLAIN], batch.numbers[kinds == PLAIN])
            assert np.array_equal(facts.rows[kinds != NEEDS_HDF5], 6 + batch.numbers[kinds != NEEDS_HDF5] % 3)
    assert len(looked_up) == len(set(looked_up)) > 150


@pytest.mark.parametrize(
    ("start", "is_plain"), [(0, True), (BYTES - 240, True), (BYTES - 239, False), (-1, False), (2**62, False)]
)
def test_only_rows_inside_of_the_file_are_plain(paths, start, is_plain):
    with HandlePool(Access()) as pool:
        (raw,) = pool.raw_files.checked(paths[:1]).files
        assert known_of(raw, [start], 6, 6).is_plain == is_plain
