"""The first difference between the contents of two files, as text."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.scanning.differences import first_difference
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader

VALUES = ValueReader(reads_text=True)
NAMED = [("n", h5py.string_dtype()), ("v", "f4", (2,))]


def difference(folder, found, expected, source="s", values=VALUES):
    """The difference between a file with the first content and one with the second."""
    for name, value in (("a", found), ("b", expected)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            if callable(value):
                value(file)
            else:
                file["s"] = value
    with h5py.File(folder / "a.h5") as file:
        return first_difference(file.id, str(folder / "b.h5"), source, source, values)


BIG = np.arange(3_000_000.0).reshape(-1, 3)
CHANGED = np.where(BIG == 2_999_998, -1, BIG)
WORDS = {
    "text": (["g3", "g2"], ["g1", "g2"], "row 0: 'g3', expected 'g1'"),
    "fixed": (np.array([b"a", b"b"]), ["a", "c"], "row 1: 'b', expected 'c'"),
    "numbers": ([1, 2, 5], [1, 2, 3], "row 2: 5, expected 3"),
    "nan": ([np.nan, 1.0], [np.nan, 2.0], "row 1: 1.0, expected 2.0"),
    "matrix": (np.eye(2), np.ones((2, 2)), "at [0, 1]: 0.0, expected 1.0"),
    "large": (CHANGED, BIG, "at [999999, 1]: -1.0, expected 2999998.0"),
    "scalar": ("a", "b", "value: 'a', expected 'b'"),
    "shape": ([1, 2], [1, 2, 3], "has shape (2,), expected (3,)"),
    "kind": ([1, 2], ["a", "b"], "holds numbers, expected text"),
    "letters": (np.array([list("ab")], "S1"), np.array([list("ac")], "S1"), "row 0: 'ab', expected 'ac'"),
    "compound": (
        np.array([("a", (1, 2)), ("b", (1, 2))], NAMED),
        np.array([("a", (1, 2)), ("b", (1, 3))], NAMED),
        "row 1, column 'v': 2.0, expected 3.0",
    ),
    "long text": (["x" * 100], ["y"], f"row 0: '{'x' * 58}…, expected 'y'"),
    "equal": ([1, 2], [1.0, 2.0], ""),
}


@pytest.mark.parametrize(("found", "expected", "words"), WORDS.values(), ids=WORDS)
def test_the_first_difference_is_reported(tmp_path, found, expected, words):
    assert difference(tmp_path, found, expected) == words


def test_columns_and_attributes_are_compared(tmp_path):
    def write(*names):
        def write_to(file):
            file["t"] = np.array([(name, 1) for name in names], [("index", "S2"), ("n", "i4")])
            file["x"] = np.zeros(2)
            file["x"].attrs["columns"] = list(names)

        return write_to

    assert difference(tmp_path, write("a", "c"), write("a", "b"), "t[index]") == "row 1: 'c', expected 'b'"
    assert difference(tmp_path, write("a", "c"), write("a", "b"), "x@columns") == "row 1: 'c', expected 'b'"
    assert difference(tmp_path, write("a", "c"), write("a", "b"), "absent") == ""


def test_groups_are_compared(tmp_path):
    def write(**values):
        return lambda file: [file.__setitem__(f"g/{name}", value) for name, value in values.items()]

    assert difference(tmp_path, write(a=1, b=2), write(a=1, b=3), "g") == "'b' value: 2, expected 3"
    assert difference(tmp_path, write(a=1), write(a=1, b=3), "g") == "holds no 'b'"
    assert "holds 'b', which the other lacks" in difference(tmp_path, write(a=1, b=1), write(a=1), "g")


def test_text_of_variable_length_is_left_to_another_process(tmp_path):
    with pytest.raises(NeedsProcessError):
        difference(tmp_path, ["a"], ["b"], values=ValueReader(reads_text=False))
