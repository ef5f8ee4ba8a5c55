"""Series along a leading axis, as The Well and PDEBench store trajectories: windows of times, shared and own values."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5DataModule, Rows, Series, Whole, Windows
from h5lightning.errors import FieldError, OptionError, SchemaError

SHAPES = ((3, 7), (2, 7), (4, 9))
FIELDS = {
    "u": "t0_fields/u",
    "v": "t1_fields/v",
    "t": Field("dimensions/time", axis=0),
    "viscosity": Field("scalars/viscosity", constant=True, series_axis=0),
    "grid": Field("dimensions/x", constant=True),
}


def _values(number, series, times):
    return (np.arange(series)[:, None] * 100 + np.arange(times) + 1000 * number).astype("f4")


def _write(path, series, times, number, chunks=(2, 3, 4, 2)):
    values = _values(number, series, times)
    with h5py.File(path, "w") as file:
        file["t0_fields/u"] = values[:, :, None, None] + np.arange(20, dtype="f4").reshape(4, 5) / 32
        data = values[:, :, None, None] + np.arange(8, dtype="f4").reshape(4, 2) / 32
        file.create_dataset("t1_fields/v", data=data, chunks=chunks, compression="gzip")
        file["dimensions/time"] = np.arange(times) / 2 + number
        file["dimensions/x"] = np.arange(3.0)
        file["scalars/viscosity"] = np.arange(series) + 10 * number


@pytest.fixture
def folder(tmp_path):
    for number, (series, times) in enumerate(SHAPES):
        _write(tmp_path / f"f{number}.h5", series, times, number)
    return tmp_path


def _module(folder, samples, fields=FIELDS, **options):
    options = {"split": {"val": None, "test": None}, "batch_size": 5, "series": Series(axis=0)} | options
    return H5DataModule(str(folder / "*.h5"), fields, samples, **options)


def _expected(length, stride=1, dilation=1):
    """File, series and times of each window, by brute force."""
    span = (length - 1) * dilation + 1
    return sorted(
        (number, one, tuple(range(start, start + span, dilation)))
        for number, (series, times) in enumerate(SHAPES)
        for one in range(series)
        for start in range(0, times - span + 1, stride)
    )


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (Rows(axis=1), _expected(1)),
        (Windows(1, axis=1), _expected(1)),
        (Windows(3, axis=1), _expected(3)),
        (Windows(2, stride=2, dilation=3, axis=1), _expected(2, 2, 3)),
        (Windows(9, axis=1), _expected(9)),
    ],
    ids=str,
)
@pytest.mark.parametrize("chunks", [(2, 3, 4, 2), (1, 7, 2, 2), (1, 1, 4, 2), (2, 7, 4, 1)], ids=str)
def test_windows_of_times_stay_inside_of_trajectories(tmp_path, samples, windows, chunks, reader, ready):
    for number, (series, times) in enumerate(SHAPES):
        _write(tmp_path / f"f{number}.h5", series, times, number, chunks)
    found = []
    for batch in ready(_module(tmp_path, samples, reader=reader)).train_dataloader():
        u = batch["u"].numpy().reshape(len(batch["u"]), -1, 4, 5)
        v = batch["v"].numpy().reshape(len(u), -1, 4, 2)
        first = u[:, :, 0, 0]
        assert (u == first[..., None, None] + np.arange(20, dtype="f4").reshape(4, 5) / 32).all()
        assert (v == first[..., None, None] + np.arange(8, dtype="f4").reshape(4, 2) / 32).all()
        number, one, times = first[:, 0] // 1000, first[:, 0] % 1000 // 100, first % 100
        assert (batch["t"].numpy().reshape(first.shape) == times / 2 + number[:, None]).all()
        assert (batch["viscosity"].numpy() == one + 10 * number).all()
        assert (batch["grid"].numpy() == [0, 1, 2]).all()
        found += [
            (int(file), int(series), tuple(map(int, steps)))
            for file, series, steps in zip(number, one, times, strict=True)
        ]
    assert sorted(found) == windows


def test_shapes_are_those_of_the_window(folder, ready):
    dm = ready(_module(folder, Windows(3, axis=1)))
    shapes = {key: spec.shape for key, spec in dm.sample_spec.items()}
    assert shapes == {"u": (3, 4, 5), "v": (3, 4, 2), "t": (3,), "viscosity": (), "grid": (3,)}


def test_a_trajectory_is_located_by_its_number(folder, ready):
    dm = ready(_module(folder, Windows(3, axis=1)))
    places = [(place.file[-5:], place.series, place.row) for place in dm.locate([0, 6, 52])]
    assert places == [("f0.h5", "0", 0), ("f0.h5", "1", 1), ("f2.h5", "3", 6)]


def test_whole_trajectories_need_one_length(folder, ready):
    with pytest.raises(
        SchemaError, match=r"series 0 of .*f2.h5 has 9 rows, expected 7 as in series 0 of .*f0.h5"
    ):
        _module(folder, Whole(axis=1)).setup()
    (folder / "f2.h5").unlink()
    dm = ready(_module(folder, Whole(axis=1)))
    batches = list(dm.train_dataloader())
    assert sum(len(batch["u"]) for batch in batches) == 5
    assert batches[0]["u"].shape[1:] == (7, 4, 5)


def test_all_fields_of_equal_axes_need_no_names(tmp_path, ready):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["density"] = file["pressure"] = _values(0, 3, 5)
    dm = ready(_module(tmp_path, Windows(2, axis=1), None))
    assert {key: spec.shape for key, spec in dm.sample_spec.items()} == {"density": (2,), "pressure": (2,)}
    assert sum(len(batch["density"]) for batch in dm.train_dataloader()) == 12


def test_each_match_of_a_star_may_have_trajectories(tmp_path, ready):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, (series, times) in enumerate(SHAPES):
            file[f"run_{number}/u"] = _values(number, series, times)
            file[f"run_{number}/t"] = np.arange(times)
            file[f"run_{number}/label"] = np.arange(series) + 10 * number
    fields = {
        "u": "run_*/u",
        "t": Field("run_*/t", axis=0),
        "label": Field("run_*/label", constant=True, series_axis=0),
    }
    dm = ready(_module(tmp_path, Windows(3, axis=1), fields))
    u, t, label = (
        np.concatenate([batch[key] for batch in dm.train_dataloader()]) for key in ("u", "t", "label")
    )
    assert len(u) == len(_expected(3))
    assert sorted(map(tuple, u.tolist())) == sorted(
        tuple(1000.0 * number + 100 * one + time for time in times) for number, one, times in _expected(3)
    )
    assert [place.series for place in dm.locate([0, 52])] == ["run_0/0", "run_2/3"]
    assert len(t) == len(label) == len(u)


def test_a_table_can_say_series_whose_values_a_dataset_holds(tmp_path, ready):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["ends"], file["task"] = np.arange(9), [2, 2, 9], [5, 6, 7]
    fields = {"x": "x", "task": Field("task", constant=True, series_axis=0)}
    dm = ready(_module(tmp_path, Windows(2), fields, series=Series(ends="ends")))
    batches = list(dm.train_dataloader())
    pairs = sorted(
        (int(x[0]), int(task)) for batch in batches for x, task in zip(batch["x"], batch["task"], strict=True)
    )
    assert pairs == [(0, 5), (2, 7), (3, 7), (4, 7), (5, 7), (6, 7), (7, 7)]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["task"]
        file["task"] = [5, 6]
    with pytest.raises(SchemaError, match=r"'/task' has the shape \(2,\), and there are 3 series"):
        _module(tmp_path, Windows(2), fields, series=Series(ends="ends")).setup()


# ── what does not fit ────────────────────────────────────────────────────────────────────────────────


def test_an_error_counts_the_matches_of_one_file_not_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for run in range(3):
            file[f"run_{run}/u"], file[f"run_{run}/v"] = np.zeros((2, 5)), np.zeros((2, 6))
    with pytest.raises(SchemaError, match=r"series 'run_0' of .*a\.h5 .* \(and 2 more series\)"):
        _module(tmp_path, Windows(2, axis=1), {"u": "run_*/u", "v": "run_*/v"}).setup()


@pytest.mark.parametrize(
    ("samples", "series", "message"),
    [
        (Windows(3), Series(axis=0), r"samples=Windows\(length=3, .*axis=1\)"),
        (Rows(), Series(axis=0), r"samples=Rows\(axis=1\)"),
        (Rows(axis=1), Series(axis=1), "series along another axis than 0 are not available"),
    ],
)
def test_axes_that_contradict_each_other_are_refused(folder, samples, series, message):
    with pytest.raises(OptionError, match=message):
        _module(folder, samples, {"u": "t0_fields/u"}, series=series).setup()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (Field("t0_fields/u", series_axis=0), "axis=1"),
        (Field("t0_fields/u", axis=2), r"Field\('t0_fields/u', axis=2, series_axis=0\)"),
        (Field("t0_fields/u", axis=0, series_axis=1), "series_axis=1 is not available"),
        (Field("scalars/viscosity", constant=True, series_axis=1), "series_axis=1 is not available"),
        (Field("scalars/viscosity", constant=True, axis=0), "no axis of rows"),
        (Field(attr="a", axis=0), "no axis of rows"),
        (Field(attr="a", series_axis=0), "no axis of series"),
    ],
)
def test_axes_of_a_field_that_mean_nothing_are_refused(folder, field, message):
    with pytest.raises(OptionError, match=message) as caught:
        _module(folder, Rows(axis=1), FIELDS | {"z": field}).setup()
    assert "'z'" in str(caught.value)


def test_a_value_of_each_series_needs_series(folder):
    fields = {"u": "t0_fields/u", "z": Field("scalars/viscosity", constant=True, series_axis=0)}
    with pytest.raises(OptionError, match=r"field 'z': one value of each series .* needs series=Series"):
        _module(folder, Rows(), fields, series=None).setup()


def test_an_axis_outside_of_the_dataset_names_the_field_of_one_value_of_each_series(folder):
    fields = {"u": "t0_fields/u", "z": "scalars/viscosity"}
    remedy = r"Field\('scalars/viscosity', constant=True, series_axis=0\)"
    with pytest.raises(
        OptionError, match=rf"axis 1 is outside of '/scalars/viscosity', which has 1 axis.*{remedy}"
    ):
        _module(folder, Rows(axis=1), fields).setup()


def test_trajectories_without_series_are_an_error_that_names_the_option(folder):
    """Rows along axis 1 alone have all trajectories in each sample."""
    with pytest.raises(SchemaError, match=r"f1\.h5 has 2 entries along axis 0, .* series=Series\(axis=0\)"):
        _module(folder, Rows(axis=1), {"u": "t0_fields/u"}, series=None).setup()


def test_at_least_one_field_has_series(folder):
    with pytest.raises(FieldError, match="at least one field must have series along axis 0"):
        _module(folder, Rows(axis=1), {"t": Field("dimensions/time", axis=0)}).setup()


def test_shared_rows_may_be_more_than_those_of_a_series(folder, ready):
    times = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path, "a") as file:
            count = file["t0_fields/u"].shape[1] + 1
            del file["dimensions/time"]
            times[str(path)] = file["dimensions/time"] = np.arange(count) / 2 + count
    u, t = Field("t0_fields/u", steps=(0, 2)), Field("dimensions/time", axis=0, steps=(1, 3))
    with pytest.raises(SchemaError, match=r"with one more, .* Field\('dimensions/time', .*extra_rows=1\)"):
        _module(folder, Windows(2, axis=1), {"u": u, "t": t}).setup()
    more = dataclasses.replace(t, extra_rows=1)
    dm = ready(_module(folder, Windows(2, axis=1), {"u": u, "t": more}, provenance=True))
    dataset = dm.train_dataset
    batch = dataset.read_batch(list(range(len(dataset))))
    is_last = False
    for values, place in zip(batch["t"].numpy(), dm.locate(batch["sample_id"]), strict=True):
        expected = times[place.file]
        assert values.tolist() == expected[place.row + 1 : place.row + 3].tolist()
        is_last |= values[-1] == expected[-1]
    assert is_last


@pytest.mark.parametrize(
    ("path", "shape", "message"),
    [
        (
            "t1_fields/v",
            (7, 2, 4, 2),
            r"has the shape \(7, 2, 4, 2\), and '/t0_fields/u' has the shape \(2, 7, 4, 5\)",
        ),
        (
            "t1_fields/v",
            (2, 8, 4, 2),
            r"has the shape \(2, 8, 4, 2\), and '/t0_fields/u' has the shape \(2, 7, 4, 5\)",
        ),
        (
            "dimensions/time",
            (8,),
            r"has the shape \(8,\), and '/t0_fields/u' .*: it needs a row for each row",
        ),
        (
            "scalars/viscosity",
            (3,),
            r"has the shape \(3,\), and '/t0_fields/u' .*: it needs a value for each series",
        ),
    ],
)
def test_other_lengths_name_both_shapes(folder, path, shape, message):
    with h5py.File(folder / "f1.h5", "a") as file:
        dtype = file[path].dtype
        del file[path]
        file[path] = np.zeros(shape, dtype)
    with pytest.raises(SchemaError, match=message) as caught:
        _module(folder, Rows(axis=1)).setup()
    assert "f1.h5" in str(caught.value)
