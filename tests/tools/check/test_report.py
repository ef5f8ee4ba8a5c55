"""All checks together, as Python calls them."""

import json

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError, NoMatchError, OptionError
from h5lightning.options import Field, Shuffle, Split, Windows
from h5lightning.tools.check import CheckSettings, check_files

pytestmark = pytest.mark.timeout(60)
FIELDS = {"x": Field("x"), "y": Field("y")}
QUICK = CheckSettings(ranks=[1, 2], workers=[0], batch_size=7, batches=2, resumptions=3)
NAMES = [
    "all files can be opened",
    "splits share nothing",
    "files have not changed since the scan",
    "columns mean the same in all files",
    "each epoch has its order",
    "training: exactly once over all ranks",
    "resumed runs lose and repeat nothing",
    "loaders deliver the planned samples",
    "evaluation: exactly once over all ranks",
    "decoded values are what each file means",
    "conversions keep each value",
    "no missing value is taken for a number",
    "files are written to their end",
    "both readers agree, bit for bit",
]


def names_of(report):
    return [result.name for result in report.results]


def test_sound_files_pass(write_files):
    report = check_files([write_files()], FIELDS, settings=QUICK)
    assert report.has_passed, report
    assert names_of(report) == NAMES
    assert report.fields == ("x", "y")
    assert set(report.samples) == {"train", "val", "test", "predict"}
    plain = json.loads(json.dumps(report.to_plain()))
    assert plain["passed"] is True
    assert [result["passed"] for result in plain["outcomes"]] == [True] * len(NAMES)


def test_windows_weights_and_all_values(write_files):
    fields = {"x": Field("x", steps=(0, 3)), "y": Field("y", steps=(3, 4))}
    settings = CheckSettings(ranks=[1, 3], workers=[0], batch_size=5, finite=True)
    report = check_files(
        [write_files()], fields, Windows(4, stride=2), shuffle=Shuffle(balance="y"), settings=settings
    )
    assert report.has_passed, report
    assert names_of(report)[-1] == "all values are finite"
    assert "each epoch draws by weight" in names_of(report)


def test_fields_are_guessed_as_inspect_does(write_files):
    report = check_files([write_files()], settings=QUICK)
    assert report.has_passed, report
    assert report.fields[0] == "x"


def test_all_for_evaluation_or_all_for_training(write_files):
    only_train = check_files([write_files()], FIELDS, split=Split(None, None), settings=QUICK)
    assert "evaluation: exactly once over all ranks" not in names_of(only_train)
    only_test = check_files([write_files()], FIELDS, split=Split(None, 1.0), settings=QUICK)
    assert "training: exactly once over all ranks" not in names_of(only_test)
    assert only_train.has_passed
    assert only_test.has_passed


def test_a_file_that_differs_is_named_and_the_others_checked(write_files, tmp_path):
    pattern = write_files()
    with h5py.File(tmp_path / "runs/run-003.h5", "r+") as file:
        del file["x"]
        file["x"] = np.zeros((10, 3, 3), "f4")
    report = check_files([pattern], FIELDS, settings=QUICK)
    assert not report.has_passed
    assert [len(result.failures) for result in report.results] == [1, *[0] * (len(NAMES) - 1)]
    assert (
        "run-003.h5: '/x' has rows of shape (3, 3), expected (2, 3) as in most files"
        in report.results[0].failures[0]
    )


def test_all_bad_files_are_named_and_the_others_checked(write_files, tmp_path):
    pattern = write_files()
    for number in (1, 4):
        with open(tmp_path / f"runs/run-{number:03}.h5", "r+b") as file:
            file.truncate(900)
    report = check_files([pattern], FIELDS, settings=QUICK)
    assert [len(result.failures) for result in report.results] == [2, *[0] * (len(NAMES) - 1)]


