"""The names in a file, listed within bounds."""

import h5py
import pytest

from h5lightning.storage.scanning.series.name_list import NameList


@pytest.fixture
def opened(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("a/1", "a/2", "a/3", "z/data/x", "z/meta/ends", "z/ends", "ends"):
            file[name] = 1
        file["z/index"] = h5py.SoftLink("/a")
        yield file.id


def ends(path):
    return path.endswith("ends")


def test_all_tables_are_listed(opened):
    assert NameList(opened, ends).near("x") == ["ends", "z/ends", "z/meta/ends"]


@pytest.mark.parametrize("most", [3, 4])
def test_of_too_many_those_near_a_dataset_are_listed(opened, most):
    assert NameList(opened, ends, most).near("z/data/x") == ["z/ends", "z/meta/ends", "ends"]


def test_names_that_are_no_text_are_listed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[b"\xff\xfe ends"] = 1
        assert NameList(file.id, ends).near("x") == ["\udcff\udcfe ends"]


def test_an_empty_file_has_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert NameList(file.id, ends).near("x") == []
