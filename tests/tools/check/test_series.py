"""The check of files that hold several series: each is looked at where it lies, and named."""

import h5py
import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.options import Field, Series, Split, Windows
from h5lightning.tools.check.border_check import check_borders
from h5lightning.tools.check.report import check_files
from h5lightning.tools.check.settings import CheckSettings

pytestmark = pytest.mark.timeout(120)
SETTINGS = CheckSettings(ranks=(1, 2), epochs=2, resumptions=1, samples_per_file=20, workers=(0,))


def write(folder, lengths=((8, 3, 12), (9, 10)), **attrs):
    """Files of series with packed numbers, each with another scale."""
    for number, rows in enumerate(lengths):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            for series, count in enumerate(rows):
                group = file.create_group(f"data/demo_{series}")
                group.attrs["task"] = "lift" if series % 2 else "can"
                packed = group.create_dataset("t", data=np.arange(1, count + 1, dtype="i2"))
                packed.attrs["scale_factor"] = np.float32(0.5 + series)
                group["y"] = np.linspace(0, 1, count * 2).reshape(count, 2)
            file["mask/train"] = np.asarray([b"demo_0"])
            file["mask/valid"] = np.asarray([b"demo_1"])
    return [str(folder / "*.h5")]


FIELDS = {"t": Field("data/*/t", decode="cf"), "y": Field("data/*/y", dtype="float32")}


@pytest.mark.parametrize(
    "split",
    [
        pytest.param(Split(by="series", val=0.3, test=None), id="series"),
        pytest.param(Split(keep_together="attr:task", val=0.4, test=None), id="groups"),
        pytest.param(Split(given={"train": "mask/train", "val": "mask/valid"}), id="given"),
        pytest.param(Split(by="block", val=0.3, test=None), id="block"),
    ],
)
def test_series_pass_all_checks(tmp_path, split):
    patterns = write(tmp_path)
    report = check_files(
        patterns,
        FIELDS,
        Windows(3),
        split=split,
        settings=SETTINGS,
        index_dir=str(tmp_path / "index"),
        progress=False,
    )
    assert [result for result in report.results if not result.has_passed] == []
    by_name = {result.name: result for result in report.results}
    assert by_name["decoded values are what each file means"].scope.startswith("1 field decoded, ")
    assert by_name["conversions keep each value"].scope.startswith("1 field converted, ")


def write_buffer(folder, ends=(10, 13, 30), name="buffer"):
    """A replay buffer: episodes one after the other, with a table of their ends."""
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["obs"] = np.arange(ends[-1], dtype=np.float64)
        file["ends"] = np.asarray(ends)
        file["mask"] = np.asarray([0, 2])
        file["other"] = np.asarray([1])
    return [str(folder / f"{name}.h5")]


BUFFER = {"x": Field("obs", dtype="float32")}


@pytest.mark.parametrize(
    "split",
    [
        Split(by="series", val=0.3, test=None),
        Split(given={"train": "mask", "val": "other"}),
        Split(by="block", val=0.3, test=None),
    ],
    ids=["series", "given", "block"],
)
def test_series_of_a_table_pass_all_checks(tmp_path, split):
    report = check_files(
        write_buffer(tmp_path, (10, 23, 45)),
        BUFFER,
        Windows(3),
        split=split,
        series={"ends": "ends"},
        settings=SETTINGS,
        index_dir=str(tmp_path / "index"),
        progress=False,
    )
    assert [result for result in report.results if not result.has_passed] == []


def test_windows_past_their_series_are_named(tmp_path):
    patterns = write_buffer(tmp_path)
    options = {"split": Split(None, None), "samples_per_file": 100, "series": Series(ends="ends")}
    with check_run(patterns[0], fields=BUFFER, samples=Windows(3), **options) as run:
        assert check_borders(run, Windows(3), ignore).failures == ()
        failures = check_borders(run, Windows(3, dilation=2), ignore).failures
    assert "the window at buffer.h5 series '0' row 6 reaches past the 10 rows of its series" in failures
