"""Boxes, ragged samples and rows of an index, compared one by one with slices of h5py; wrong ones are found."""

import h5py
import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.options import Field, Rows, Series, Split, Whole, Windows
from h5lightning.planning.borders import Room
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.grid import Grid
from h5lightning.tools.check import check_files
from h5lightning.tools.check.border_check import check_borders
from h5lightning.tools.check.reader_check import check_finite
from h5lightning.tools.check.settings import CheckSettings
from h5lightning.tools.check.value_check import check_values
from h5lightning.tools.check.written_end_check import check_written_ends

pytestmark = pytest.mark.timeout(120)
RNG = np.random.default_rng(0)
NAME = "samples are what h5py slices"
SETTINGS = CheckSettings(ranks=[1, 2], workers=[0], batch_size=4, epochs=1)
BY_FILE = Split(by="file", val=0.34, test=0.34)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Volumes, recordings with time last, bags, points divided by an index, images of different widths."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(6):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            shape = (20 + 4 * number, 18, 14)
            volume = RNG.integers(0, 200, shape, "u1")
            file.create_dataset("volume", data=volume, chunks=(8, 8, 8), compression="gzip")
            packed = file.create_dataset("packed", data=RNG.integers(1, 90, shape, "i2"))
            packed.attrs["scale_factor"] = 0.5 + number
            file["case"] = number
            time = 160 + 10 * number
            file["eeg"] = RNG.normal(size=(3, time)).astype("f4")
            file.create_dataset("wide", data=RNG.normal(size=(3, time)), chunks=(1, 16), compression="gzip")
            file["trial"] = RNG.normal(size=(4, 2, time)).astype("f4")
            file["rate"] = RNG.normal(size=(4, time)).astype("f4")
            file["mark"] = np.arange(time)
            ends = np.cumsum(RNG.integers(0, 6, 25))
            file["points"] = RNG.normal(size=(ends[-1], 3)).astype("f4")
            file["ends"] = ends
            file["offsets"] = np.concatenate([[0], ends])
            file["label"] = np.arange(25)
            file["image"] = RNG.normal(size=(25, 5, 4 + number)).astype("f4")
            file["bag"] = RNG.normal(size=(10 + 3 * number, 4)).astype("f4")
            file["place"] = RNG.integers(0, 9, (10 + 3 * number, 2))
    return str(folder / "*.h5")


CUBES = {"axis": (0, 1, 2), "stride": (4, 3, 5)}
CASES = {
    "boxes": ({"x": Field("volume"), "y": Field("case", constant=True)}, Windows((6, 5, 4), **CUBES)),
    "jittered boxes": (
        {"x": Field("volume"), "y": Field("packed", decode="cf")},
        Windows(5, jitter=True, **CUBES),
    ),
    "padded boxes": (
        {"x": Field("volume", dtype="float16"), "p": Field("pad:x")},
        Windows((6, 5, 4), pad="zero", **CUBES),
    ),
    "boxes with edges": ({"x": Field("packed", decode="cf")}, Windows((6, 5, 4), pad="edge", **CUBES)),
    "windows in another order of axes": (
        {"x": Field("volume"), "p": Field("pad:x")},
        Windows((3, 5, 4), stride=3, axis=(2, 0, 1), pad="zero"),
    ),
    "time last": (
        {
            "x": Field("eeg", steps=(-1, 4)),
            "both": Field(["eeg", "wide"], join="first"),
            "mark": Field("mark", axis=0),
        },
        Windows(8, stride=3, dilation=2, axis=-1),
    ),
    "jittered windows": ({"x": Field("mark")}, Windows(8, stride=5, jitter=True)),
    "rows of time": ({"x": Field("wide"), "mark": Field("mark", axis=0)}, Rows(axis=1)),
    "whole recordings": ({"x": Field("eeg", ragged="pad"), "n": Field("length:x")}, Whole(axis=-1)),
    "bags": ({"x": Field("bag", ragged="concat"), "n": Field("length:x")}, Whole()),
    "joined bags": (
        {"x": Field(["bag", "place"], join="concat", ragged="pad", dtype="float32"), "p": Field("pad:x")},
        Whole(),
    ),
    "drawn bags": ({"x": Field("bag", ragged="stack"), "y": Field("place", ragged="list")}, Whole(take=9)),
    "rows of ends": ({"x": Field("points", index="ends", ragged="pad"), "p": Field("pad:x")}, Rows()),
    "rows of offsets": (
        {"x": Field("points", index="offsets", ragged="list"), "label": Field("label")},
        Rows(),
    ),
    "images": ({"x": Field("image", ragged="pad"), "n": Field("length:x"), "y": Field("label")}, Rows()),
    "constants": ({"x": Field("volume", constant=True, ragged="list"), "y": Field("label")}, Rows()),
}
SERIES = {"u": Field("rate", axis=1, series_axis=0), "x": Field("trial", axis=2, series_axis=0)}


