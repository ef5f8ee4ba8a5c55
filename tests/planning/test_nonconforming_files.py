"""Files that differ from most others in what fields need: found, and the reason as text."""

from __future__ import annotations

import logging
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule
from h5lightning.errors import FieldError, MissingDataError, SchemaError
from h5lightning.options import Access, Field, Rows
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.survey import survey

FIELDS = {"x": Field("x"), "y": Field("y"), "number": Field(attr="number")}


def lacks(file: h5py.File) -> None:
    del file["y"]


def other_type(file: h5py.File) -> None:
    values = file["x"][:].astype("float64")
    del file["x"]
    file["x"] = values


def other_shape(file: h5py.File) -> None:
    del file["x"]
    file["x"] = np.zeros((20, 2, 4), "float32")


def unequal(file: h5py.File) -> None:
    del file["y"]
    file["y"] = np.arange(19) % 5


def unwritten(file: h5py.File) -> None:
    del file["x"]
    file.create_dataset("x", (20, 2, 3), "float32", chunks=(5, 2, 3))[:10] = 1


def no_attribute(file: h5py.File) -> None:
    del file.attrs["number"]


def text(file: h5py.File) -> None:
    del file["y"]
    file["y"] = ["a"] * 20


MISFITS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "lacks a dataset": (lacks, "holds no dataset '/y'"),
    "type": (other_type, "'/x' has dtype <f8, expected <f4 as in most files"),
    "shape": (other_shape, "'/x' has rows of shape (2, 4), expected (2, 3) as in most files"),
    "lengths": (unequal, "holds different numbers of rows: '/x' 20, '/y' 19"),
    "unwritten": (unwritten, "lacks values that were never written: 2 chunks of '/x'"),
    "lacks an attribute": (no_attribute, "lacks the attribute 'number'"),
    "text": (text, "'/y' "),
}


@pytest.fixture
def spoilt(write_files, tmp_path):
    """A function that spoils the third of eight files in one way, and returns the pattern."""

    def make(spoil: Callable[[h5py.File], None], *numbers: int) -> str:
        pattern = write_files((20,) * 8)
        for number in numbers or (2,):
            with h5py.File(tmp_path / "runs" / f"run-{number:03}.h5", "a") as file:
                spoil(file)
        return pattern

    return make


def look(files: object, fields=FIELDS, **options: object) -> DataSurvey:
    return survey(
        files, fields, Rows(), access=Access(on_bad_file="skip", **{"max_bad_fraction": 0.5, **options})
    )


@pytest.mark.parametrize(("spoil", "words"), MISFITS.values(), ids=MISFITS)
def test_a_file_that_differs_is_left_out_and_listed(spoilt, spoil, words, caplog) -> None:
    pattern = spoilt(spoil)
    with pytest.raises((FieldError, SchemaError, MissingDataError), match=r"run-00\d\.h5"):
        survey(pattern, FIELDS, Rows(), access=Access())
    with caplog.at_level(logging.WARNING):
        found = look(pattern)
    (skipped,) = found.catalog.skipped
    assert skipped.name == "run-002.h5"
    assert skipped.reason.startswith(words)
    assert len(found.index.series_rows) == 7
    assert f"1 of 8 files are left out: run-002.h5: {words}" in caplog.text


@pytest.mark.parametrize(("spoil", "error"), [(unwritten, MissingDataError), (unequal, SchemaError)])
def test_what_is_wrong_with_all_files_is_an_error_that_names_one(spoilt, spoil, error) -> None:
    with pytest.raises(error, match=r"run-000\.h5 .*(on_missing='fill'|constant=True)"):
        look(spoilt(spoil, *range(8)), max_bad_fraction=1)


def test_what_nobody_asks_for_may_differ(spoilt) -> None:
    found = look(spoilt(lacks), {"x": Field("x")})
    assert found.catalog.skipped == ()


def test_data_that_were_never_written_may_be_accepted(spoilt) -> None:
    assert look(spoilt(unwritten), on_missing="fill").catalog.skipped == ()


def test_the_first_file_may_be_the_one_that_differs(spoilt) -> None:
    found = look(spoilt(other_type, 0, 1))
    assert [skipped.name for skipped in found.catalog.skipped] == ["run-000.h5", "run-001.h5"]


def test_too_many_are_an_error_that_lists_them(spoilt) -> None:
    pattern = spoilt(other_shape, 1, 4)
    with pytest.raises(
        SchemaError, match=r"2 of 8 files are bad, over access\.max_bad_fraction=0\.2: run-001"
    ) as caught:
        look(pattern, max_bad_fraction=0.2)
    assert "run-004.h5: '/x' has rows of shape (2, 4)" in str(caught.value)


def test_unreadable_files_and_those_that_differ_count_together(spoilt, tmp_path) -> None:
    pattern = spoilt(other_shape, 1)
    (tmp_path / "runs" / "run-005.h5").write_bytes(b"")
    with pytest.raises(SchemaError, match=r"2 of 8 files are bad"):
        look(pattern, max_bad_fraction=0.2)
    assert [skipped.name for skipped in look(pattern).catalog.skipped] == ["run-005.h5", "run-001.h5"]


def test_a_field_that_no_file_has_is_its_own_error(spoilt) -> None:
    with pytest.raises(FieldError, match="/nowhere"):
        look(spoilt(lacks), {"x": Field("nowhere")})


def test_unlabelled_files_may_lack_fields(spoilt, write_files, tmp_path) -> None:
    labelled, new = write_files((20,) * 4), write_files((9,), folder="new")
    with h5py.File(tmp_path / "new" / "run-000.h5", "a") as file:
        del file["y"]
    found = look({"train": labelled, "predict": new})
    assert found.catalog.skipped == ()


def test_summary_and_saved_split_say_who_was_left_out(spoilt, tmp_path) -> None:
    dm = H5DataModule(spoilt(other_type), ["x", "y"], access={"on_bad_file": "skip", "max_bad_fraction": 0.5})
    dm.prepare_data()
    dm.setup()
    summary, path = str(dm.summary()), tmp_path / "split.json"
    dm.save_split(path)
    dm.teardown()
    assert "Left out: 1 file: run-002.h5: '/x' has dtype <f8" in summary
    said = path.read_text()
    assert '"skipped"' in said
    assert "run-002.h5" in said
    assert str(tmp_path) not in said
    again = H5DataModule(
        str(tmp_path / "runs" / "*.h5"),
        ["x", "y"],
        split={"manifest": str(path)},
        access={"on_bad_file": "skip", "max_bad_fraction": 0.5},
    )
    again.prepare_data()
    again.setup()
    assert again.splits == dm.splits
    again.teardown()
