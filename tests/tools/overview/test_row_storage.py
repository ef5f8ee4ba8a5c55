"""Sizes of rows and chunks, and which plugins HDF5 needs."""

import numpy as np
import pytest

from h5lightning.options import Shuffle
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.tools.overview.row_storage import filter_names, plugin_hint
from h5lightning.tools.overview.workload import FieldStorage, Workload


def field(shape=(50, 6, 4), chunks=None, filters=(), rows=(50,)):
    storage = "chunked" if chunks else "contiguous"
    schema = DatasetSchema("x", "<f4", shape, chunks, filters, storage)
    return FieldStorage("x", ("x",), None, schema, np.arange(len(rows)), np.asarray(rows), 1000)


@pytest.mark.parametrize(
    ("chunks", "filters", "rows_per_chunk", "chunks_per_row", "chunk_row_bytes"),
    [
        (None, (), 1, 1, 96),
        ((10, 3, 4), (), 1, 2, 96),
        ((10, 3, 4), ("deflate(4)",), 10, 2, 960),
        ((10, 4, 3), ("deflate(4)",), 10, 4, 4 * 480),
    ],
    ids=["contiguous", "unfiltered", "whole chunks", "chunks past the end"],
)
def test_sizes(chunks, filters, rows_per_chunk, chunks_per_row, chunk_row_bytes):
    found = field(chunks=chunks, filters=filters)
    assert (found.itemsize, found.row_bytes, found.max_rows) == (4, 96, 50)
    assert (found.rows_per_chunk, found.chunks_per_row) == (rows_per_chunk, chunks_per_row)
    assert found.chunk_row_bytes == chunk_row_bytes


def test_padding_counts_all_files():
    found = field(chunks=(10, 6, 4), filters=("deflate(4)",), rows=(15, 5))
    assert (found.total_rows, found.chunk_row_count, found.padding) == (20, 3, 1.5)


def test_columns_of_a_table_count_its_record_once():
    members = (Member("a", "<f8"), Member("b", "<f4"))
    schema = DatasetSchema("x", "V12", (50,), (10,), ("deflate(4)",), "chunked", members=members)
    rows = np.array([50])
    fields = tuple(FieldStorage(name, ("x",), name, schema, rows * 0, rows, 100) for name in "ab")
    workload = Workload(fields, 1, Shuffle(window_bytes=1200), cache_bytes=10**6)
    assert (workload.sample_bytes, workload.window_rows) == (12, 100)
    assert [workload.field_cache_bytes(field) for field in fields] == [10**6, 10**6]


def test_filters():
    found = field(chunks=(10, 6, 4), filters=("shuffle", "deflate(4)"))
    assert (found.filters, found.is_compressed) == (("shuffle", "deflate"), True)
    assert not field(chunks=(10, 6, 4), filters=("shuffle",)).is_compressed


def test_plugins_are_named_once():
    schemas = [field(chunks=(10, 6, 4), filters=names).schema for names in (("zstd(3)",), ("bzip2", "zstd"))]
    assert filter_names(schemas[0]) == ("zstd",)
    assert plugin_hint(schemas) == ", with a plugin for bzip2 and zstd (pip install hdf5plugin)"
    assert plugin_hint([field(chunks=(10, 6, 4), filters=("szip", "deflate(1)")).schema]) == ""
