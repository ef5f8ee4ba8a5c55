"""Digests of whole datasets: equal if the values are, whatever their types, chunks and filters are."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.digests import dataset_digest, group_digest
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader

VALUES = ValueReader(reads_text=True)
NAMED = [("n", h5py.string_dtype()), ("v", "f4", (2,))]


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def digest(file, path, values=VALUES):
    return dataset_digest(DatasetInfo.of(file[path].id), values)


def lists(*items):
    found = np.empty(len(items), h5py.vlen_dtype("i4"))
    found[:] = [np.array(item) for item in items]
    return found


def enumeration(values, **names):
    return np.array(values, h5py.enum_dtype(names, "i1"))


EQUAL = {
    "width": (np.arange(3, dtype="i2"), np.arange(3, dtype=">f8")),
    "text": (["ä", "b"], np.array(["ä".encode(), b"b"])),
    "nan": (np.array([np.nan, 1]), np.array([np.nan, 1], "f4")),
    "zero": (np.array([0.0]), np.array([-0.0])),
    "bool": (np.array([True, False]), np.array([1, 0])),
    "complex": (np.array([1 + 1j], "c8"), np.array([1 + 1j], "c16")),
    "compound": (
        np.array([("a", (1, 2))], NAMED),
        np.array([(b"a", (1, 2))], [("n", "S1"), ("v", "f8", (2,))]),
    ),
    "columns": (
        np.array([(1, 2)], [("a", "i4"), ("b", "i4")]),
        np.array([(2, 1)], [("b", "i4"), ("a", "i4")]),
    ),
    "lists": (lists([1, 2], [3]), lists([1, 2], [3])),
    "scalar": ("a", np.bytes_(b"a")),
    "empty": (h5py.Empty("f4"), h5py.Empty("f4")),
    "no rows": (np.zeros((0, 3)), np.zeros((0, 3), "i4")),
    "large": (np.array([2**53 + 1]), np.array([2**53 + 1], "u8")),
}
OTHER = {
    "value": (np.arange(3), np.array([0, 1, 3])),
    "order": (np.arange(3), np.arange(3)[::-1]),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "kind": (np.array([1]), ["1"]),
    "cut": (["ab", "c"], ["a", "bc"]),
    "large": (np.array([2**53 + 1, 0]), np.array([2**53, 0])),
    "large place": (np.array([2**53 + 1, 2**53]), np.array([2**53, 2**53 + 1])),
    "large float": (np.array([2**53 + 1]), np.array([2.0**53])),
    "complex": (np.array([1 + 1j]), np.array([1 + 2j])),
    "compound": (np.array([("a", (1, 2))], NAMED), np.array([("a", (1, 3))], NAMED)),
    "enumeration": (enumeration([0], A=0, B=1), enumeration([0], B=0, A=1)),
    "lists": (lists([1, 2], [3]), lists([1], [2, 3])),
    "scalar": (1, 2),
    "scalar shape": (1, [1]),
    "empty": (h5py.Empty("f4"), np.zeros(0)),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL)
def test_equal_values_have_equal_digests(file, one, other):
    file["a"], file["b"] = one, other
    assert digest(file, "a") == digest(file, "b")
    assert not digest(file, "a").startswith("?")


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER)
def test_other_values_have_other_digests(file, one, other):
    file["a"], file["b"] = one, other
    assert digest(file, "a") != digest(file, "b")


STORED = {
    "plain": {},
    "chunks": {"chunks": (7000, 2), "compression": "gzip", "shuffle": True},
    "wide chunks": {"chunks": (999, 5), "fletcher32": True},
    "tall chunks": {"chunks": (300_000, 1), "compression": "lzf"},
}


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_layout_and_blocks_change_nothing(file, options):
    data = np.arange(1_500_000, dtype="i8").reshape(300_000, 5)
    file["expected"] = data.astype("f4")
    file.create_dataset("found", data=data, **options)
    assert digest(file, "found") == digest(file, "expected")
    file["found"][-1, -1] = 0
    assert digest(file, "found") != digest(file, "expected")


def test_rows_larger_than_a_block_are_cut(file):
    data = np.random.default_rng(0).random((2, 3, 500_000))
    file["one"] = data
    file.create_dataset("other", data=data, chunks=(2, 3, 1000))
    assert digest(file, "one") == digest(file, "other")


def test_values_that_cannot_be_compared_have_a_reason(file):
    file["x"] = np.zeros(3)
    file["reference"] = np.array([file["x"].ref], h5py.ref_dtype)
    file.create_dataset("huge", (2**33,), "i1")
    file.create_dataset("chunk", (10,), "f4", chunks=(2**28,), maxshape=(None,), compression="gzip")
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("b.h5", "x", (10,))
    file.create_virtual_dataset("virtual", layout)
    words = {
        "reference": "references",
        "huge": "takes 8589934592 bytes",
        "chunk": "chunks of",
        "virtual": "other files",
    }
    for path, expected in words.items():
        assert digest(file, path).startswith("? ")
        assert expected in digest(file, path)


def test_a_filter_that_needs_a_plugin_is_named(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((10,))
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (0, 0))
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((10,)), plist)
    assert "is written with blosc" in digest(file, "x")


@pytest.mark.parametrize(
    "value", [["a"], np.array([("a", (1, 2))], NAMED), lists([1])], ids=["text", "compound", "lists"]
)
def test_values_in_the_heap_are_left_to_another_process(file, value):
    file["a"] = value
    with pytest.raises(NeedsProcessError):
        digest(file, "a", ValueReader(reads_text=False))


def test_a_group_is_all_its_datasets(file):
    for group, value in (("a", 1), ("b", 1), ("c", 2)):
        file[f"{group}/x"], file[f"{group}/sub/names"] = value, ["t"]
    file["d/y"], file["d/sub/names"] = 1, ["t"]
    assert group_digest(file.id, "a", VALUES) == group_digest(file.id, "b", VALUES) != ""
    assert group_digest(file.id, "a", VALUES) != group_digest(file.id, "c", VALUES)
    assert group_digest(file.id, "a", VALUES) != group_digest(file.id, "d", VALUES)
    file.create_group("none")
    assert group_digest(file.id, "none", VALUES) == group_digest(file.id, "absent", VALUES) == ""
    file["a/ref"] = np.array([file["a/x"].ref], h5py.ref_dtype)
    assert "holds 'a/ref', which holds references" in group_digest(file.id, "a", VALUES)
