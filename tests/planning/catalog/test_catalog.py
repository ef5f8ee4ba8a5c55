"""The schemas of many files, each layout kept once."""

import dataclasses
import pickle
from itertools import pairwise

import numpy as np
import pytest

from h5lightning.planning.catalog.annotations import Annotations
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema

X = DatasetSchema("x", "<f4", (5, 3), stored_bytes=60)
Y = DatasetSchema("y", "<i8", (5,), stored_bytes=40)
DT = DatasetSchema("dt", "<f8", (), stored_bytes=8)
COMPACT = Extents.unreadable("is compact")

SCHEMAS = [
    FileSchema((X, Y), {"@fps": 30}, (Extents(np.array([[96]])), COMPACT)),
    FileSchema((dataclasses.replace(X, shape=(7, 3), missing_chunks=2), dataclasses.replace(Y, shape=(7,)))),
    FileSchema((Y, DT), {"@fps": 25, "a@name": "ä"}),
    FileSchema(()),
    FileSchema((dataclasses.replace(X, dtype="<f8"), DT), {}, (None, Extents(np.array([[7]])))),
]
NAMES = ["a.h5", "b/c.h5", "d.h5", "e.h5", "f.h5"]
SKIPPED = SkippedFile("z.h5", "is empty")


def catalog_of(schemas, names=None, root="/data"):
    names = [f"{number:05}.h5" for number in range(len(schemas))] if names is None else names
    stamps = np.arange(4 * len(names)).reshape(-1, 4)
    return Catalog.of(root, names, stamps, schemas, skipped=[SKIPPED])


@pytest.fixture
def catalog():
    return catalog_of(SCHEMAS, NAMES)


def test_gives_back_what_it_was_made_of(catalog):
    assert len(catalog) == 5
    assert list(catalog.schemas()) == SCHEMAS
    assert [catalog.schema(file) for file in (4, 0)] == [SCHEMAS[4], SCHEMAS[0]]
    assert list(catalog.names) == NAMES
    assert catalog.skipped == (SKIPPED,)
    assert catalog.stamps.tolist() == np.arange(20).reshape(5, 4).tolist()


def test_paths_are_below_the_root(catalog):
    assert catalog.path(1) == "/data/b/c.h5"


def test_keeps_each_layout_once(catalog):
    assert catalog.layout_of.tolist() == [0, 0, 1, 2, 3]


def test_attributes_of_a_file(catalog):
    assert [catalog.attrs_of(file) for file in range(3)] == [{"@fps": 30}, {}, {"@fps": 25, "a@name": "ä"}]


@pytest.mark.parametrize(
    ("path", "rows"),
    [("x", [5, 7, -2, -2, 5]), ("y", [5, 7, 5, -2, -2]), ("dt", [-2, -2, -1, -2, -1]), ("z", [-2] * 5)],
    ids=["x", "y", "scalar", "absent"],
)
def test_facts_of_a_dataset_in_each_file(catalog, path, rows):
    found = catalog.facts_of(path)
    expected = [schema.dataset(path) for schema in SCHEMAS]
    assert found[:, 0].tolist() == rows
    assert [tuple(row) for row in found.tolist()] == [
        (-2, -2, -2) if dataset is None else dataset.facts() for dataset in expected
    ]


def test_may_hold_no_file():
    nothing = Catalog.of("/data", [], np.zeros((0, 4)), [])
    assert len(nothing) == 0
    assert list(nothing.schemas()) == []
    assert nothing.facts_of("x").shape == (0, 3)
    assert nothing.stamps.shape == (0, 4)


def test_extents_go_with_their_files(catalog):
    both = Catalog.joined(catalog.take(np.array([4, 0])), catalog.take(np.array([1, 0])))
    starts = both.first_fact.tolist()
    found = [[both.extents[place] for place in range(*span)] for span in pairwise(starts)]
    first, last = Extents(np.array([[96]])), Extents(np.array([[7]]))
    assert found == [[None, last], [first, COMPACT], [None, None], [first, COMPACT]]


def test_survives_a_pickle(catalog):
    copy = pickle.loads(pickle.dumps(catalog))
    assert list(copy.schemas()) == SCHEMAS
    assert copy.path(1) == catalog.path(1)


@pytest.mark.parametrize(
    ("names", "stamps", "schemas"),
    [(2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 0)],
    ids=["names", "stamps", "schemas", "no schemas"],
)
def test_parts_of_different_length_are_refused(names, stamps, schemas):
    with pytest.raises(ValueError, match=f"a catalog of {names} files: found parts of "):
        Catalog.of("/data", NAMES[:names], np.zeros((stamps, 4)), SCHEMAS[:schemas])


def test_takes_files_in_any_order(catalog):
    taken = catalog.take(np.array([4, 1, 1, 3]))
    assert list(taken.schemas()) == [SCHEMAS[file] for file in (4, 1, 1, 3)]
    assert list(taken.names) == [NAMES[file] for file in (4, 1, 1, 3)]
    assert taken.stamps.tolist() == catalog.stamps[[4, 1, 1, 3]].tolist()
    assert (len(taken.layouts), taken.skipped) == (3, ())


def test_takes_no_file(catalog):
    assert len(catalog.take(np.zeros(0, dtype=np.int64))) == 0


def test_joined_catalogs_hold_the_files_of_both(catalog):
    second = catalog_of(SCHEMAS[::-1], [f"2/{name}" for name in NAMES], root="/elsewhere")
    both = Catalog.joined(catalog, second)
    assert list(both.schemas()) == SCHEMAS + SCHEMAS[::-1]
    assert list(both.names) == [*NAMES, *(f"2/{name}" for name in NAMES)]
    assert both.path(9) == "/data/2/f.h5"
    assert len(both.layouts) == len(catalog.layouts)
    assert both.skipped == (SKIPPED, SKIPPED)


@pytest.mark.parametrize("empty_first", [True, False], ids=["first", "second"])
def test_joined_with_nothing_is_the_same(catalog, empty_first):
    nothing = Catalog.of("/data", [], np.zeros((0, 4)), [])
    both = Catalog.joined(nothing, catalog) if empty_first else Catalog.joined(catalog, nothing)
    assert list(both.schemas()) == SCHEMAS


def test_a_file_takes_few_bytes():
    files = 5_000
    schemas = [FileSchema((dataclasses.replace(X, shape=(number, 3)), Y)) for number in range(files)]
    assert len(pickle.dumps(catalog_of(schemas))) / files < 128


def test_files_are_sorted_by_kind():
    digests = ["b", "a", "b", None, "a", "b"]
    annotated = [
        FileSchema((dataclasses.replace(X, annotations=Annotations(digest=digest)),) if digest else ())
        for digest in digests
    ]
    catalog = catalog_of(annotated, [f"{number}.h5" for number in range(6)])
    found = catalog.files_by_annotation(
        X.path, np.array([1, 2, 3, 5]), lambda annotations: annotations.digest
    )
    assert [(kind, files.tolist()) for kind, files in found.items()] == [("a", [1]), ("b", [2, 5])]
    assert catalog.files_by_annotation("absent", np.arange(6), lambda annotations: annotations.digest) == {}
