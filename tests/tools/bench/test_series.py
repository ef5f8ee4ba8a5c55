"""The benchmark of files that hold series: what is trained on, and that all ways load the same samples."""

import h5py
import numpy as np
import pytest

from h5lightning.options import Field, Rows, Series, Whole, Windows
from h5lightning.tools.bench import Budget, bench_files
from h5lightning.tools.bench.comparison import Comparison
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.training_data import find_training_data

QUICK = {"threads": [0], "workers": [1], "budget": Budget(0.05, 1), "progress": False}
DEMOS = {"x": Field("data/demo_*/x"), "y": Field("data/demo_*/y")}


@pytest.fixture
def files(tmp_path):
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for demo in range(6):
                x = np.zeros((10 + demo, 4), "f4")
                file.create_dataset(f"data/demo_{demo}/x", data=x, chunks=(5, 4), compression="gzip")
                file[f"data/demo_{demo}/y"] = np.zeros((10 + demo, 2), "f4")
            file["u"] = np.zeros((3, 20, 5), "f4")
            file["flat"] = np.zeros((40, 5), "f4")
            file["ends"] = [15, 40]
    return [str(tmp_path / "*.h5")]


def test_the_data_of_a_star(files):
    found = find_training_data(files, DEMOS)
    assert (found.samples, found.rows.tolist(), found.sample_bytes) == (150, [75, 75], [16, 8])
    assert found.columns == {"data/demo_*/x": [None], "data/demo_*/y": [None]}
    assert (found.splits_by, found.series_of_files.tolist()) == ("series", [6, 6])
    assert found.datasets_of(1, 0.5) == [f"data/demo_{demo}/{name}" for name in "xy" for demo in range(3)]
    with h5py.File(files[0].replace("*", "0")) as file:
        sizes = [item.id.get_storage_size() for group in file["data"].values() for item in group.values()]
    assert found.stored_bytes == 2 * sum(sizes)


@pytest.mark.parametrize(
    ("fields", "samples", "series", "expected"),
    [
        (DEMOS, None, None, (150, [16, 8], "series", Rows())),
        (DEMOS, Windows(10), None, (2 * (1 + 2 + 3 + 4 + 5 + 6), [160, 80], "series", Windows(10))),
        ({"x": Field("u")}, None, Series(axis=0), (120, [20], "block", Rows(axis=1))),
        ({"x": Field("u")}, Whole(axis=1), Series(axis=0), (6, [400], "series", Whole(axis=1))),
        ({"x": Field("flat")}, Windows(15), Series(ends="ends"), (2 * 12, [300], "block", Windows(15))),
        ({"x": Field("flat")}, Windows(15), None, (2 * 26, [300], "block", Windows(15))),
    ],
    ids=["star", "windows", "axis", "trajectories", "ends", "windows of files"],
)
def test_samples_and_series(files, fields, samples, series, expected):
    if samples == Windows(15) and series is None:
        series = "file"
    found = find_training_data(files, fields, samples=samples, series=series)
    assert (found.samples, found.sample_bytes, found.splits_by, found.arguments["samples"]) == expected
    fixed = {**found.arguments, "batch_size": 8, "seed": 0}
    comparison = Comparison(found, LoaderConfig(shuffle="auto"), fixed, Budget(0.05, 1))
    assert comparison.why_no_plain == ""
    if comparison.subset.is_all(2):
        assert sum(comparison._plain()) == comparison.samples == found.samples


def test_what_inspect_suggests_is_measured(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t0_fields/u"] = np.zeros((4, 30, 8), "f4")
        file["dimensions/time"] = np.arange(30.0)
    benchmark = bench_files([str(tmp_path / "a.h5")], **QUICK)
    assert (benchmark.samples, benchmark.sample_bytes, benchmark.fields) == (120, 32, {"x": "t0_fields/u"})
    assert benchmark.plain is not None


def test_steps_have_no_plain_counterpart(files):
    fields = {"x": Field("flat", steps=(0, 2)), "y": Field("flat", steps=(2, 3))}
    benchmark = bench_files(files, fields, samples=Windows(3), series=Series(ends="ends"), **QUICK)
    assert benchmark.plain is None
    assert any(
        note.startswith("No comparison with plain h5py: windows with steps") for note in benchmark.notes
    )