def test_files_of_which_none_can_be_read(write_files, tmp_path):
    pattern = write_files((10,))
    (tmp_path / "runs/run-000.h5").write_bytes(b"no HDF5" * 100)
    report = check_files([pattern], FIELDS, settings=QUICK)
    assert not report.has_passed
    with pytest.raises(FieldError, match="none of the files can be read"):
        check_files([pattern], settings=QUICK)


def test_no_files(tmp_path):
    with pytest.raises(NoMatchError):
        check_files([str(tmp_path / "*.h5")], FIELDS)


def test_weights_in_a_damaged_file_are_named(write_files, tmp_path):
    """The other checks go on: the damaged file is not the only thing to know."""
    pattern = write_files()
    for number in range(8):
        path = tmp_path / f"runs/run-{number:03}.h5"
        with h5py.File(path, "r+") as file:
            labels = file["y"][:]
            del file["y"]
            stored = file.create_dataset("y", data=labels, chunks=labels.shape, compression="gzip")
            place = stored.id.get_chunk_info(0)
        with open(path, "r+b") as file:
            file.seek(place.byte_offset)
            file.write(b"\xff" * place.size)
    report = check_files([pattern], FIELDS, shuffle=Shuffle(balance="y"), settings=QUICK)
    assert report.results[0].name == "the order can be read"
    assert "run-00" in report.results[0].failures[0]
    assert len(report.results[-1].failures) == 8


# ── what numbers mean ────────────────────────────────────────────────────────────────────────────────


def write_numbers(folder, dtype="i2", width=3, **attrs):
    for number in range(4):
        values = np.random.default_rng(number).integers(1, 90, (60, width))
        values[20] = -999
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["x"] = values.astype(dtype if number else "i4")
            file["x"].attrs.update(attrs)
            file["y"] = np.arange(60)
    return str(folder / "*.h5")


PACKED = {"scale_factor": 0.5, "_FillValue": np.int16(-999)}
DECODED = {"x": Field("x", decode="cf"), "y": Field("y")}


def test_what_numbers_stand_for_must_be_decided(tmp_path):
    pattern = write_numbers(tmp_path, **PACKED)
    (result,) = check_files([pattern], FIELDS, settings=QUICK).results
    assert result.name == "the meaning of all numbers is known"
    assert "is packed (scale_factor=0.5" in result.failures[0]
    assert "Field('x', decode='cf')" in result.failures[0]
    report = check_files([pattern], DECODED, settings=QUICK)
    assert report.has_passed, report
    assert any(one.scope.startswith("1 field decoded, ") for one in report.results)


def test_a_missing_value_that_the_scan_sees(tmp_path):
    pattern = write_numbers(tmp_path, _FillValue=np.int16(-999))
    with h5py.File(tmp_path / "2.h5", "r+") as file:
        file["x"][0] = -999
    (result,) = check_files([pattern], FIELDS, settings=QUICK, dtype="float32").results
    assert result.name == "no value is missing"


def test_a_missing_value_that_the_scan_does_not_see_is_named_once(tmp_path):
    pattern = write_numbers(
        tmp_path, "i4", 1000, _FillValue=np.int32(-999)
    )  # a scan looks at all rows of less
    settings = CheckSettings(ranks=[1], workers=[0], batches=1, resumptions=3, samples_per_file=60)
    results = {one.name: one for one in check_files([pattern], FIELDS, settings=settings).results}
    assert len(results["no missing value is taken for a number"].failures) == 4
    assert "at row 20 of" in results["no missing value is taken for a number"].failures[0]
    assert results["both readers agree, bit for bit"].has_passed


def test_the_suggestion_is_checked_where_fields_are_guessed(tmp_path):
    report = check_files([write_numbers(tmp_path, **PACKED)], settings=QUICK)
    assert report.has_passed, report
    assert report.fields == ("x", "y")


def test_options_of_a_run_are_checked(write_files):
    for wrong in ({"dtype": "int32"}, {"series": "group"}):
        with pytest.raises(OptionError):
            check_files([write_files()], FIELDS, **wrong)
