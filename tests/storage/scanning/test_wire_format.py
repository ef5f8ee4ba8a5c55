"""Outcomes are decoded as they were encoded."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, FieldError
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.record_layout import RecordColumn, RecordLayout
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.storage.scanning.wire_format import OutcomeDecoder, OutcomeEncoder

SIZES = st.integers(0, 2**40)
NAMES = st.text(max_size=5)

DATASETS = st.builds(
    DatasetSchema,
    path=NAMES,
    dtype=st.sampled_from(["<f4", ">i8", "compound", "text"]),
    shape=st.lists(SIZES, max_size=3).map(tuple),
    chunks=st.none() | st.just((4, 4)),
    filters=st.just(("shuffle", "deflate(4)")) | st.just(()),
    storage=st.sampled_from(["chunked", "contiguous"]),
    stored_bytes=SIZES,
    missing_chunks=SIZES,
    members=st.just(
        (Member("a", "<f4", (3,), ("x", "y"), vocabulary="9 names"), Member("b", "text", refusal="no"))
    )
    | st.just(()),
    vocabulary=st.sampled_from(["", "20,000 names with the digest ab"]),
    categories=st.none() | st.lists(NAMES, max_size=3).map(tuple),
    is_converted=st.booleans(),
    refusal=NAMES,
)
EXTENTS = st.builds(
    lambda parts, chunks, filters, record: Extents(
        np.arange(parts * chunks).reshape(parts, chunks) + 2**40, filters, record=record
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.just(((1, (4,)),)) | st.just(()),
    st.none()
    | st.builds(
        RecordLayout,
        st.integers(1, 3),
        st.lists(st.builds(RecordColumn, NAMES, NAMES, st.just((2, 3)), SIZES, NAMES), max_size=2).map(tuple),
    ),
)
ATTRS = st.recursive(
    st.integers() | NAMES | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3),
)
INDEXES = st.lists(
    st.lists(st.integers(0, 2**63 - 1), max_size=3).map(
        lambda numbers: IndexTable.of_unit(np.sort(np.asarray(numbers, np.int64)), must_be_ends=True)
    )
    | NAMES.map(IndexTable.broken),
    max_size=3,
).map(IndexTable.joined)
SCHEMAS = st.builds(
    FileSchema,
    datasets=st.lists(DATASETS, max_size=3).map(tuple),
    attrs=st.dictionaries(NAMES, ATTRS, max_size=3),
    sources=st.lists(st.tuples(NAMES, st.tuples(*[st.integers(-2, 2**63 - 1)] * 4)), max_size=2).map(tuple),
    row_indexes=st.dictionaries(NAMES, INDEXES, max_size=2),
    extents=st.lists(st.none() | NAMES.map(Extents.unreadable) | EXTENTS, max_size=3).map(tuple),
)
ERRORS = st.builds(BadFileError, NAMES) | st.builds(FieldError, NAMES)


def comparable(outcome):
    is_error = isinstance(outcome, Exception)
    return (type(outcome), str(outcome)) if is_error else (outcome, outcome.extents)


@given(st.lists(st.lists(SCHEMAS | ERRORS, max_size=4), max_size=4))
def test_round_trip(tasks):
    encoder, decoder = OutcomeEncoder(), OutcomeDecoder()
    for outcomes in tasks:
        (line,) = encoder.encode(outcomes)
        assert "\n" not in line
        assert line.isascii()
        assert [*map(comparable, decoder.decode(line))] == [*map(comparable, outcomes)]


def test_layout_is_sent_once():
    encoder = OutcomeEncoder()
    lengths = [FileSchema((DatasetSchema("x", "<f4", (rows, 4)),)) for rows in (3, 8)]
    sent = [json.loads(line)["layouts"] for schema in lengths for line in encoder.encode([schema])]
    assert [len(layouts) for layouts in sent] == [1, 0]


@pytest.mark.parametrize("name", ["a\udcff", "ж"], ids=["not-unicode", "cyrillic"])
def test_names_survive(name):
    schema = FileSchema((DatasetSchema(name, "<f4", (3,)),))
    assert OutcomeDecoder().decode(*OutcomeEncoder().encode([schema])) == [schema]


def test_many_chunks_are_sent_in_several_lines():
    chunks = 200_000
    schema = FileSchema((DatasetSchema("x", "<f4", (chunks,)),), {}, (Extents(np.arange(chunks)[None]),))
    encoder, decoder = OutcomeEncoder(), OutcomeDecoder()
    lines = [*encoder.encode([schema] * 7)]
    found = [outcome for line in lines for outcome in decoder.decode(line)]
    assert [len(decoder.decode(line)) for line in encoder.encode([schema] * 3)] == [3]
    assert (len(lines), [*map(comparable, found)]) == (3, [comparable(schema)] * 7)


def test_no_outcomes_are_a_line_too():
    (line,) = OutcomeEncoder().encode([])
    assert OutcomeDecoder().decode(line) == []