@pytest.mark.parametrize("case", CASES)
def test_files_of_each_kind_pass_all_checks(files, case):
    fields, samples = CASES[case]
    report = check_files([files], fields, samples, split=BY_FILE, settings=SETTINGS, progress=False)
    assert [result for result in report.results if not result.has_passed] == []
    compared = {result.name: result for result in report.results}[NAME]
    assert not compared.scope.startswith("no ")


def test_series_along_an_axis_pass_all_checks(files):
    report = check_files(
        [files], SERIES, Windows(5, axis=1), series=Series(axis=0), settings=SETTINGS, progress=False
    )
    assert [result for result in report.results if not result.has_passed] == []
    assert NAME in {result.name for result in report.results}


def test_rows_of_one_shape_have_no_such_check(write_files):
    report = check_files([str(write_files())], settings=SETTINGS, progress=False)
    assert NAME not in {result.name for result in report.results}


class Shifting:
    """A reader that adds one to the last number of each buffer that it fills from some datasets."""

    def __init__(self, reader, paths):
        self._reader, self._paths = reader, paths

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def __reduce__(self):
        return type(self), (self._reader, self._paths)

    def _spoil(self, requests):
        for request in requests:
            if request.source.path in self._paths and request.out.size:
                request.out.reshape(-1)[-1] += 1

    def read(self, files, takes):
        self._reader.read(files, takes)
        self._spoil(takes)

    def read_boxes(self, files, boxes):
        self._reader.read_boxes(files, boxes)
        self._spoil(boxes)


