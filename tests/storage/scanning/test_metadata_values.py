"""Attributes and names of categories; text that only an expendable process may read."""

import signal
from contextlib import nullcontext

import h5py
import numpy as np
import pytest

from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader, lies_in_heap


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
