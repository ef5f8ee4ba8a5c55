"""How long the samples of a field are: known from the index, without reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_layouts import everything

from h5lightning.errors import FieldError
from h5lightning.loading.bucket_sizes import length_sizes
from h5lightning.options import Rows, Shuffle, Whole, Windows
from h5lightning.planning.fields import AttributeField, FieldSpec, RowField, StoredForm
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.sample_lengths import sample_lengths
from h5lightning.planning.selection import Selection

ROWS = [7, 0, 12, 3, 12]
X = RowField(
    key="x",
    path="x",
    spec=FieldSpec((None, 2), "float32"),
    forms=(StoredForm("<f4"),),
    member=None,
    row_shape=(2,),
    steps=(0, 12),
)
ATTRIBUTE = AttributeField(
    key="a", path="", spec=FieldSpec((), "int64"), forms=(StoredForm("<i8"),), values=np.arange(5)
)
BUCKET = Shuffle(bucket="length:x")


FIXED = replace(X, spec=FieldSpec((2,), "float32"), steps=None)


def lengths_of(samples, field=X):
    index, _ = everything(ROWS, samples)
    found = sample_lengths(field, index)
    return None if found is None else found.sample_lengths(np.arange(len(index))).tolist()


def test_whole_series_are_as_long_as_their_rows():
    assert lengths_of(Whole()) == [7, 12, 3, 12]
    assert lengths_of(Whole(take=8)) == [7, 8, 3, 8]
    assert lengths_of(Whole(take=8), replace(X, extra_rows=1)) == [7, 8, 3, 8]
    assert lengths_of(Whole(), replace(X, extra_rows=1)) == [8, 13, 4, 13]
    assert lengths_of(Whole(), replace(X, extra_rows=np.arange(5))) == [7, 14, 6, 16]


@pytest.mark.parametrize("samples", [Rows(), Windows(3)])
def test_rows_and_windows_have_one_length(samples):
    assert lengths_of(samples, FIXED) is None
    assert lengths_of(Whole(), ATTRIBUTE) is None


def test_sizes_are_those_of_positions_in_a_split():
    index, _ = everything(ROWS, Whole())
    sizes = length_sizes(BUCKET, [X], index, Selection(SampleRanges(np.asarray([0, 2]), np.asarray([1, 4]))))
    assert sizes(np.asarray([2, 0, 1])).tolist() == [12, 7, 3]
    assert (
        length_sizes(Shuffle(bucket="x"), [X], index, Selection(SampleRanges(*np.asarray([[0], [4]]))))
        is None
    )


@pytest.mark.parametrize(("samples", "field"), [(Whole(), FIXED), (Rows(), FIXED)])
def test_nothing_is_bucketed_by_one_length(samples, field):
    index, selection = everything(ROWS, samples)
    with pytest.raises(FieldError, match="all samples of field 'x' have one length"):
        length_sizes(BUCKET, [field], index, selection)


def test_lengths_that_happen_to_be_equal_are_sizes():
    index, selection = everything(ROWS, Whole(take=3))
    assert length_sizes(BUCKET, [X], index, selection)(np.arange(4)).tolist() == [3] * 4
