"""MATLAB v7.3 files by hdf5storage: a field delivers what it reads, with axes reversed, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from field_files import Request, assert_same

from h5lightning.errors import FieldError, H5LightningError, UnsupportedFieldError

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("path", ["images", "labels"])
def test_arrays_are_delivered_samples_first(written, path):
    files = written("matlab", "plain")
    for reader in ("auto", "h5py"):
        assert_same(Request.of(files.files, path).read(reader=reader)[path], files.expected[path])


def test_logical_arrays_are_zeros_and_ones(written):
    files = written("matlab", "plain")
    np.testing.assert_array_equal(Request.of(files.files, "valid").read()["valid"], files.expected["valid"])


def test_complex_arrays_are_delivered_or_their_parts_are(written):
    files = written("matlab", "plain")
    request = Request.of(files.files, "waves")
    found = request.attempt()
    if isinstance(found, H5LightningError):
        assert isinstance(found, UnsupportedFieldError)
        parts = [request.with_remedy("field", "member", part).read()["waves"] for part in ("real", "imag")]
        found = {"waves": parts[0] + 1j * parts[1]}
    assert_same(found["waves"], files.expected["waves"])


@pytest.mark.parametrize("path", ["names"])
def test_cells_are_not_rows(written, path):
    files = written("matlab", "plain")
    with pytest.raises(FieldError):
        Request.of(files.files, path).read()


@pytest.mark.parametrize(
    ("case", "path"), [("empty", "x"), ("empty", "y"), ("empty", "cells"), ("plain", "nothing")]
)
def test_an_empty_array_is_never_two_rows(written, case, path):
    """It is stored as its shape, which must not be delivered as values."""
    files = written("matlab", case)
    error = Request.of(files.files, path).refused("empty")
    assert isinstance(error, UnsupportedFieldError)


def test_letters_are_no_categories(written):
    """Each of them is a number, which would be the number of a category of its own."""
    files = written("matlab", "plain")
    error = Request.of(files.files, "note", categories=True).refused("note", "MATLAB, char", "cellstr")
    assert isinstance(error, FieldError)
