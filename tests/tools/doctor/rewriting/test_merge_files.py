"""Many small files are merged into fewer: what is kept, what is refused, and that the originals stay."""

import os

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, OptionError
from h5lightning.tools.doctor import merge_files
from tests.support.described_files import described

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "data"


def make(files=3, **changes):
    """Files of 2, 3, 4 … rows; a function changes the second one."""
    for number in range(files):
        with h5py.File(f"{number}.h5", "w") as file:
            rows = np.arange(2 + number)
            file["x"] = (rows[:, None] + 10 * number + np.zeros(4)).astype(">f4")
            file["group/y"] = rows
            file["x"].attrs["units"], file["x"].attrs["names"] = "K", ["a", "b"]
            file.attrs["title"], file.attrs["number"], file.attrs["name"] = (
                "one",
                np.int16(number),
                f"n{number}",
            )
            if number == 1:
                for change in changes.values():
                    change(file)


def test_each_row_has_the_number_of_its_file(data, capsys):
    make()
    before = {name: described(name) for name in sorted(os.listdir())}
    merge_files("*.h5", "merged", ["x", "group/y"], at_once=2)
    assert {name: described(name) for name in sorted(os.listdir()) if name != "merged"} == before
    assert sorted(os.listdir("merged")) == ["00000000.h5", "00000002.h5"]
    with h5py.File("merged/00000000.h5") as file:
        assert file["x"].dtype == ">f4"
        assert file["x"][:, 0].tolist() == [0, 1, 10, 11, 12]
        assert file["group/y"][...].tolist() == [0, 1, 0, 1, 2]
        assert (file["x"].attrs["units"], file["x"].attrs["names"].tolist()) == ("K", ["a", "b"])
        assert dict(file.attrs) == {"title": "one"}
        assert file["source_file"][...].tolist() == [0, 0, 1, 1, 1]
        assert file["source_files"].asstr()[...].tolist() == ["0.h5", "1.h5"]
        assert file["episode_ends"][...].tolist() == [2, 5]
    with h5py.File("merged/00000002.h5") as file:
        assert file["source_file"][...].tolist() == [2] * 4
        assert dict(file.attrs) == {"title": "one", "number": 2, "name": "n2"}
    assert "attributes that differ between files are not written: 'name'\n" in capsys.readouterr().out


def test_number_attributes_of_files_become_datasets_of_rows(data):
    """A label may be one."""
    make()
    merge_files("*.h5", "merged", ["x"])
    with h5py.File("merged/00000000.h5") as file:
        assert file["attributes/number"][...].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
        assert file["attributes/number"].dtype == "i2"
        assert list(file["attributes"]) == ["number"]


def test_files_that_are_one_row_each(data):
    for number in range(3):
        with h5py.File(f"{number}.h5", "w") as file:
            file["image"], file["label"] = np.full((4, 5), number, "u1"), np.float32(number)
    merge_files("*.h5", "merged", ["image", "label"], is_stacked=True)
    with h5py.File("merged/00000000.h5") as file:
        assert file["image"].shape == (3, 4, 5)
        assert file["label"][...].tolist() == [0, 1, 2]
        assert file["label"].dtype == "f4"
        assert file["source_file"][...].tolist() == [0, 1, 2]
        assert "episode_ends" not in file


def replaced(name, **options):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, **options).attrs.update(attributes)

    return change


def attribute(name, key, value):
    return lambda file: file[name].attrs.__setitem__(key, value)


REFUSED = {
    "type": (replaced("x", data=np.zeros((3, 4))), "'/x' in '1.h5' is float64, but >f4 in '0.h5'"),
    "shape": (replaced("x", data=np.zeros((3, 5), ">f4")), r"has the shape \(5,\), but \(4,\) in '0.h5'"),
    "units": (attribute("x", "units", "degC"), "has another attribute 'units' than in '0.h5'"),
    "packing": (attribute("x", "scale_factor", 0.1), "has another attribute"),
    "rows": (replaced("group/y", data=np.arange(9)), "'1.h5' has 9 rows of '/group/y' and 3 of '/x'"),
    "missing": (lambda file: file.pop("x"), "holds no dataset '/x'"),
    "not written": (replaced("x", shape=(3, 4), dtype=">f4", chunks=(1, 4)), "were never written"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_files_that_do_not_fit_together_are_refused(data, change, words):
    make(change=change)
    with pytest.raises(BadFileError, match=words):
        merge_files("*.h5", "merged", ["x", "group/y"])
    assert os.listdir("merged") == []


def test_names_that_are_taken(data):
    for number in range(2):
        with h5py.File(f"{number}.h5", "w") as file:
            file["source_file"] = np.arange(3)
    with pytest.raises(BadFileError, match="the files already have a '/source_file'"):
        merge_files("*.h5", "merged", ["source_file"])


def test_merged_files_are_never_merged_again(data):
    make()
    with pytest.raises(OptionError, match="so that its data would be read twice"):
        merge_files("**/*.h5", "merged", ["x"])
    merge_files("*.h5", "merged", ["x"])
    before = described("merged/00000000.h5")
    merge_files("*.h5", "merged", ["x"])
    assert described("merged/00000000.h5") == before


def test_dimension_scales_of_the_files_are_not_merged(data):
    """They would refer to objects in other files."""

    def scaled(number):
        with h5py.File(f"{number}.h5", "w") as file:
            file["t"], file["x"] = np.arange(3.0), np.arange(3.0)
            file["t"].make_scale("t")
            file["x"].dims[0].attach_scale(file["t"])

    scaled(0)
    scaled(1)
    merge_files("*.h5", "merged", ["t", "x"])
    with h5py.File("merged/00000000.h5") as file:
        assert (dict(file["t"].attrs), dict(file["x"].attrs)) == ({}, {})
        assert file["x"].shape == (6,)
