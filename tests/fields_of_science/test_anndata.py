"""Annotated matrices in all formats of anndata: a field delivers what anndata reads, or is refused."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from field_files import Request, as_stored, assert_same, follow

from h5lightning import Field, H5Dataset
from h5lightning.errors import MissingDataError, SchemaError, UnsupportedFieldError

pytestmark = pytest.mark.timeout(120)
PROGRAM = "by_anndata"
PLAIN = {
    "plain": [
        "X", "layers/counts", "obsm/X_pca", "obs/kind/codes", "obs/n", "obs/score", "obs/good", "obs/whole/values",
        "obs/sure/values",
    ],
    "form_of_07": ["X", "obs/kind", "obs/n"],
    "form_of_06": ["X", "obs:kind", "obs:n"],
}  # fmt: skip
MISSING = [
    ("missing", "obs/kind/codes"),
    ("missing", "obs/whole/values"),
    ("missing", "obs/sure/values"),
    ("form_of_07_with_missing", "obs/kind"),
    ("form_of_06_with_missing", "obs:kind"),
]
KINDS = [
    ("plain", "obs/kind/codes"),
    ("form_of_07", "obs/kind"),
    ("form_of_06", "obs:kind"),
]
OTHER_KINDS = [
    ("other_order_of_kinds", "obs/kind/codes"),
    ("form_of_07_in_another_order", "obs/kind"),
    ("form_of_06_in_another_order", "obs:kind"),
]
OTHER_GENES = [
    ("other_order_of_genes", "X"),
    ("other_genes", "X"),
    ("other_genes", "layers/counts"),
    ("form_of_06_in_another_order", "X"),
]


def request_of(files, key, **options):
    """A dataset, or ``table:column``."""
    path, _, member = key.partition(":")
    return Request(str(files), {key: Field(path, member=member or None, **options)})


def stored(files, key):
    path, _, member = key.partition(":")
    return as_stored(files, path, member or None)


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize("case", PLAIN)
def test_dense_parts_and_columns_are_delivered(written, case, reader):
    files = written(PROGRAM, case)
    for key in PLAIN[case]:
        assert_same(request_of(files.files, key).read(reader=reader)[key], files.expected[key])


@pytest.mark.parametrize(("case", "key"), KINDS)
def test_names_of_categories_are_shown(written, case, key):
    files = written(PROGRAM, case)
    request = request_of(files.files, key)
    with closing(H5Dataset(request.files, request.fields)) as dataset:
        assert list(dataset.field_spec[key].classes) == ["a", "b", "c"]
        assert list(dataset.sample_spec()[key].classes) == ["a", "b", "c"]


@pytest.mark.parametrize(("case", "key"), MISSING)
def test_missing_entries_are_refused_with_file_and_row(written, case, key):
    files = written(PROGRAM, case)
    (row,) = np.flatnonzero(files.expected[key])
    assert row == 9 + 4
    request = request_of(files.files, key)
    error = request.refused("1.h5ad", "row 4")
    assert isinstance(error, MissingDataError)
    found = follow(request, error)
    assert_same(found["decode=stored"][key], stored(files.files, key))


@pytest.mark.parametrize(("case", "key"), OTHER_KINDS)
def test_categories_with_other_codes_are_refused(written, case, key):
    files = written(PROGRAM, case)
    request = request_of(files.files, key)
    error = request.refused("1.h5ad")
    assert isinstance(error, SchemaError)
    found = follow(request, error)
    assert_same(found["decode=stored"][key], stored(files.files, key))


@pytest.mark.parametrize(("case", "key"), OTHER_GENES)
def test_columns_of_other_genes_are_refused(written, case, key):
    files = written(PROGRAM, case)
    request = request_of(files.files, key)
    error = request.refused("1.h5ad", "var")
    assert isinstance(error, SchemaError)
    found = follow(request, error)
    assert_same(found["decode=stored"][key], stored(files.files, key))


def test_values_of_sparse_matrices_are_not_rows(written):
    files = written(PROGRAM, "sparse")
    for path in ("X/data", "X/indices", "layers/csc/data"):
        error = request_of(files.files, path).refused()
        assert isinstance(error, UnsupportedFieldError)
        assert "csr" in str(error).lower() or "csc" in str(error).lower()


def test_a_text_column_of_a_compound_is_refused_by_its_type(written):
    files = written(PROGRAM, "form_of_06")
    error = request_of(files.files, "obs:index").refused("index")
    assert isinstance(error, UnsupportedFieldError)
    assert "no column" not in str(error)


def test_names_of_genes_can_be_required_to_agree(written):
    same = written(PROGRAM, "plain")
    got = Request.of(same.files, "X", access={"same": ["var/_index"]}).read()
    assert_same(got["X"], same.expected["X"])
    differ = written(PROGRAM, "other_order_of_genes")
    with pytest.raises(SchemaError, match=r"(?s)var/_index.*g[14]"):
        Request.of(differ.files, "X", decode="stored", access={"same": ["var/_index"]}).read()
