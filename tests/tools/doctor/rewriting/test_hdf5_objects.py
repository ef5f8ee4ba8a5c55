"""Objects are found by names of any bytes, and only in the file itself."""

import h5py
import numpy as np
import pytest

from h5lightning.tools.doctor.rewriting.hdf5_objects import (
    attribute_names,
    encoded,
    find_dataset,
    find_object,
    name_text,
    visited_objects,
)


@pytest.fixture
def fid(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/x"] = np.arange(3)
        file["soft"] = h5py.SoftLink("/group/x")
        file["broken"] = h5py.SoftLink("/nothing")
        file["external"] = h5py.ExternalLink("other.h5", "/x")
        created = file.create_dataset("ordered", data=0, track_order=True)
        for name in "ba":
            created.attrs[name] = file["group"].attrs[name] = 1
        yield file.id


def test_names_of_any_bytes_are_kept():
    assert name_text(b"gr\xc3\xb6\xff") == "grö\udcff"
    assert encoded("grö\udcff") == b"gr\xc3\xb6\xff"


@pytest.mark.parametrize(
    ("name", "is_found"),
    [("group/x", True), ("soft", True), ("group", False), ("external", False), ("broken", False)],
)
def test_datasets_of_this_file(fid, name, is_found):
    assert (find_dataset(fid, name) is not None) == is_found
    assert (find_object(fid, name) is None) == (name == "broken")


def test_each_object_is_visited_once(fid):
    kinds = {name for name, _ in visited_objects(fid)}
    assert kinds == {b".", b"group", b"group/x", b"ordered"}


def test_attributes_come_in_the_order_of_their_creation_if_it_is_tracked(fid):
    assert attribute_names(find_object(fid, "ordered")) == [b"b", b"a"]
    assert attribute_names(find_object(fid, "group")) == [b"a", b"b"]
