"""Parts of errors: which value most files have, and which file gets which reason."""

import numpy as np
import pytest

from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.conventions.error_parts import add_reasons, most_common, skipped_files


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ([("a", [3])], ("a", 3)),
        ([("a", [0]), ("b", [1, 2])], ("b", 1)),
        ([("a", [5]), ("b", [2])], ("b", 2)),
        ([("a", [4]), ("b", [1, 2]), ("a", [0, 3])], ("a", 0)),
    ],
    ids=["one", "most files", "equally common: first file", "value that comes twice"],
)
def test_most_common_value(having, expected):
    assert most_common((value, np.asarray(files)) for value, files in having) == expected


def test_a_file_keeps_its_first_reason_and_the_first_file_says_how_it_differs():
    reasons = {}
    add_reasons(reasons, np.array([1]), "is bad")
    add_reasons(reasons, np.array([0, 1, 2]), "differs", "row 0")
    add_reasons(reasons, np.array([], dtype=int), "is not there")
    assert reasons == {0: "differs: row 0", 1: "is bad", 2: "differs"}


def test_files_are_skipped_in_their_order():
    catalog = Catalog.of("/d", ["a.h5", "b.h5"], np.zeros((2, 4)), [FileSchema(()), FileSchema(())])
    assert skipped_files(catalog, {1: "x", 0: "y"}) == [SkippedFile("a.h5", "y"), SkippedFile("b.h5", "x")]
