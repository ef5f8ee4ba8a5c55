"""Frames by pandas and tables by PyTables: a field delivers what they read, or is refused with advice."""

from __future__ import annotations

import numpy as np
import pytest
from field_files import Request, as_stored, assert_same, follow

from h5lightning import Field, Windows
from h5lightning.errors import H5LightningError, SchemaError, UnsupportedFieldError

pytestmark = pytest.mark.timeout(120)
PROGRAM = "by_pandas"
PLAIN = [
    ("fixed", "df/block0_values"),
    ("fixed_with_holes", "df/block0_values"),
    ("table", "df/table:values_block_0"),
    ("table", "df/table:values_block_1"),
    ("table_with_data_columns", "df/table:north"),
    ("table_with_data_columns", "df/table:east"),
    ("table_with_data_columns", "df/table:south"),
    ("table_with_categories", "df/table:values_block_0"),
    ("pytables", "jets:energy"),
    ("pytables", "jets:cells"),
    ("pytables", "jets:count"),
    ("pytables", "images"),
    ("pytables", "targets"),
    ("pytables", "labels"),
]
# PyTables stores booleans as bit fields of eight bits: 0 and 1.
TRUTHS = [
    ("table", "df/table:values_block_3"),
    ("pytables", "jets:is_good"),
    ("pytables", "jets:bits"),
]
REFUSED = [
    ("table", "df/table:values_block_2"),
    ("pytables", "jets:name"),
    ("pytables", "jets:Vertex"),
]
TURNED = [
    ("fixed_in_another_order", "df/block0_values"),
    ("table_in_another_order", "df/table:values_block_0"),
]


def request_of(files, key, **options):
    path, _, member = key.partition(":")
    return Request(str(files), {key: Field(path, member=member or None, **options)})


@pytest.mark.parametrize(("case", "key"), PLAIN)
def test_columns_are_delivered_as_the_reader_has_them(written, case, key):
    files = written(PROGRAM, case)
    request = request_of(files.files, key)
    for reader in ("auto", "h5py"):
        assert_same(request.read(reader=reader)[key], files.expected[key])
    windows = request.read(samples=Windows(4, stride=4))[key]
    assert_same(windows, files.expected[key].reshape(6, 4, *files.expected[key].shape[1:]))


@pytest.mark.parametrize(("case", "key"), TRUTHS)
def test_booleans_are_delivered_or_refused_by_their_type(written, case, key):
    files = written(PROGRAM, case)
    found = request_of(files.files, key).attempt()
    if isinstance(found, H5LightningError):
        assert isinstance(found, UnsupportedFieldError)
        assert "no column" not in str(found)
    else:
        np.testing.assert_array_equal(found[key], files.expected[key])


@pytest.mark.parametrize(("case", "key"), REFUSED)
def test_texts_and_nested_columns_are_refused_by_their_type(written, case, key):
    files = written(PROGRAM, case)
    error = request_of(files.files, key).refused(key.partition(":")[2])
    assert isinstance(error, UnsupportedFieldError)
    assert "no column" not in str(error)


def test_an_absent_column_is_named_with_those_that_exist(written):
    files = written(PROGRAM, "table")
    error = request_of(files.files, "df/table:values_block_9").refused("values_block_9", "no column")
    assert "values_block_" in str(error).partition("no column")[2].replace("values_block_9", "")


def test_an_enumeration_among_columns_has_its_names(written):
    files = written(PROGRAM, "pytables")
    assert_same(request_of(files.files, "jets:kind").read()["jets:kind"], files.expected["jets:kind"])


def test_codes_of_categories_are_those_of_pandas_or_refused(written):
    files = written(PROGRAM, "table_with_categories")
    request = request_of(files.files, "df/table:kind")
    found = request.attempt()
    if isinstance(found, H5LightningError):
        found = follow(request, found)["decode=stored"]
    assert_same(found["df/table:kind"], files.expected["df/table:kind"])


@pytest.mark.parametrize(("case", "key"), TURNED)
def test_an_order_of_columns_that_differs_is_refused(written, case, key):
    files = written(PROGRAM, case)
    request = request_of(files.files, key)
    error = request.refused("1.h5")
    assert isinstance(error, SchemaError)
    path, _, member = key.partition(":")
    for advice, found in follow(request, error).items():
        stored = as_stored(files.files, path, member or None)
        assert_same(found[key], stored if "stored" in advice else files.expected[key])


def test_names_of_columns_can_be_required_to_agree(written):
    same = written(PROGRAM, "fixed")
    names = {"same": ["df/block0_items"]}
    got = Request.of(same.files, "df/block0_values", access=names).read()
    assert_same(got["df/block0_values"], same.expected["df/block0_values"])
    turned = written(PROGRAM, "fixed_in_another_order")
    with pytest.raises(SchemaError, match=r"(?s)df/block0_items.*(north|south)"):
        Request.of(turned.files, "df/block0_values", decode="stored", access=names).read()
