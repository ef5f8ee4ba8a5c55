"""Labels in files: text, numbers, columns of tables, lists in attributes; and their digests."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.scanning.conventions.label_values import digests, labels_at, unpickled_list
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def table(names, dtype):
    return np.array([(name, 1) for name in names], [("index", dtype), ("n", "i4")])


HELD = {
    "variable": (["ä", "b"], ["ä", "b"]),
    "fixed": (np.array([b"a", b"bc"]), ["a", "bc"]),
    "letters": (np.array([list("ab"), list("cd")], "S1"), ["ab", "cd"]),
    "letters, filled up": (np.array([list("ab "), [*"c d"], [*"e", "", ""]], "S1"), ["ab", "c d", "e"]),
    "integers": (np.array([3, 1], ">i2"), [3, 1]),
    "floats": (np.array([0.5, 1.5], "f4"), [0.5, 1.5]),
    "bools": (np.array([True, False]), [True, False]),
}


@pytest.mark.parametrize(("value", "expected"), HELD.values(), ids=HELD)
def test_a_dataset_holds_labels(file, value, expected):
    file["g/names"] = value
    assert list(labels_at(file.id, "g/names", VALUES).values) == expected


@pytest.mark.parametrize(
    "value",
    [np.zeros((2, 3)), 5.0, np.zeros(2, "c8"), np.zeros(0), h5py.Empty("f4")],
    ids=["matrix", "scalar", "complex", "none", "empty"],
)
def test_other_datasets_hold_none(file, value):
    file["names"] = value
    found = labels_at(file.id, "names", VALUES)
    assert (found.values, found.problem) == (None, "")


def test_values_that_were_never_written_are_no_labels(file):
    file.create_dataset("names", (4,), "f4")
    assert labels_at(file.id, "names", VALUES).values is None


@pytest.mark.parametrize("dtype", ["S4", h5py.string_dtype()], ids=["fixed", "variable"])
def test_a_column_of_a_table_holds_labels(file, dtype):
    file["var"] = table(["a", "b"], dtype)
    assert labels_at(file.id, "var[index]", VALUES).values == ["a", "b"]
    assert labels_at(file.id, "var[n]", VALUES).values.tolist() == [1, 1]
    assert labels_at(file.id, "var[absent]", VALUES).values is None


def test_an_attribute_lists_labels(file):
    file["x"] = np.zeros(3)
    file["x"].attrs["columns"] = ["a", "b"]
    file["x"].attrs["number"] = 5
    assert labels_at(file.id, "x@columns", VALUES).values == ["a", "b"]
    for source in ("x@number", "x@absent", "y@columns", "y"):
        assert labels_at(file.id, source, VALUES).values is None


def test_only_hard_links_are_followed(file):
    file["names"] = [1, 2]
    file["soft"], file["gone"] = h5py.SoftLink("/names"), h5py.ExternalLink("b.h5", "names")
    assert object_at(file.id, "names") is not None
    assert (
        object_at(file.id, "soft") is object_at(file.id, "gone") is object_at(file.id, "absent/names") is None
    )


@pytest.mark.parametrize("source", ["text", "table[index]", "x@columns"])
def test_text_of_variable_length_is_left_to_another_process(file, source):
    file["text"] = ["a", "b"]
    file["table"] = table(["a", "b"], h5py.string_dtype())
    file["x"] = np.zeros(2)
    file["x"].attrs["columns"] = ["a", "b"]
    with pytest.raises(NeedsProcessError):
        labels_at(file.id, source, ValueReader(reads_text=False))


def test_what_is_large_or_needs_a_plugin_is_not_read(file):
    file.create_dataset("large", data=np.arange(600_000.0))
    file.create_dataset(
        "chunk", data=np.arange(10.0), chunks=(1_000_000,), maxshape=(None,), compression="gzip"
    )
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((10,))
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (0, 0))
    h5py.h5d.create(file.id, b"plugin", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((10,)), plist)
    file["plugin"].id.write_direct_chunk((0,), b"x" * 40)
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("b.h5", "x", (10,))
    file.create_virtual_dataset("virtual", layout)
    assert "too large" in labels_at(file.id, "large", VALUES).problem
    assert "too large" in labels_at(file.id, "chunk", VALUES).problem
    assert "filter" in labels_at(file.id, "plugin", VALUES).problem
    assert labels_at(file.id, "virtual", VALUES).values is None


# ── what pandas freezes ──────────────────────────────────────────────────────────────────────────────


def test_a_pickled_list_is_parsed():
    assert unpickled_list("(lp0\nVu\np1\naVv\\u20ac\np2\na.") == ["u", "v€"]
    assert unpickled_list("(lp0\nI1\naL22L\na.").tolist() == [1, 22]
    assert unpickled_list("(lp0\n.") == []


@pytest.mark.parametrize(
    "text",
    [
        "cos\nsystem\n(Vls\ntR.",
        "(lp0\nVu\np1\nacos\nsystem\n.",
        "(lp0\nVu\np1\naI1\na.",
        "(lp0\nF1.5\na.",
        "I1\n.",
        "",
        "u,v",
        "(lp0\nL99999999999999999999L\na.",
    ],
    ids=["call", "call inside", "mixed", "float", "number", "empty", "text", "large"],
)
def test_other_text_is_no_pickled_list(text):
    assert unpickled_list(text) is None


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────

EQUAL = {
    "width": (np.array([1, 2], "i2"), np.array([1, 2], ">i8")),
    "integers and floats": (np.array([1, 2]), np.array([1.0, 2.0])),
    "precision": (np.array([0.1, 0.2], "f4"), np.array([0.1, 0.2])),
    "zero": (np.array([0.0, 0.5]), np.array([-0.0, 0.5])),
    "nan": (np.array([np.nan, 1.5]), -np.array([np.nan, -1.5])),
    "unsigned": (np.array([5], "u8"), np.array([5], "i1")),
}
OTHER = {
    "value": (np.array([1, 2]), np.array([1, 3])),
    "count": (np.array([1, 2]), np.array([1, 2, 2])),
    "close integers": (np.array([100_000_001, 2]), np.array([100_000_002, 2])),
    "close floats": (np.array([1e9 + 0.25, 1e9 + 0.5]), np.array([1e9 + 0.25, 1e9 + 0.75])),
    "large": (np.array([2**63, 1], "u8"), np.array([2**63 + 1, 1], "u8")),
    "cut": (["ab", "c"], ["a", "bc"]),
    "text": (["1"], np.array([1])),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL)
def test_equal_labels_have_equal_digests(one, other):
    assert digests(one) == digests(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER)
def test_other_labels_have_other_digests(one, other):
    assert not set(digests(one)) & set(digests(other))


@pytest.mark.parametrize(
    "labels", [["b", "a", "a"], np.array([3.5, 1.25]), np.array([3, 1])], ids=["text", "floats", "integers"]
)
def test_one_digest_depends_on_the_order(labels):
    (one, as_set), (other, as_other) = digests(labels), digests(labels[::-1])
    assert one != other
    assert as_set == as_other
