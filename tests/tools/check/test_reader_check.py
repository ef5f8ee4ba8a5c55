"""Samples of every file with both readers; files and readers that are wrong, which must be found and named."""

import h5py
import numpy as np
import pytest
import torch
from check_runs import LyingReader, check_run, ignore

from h5lightning.tools.check.reader_check import check_finite, check_readers, differences

pytestmark = pytest.mark.timeout(60)
COMPRESSED = {"chunks": (8, 2, 3), "compression": "gzip"}
STORED = {"plain": None, "compressed": COMPRESSED, "big-endian": {"dtype": ">f4"}}


def damage(pattern, number, chunk):
    """Overwrite the bytes of one stored chunk."""
    path = pattern.replace("*", f"run-{number:03}")
    with h5py.File(path) as file:
        place = file["x"].id.get_chunk_info(chunk)
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_sound_files_pass(write_files, options):
    with check_run(write_files(options=options)) as run:
        result = check_readers(run, ignore)
    assert result.failures == ()
    assert result.scope == "8 files, 112 samples"


def test_each_damaged_file_is_named(write_files):
    pattern = write_files(options=COMPRESSED)
    damage(pattern, 1, 0)
    damage(pattern, 6, 2)
    with check_run(pattern) as run:
        result = check_readers(run, ignore)
    assert [failure.split(":")[0] for failure in result.failures] == ["run-001.h5", "run-006.h5"]
    assert all("cannot be read" in failure for failure in result.failures)


@pytest.mark.parametrize(
    ("key", "place"), [("x", "run-002.h5 row 32"), ("y", "run-002.h5 row 32")], ids=["x", "y"]
)
def test_a_reader_that_differs_is_found(write_files, key, place):
    with check_run(write_files(), reader=lambda reader: LyingReader(reader, key, "run-002.h5")) as run:
        result = check_readers(run, ignore)
    assert result.failures == (f"run-002.h5: field '{key}' differs between the readers, first in {place}",)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), []),
        (torch.tensor([[1.0, 2.0], [3.0, 5.0]]), [("a", 1)]),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64), [("a", 0)]),
    ],
    ids=["equal", "a value", "a type"],
)
def test_differences(changed, expected):
    assert list(differences({"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, {"a": changed})) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_nan_equals_itself_and_zero_differs_from_minus_zero(dtype):
    values = torch.tensor([float("nan"), 0.0], dtype=dtype)
    assert list(differences({"a": values}, {"a": values.clone()})) == []
    assert list(differences({"a": values}, {"a": torch.tensor([float("nan"), -0.0], dtype=dtype)})) == [
        ("a", 1)
    ]


def test_each_file_that_is_not_finite_is_named(write_files):
    pattern = write_files()
    for number, value in ((2, np.nan), (5, np.inf)):
        with h5py.File(pattern.replace("*", f"run-{number:03}"), "r+") as file:
            file["x"][7, 1, 1] = value
    with check_run(pattern) as run:
        result = check_finite(run, ignore)
    assert [failure.split(":")[0] for failure in result.failures] == ["run-002.h5", "run-005.h5"]
    assert all("row 7" in failure for failure in result.failures)


def test_finite_files_pass(write_files):
    with check_run(write_files()) as run:
        assert check_finite(run, ignore).failures == ()
