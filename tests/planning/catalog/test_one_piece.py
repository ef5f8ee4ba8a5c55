"""Rows in one piece: found in many files at once, exactly where one look at each file finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.one_piece import OnePiece
from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.planning.catalog.schema import DatasetSchema

SIZE = 1000  # of each file; a row has 8 bytes


def extents(*numbers, **more):
    return Extents(np.asarray(numbers).reshape(1, -1), **more)


RECORD = RecordLayout(8, (RecordColumn("a", "<f4", (), 0, ""),))
# A dataset, its extents, and the first byte and the rows of its piece; None if it is not in one piece.
KINDS = {
    "contiguous": (DatasetSchema("x", "<f4", (5, 2)), extents(40), (40, 5)),
    "up to the end": (DatasetSchema("x", "<f4", (5, 2)), extents(SIZE - 40), (SIZE - 40, 5)),
    "at the beginning": (DatasetSchema("x", "<f4", (125, 2)), extents(0), (0, 125)),
    "one chunk": (DatasetSchema("x", "<f4", (5, 2), chunks=(7, 2)), extents(100), (100, 5)),
    "behind the end": (DatasetSchema("x", "<f4", (5, 2)), extents(SIZE - 39), None),
    "far behind it": (DatasetSchema("x", "<f4", (5, 2)), extents(2**62), None),
    "too long": (DatasetSchema("x", "<f4", (2**61, 2)), extents(0), None),
    "before the beginning": (DatasetSchema("x", "<f4", (5, 2)), extents(-1), None),
    "far before it": (DatasetSchema("x", "<f4", (5, 2)), extents(-(2**63)), None),
    "a chunk behind the end": (DatasetSchema("x", "<f4", (5, 2), chunks=(7, 2)), extents(SIZE - 40), None),
    "more rows than the chunk": (DatasetSchema("x", "<f4", (8, 2), chunks=(7, 2)), extents(0), None),
    "two chunks": (DatasetSchema("x", "<f4", (5, 2), chunks=(3, 2)), extents(100, 200), None),
    "narrow chunk": (DatasetSchema("x", "<f4", (5, 2), chunks=(5, 3)), extents(100), None),
    "filtered": (DatasetSchema("x", "<f4", (5, 2), chunks=(7, 2)), extents(9, filters=((1, (4,)),)), None),
    "only HDF5": (DatasetSchema("x", "<f4", (5, 2)), Extents.unreadable("is virtual"), None),
    "table": (DatasetSchema("x", "<f4", (5, 2)), extents(9, record=RECORD), None),
    "no rows": (DatasetSchema("x", "<f4", (0, 2)), Extents.nothing(), None),
    "not known": (DatasetSchema("x", "<f4", (5, 2)), None, None),
    "a number": (DatasetSchema("x", "<f4", ()), extents(40), None),
    "other type": (DatasetSchema("x", "<f8", (5, 2)), extents(40), None),
    "other rows": (DatasetSchema("x", "<f4", (5, 1)), extents(40), None),
    "other name": (DatasetSchema("y", "<f4", (5, 2)), extents(40), None),
}


def catalog_of(names):
    """A file of each of these kinds, where the dataset comes after others or not."""
    schemas = []
    for number, name in enumerate(names):
        dataset, found, _ = KINDS[name]
        before = [DatasetSchema(f"a{other}", "<i2", (9,)) for other in range(number % 3)]
        others = [extents(1, 2, 3)] * len(before)
        schemas.append(FileSchema((*before, dataset), extents=(*others, found)))
    files = [f"{number}" for number in range(len(names))]
    return Catalog.of("/", files, np.full((len(names), 4), SIZE), schemas)


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12), st.data())
def test_each_file_says_the_same_as_alone(names, data):
    found = OnePiece(catalog_of(names), "x", "<f4", (2,))
    files = data.draw(st.lists(st.integers(-1, len(names) - 1), max_size=20))
    pieces = found.of(np.asarray(files, np.int64))
    told = dict(zip(pieces.places.tolist(), zip(pieces.starts, pieces.rows, strict=True), strict=True))
    expected = {place: KINDS[names[file]][2] for place, file in enumerate(files) if file >= 0}
    assert told == {place: piece for place, piece in expected.items() if piece is not None}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_alone(name):
    pieces = OnePiece(catalog_of([name]), "x", "<f4", (2,)).of(np.zeros(1, np.int64))
    expected = KINDS[name][2]
    assert list(zip(pieces.starts, pieces.rows, strict=True)) == ([] if expected is None else [expected])


def test_rows_without_bytes_are_nowhere():
    catalog = Catalog.of(
        "/", ["a"], np.full((1, 4), SIZE), [FileSchema((DatasetSchema("x", "<f4", (5, 0)),))]
    )
    assert not OnePiece(catalog, "x", "<f4", (0,)).of(np.zeros(1, np.int64)).places.size


def test_no_files():
    pieces = OnePiece(Catalog.of("/", [], np.zeros((0, 4)), []), "x", "<f4", (2,)).of(np.full(3, -1))
    assert not pieces.places.size
