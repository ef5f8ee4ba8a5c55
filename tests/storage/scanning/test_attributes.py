"""Attributes read as plain JSON values."""

import json

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError
from h5lightning.planning.catalog.schema import as_array, untyped
from h5lightning.storage.scanning.attributes import read_attributes
from h5lightning.storage.scanning.metadata_values import ValueReader

READER = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as opened:
        opened["g/x"] = [1, 2]
        yield opened


VALUES = {
    "int": (np.int32(-7), -7),
    "uint64": (np.uint64(2**63 + 1), 2**63 + 1),
    "float": (np.float32(0.5), 0.5),
    "bool": (True, True),
    "text": ("größe", "größe"),
    "bytes": (np.bytes_(b"abc"), "abc"),
    "not-unicode": (np.bytes_(b"a\xff"), "a\\xff"),
    "array": (np.arange(4, dtype=">i2").reshape(2, 2), [[0, 1], [2, 3]]),
    "no-rows": (np.zeros((0,), "f4"), []),
    "texts": (["a", "b"], ["a", "b"]),
    "fixed-texts": (np.array([[b"a", b"bc"]]), [["a", "bc"]]),
}


@pytest.mark.parametrize("owner", ["", "g", "g/x"], ids=["file", "group", "dataset"])
@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_values_are_plain(file, owner, value, expected):
    file[owner or "/"].attrs["a"] = value
    found = read_attributes(file.id, [f"{owner}@a"], "a.h5", READER)
    assert {name: untyped(value) for name, value in found.items()} == {f"{owner}@a": expected}
    assert type(untyped(found[f"{owner}@a"])) is type(expected)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "value",
    [np.int32(-7), np.float16(0.5), np.uint8([1, 2]), 3, 0.25, True],
    ids=lambda value: type(value).__name__,
)
def test_numbers_keep_their_type(file, value):
    file.attrs["a"] = value
    found = as_array(read_attributes(file.id, ["@a"], "a.h5", READER)["@a"])
    assert found.dtype == np.asarray(value).dtype
    np.testing.assert_array_equal(found, value)


def test_enumerated_value_is_its_number(file):
    dtype = h5py.enum_dtype({"cat": 3, "dog": 4}, "i1")
    file.attrs.create("a", 4, dtype=dtype)
    assert read_attributes(file.id, ["@a"], "a.h5", READER) == {"@a": {"dtype": "int8", "value": 4}}


@pytest.mark.parametrize("name", ["@absent", "g@absent", "absent@a", "g/x/y@a", "link@a"])
def test_missing_attributes_are_left_out(file, name):
    file.attrs["a"] = 1
    file["g/x"].attrs["a"] = 1
    file["link"] = h5py.ExternalLink("b.h5", "/x")
    assert read_attributes(file.id, [name, "@a"], "a.h5", READER) == {"@a": 1}


REFUSED = {
    "empty": (h5py.Empty("f4"), "is empty"),
    "large": (np.zeros(9000), "takes 72000 bytes, over 65536"),
    "long-text": ("x" * 200_000, "takes 200000 bytes, over 65536"),
    "complex": (1 + 2j, "is <c16, expected numbers or text"),
    "compound": (np.zeros(2, [("a", "f4"), ("b", "i4")]), "is compound"),
    "opaque": (np.void(b"abc"), "opaque bytes"),
}


@pytest.mark.parametrize(("value", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_values_say_why(file, value, words):
    file["g"].attrs["a"] = value
    with pytest.raises(FieldError, match=words) as caught:
        read_attributes(file.id, ["g@a"], "a.h5", READER)
    assert "'g@a' of a.h5" in str(caught.value)


def test_references_are_refused(file):
    file.attrs["a"] = file["g"].ref
    with pytest.raises(FieldError, match="references"):
        read_attributes(file.id, ["@a"], "a.h5", READER)
