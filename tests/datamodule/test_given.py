"""Splits that the files give: lists of series in a file, read by a DataModule."""

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, Split
from h5lightning.errors import FieldError, OptionError, SplitError

GIVEN = {"train": "mask/train", "val": "mask/valid"}


def write(path, masks, series=6, name="demo_{}", rows=4):
    """A file of demonstrations, the values of which are 100 × number + row, and lists of them."""
    with h5py.File(path, "w") as file:
        for number in range(series):
            file[f"data/{name.format(number)}/obs"] = np.arange(rows, dtype=np.float32) + 100 * number
        for mask, names in masks.items():
            file[f"mask/{mask}"] = names
    return str(path)


@pytest.fixture
def module(tmp_path):
    """Makes a DataModule for all files of a folder, and closes it after the test."""
    made = []

    def make(given=GIVEN, path="data/*/obs", **split):
        dm = H5DataModule(
            str(tmp_path / "*.h5"),
            {"x": path},
            split={"given": given, **split},
            batch_size=100,
            index_dir=str(tmp_path / "index"),
            provenance=True,
        )
        made.append(dm)
        return dm

    yield make
    for dm in made:
        dm.teardown()


def series_of(dm):
    """Split → (name of the file, series) of its samples."""
    dm.prepare_data()
    dm.setup()
    found = {}
    for stage in ("train", "val", "test"):
        loader = getattr(dm, f"{stage}_dataloader")()
        for batch in loader:
            places = dm.locate(batch["sample_id"])
            for place, value in zip(places, batch["x"].tolist(), strict=True):
                number = int("".join(filter(str.isdigit, place.series)))
                assert value == 100 * number + place.row
                assert (place.start, len(place)) == ((place.row,), 3)
            found[stage] = sorted({(place.file.rsplit("/", 1)[1], place.series) for place in places})
    return found


VARIABLE = h5py.string_dtype()


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(lambda numbers: np.asarray([f"demo_{n}" for n in numbers], dtype="S8"), id="fixed text"),
        pytest.param(
            lambda numbers: np.asarray([f"demo_{n}" for n in numbers], dtype=VARIABLE), id="variable text"
        ),
        pytest.param(lambda numbers: np.asarray([str(n) for n in numbers], dtype="S"), id="what matched"),
        pytest.param(lambda numbers: np.asarray(numbers, dtype=np.int32), id="numbers"),
    ],
)
def test_each_file_lists_its_own_series(tmp_path, module, listed):
    write(tmp_path / "a.h5", {"train": listed([0, 2, 3]), "valid": listed([5])})
    write(tmp_path / "b.h5", {"train": listed([5]), "valid": listed([1, 0])})
    dm = module(path="data/demo_*/obs")
    assert series_of(dm) == {
        "train": [("a.h5", "demo_0"), ("a.h5", "demo_2"), ("a.h5", "demo_3"), ("b.h5", "demo_5")],
        "val": [("a.h5", "demo_5"), ("b.h5", "demo_0"), ("b.h5", "demo_1")],
    }
    summary = dm.summary()
    assert (summary.unused_rows, summary.by) == (20, "series")
    assert [split.series for split in summary.splits] == [4, 3]


def test_the_whole_name_is_what_a_star_alone_matches(tmp_path, module):
    write(tmp_path / "a.h5", {"train": np.asarray(["demo_1"], "S"), "valid": np.asarray(["demo_0"], "S")})
    assert series_of(module()) == {"train": [("a.h5", "demo_1")], "val": [("a.h5", "demo_0")]}


def test_names_of_val_and_a_split_of_test_alone(tmp_path, module):
    write(tmp_path / "a.h5", {"train": np.asarray(["demo_1"], "S"), "valid": np.asarray(["demo_0"], "S")})
    dm = module({"dev": "/mask/valid", "test": "mask/train"})
    assert series_of(dm) == {"val": [("a.h5", "demo_0")], "test": [("a.h5", "demo_1")]}


def test_series_in_two_files_that_numbers_fill_with_zeros(tmp_path, module):
    masks = {"train": np.asarray([0, 4]), "valid": np.asarray([1])}
    write(tmp_path / "a.h5", masks, name="traj_{:03}")
    found = series_of(module(path="data/traj_*/obs"))
    assert found == {"train": [("a.h5", "traj_000"), ("a.h5", "traj_004")], "val": [("a.h5", "traj_001")]}


