"""Attributes and names of categories; text that only an expendable process may read."""

from __future__ import annotations

import json
import signal
from contextlib import nullcontext

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError
from h5lightning.planning.catalog.schema import as_array, untyped
from h5lightning.storage.scanning.metadata_values import (
    NeedsProcessError,
    ValueReader,
    lies_in_heap,
    read_attributes,
)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["text"] = ["ape", "bee"]
        opened["fixed"] = np.array([b"ape", b"b\xff"])
        opened["numbers"] = [1.5, 2.5]
        opened.attrs["text"] = "ape"
        opened.attrs["fixed"] = np.bytes_(b"ape")
        opened.attrs["numbers"] = [1, 2]
        yield opened


@pytest.mark.parametrize("limit_cpu_s", [None, 5.0], ids=["patient", "limited"])
def test_values_are_plain(file, limit_cpu_s):
    values = ValueReader(reads_text=True, limit_cpu_s=limit_cpu_s)
    assert values.dataset(file["text"].id) == ["ape", "bee"]
    assert values.dataset(file["fixed"].id) == ["ape", "b\\xff"]
    assert values.dataset(file["numbers"].id) == [1.5, 2.5]
    assert values.attribute(file.id, "text") == values.attribute(file["/"].id, "fixed") == "ape"
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("text", pytest.raises(NeedsProcessError)), ("fixed", nullcontext()), ("numbers", nullcontext())],
    ids=["text", "fixed", "numbers"],
)
def test_text_of_variable_length_can_be_left_to_another_process(file, name, outcome):
    values = ValueReader(reads_text=False)
    with outcome:
        values.dataset(file[name].id)
    with outcome:
        values.attribute(file["/"].id, name)


HEAP = {
    "text": (h5py.string_dtype(), True),
    "fixed": (np.dtype("S4"), False),
    "numbers": (np.dtype("f4"), False),
    "lists": (h5py.vlen_dtype("i4"), True),
    "references": (h5py.ref_dtype, False),
    "regions": (h5py.regionref_dtype, True),
    "table with text": (np.dtype([("a", "i4"), ("b", [("c", h5py.string_dtype())])]), True),
    "arrays of text": (np.dtype([("a", h5py.string_dtype(), (2,))]), True),
    "table": (np.dtype([("a", "i4", (2,)), ("b", "S3")]), False),
}


@pytest.mark.parametrize(("dtype", "is_there"), HEAP.values(), ids=HEAP)
def test_values_of_variable_length_lie_in_the_heap(dtype, is_there):
    assert lies_in_heap(h5py.h5t.py_create(dtype, logical=True)) == is_there


def test_lists_of_references_can_be_left_to_another_process(file):
    file["scale"] = [1, 2]
    file["numbers"].dims[0].attach_scale(file["scale"])
    with pytest.raises(NeedsProcessError):
        ValueReader(reads_text=False).attribute(file["numbers"].id, "DIMENSION_LIST")
    ((reference,),) = ValueReader(reads_text=True).attribute(file["numbers"].id, "DIMENSION_LIST")
    assert file[reference] == file["scale"]


READER = ValueReader(reads_text=True)


@pytest.fixture
def holder(tmp_path):
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
def test_attributes_are_plain(holder, owner, value, expected):
    holder[owner or "/"].attrs["a"] = value
    found = read_attributes(holder.id, [f"{owner}@a"], "a.h5", READER)
    assert {name: untyped(value) for name, value in found.items()} == {f"{owner}@a": expected}
    assert type(untyped(found[f"{owner}@a"])) is type(expected)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "value",
    [np.int32(-7), np.float16(0.5), np.uint8([1, 2]), 3, 0.25, True],
    ids=lambda value: type(value).__name__,
)
def test_numbers_keep_their_type(holder, value):
    holder.attrs["a"] = value
    found = as_array(read_attributes(holder.id, ["@a"], "a.h5", READER)["@a"])
    assert found.dtype == np.asarray(value).dtype
    np.testing.assert_array_equal(found, value)


def test_enumerated_value_is_its_number(holder):
    dtype = h5py.enum_dtype({"cat": 3, "dog": 4}, "i1")
    holder.attrs.create("a", 4, dtype=dtype)
    assert read_attributes(holder.id, ["@a"], "a.h5", READER) == {"@a": {"dtype": "int8", "value": 4}}


@pytest.mark.parametrize("name", ["@absent", "g@absent", "absent@a", "g/x/y@a", "link@a"])
def test_missing_attributes_are_left_out(holder, name):
    holder.attrs["a"] = 1
    holder["g/x"].attrs["a"] = 1
    holder["link"] = h5py.ExternalLink("b.h5", "/x")
    assert read_attributes(holder.id, [name, "@a"], "a.h5", READER) == {"@a": 1}


REFUSED = {
    "empty": (h5py.Empty("f4"), "is empty"),
    "large": (np.zeros(9000), "takes 72000 bytes, over 65536"),
    "long-text": ("x" * 200_000, "takes 200000 bytes, over 65536"),
    "complex": (1 + 2j, "is <c16, expected numbers or text"),
    "compound": (np.zeros(2, [("a", "f4"), ("b", "i4")]), "is compound"),
    "opaque": (np.void(b"abc"), "opaque bytes"),
}


@pytest.mark.parametrize(("value", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_values_say_why(holder, value, words):
    holder["g"].attrs["a"] = value
    with pytest.raises(FieldError, match=words) as caught:
        read_attributes(holder.id, ["g@a"], "a.h5", READER)
    assert "'g@a' of a.h5" in str(caught.value)


def test_references_are_refused(holder):
    holder.attrs["a"] = holder["g"].ref
    with pytest.raises(FieldError, match="references"):
        read_attributes(holder.id, ["@a"], "a.h5", READER)
