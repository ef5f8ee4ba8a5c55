"""The check of files that hold several series: each is looked at where it lies, and named."""

from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
from check_runs import LyingReader, check_run, ignore

from h5lightning.options import Field, Rows, Series, Split, Windows
from h5lightning.options.samples import StageSamples
from h5lightning.storage.readers.protocol import SeriesParts
from h5lightning.tools.check.border_check import check_borders
from h5lightning.tools.check.reader_check import check_readers
from h5lightning.tools.check.report import check_files
from h5lightning.tools.check.settings import CheckSettings
from h5lightning.tools.check.value_check import check_values

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
                group["y"] = series + np.linspace(0, 1, count * 2).reshape(count, 2)
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


def write_trajectories(folder, files=2):
    """Files in the layout of The Well, with one of the fields packed, and a label of each trajectory."""
    for number in range(files):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            values = np.arange(3 * 12 * 2).reshape(3, 12, 2) + 1000 * number
            file.create_dataset("t0_fields/u", data=values.astype("f8") + 1, chunks=(2, 5, 2))
            packed = file.create_dataset("t0_fields/v", data=values.astype("i2"))
            packed.attrs["scale_factor"] = np.float32(0.5)
            file["dimensions/time"] = np.linspace(0, 1, 12)
            file["label"] = np.asarray([3, 4, 5], "i2")
    return [str(folder / "*.h5")]


TRAJECTORIES = {
    "u": Field("t0_fields/u", dtype="float32"),
    "v": Field("t0_fields/v", decode="cf"),
    "time": Field("dimensions/time", axis=0, dtype="float32"),
    "label": Field("label", constant=True, series_axis=0, dtype="float32"),
}


@pytest.mark.parametrize(
    "samples", [Rows(axis=1), Windows(4, axis=1), Windows(4, axis=1, pad="edge")], ids=str
)
def test_trajectories_pass_all_checks(tmp_path, samples):
    report = check_files(
        write_trajectories(tmp_path),
        TRAJECTORIES,
        samples,
        series=Series(axis=0),
        split=Split(by="series", val=0.3, test=None),
        settings=SETTINGS,
        index_dir=str(tmp_path / "index"),
        progress=False,
    )
    assert [result for result in report.results if not result.has_passed] == []
    by_name = {result.name: result for result in report.results}
    assert by_name["all files can be opened"].scope == "2 files, 6 series"
    assert by_name["conversions keep each value"].scope.startswith("3 fields converted, ")


class OtherSeriesReader(LyingReader):
    """Reads the rows of the series before, in all series but the first one."""

    def _changed(self, take, files):
        if take.source.path != self._path:
            return take
        return replace(take, rows=np.where(take.rows >= 12, take.rows - 12, take.rows))


@pytest.mark.parametrize(("path", "check"), [("t0_fields/u", check_readers), ("t0_fields/v", check_values)])
def test_rows_of_another_series_are_found(tmp_path, path, check):
    patterns = write_trajectories(tmp_path, files=1)
    options = {"fields": TRAJECTORIES, "samples": Windows(4, axis=1), "series": Series(axis=0)}
    options["split"] = Split(val=None, test=None)
    with check_run(patterns, **options, samples_per_file=100) as run:
        assert [one for one in as_tuple(check(run, ignore)) if not one.has_passed] == []
    wrong = partial(OtherSeriesReader, path=path)
    with check_run(patterns, **options, samples_per_file=100, reader=wrong) as run:
        failures = [text for one in as_tuple(check(run, ignore)) for text in one.failures]
    assert len(failures) == 1
    assert "first in 0.h5 series '1' row 0" in failures[0]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


class OtherMatchReader(LyingReader):
    """Reads of each file the first series of a batch in place of the others."""

    def read(self, files, takes):
        if isinstance(files, SeriesParts):
            texts = [files.texts[int(np.searchsorted(files.file_of, file))] for file in files.file_of]
            files = SeriesParts(files.files, files.file_of, texts, np.full(len(files), -1))
        self._reader.read(files, takes)


def test_another_match_of_a_star_is_found(tmp_path):
    patterns = write(tmp_path, ((8, 8), (9, 9, 9)))
    with check_run(patterns, fields=FIELDS, samples_per_file=100) as run:
        assert check_readers(run, ignore).failures == ()
    wrong = partial(OtherMatchReader, path="")
    with check_run(patterns, fields=FIELDS, samples_per_file=100, reader=wrong) as run:
        failures = check_readers(run, ignore).failures
    assert any(
        "differs between the readers, first in 0.h5 series 'demo_1' row 0" in text for text in failures
    )


@pytest.mark.parametrize("make", [write, write_trajectories, write_buffer])
def test_what_inspect_suggests_passes_all_checks(tmp_path, make):
    report = check_files(make(tmp_path), settings=SETTINGS, index_dir=str(tmp_path / "index"), progress=False)
    assert [result for result in report.results if not result.has_passed] == []
    scope = next(result.scope for result in report.results if result.name == "all files can be opened")
    assert scope.endswith(" series")


def test_transitions_pass_all_checks(tmp_path):
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for series, rows in enumerate((5, 9)):
                file[f"traj_{series}/obs"] = np.arange(rows + 1, dtype="f4") + 10 * series + 100 * number + 1
                file[f"traj_{series}/act"] = np.arange(rows, dtype="f4") + 1
    fields = {
        "now": Field("traj_*/obs", steps=(0, 1), extra_rows=1),
        "next": Field("traj_*/obs", steps=(1, 2), extra_rows=1),
        "act": Field("traj_*/act", steps=(0, 1)),
    }
    report = check_files(
        [str(tmp_path / "*.h5")],
        fields,
        StageSamples(train=Windows(1), val=Windows(3)),
        split=Split(by="series", val=0.3, test=None),
        settings=SETTINGS,
        index_dir=str(tmp_path / "index"),
        progress=False,
    )
    assert [result for result in report.results if not result.has_passed] == []
