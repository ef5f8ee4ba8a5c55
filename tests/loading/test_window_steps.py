"""Windows whose fields reach before their first row and beyond their last one, against a loop over h5py."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning import Field, H5DataModule, H5Dataset, Split, Whole, Windows
from h5lightning.errors import OptionError, ResumeError, SchemaError, SplitError

pytestmark = pytest.mark.timeout(240)
READERS = ("direct", "h5py")


def write(folder: Path, lengths, *, extra=None) -> str:
    """A file for each length, in which x is the number of the row, and of the file times 1000; y has extra rows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, rows in enumerate(lengths):
        more = 0 if extra is None else extra[number]
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["x"] = 1000.0 * number + np.arange(rows)
            file.create_dataset(
                "y",
                data=1000 * number + np.arange(rows + more),
                chunks=(4,),
                maxshape=(None,),
                compression="gzip",
            )
    return str(folder / "*.h5")


def starts_within(samples, steps, first, stop, rows, extra=0):
    """The starts of the windows that lie in rows first to stop of a series, one after the other."""
    lowest = min(0, *(a for a, _ in steps.values())) * samples.dilation
    for start in range(-lowest, rows, samples.stride):
        own = {key: start + np.arange(*one) * samples.dilation for key, one in steps.items()}
        own["window"] = start + np.arange(samples.length) * samples.dilation
        ends = {key: stop + (extra if key == "y" and stop == rows else 0) for key in own}
        if all(rows_of[0] >= first and rows_of[-1] < ends[key] for key, rows_of in own.items()):
            yield start


def runs_of(part):
    return list(zip(*(one.tolist() for one in (part.series, part.start, part.stop)), strict=True))


def value(file, start, steps, samples):
    return 1000 * file + start + np.arange(*steps) * samples.dilation


@st.composite
def windows(draw):
    length = draw(st.integers(1, 4))
    pair = st.tuples(st.integers(-6, 8), st.integers(1, 4)).map(lambda one: (one[0], one[0] + one[1]))
    samples = Windows(length, draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 2, 3])))
    return samples, {key: draw(st.none() | pair) for key in "xy"}


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    case=windows(),
    reader=st.sampled_from(READERS),
)
def test_a_dataset_holds_each_window_of_each_series(tmp_path_factory, lengths, case, reader):
    samples, given_steps = case
    steps = {key: one or (0, samples.length) for key, one in given_steps.items()}
    files = write(tmp_path_factory.getbasetemp() / "steps", lengths)
    expected = [
        (file, start)
        for file, rows in enumerate(lengths)
        for start in starts_within(samples, steps, 0, rows, rows)
    ]
    fields = {key: Field(key, steps=one) for key, one in given_steps.items()}
    if not expected:
        with pytest.raises(OptionError, match="the longest series has"):
            H5Dataset(files, fields, samples, reader=reader)
        return
    dataset = H5Dataset(files, fields, samples, reader=reader)
    try:
        where = dataset.index.locate(np.arange(len(dataset)))
        assert list(zip(where.file.tolist(), where.row.tolist(), strict=True)) == expected
        order = np.random.default_rng(0).permutation(len(dataset))
        batch = dataset.__getitems__(order.tolist()) if reader == "h5py" else None
        found = dataset.read_batch(order)
        for slot, number in enumerate(order.tolist()):
            for key, one in steps.items():
                np.testing.assert_array_equal(found[key][slot], value(*expected[number], one, samples))
                if batch is not None:
                    np.testing.assert_array_equal(batch[slot][key], found[key][slot])
    finally:
        dataset.close()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    case=windows(),
    gap=st.integers(0, 3),
    reader=st.sampled_from(READERS),
)
def test_windows_stay_inside_of_the_parts_of_a_split(tmp_path_factory, lengths, case, gap, reader):
    samples, given_steps = case
    steps = {key: one or (0, samples.length) for key, one in given_steps.items()}
    files = write(tmp_path_factory.getbasetemp() / "parts", lengths)
    fields = {key: Field(key, steps=one) for key, one in given_steps.items()}
    split = Split(val=0.3, test=0.2, by="block", gap=gap)
    dm = H5DataModule(files, fields, samples, split=split, batch_size=3, reader=reader, num_workers=0)
    try:
        dm.setup()
    except (SplitError, OptionError):
        return
    try:
        for name, part in dm._data.plan.parts.items():
            runs = runs_of(part)
            expected = [
                (file, start)
                for file, first, stop in runs
                for start in starts_within(samples, steps, first, stop, lengths[file])
            ]
            dataset = dm._data.datasets[name]
            where = dataset.index.locate(dataset.sample_ids(np.arange(len(dataset))))
            assert list(zip(where.file.tolist(), where.row.tolist(), strict=True)) == expected
            found = dataset.read_batch(np.arange(len(dataset)))
            for slot, place in enumerate(expected):
                for key, one in steps.items():
                    np.testing.assert_array_equal(found[key][slot], value(*place, one, samples))
    finally:
        dm.teardown()


