"""A difference between labels of files, as an error and as a remark."""

import dataclasses

import numpy as np
import pytest

from h5lightning.options import Field
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import FileSchema
from h5lightning.planning.conventions.error_parts import no_difference
from h5lightning.planning.conventions.label_difference import LabelDifference

CATALOG = Catalog.of("/d", ["0.h5", "1.h5", "2.h5"], np.zeros((3, 4)), [FileSchema(())] * 3)
NUMBERS = LabelDifference("x", 1, "lat", "lat", "numbers", np.array([1, 2]), 0)
ONE = np.array([2])
TILES = (
    "'/x', axis 1: 2 files have other numbers in '/lat' than 0.h5, as tiles with different coordinates do: they are "
    "stacked by position"
)


def changed(**changes):
    return dataclasses.replace(NUMBERS, **changes)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (
            NUMBERS,
            TILES,
        ),
        (
            changed(what="none", source="", files=ONE),
            "'/x', axis 1: 1 file has no labels, 0.h5 has them in '/lat': the labels are not compared",
        ),
        (
            changed(what="none", files=ONE),
            "'/x', axis 1: 1 file has labels in '/lat', 0.h5 has none: the labels are not compared",
        ),
    ],
    ids=["numbers", "no labels", "labels in some files only"],
)
def test_remarks(difference, expected):
    assert difference.remark_text(CATALOG) == expected


@pytest.mark.parametrize(
    ("what", "is_error"), [("order", True), ("names", True), ("numbers", False), ("none", False)]
)
def test_other_text_and_another_order_are_errors(what, is_error):
    assert changed(what=what).is_error is is_error


def test_an_error_names_both_sources_if_they_differ():
    difference = changed(what="names", source="gene", expected_source="genes", files=ONE)
    assert difference.error_text(CATALOG, "k", Field("x"), lambda *_: "never asked") == (
        "field 'k': in /d/2.h5 the labels of axis 1 of '/x', '/gene', are not those in '/genes' of /d/0.h5. Columns of "
        "different meaning would be stacked. Write all files with the same labels; or, if the labels mean nothing "
        "here, use Field('x', decode='stored')"
    )


def test_names_of_axes_and_what_is_not_decoded():
    difference = changed(what="order", axis=-1)
    assert difference.reason == "the axes of '/x', named by '/lat', are in another order than in most files"
    text = difference.error_text(CATALOG, "k", Field("x", decode="cf"), no_difference)
    assert "(and 1 more file)" in text
    assert text.endswith("without decoding them: decode those in a transform")
