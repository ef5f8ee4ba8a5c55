"""Samples that plain h5py does not read in a few lines: the comparison says so, and sizes of samples are right."""

import h5py
import numpy as np
import pytest

from h5lightning.options import Field, Rows, Whole, Windows
from h5lightning.tools.bench import bench_files
from h5lightning.tools.bench.timing import Budget
from h5lightning.tools.bench.training_data import find_training_data

pytestmark = pytest.mark.timeout(120)
LINES = "take more than a few lines"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "a.h5"
    with h5py.File(path, "w") as file:
        file["volume"] = np.zeros((20, 18, 14), "u1")
        file["eeg"] = np.zeros((19, 300), "f4")
        file["points"] = np.zeros((100, 3), "f4")
        file["ends"] = np.arange(1, 26) * 4
        file["series"] = np.zeros((200, 2), "f4")
    return str(path)


CASES = {
    "boxes": (
        Field("volume"),
        Windows((8, 8, 8), axis=(0, 1, 2)),
        13 * 11 * 7,
        512,
        "windows along several axes",
    ),
    "time last": (Field("eeg"), Windows(10, axis=-1), 291, 19 * 10 * 4, "rows along another axis"),
    "rows of time": (Field("eeg"), Rows(axis=1), 300, 19 * 4, "rows along another axis"),
    "index": (
        Field("points", index="ends", ragged="list"),
        Rows(),
        25,
        4 * 3 * 4,
        "rows that an index divides",
    ),
    "jitter": (
        Field("series"),
        Windows(5, stride=5, jitter=True),
        40,
        5 * 2 * 4,
        "windows whose starts are drawn",
    ),
    "take": (
        Field("series", ragged="stack"),
        Whole(take=10),
        1,
        10 * 2 * 4,
        "rows that are drawn of each series",
    ),
    "pad": (Field("series", ragged="pad"), Whole(), 1, 200 * 2 * 4, "samples of different shapes"),
}


@pytest.mark.parametrize("case", CASES)
def test_samples_are_counted_and_measured_in_bytes(path, case):
    field, samples, count, sample_bytes, _ = CASES[case]
    data = find_training_data([path], {"x": field}, samples=samples, progress=False)
    assert data.samples == count
    assert data.sample_bytes == [sample_bytes]


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][2] > 1])
def test_there_is_no_comparison_with_plain_h5py_and_the_reason_is_said(path, case):
    field, samples, _, _, reason = CASES[case]
    benchmark = bench_files(
        [path],
        {"x": field},
        samples=samples,
        batch_size=2,
        budget=Budget(0.02, 1),
        threads=[0],
        progress=False,
    )
    (note,) = (note for note in benchmark.notes if note.startswith("No comparison with plain h5py: "))
    assert reason in note
    assert note.endswith(LINES)