def test_windows_longer_than_every_series_name_the_longest(tmp_path):
    files = write(tmp_path / "short", [3, 9, 5])
    with pytest.raises(OptionError) as caught:
        H5Dataset(files, {"x": Field("x", steps=(-2, 1)), "y": Field("y", steps=(7, 8))}, Windows(2))
    assert str(caught.value) == (
        "samples: a window spans 10 (length=2, dilation=1, and the steps of the fields), and the longest series has 9 "
        f"rows: {tmp_path}/short/1.h5. Use shorter windows, or pad='edge'"
    )
    with pytest.raises(OptionError, match="steps need samples=Windows"):
        H5Dataset(files, {"x": Field("x", steps=(-2, 1))})


def test_steps_that_move_the_samples_are_noticed_by_a_resumed_run(tmp_path):
    files = write(tmp_path / "resumed", [30, 20])

    def run(*steps):
        fields = {key: Field(key, steps=one) for key, one in zip("xy", steps, strict=True)}
        dm = H5DataModule(files, fields, Windows(3), split=Split(val=None, test=None), seed=0)
        dm.setup()
        return dm

    runs = {
        steps: run(*steps) for steps in ((None, None), ((0, 2), (2, 3)), ((-1, 2), (2, 4)), ((-2, 2), None))
    }
    states = {steps: dm.state_dict() for steps, dm in runs.items()}
    assert [state.get("reach") for state in states.values()] == [None, None, [1, 3], [2, 2]]
    plain, parts, *others = runs
    runs[parts].load_state_dict(states[plain])  # the same samples
    runs[others[0]].load_state_dict(states[others[0]])
    for one, other in ((plain, others[0]), (others[0], plain), (others[0], others[1])):
        with pytest.raises(ResumeError, match="the steps of the fields needed"):
            runs[other].load_state_dict(states[one])
    for dm in runs.values():
        dm.teardown()


@pytest.mark.parametrize("samples", [{"length": 3}, Windows(3)], ids=["mapping", "option"])
def test_steps_from_yaml(tmp_path, samples):
    files = write(tmp_path / "yaml", [9])
    dataset = H5Dataset(files, {"x": {"path": "x", "steps": [-2, 0]}, "y": "y"}, samples)
    assert dataset[0]["x"].tolist() == [0, 1]
    assert dataset[0]["y"].tolist() == [2, 3, 4]
    assert len(dataset) == 5
    dataset.close()


def padded_starts(samples, first, stop):
    return [row for row in range(first, stop) if row % samples.stride == 0]


@settings(max_examples=50, deadline=None)
@given(
    series=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), min_size=1, max_size=3),
    case=windows(),
    pad=st.sampled_from(["edge", "zero"]),
    reader=st.sampled_from(READERS),
    is_split=st.booleans(),
    seed=st.integers(0, 9),
)
def test_padded_windows_against_a_loop(tmp_path_factory, series, case, pad, reader, is_split, seed):
    (samples, given_steps), lengths, extra = case, [rows for rows, _ in series], [more for _, more in series]
    samples = dataclasses.replace(samples, pad=pad)
    steps = {key: one or (0, samples.length) for key, one in given_steps.items()}
    files = write(tmp_path_factory.getbasetemp() / "padded", lengths, extra=extra)
    fields = {key: Field(key, steps=one, extra_rows=2 * (key == "y")) for key, one in given_steps.items()}
    fields |= {
        "gone x": "pad:x",
        "gone y": "pad:y",
        "z": Field("y", steps=given_steps["y"], extra_rows=2, dtype="float64"),
    }
    steps["z"] = steps["y"]
    if is_split:
        dm = H5DataModule(files, fields, samples, split=Split(0.3, 0.2, by="block"), reader=reader)
        try:
            dm.setup()
        except SplitError:
            return
        plan, datasets = dm._data.plan.parts, dm._data.datasets
        parts = {
            name: zip(*(one.tolist() for one in (p.series, p.start, p.stop)), strict=True)
            for name, p in plan.items()
        }
    else:
        dm = H5Dataset(files, fields, samples, reader=reader)
        datasets = {"all": dm}
        parts = {"all": [(number, 0, rows) for number, rows in enumerate(lengths)]}
    try:
        for name, runs in parts.items():
            expected = [
                (n, first, stop, row)
                for n, first, stop in runs
                for row in padded_starts(samples, first, stop)
            ]
            dataset = datasets[name]
            where = dataset.index.locate(dataset.sample_ids(np.arange(len(dataset))))
            assert list(zip(where.file.tolist(), where.row.tolist(), strict=True)) == [
                (n, row) for n, _, _, row in expected
            ]
            order = np.random.default_rng(seed).permutation(len(dataset))
            found = dataset.read_batch(order)
            for slot, number in enumerate(order.tolist()):
                file, first, stop, row = expected[number]
                for key, one in steps.items():
                    end = stop + (extra[file] if key in "yz" and stop == lengths[file] else 0)
                    rows = row + np.arange(*one) * samples.dilation
                    gone = (rows < first) | (rows >= end)
                    values = 1000 * file + rows.clip(first, end - 1)
                    if pad == "zero":
                        values[gone] = 0
                    np.testing.assert_array_equal(found[key][slot], values)
                    if key in "xy":
                        np.testing.assert_array_equal(found[f"gone {key}"][slot], gone)
    finally:
        dm.close() if isinstance(dm, H5Dataset) else dm.teardown()


