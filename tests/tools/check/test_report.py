"""All checks together, as Python calls them."""

import json

import h5py
import numpy as np
import pytest

from h5lightning.errors import FieldError, NoMatchError, OptionError
from h5lightning.options import Field, Shuffle, Split, Windows
from h5lightning.tools.check import ProofSettings, prove_files

pytestmark = pytest.mark.timeout(60)
FIELDS = {"x": Field("x"), "y": Field("y")}
QUICK = ProofSettings(ranks=[1, 2], workers=[0], batch_size=7, batches=2, resumptions=3)
NAMES = [
    "all files can be opened",
    "splits share nothing",
    "files stayed as they were scanned",
    "columns mean the same in all files",
    "each epoch has its order",
    "training: exactly once over all ranks",
    "resumed runs lose and repeat nothing",
    "loaders deliver what is planned",
    "evaluation: exactly once over all ranks",
    "decoded values are what each file means",
    "conversions keep each value",
    "no missing value is taken for a number",
    "files are written to their end",
    "both readers agree, bit for bit",
]


def names_of(proof):
    return [outcome.name for outcome in proof.outcomes]


def test_sound_files_pass(write_files):
    proof = prove_files([write_files()], FIELDS, settings=QUICK)
    assert proof.has_passed, proof
    assert names_of(proof) == NAMES
    assert proof.fields == ("x", "y")
    assert set(proof.samples) == {"train", "val", "test", "predict"}
    plain = json.loads(json.dumps(proof.to_plain()))
    assert plain["passed"] is True
    assert [outcome["passed"] for outcome in plain["outcomes"]] == [True] * len(NAMES)


def test_windows_weights_and_all_values(write_files):
    fields = {"x": Field("x", steps=(0, 3)), "y": Field("y", steps=(3, 4))}
    settings = ProofSettings(ranks=[1, 3], workers=[0], batch_size=5, finite=True)
    proof = prove_files(
        [write_files()], fields, Windows(4, stride=2), shuffle=Shuffle(balance="y"), settings=settings
    )
    assert proof.has_passed, proof
    assert names_of(proof)[-1] == "all values are finite"
    assert "each epoch draws by weight" in names_of(proof)


def test_fields_are_guessed_as_inspect_does(write_files):
    proof = prove_files([write_files()], settings=QUICK)
    assert proof.has_passed, proof
    assert proof.fields[0] == "x"


def test_all_for_evaluation_or_all_for_training(write_files):
    only_train = prove_files([write_files()], FIELDS, split=Split(None, None), settings=QUICK)
    assert "evaluation: exactly once over all ranks" not in names_of(only_train)
    only_test = prove_files([write_files()], FIELDS, split=Split(None, 1.0), settings=QUICK)
    assert "training: exactly once over all ranks" not in names_of(only_test)
    assert only_train.has_passed
    assert only_test.has_passed


def test_a_file_that_differs_is_named_and_the_others_proven(write_files, tmp_path):
    pattern = write_files()
    with h5py.File(tmp_path / "runs/run-003.h5", "r+") as file:
        del file["x"]
        file["x"] = np.zeros((10, 3, 3), "f4")
    proof = prove_files([pattern], FIELDS, settings=QUICK)
    assert not proof.has_passed
    assert [len(outcome.failures) for outcome in proof.outcomes] == [1, *[0] * (len(NAMES) - 1)]
    assert (
        "run-003.h5: '/x' has rows of shape (3, 3), expected (2, 3) as in most files"
        in proof.outcomes[0].failures[0]
    )


def test_all_bad_files_are_named_and_the_others_proven(write_files, tmp_path):
    pattern = write_files()
    for number in (1, 4):
        with open(tmp_path / f"runs/run-{number:03}.h5", "r+b") as file:
            file.truncate(900)
    proof = prove_files([pattern], FIELDS, settings=QUICK)
    assert [len(outcome.failures) for outcome in proof.outcomes] == [2, *[0] * (len(NAMES) - 1)]


def test_files_of_which_none_can_be_read(write_files, tmp_path):
    pattern = write_files((10,))
    (tmp_path / "runs/run-000.h5").write_bytes(b"no HDF5" * 100)
    proof = prove_files([pattern], FIELDS, settings=QUICK)
    assert not proof.has_passed
    with pytest.raises(FieldError, match="none of the files can be read"):
        prove_files([pattern], settings=QUICK)


def test_no_files(tmp_path):
    with pytest.raises(NoMatchError):
        prove_files([str(tmp_path / "*.h5")], FIELDS)


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
    proof = prove_files([pattern], FIELDS, shuffle=Shuffle(balance="y"), settings=QUICK)
    assert proof.outcomes[0].name == "weights can be read"
    assert "run-00" in proof.outcomes[0].failures[0]
    assert len(proof.outcomes[-1].failures) == 8


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
    (outcome,) = prove_files([pattern], FIELDS, settings=QUICK).outcomes
    assert outcome.name == "numbers are what they stand for"
    assert "is packed (scale_factor=0.5" in outcome.failures[0]
    assert "Field('x', decode='cf')" in outcome.failures[0]
    proof = prove_files([pattern], DECODED, settings=QUICK)
    assert proof.has_passed, proof
    assert any(one.scope.startswith("1 field decoded, ") for one in proof.outcomes)


def test_a_missing_value_that_the_scan_sees(tmp_path):
    pattern = write_numbers(tmp_path, _FillValue=np.int16(-999))
    with h5py.File(tmp_path / "2.h5", "r+") as file:
        file["x"][0] = -999
    (outcome,) = prove_files([pattern], FIELDS, settings=QUICK, dtype="float32").outcomes
    assert outcome.name == "no value is missing"


def test_a_missing_value_that_the_scan_does_not_see_is_told_once(tmp_path):
    pattern = write_numbers(
        tmp_path, "i4", 1000, _FillValue=np.int32(-999)
    )  # a scan looks at all rows of less
    settings = ProofSettings(ranks=[1], workers=[0], batches=1, resumptions=3, samples_per_file=60)
    outcomes = {one.name: one for one in prove_files([pattern], FIELDS, settings=settings).outcomes}
    assert len(outcomes["no missing value is taken for a number"].failures) == 4
    assert "at row 20 of" in outcomes["no missing value is taken for a number"].failures[0]
    assert outcomes["both readers agree, bit for bit"].has_passed


def test_the_suggestion_is_proven_where_fields_are_guessed(tmp_path):
    proof = prove_files([write_numbers(tmp_path, **PACKED)], settings=QUICK)
    assert proof.has_passed, proof
    assert proof.fields == ("x", "y")


def test_options_of_a_run_are_checked(write_files):
    for wrong in ({"dtype": "int32"}, {"series": "group"}):
        with pytest.raises(OptionError):
            prove_files([write_files()], FIELDS, **wrong)
