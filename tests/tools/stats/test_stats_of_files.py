"""What `h5lightning stats` computes of files, whatever they hold."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5lightning import Field, Normalize, Split
from h5lightning.tools.stats import stats_of_files

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def files(tmp_path):
    """The pattern of six files, and their values over all files."""
    rng, found = np.random.default_rng(0), {"x": [], "y": [], "kind": []}
    for number in range(6):
        rows = 30 + number
        x = rng.normal(size=(rows, 3)).astype("f4") + np.float32(number)
        x[3, 1] = np.nan
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["y"] = x, rng.integers(0, 9, rows)
            file["kind"] = np.asarray([b"left", b"right"])[np.arange(rows) % 2]
            found["y"].append(file["y"][:])
        found["x"].append(x)
    return f"{tmp_path}/*.h5", {name: np.concatenate(parts) for name, parts in found.items() if parts}


def test_all_rows_of_all_datasets_by_default(files):
    pattern, values = files
    report = stats_of_files([pattern], quantiles=(0.5,), progress=False, fields=["x", "y"])
    assert (report.files, report.rows, report.split_by) == (6, len(values["x"]), "")
    x, y = report.fields
    numbers = values["x"][np.isfinite(values["x"])].astype("f8")
    assert x.statistics.mean == pytest.approx(numbers.mean())
    assert (x.statistics.nonfinite, x.statistics.count) == (6, numbers.size)
    assert x.statistics.quantiles[0.5] == pytest.approx(np.median(numbers))
    assert y.statistics.std == pytest.approx(values["y"].std())
    assert [name for name, _ in x.channels()] == [""]


def test_rows_of_train_channels_and_categories(files):
    pattern, values = files
    report = stats_of_files(
        [pattern],
        progress=False,
        fields={
            "x": Field("x"),
            "kind": Field("kind", categories=["left", "right"]),
            "xy": Field(["x", "y"], dtype="float32"),
        },
        split=Split(by="file", val=0.4, test=None, order="path"),
        normalize={"x": Normalize(per="last"), "xy": Normalize()},
    )
    rows = sum(30 + number for number in range(report.files))
    assert (report.split_by, report.rows) == ("file", rows)
    x, kind, joined = report.fields
    assert np.allclose(x.statistics.mean, np.nanmean(values["x"][:rows].astype("f8"), axis=0))
    left = sum(-(-(30 + number) // 2) for number in range(report.files))
    assert kind.classes == {"left": left, "right": rows - left}
    assert [name for name, _ in joined.channels()] == ["x[0]", "x[1]", "x[2]", "y"]


def test_histograms_count_all_values(files):
    pattern, values = files
    report = stats_of_files([pattern], has_histograms=True, progress=False, fields=["x", "y"])
    for field in report.fields:
        numbers = values[field.key][np.isfinite(values[field.key])].astype("f8")
        borders, counts = field.histogram
        assert counts.sum() == pytest.approx(numbers.size)
        assert (borders[0], borders[-1]) == (numbers.min(), numbers.max())
        expected = np.histogram(numbers, borders)[0]
        furthest = np.abs(np.cumsum(counts) - np.cumsum(expected)).max()
        assert furthest < (0.02 if field.key == "x" else 0.15) * numbers.size


def test_datasets_of_different_lengths_get_the_fields_that_inspect_suggests(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["labels"], file["grid"] = np.ones((20, 4, 4)), np.zeros(20, "i8"), np.zeros(7)
    report = stats_of_files([str(tmp_path / "a.h5")], progress=False)
    assert [field.key for field in report.fields] == ["x", "y"]
    assert report.fields[0].statistics.mean == 1