@settings(max_examples=40, deadline=None)
@given(
    series=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), min_size=1, max_size=3),
    case=windows(),
    reader=st.sampled_from(READERS),
)
def test_extra_rows_let_windows_reach_further(tmp_path_factory, series, case, reader):
    (samples, given_steps), lengths, extra = case, [rows for rows, _ in series], [more for _, more in series]
    steps = {key: one or (0, samples.length) for key, one in given_steps.items()}
    files = write(tmp_path_factory.getbasetemp() / "extra", lengths, extra=extra)
    fields = {key: Field(key, steps=one, extra_rows=2 * (key == "y")) for key, one in given_steps.items()}
    expected = [
        (file, start)
        for file, rows in enumerate(lengths)
        for start in starts_within(samples, steps, 0, rows, rows, extra[file])
    ]
    if not expected:
        return
    dataset = H5Dataset(files, fields, samples, reader=reader)
    try:
        where = dataset.index.locate(np.arange(len(dataset)))
        assert list(zip(where.file.tolist(), where.row.tolist(), strict=True)) == expected
        found = dataset.read_batch(np.arange(len(dataset)))
        for slot, place in enumerate(expected):
            for key, one in steps.items():
                np.testing.assert_array_equal(found[key][slot], value(*place, one, samples))
    finally:
        dataset.close()


def test_one_observation_more_than_actions(tmp_path):
    files = write(tmp_path / "more", [5, 5], extra=[1, 1])
    fields = {"x": "x", "next": Field("y", steps=(1, 2), extra_rows=1)}
    dataset = H5Dataset(files, fields, Windows(1))
    assert len(dataset) == 10
    assert dataset[4]["next"].tolist() == [5]
    dataset.close()
    whole = H5Dataset(files, {"x": "x", "y": Field("y", extra_rows=1)}, Whole())
    assert [len(whole[1][key]) for key in "xy"] == [5, 6]
    whole.close()
    write(tmp_path / "more", [5, 5], extra=[1, 3])
    with pytest.raises(SchemaError) as caught:
        H5Dataset(files, fields, Windows(1))
    assert str(caught.value) == (
        f"field 'next': in {tmp_path}/more/1.h5 '/y' has 8 rows, expected 5 to 6: the 5 rows of '/x', and up to "
        "extra_rows=1 more"
    )
    with pytest.raises(OptionError, match="all fields have extra_rows"):
        H5Dataset(files, {"y": Field("y", extra_rows=1)}, Windows(1))


@pytest.mark.parametrize(
    ("fields", "samples", "message"),
    [
        (
            {"x": "x", "p": "pad:x"},
            Windows(2),
            r"'pad:x' needs padded windows, such as samples=.*pad='edge'",
        ),
        ({"x": "x", "p": "pad:x"}, None, "needs padded windows"),
        ({"x": "x", "p": "pad:z"}, Windows(2, pad="edge"), "'pad:z' names no field"),
        ({"x": "x", "a": "attr:a", "p": "pad:a"}, Windows(2, pad="edge"), "the field 'a' has no rows"),
        ({"x": "x"}, {"kind": "whole", "pad": "edge"}, "samples has no option 'pad'"),
    ],
)
def test_padding_that_cannot_be(tmp_path, fields, samples, message):
    files = write(tmp_path / "wrong", [5])
    with h5py.File(tmp_path / "wrong" / "0.h5", "a") as file:
        file.attrs["a"] = 1
    with pytest.raises(OptionError, match=message):
        H5Dataset(files, fields, samples)
