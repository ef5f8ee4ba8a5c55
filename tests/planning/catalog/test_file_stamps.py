"""Stamps of scanned files: found by path, and compared with what changed as text."""

import numpy as np
import pytest

from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.file_stamps import ScannedFiles, explain_change

NAMES = ["a.h5", "b/c.h5", "b/ä.h5", "z\udcff.h5"]
STAMPS = np.arange(16).reshape(4, 4)


def known(root):
    return ScannedFiles(Catalog.of(root, NAMES, STAMPS, [FileSchema(())] * 4))


@pytest.mark.parametrize("root", ["/data", "/"], ids=["folder", "top"])
def test_each_file_is_found(root):
    for name, stamp in zip(NAMES, STAMPS.tolist(), strict=True):
        assert known(root).find(f"{root.rstrip('/')}/{name}") == tuple(stamp)


@pytest.mark.parametrize(
    "path", ["/data/b.h5", "/data/zz", "/data/", "/data", "/other/a.h5", "/database/a.h5", "a.h5"]
)
def test_others_are_not(path):
    assert known("/data").find(path) is None


EPOCH = "1970-01-01 00:00"
EXPECTED = f"expected {EPOCH}:00.000000005 UTC"
BEFORE = (100, 5, 7, 1)
CHANGES = {
    "nothing": (BEFORE, ""),
    "mode or links": ((100, 5, 8, 1), ""),
    "copy with its times": ((100, 5, 9, 2), ""),
    "grown": ((200, 6, 8, 1), "grew from 100 to 200 bytes"),
    "cut": ((60, 6, 8, 1), "was cut off from 100 to 60 bytes"),
    "rewritten": (
        (100, 10**9 + 6, 8, 1),
        f"was written to (modified at {EPOCH}:01.000000006 UTC, {EXPECTED})",
    ),
    "replaced": ((60, 6, 8, 2), "was replaced by a file of 60 bytes, expected 100,"),
    "replaced by the like": (
        (100, 6, 8, 2),
        f"was replaced by a file of the same size (modified at {EPOCH}:00.000000006 UTC, {EXPECTED})",
    ),
}


@pytest.mark.parametrize(("found", "words"), CHANGES.values(), ids=CHANGES)
def test_changes_in_words(found, words):
    assert explain_change(found, BEFORE) == words