WRONG = {
    "boxes": ("volume", "differs from the slices of h5py"),
    "boxes with edges": ("packed", "differs from the stored numbers decoded by its attributes"),
    "whole recordings": ("eeg", "differs from the slices of h5py"),
    "rows of time": ("wide", "differs from the slices of h5py"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_reader_that_delivers_other_values_is_found(files, case):
    fields, samples = CASES[case]
    path, text = WRONG[case]
    options = {"fields": fields, "samples": samples, "split": BY_FILE}
    with check_run(files, reader=lambda reader: Shifting(reader, {path}), **options) as run:
        failures = [failure for result in check_values(run, ignore) for failure in result.failures]
    assert failures
    assert all(f"'/{path}'" in failure and text in failure for failure in failures)


def test_cells_that_are_numbered_wrongly_are_found(files, monkeypatch):
    starts = Grid.starts
    monkeypatch.setattr(Grid, "starts", lambda self, units, cells: starts(self, units, cells)[:, ::-1].copy())
    fields, samples = {"x": Field("volume")}, Windows(4, stride=3, axis=(0, 1, 2))
    with check_run(files, fields=fields, samples=samples, split=BY_FILE) as run:
        failures = check_values(run, ignore)[-1].failures
    assert any("entries beyond its cell" in failure for failure in failures)


def test_draws_outside_of_the_cell_are_found(files, monkeypatch):
    numbers = SampleDraws.numbers
    monkeypatch.setattr(
        SampleDraws, "numbers", lambda self, ids, below, axis=0: numbers(self, ids, below + 3, axis)
    )
    with check_run(
        files, fields={"x": Field("mark")}, samples=Windows(8, stride=2, jitter=True), split=BY_FILE
    ) as run:
        failures = check_values(run, ignore)[-1].failures
    assert any("entries beyond its cell" in failure for failure in failures)


TOLD = {
    "rows of ends": ("padding", "field 'p' does not tell the padding of 'x'"),
    "bags": ("lengths", "field 'n' does not tell the lengths of 'x'"),
    "whole recordings": ("lengths", "field 'n' does not tell the lengths of 'x'"),
}


@pytest.mark.parametrize("case", TOLD)
def test_lengths_and_padding_that_are_told_wrongly_are_found(files, case, monkeypatch):
    (fields, samples), (name, text) = CASES[case], TOLD[case]
    right = getattr(RaggedValues, name)
    monkeypatch.setattr(RaggedValues, name, lambda self, axis: right(self, axis)[::-1].copy() ^ 1)
    with check_run(files, fields=fields, samples=samples, split=BY_FILE) as run:
        failures = check_values(run, ignore)[-1].failures
    assert len(failures) == 6
    assert failures[0] == f"{text}, in samples of 0.h5"


def test_a_batch_that_is_put_together_wrongly_is_found(files, monkeypatch):
    right = RaggedValues.concatenated
    monkeypatch.setattr(RaggedValues, "concatenated", lambda self: right(self).flip(0))
    fields, samples = CASES["bags"]
    with check_run(files, fields=fields, samples=samples, split=BY_FILE) as run:
        failures = check_values(run, ignore)[-1].failures
    assert (
        failures[0]
        == "field 'x' ('/bag') with ragged='concat' is not made of its samples, in samples of 0.h5"
    )


def test_padding_of_windows_that_is_told_wrongly_is_found(files, monkeypatch):
    right = Room.padding_of
    monkeypatch.setattr(Room, "padding_of", lambda self, field: ~right(self, field))
    fields, samples = CASES["windows in another order of axes"]
    with check_run(files, fields=fields, samples=samples, split=BY_FILE) as run:
        failures = check_values(run, ignore)[-1].failures
    assert any(
        failure.startswith("field 'p' does not tell which entries of 'x' are padding") for failure in failures
    )
    assert any("differs from the slices of h5py" in failure for failure in failures)


def test_a_window_beyond_the_end_of_another_axis_is_found(files, monkeypatch):
    starts = Grid.starts
    monkeypatch.setattr(Grid, "starts", lambda self, units, cells: starts(self, units, cells) + 7)
    fields, samples = {"x": Field("volume")}, Windows(8, stride=4, axis=(0, 1, 2))
    with check_run(files, fields=fields, samples=samples, split=BY_FILE) as run:
        result = check_borders(run, samples, ignore)
    assert len(result.failures) == 6
    assert "reaches past the shape (20, 18, 14) of '/volume'" in result.failures[0]


def test_nan_in_the_last_window_of_a_row_of_cells_is_found(tmp_path):
    for number in range(5):
        values = np.zeros((12, 9, 9), "f4")
        values[3, 8, 8] = np.nan if number == 2 else 0
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = values
    options = {"fields": {"x": Field("x")}, "split": BY_FILE}
    with check_run(str(tmp_path / "*.h5"), samples=Windows(3, axis=(0, 1, 2)), **options) as run:
        result = check_finite(run, ignore)
    assert len(result.failures) == 1
    assert result.failures[0].startswith("2.h5")
    assert result.note == ""


@pytest.mark.parametrize(
    ("field", "samples", "note"),
    [
        (
            "bag",
            Whole(take=2),
            "2 rows of each series were read: samples='whole' without take reads all of them",
        ),
        ("mark", Windows(4, stride=4), "values beyond the last window along an axis were not read"),
        ("mark", Windows(4, stride=5), "values between windows were not read"),
        ("mark", Windows(4), ""),
    ],
)
def test_values_that_were_not_read_are_said(files, field, samples, note):
    with check_run(files, fields={"x": Field(field)}, samples=samples, split=BY_FILE) as run:
        assert check_finite(run, ignore).note == note


ENDS = {
    "boxes": ({"x": Field("x")}, Windows(4, axis=(0, 1)), 0),
    "time last": ({"x": Field("x")}, Windows(4, axis=-1), 1),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_half_written_axis_is_found(tmp_path, case):
    fields, samples, axis = ENDS[case]
    for number in range(5):
        values = RNG.normal(size=(24, 30)).astype("f4") + 5
        if number == 3:
            values.swapaxes(0, axis)[14:] = 0
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = values
    with check_run(str(tmp_path / "*.h5"), fields=fields, samples=samples, split=BY_FILE) as run:
        result = check_written_ends(run, ignore)
    assert len(result.failures) == 1
    assert "3.h5: '/x' holds nothing but the fill value 0.0 from row 14 on" in result.failures[0]


def test_a_half_written_end_of_indexed_values_is_found(tmp_path):
    for number in range(5):
        values = RNG.normal(size=(60, 3)).astype("f4") + 5
        if number == 1:
            values[50:] = 0
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["points"], file["ends"] = values, np.arange(6, 61, 6)
    fields = {"x": Field("points", index="ends")}
    with check_run(str(tmp_path / "*.h5"), fields=fields, split=BY_FILE) as run:
        result = check_written_ends(run, ignore)
    assert len(result.failures) == 1
    assert (
        "1.h5: '/points' holds nothing but the fill value 0.0 from row 50 on (10 of 60 rows)"
        in result.failures[0]
    )