def names(*texts):
    return np.asarray(texts, dtype="S")


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        pytest.param(
            [{"train": names("demo_77"), "valid": names("demo_0")}],
            SplitError,
            r"'/mask/train' names the series 'demo_77', which a\.h5 does not have; did you mean 'demo_",
            id="unknown",
        ),
        pytest.param(
            [{"train": names("x", "y", "demo_1"), "valid": names("demo_0")}],
            SplitError,
            r"the series 'x' and 1 other unknown series, which a\.h5 does not have; it has 6 series, 'demo_0'",
            id="unknown ones",
        ),
        pytest.param(
            [{"train": names("demo_0", "demo_1"), "valid": names("demo_1")}],
            SplitError,
            r"series 'demo_1' of a\.h5 is both in '/mask/train' and in '/mask/valid'",
            id="in two",
        ),
        pytest.param(
            [{"train": names("demo_1")}],
            SplitError,
            r"split.given.val: no file has '/mask/valid'\. Write there which series are val, or leave val out",
            id="no list",
        ),
        pytest.param(
            [{"train": names("demo_1"), "validation": names("demo_0")}],
            SplitError,
            "no file has '/mask/valid'; did you mean 'mask/validation'",
            id="another list",
        ),
        pytest.param(
            [{"train": names("demo_1"), "valid": names("demo_0")}, {"train": names("demo_1")}],
            SplitError,
            r"split.given.val: 1 file of 2 have no '/mask/valid', such as b\.h5\. Write the list there",
            id="no list in one file",
        ),
        pytest.param(
            [{"train": names("demo_1"), "valid": np.zeros(0, "S4")}],
            SplitError,
            "'/mask/valid' names no series with rows, so that val would be empty",
            id="empty",
        ),
        pytest.param(
            [{"train": names("demo_1"), "valid": np.ones(6, bool)}],
            FieldError,
            r"'/mask/valid' in .*a\.h5 is bool, expected a list of the names of series as text",
            id="flags",
        ),
        pytest.param(
            [{"train": names("demo_1"), "valid": np.ones((2, 2), int)}],
            FieldError,
            r"'/mask/valid' in .*a\.h5 has shape \(2, 2\), expected a list",
            id="two axes",
        ),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, module, masks, error, message):
    for name, mask in zip("ab", masks, strict=False):
        write(tmp_path / f"{name}.h5", mask)
    with pytest.raises(error, match=message):
        module().setup()


def test_files_without_series_are_refused(tmp_path, module):
    write(tmp_path / "a.h5", {"train": names("demo_0"), "valid": names("demo_1")})
    with pytest.raises(OptionError, match=r"each file is one series without a name.*files=\{'train': "):
        module(path="data/demo_0/obs").prepare_data()


def test_groups_of_given_series_are_not_divided(tmp_path, module):
    path = write(tmp_path / "a.h5", {"train": names("demo_0"), "valid": names("demo_1")})
    with h5py.File(path, "a") as file:
        for number in range(6):
            file[f"data/demo_{number}"].attrs["task"] = "lift"
    dm = module(keep_together="attr:task")
    dm.prepare_data()
    with pytest.raises(
        SplitError, match=r"'demo_0' of a\.h5 of train and .*'demo_1' of a\.h5 of val share the value 'lift'"
    ):
        dm.setup()


def test_checkpoints_keep_what_was_given(tmp_path, module):
    write(tmp_path / "a.h5", {"train": names("demo_0"), "valid": names("demo_1")})
    dm = H5DataModule(
        str(tmp_path / "a.h5"),
        {"x": "data/*/obs"},
        split=Split(given=GIVEN),
        index_dir=str(tmp_path / "index"),
    )
    assert dm.hparams["split"]["given"] == {"train": "mask/train", "val": "mask/valid"}
    dm.setup()
    state = dm.state_dict()
    dm.load_state_dict(state)
    assert dm.splits == {"train": [str(tmp_path / "a.h5")], "val": [str(tmp_path / "a.h5")]}
