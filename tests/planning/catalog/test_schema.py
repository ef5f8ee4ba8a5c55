"""Schemas of datasets and files: sizes, columns, layouts, and their form as JSON."""

import dataclasses
import json

import pytest
from schemas import FRAMES, SCALAR, SPECIES, TABLE, TEXT

from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema, Member

EACH = [FRAMES, TABLE, SPECIES, SCALAR, TEXT]
each_schema = pytest.mark.parametrize("schema", EACH, ids=lambda schema: schema.path)


@pytest.mark.parametrize(
    ("schema", "rows", "row_shape", "itemsize", "row_bytes"),
    [
        (FRAMES, 9, (4, 2), 4, 32),
        (TABLE, 5, (), 10, 10),
        (SPECIES, 7, (), 1, 1),
        (SCALAR, None, (), 8, 8),
        (TEXT, 7, (), 0, 0),
    ],
    ids=[schema.path for schema in EACH],
)
def test_sizes(schema, rows, row_shape, itemsize, row_bytes):
    found = (schema.rows, schema.row_shape, schema.itemsize, schema.row_bytes)
    assert found == (rows, row_shape, itemsize, row_bytes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"filters": ()}, False),
        ({"storage": "virtual"}, False),
    ],
    ids=["filtered chunks", "raw chunks", "virtual"],
)
def test_what_must_be_decoded_by_chunk(changes, expected):
    assert dataclasses.replace(FRAMES, **changes).is_decoded_by_chunk is expected


@pytest.mark.parametrize(
    ("schema", "member", "element"),
    [(FRAMES, None, "<f4"), (TABLE, "id", "<i2"), (TABLE, "x", None), (FRAMES, "x", None)],
    ids=["plain", "column", "unknown column", "column of a plain dataset"],
)
def test_element(schema, member, element):
    assert schema.element(member) == element


V, SITE = Member("v", "<f4", (3,)), Member("site", "text of 4 bytes", refusal="holds text of 4 bytes")
KIND = Member("kind", "|u1", (), ("cat", "dog"))
ARRAYS = DatasetSchema("t", "compound", (5, 2), members=(V, SITE, KIND))


def test_a_column_adds_its_axes_to_those_of_the_dataset():
    assert ARRAYS.value("v") is V
    assert (ARRAYS.row_shape_of("v"), ARRAYS.row_shape_of("kind")) == ((2, 3), (2,))
    assert FRAMES.row_shape_of(None) == FRAMES.row_shape
    assert (ARRAYS.columns, ARRAYS.value("site"), ARRAYS.element("site")) == ((V, KIND), SITE, None)
    assert ARRAYS.itemsize == 13


@each_schema
def test_layout_and_facts_are_the_whole_schema(schema):
    assert schema.layout().with_facts(schema.facts()) == schema


def test_layout_leaves_out_what_differs_from_file_to_file():
    other = dataclasses.replace(FRAMES, shape=(70, 4, 2), stored_bytes=999, missing_chunks=0)
    assert other.layout() == FRAMES.layout()
    assert hash(other.layout()) == hash(FRAMES.layout())
    assert other.layout_key() == FRAMES.layout_key()
    assert (other.facts(), FRAMES.facts()) == ((70, 999, 0), (9, 123, 1))


@pytest.mark.parametrize(
    "changes",
    [{"shape": (9, 4, 3)}, {"dtype": "<f8"}, {"chunks": None}, {"filters": ()}, {"path": "b"}],
    ids=lambda changes: next(iter(changes)),
)
def test_layout_keeps_what_files_share(changes):
    other = dataclasses.replace(FRAMES, **changes)
    assert other.layout() != FRAMES.layout()
    assert other.layout_key() != FRAMES.layout_key()


def test_a_scalar_has_another_layout_than_rows_of_scalars():
    assert SCALAR.layout() != dataclasses.replace(SCALAR, shape=(3,)).layout()
    assert SCALAR.layout_key() != dataclasses.replace(SCALAR, shape=(3,)).layout_key()


@each_schema
def test_a_dataset_survives_json(schema):
    assert DatasetSchema.from_plain(json.loads(json.dumps(schema.to_plain()))) == schema


def test_datasets_are_found_by_path():
    schema = FileSchema((FRAMES, TABLE))
    assert schema.dataset("table") is TABLE
    assert schema.dataset("frames") is None
