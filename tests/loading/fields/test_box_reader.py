"""Fields whose samples are boxes: windows along any axes, against h5py, one sample at a time."""

import itertools
import re

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset, Rows, Series, Split, Whole, Windows
from h5lightning.errors import FieldError, NonFiniteError, OptionError, SchemaError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def opened():
    """Makes datasets that are closed at the end of the test."""
    made = []

    def make(*arguments, **options):
        made.append(H5Dataset(*arguments, **options))
        return made[-1]

    yield make
    for dataset in made:
        dataset.close()


SHAPES = [(9, 8, 11), (10, 12, 7), (6, 15, 9)]
LENGTH, STRIDE = (4, 3, 5), (2, 3, 4)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("volumes"), np.random.default_rng(0)
    for number, shape in enumerate(SHAPES):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            raw = rng.standard_normal((2, *shape)).astype("f4")
            file.create_dataset("raw", data=raw, chunks=(2, 4, 4, 4), compression="gzip", shuffle=True)
            file.create_dataset("label", data=rng.integers(0, 9, shape).astype("u1"), chunks=(3, 5, 4))
            file.create_dataset("plane", data=np.arange(shape[0]))
    return folder


def expected_box(dataset, start, axes, pad):
    """The window of a dataset at a start, and which of its entries lie outside."""
    values, outside = dataset[()], np.zeros(LENGTH, bool)
    for number, (first, length, axis) in enumerate(zip(start, LENGTH, axes, strict=True)):
        entries = np.arange(first, first + length)
        values = values.take(entries.clip(0, dataset.shape[axis] - 1), axis=axis)
        is_outside = entries >= dataset.shape[axis]
        outside |= is_outside.reshape([-1 if one == number else 1 for one in range(3)])
    return (np.where(outside, 0, values) if pad == "zero" else values), outside


@pytest.mark.parametrize("reader", ["direct", "h5py", "auto"])
@pytest.mark.parametrize("pad", [None, "edge", "zero"])
@pytest.mark.parametrize("jitter", [False, True])
def test_crops_are_those_of_h5py(opened, volumes, tmp_path, reader, pad, jitter):
    fields = {"x": "raw", "y": Field("label", axis=(0, 1, 2), dtype="int64"), "z": Field("plane", axis=0)}
    dataset = opened(
        str(volumes / "*.h5"),
        {**fields, "p": "pad:x"} if pad else fields,
        Windows(LENGTH, STRIDE, axis=(1, 2, 3), pad=pad, jitter=jitter),
        transform=lambda sample, info: {**sample, "start": torch.tensor(info.start)},
        reader=reader,
        provenance=True,
        index_dir=str(tmp_path),
    )
    every = [
        len(
            [
                *np.ndindex(
                    *(
                        len(range(0, n if pad else n - k + 1, s))
                        for n, k, s in zip(shape, LENGTH, STRIDE, strict=True)
                    )
                )
            ]
        )
        for shape in SHAPES
    ]
    assert len(dataset) == sum(every)
    batch = dataset.read_batch(np.random.default_rng(1).permutation(len(dataset)))
    where = dataset.index.locate(batch["sample_id"].numpy())
    cells = dataset.index.starts(where)
    drawn = batch["start"].numpy() - cells
    assert (drawn >= 0).all()
    assert (drawn < STRIDE).all()
    assert drawn.any() == jitter
    for slot, file in enumerate(where.file.tolist()):
        start = batch["start"][slot].tolist()
        with h5py.File(dataset.index.path(file)) as h5:
            x, outside = expected_box(h5["raw"], start, (1, 2, 3), pad)
            y, _ = expected_box(h5["label"], start, (0, 1, 2), pad)
            rows = np.arange(start[0], start[0] + LENGTH[0])
        np.testing.assert_array_equal(batch["x"][slot], x)
        np.testing.assert_array_equal(batch["y"][slot], y)
        is_row_outside = rows >= SHAPES[file][0]
        z = rows.clip(0, SHAPES[file][0] - 1)
        np.testing.assert_array_equal(
            batch["z"][slot], np.where(is_row_outside, 0, z) if pad == "zero" else z
        )
        if pad:
            np.testing.assert_array_equal(batch["p"][slot], outside)
        else:
            assert not outside.any()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for number, length in enumerate([50, 83, 41]):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["x"] = rng.standard_normal((3, length)).astype("f4")
            file["y"] = rng.standard_normal((3, length)).astype("f4")
            file["t"] = np.arange(length)
            file.create_dataset("z", data=rng.integers(0, 99, (2, length)), chunks=(2, 9), compression="gzip")
            file["names"] = np.arange(3)
    return folder


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("pad", [None, "edge", "zero"])
def test_windows_along_the_last_axis_are_slices_of_it(opened, recordings, tmp_path, pad, dilation):
    fields = {"x": "x", "t": "t", "z": Field("z", dtype="float32"), "c": Field("names", constant=True)}
    fields["later"] = Field("x", steps=(5, 7))
    samples = Windows(6, 4, dilation, axis=-1, pad=pad)
    dataset = opened(str(recordings / "*.h5"), fields, samples, index_dir=str(tmp_path))
    batch = dataset.read_batch(range(len(dataset)))
    where = dataset.index.locate(np.arange(len(dataset)))
    assert batch["x"].shape[1:] == (3, 6)
    for slot, (file, row) in enumerate(zip(where.file.tolist(), where.row.tolist(), strict=True)):
        with h5py.File(dataset.index.path(file)) as h5:
            for key, name, steps in (
                ("x", "x", (0, 6)),
                ("t", "t", (0, 6)),
                ("z", "z", (0, 6)),
                ("later", "x", (5, 7)),
            ):
                rows, length = row + np.arange(*steps) * dilation, h5[name].shape[-1]
                values = h5[name][()][..., rows.clip(0, length - 1)]
                if pad == "zero":
                    values = np.where(rows >= length, 0, values)
                np.testing.assert_array_equal(batch[key][slot], values)


def test_rows_along_the_last_axis(opened, recordings, tmp_path):
    dataset = opened(str(recordings / "*.h5"), {"x": "x", "t": "t"}, Rows(axis=-1), index_dir=str(tmp_path))
    batch = dataset.read_batch(range(len(dataset)))
    assert (len(dataset), batch["x"].shape) == (50 + 83 + 41, (174, 3))
    for slot, t in enumerate(batch["t"].tolist()):
        file = int(dataset.index.locate([slot]).file[0])
        with h5py.File(dataset.index.path(file)) as h5:
            np.testing.assert_array_equal(batch["x"][slot], h5["x"][:, t])


@pytest.mark.parametrize("take", [None, 10])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_whole_series_along_the_last_axis(opened, recordings, tmp_path, take, dtype):
    fields = {"x": Field("x", ragged="pad", dtype=dtype), "t": Field("t", ragged="pad"), "n": "length:x"}
    dataset = opened(str(recordings / "*.h5"), fields, Whole(axis=-1, take=take), index_dir=str(tmp_path))
    batch = dataset.read_batch([2, 0, 1])
    assert batch["n"].tolist() == [take or 41, take or 50, take or 83]
    for slot, file in enumerate([2, 0, 1]):
        with h5py.File(dataset.index.path(file)) as h5:
            t = batch["t"][slot][: batch["n"][slot]].numpy()
            np.testing.assert_array_equal(batch["x"][slot][:, : len(t)], h5["x"][()][:, t])
        assert not batch["x"][slot][:, len(t) :].any()


@pytest.mark.parametrize(("join", "shape"), [("last", (3, 4, 2)), ("first", (2, 3, 4)), ("concat", (6, 4))])
def test_boxes_join_beside_their_windows(opened, recordings, tmp_path, join, shape):
    fields = {"both": Field(["x", "y"], join=join), "x": "x", "y": "y"}
    dataset = opened(str(recordings / "*.h5"), fields, Windows(4, axis=-1), index_dir=str(tmp_path))
    batch = dataset.read_batch(range(5))
    joined = {"last": torch.stack, "first": torch.stack, "concat": torch.cat}[join]
    axis = {"last": 3, "first": 1, "concat": 1}[join]
    assert dataset.field_spec["both"].shape == shape
    assert torch.equal(batch["both"], joined([batch["x"], batch["y"]], axis))


@pytest.mark.parametrize("pad", [None, "edge", "zero"])
@pytest.mark.parametrize("jitter", [False, True])
def test_crops_go_on_from_file_to_file(opened, tmp_path, pad, jitter):
    lengths, rng = [9, 14, 5], np.random.default_rng(0)
    every = rng.standard_normal((sum(lengths), 6, 8)).astype("f4")
    firsts = np.cumsum([0, *lengths])
    for number, (start, stop) in enumerate(itertools.pairwise(firsts.tolist())):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["time"] = np.arange(start, stop, dtype="f8")
            file.create_dataset("v", data=every[start:stop], chunks=(4, 3, 4), compression="gzip")
    dataset = opened(
        str(tmp_path / "*.h5"),
        {"v": "v", "w": Field("v", dtype="float64")},
        Windows((7, 4, 5), 3, axis=(0, 1, 2), pad=pad, jitter=jitter),
        series=Series(join_files="time"),
        transform=lambda sample, info: {**sample, "start": torch.tensor(info.start), "path": info.path},
        index_dir=str(tmp_path / "index"),
    )
    batch = dataset.read_batch(np.random.default_rng(1).permutation(len(dataset)))
    for slot, (start, path) in enumerate(zip(batch["start"].tolist(), batch["path"], strict=True)):
        start[0] += int(firsts[int(path[-4])])
        entries = [np.arange(one, one + length) for one, length in zip(start, (7, 4, 5), strict=True)]
        inside = [each < length for each, length in zip(entries, every.shape, strict=True)]
        expected = every[np.ix_(*(each.clip(0, n - 1) for each, n in zip(entries, every.shape, strict=True)))]
        if pad == "zero":
            expected = expected * (inside[0][:, None, None] & inside[1][:, None] & inside[2])
        assert pad or all(each.all() for each in inside)
        np.testing.assert_array_equal(batch["v"][slot], expected)
        np.testing.assert_array_equal(batch["w"][slot], expected)


def test_packed_crops_have_the_scale_of_their_file(opened, tmp_path):
    packed = np.random.default_rng(0).integers(-100, 100, (10, 9, 8)).astype("i2")
    packed[0, 0, 0] = -32767
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            dataset = file.create_dataset("t", data=packed, chunks=(1, 9, 8), compression="gzip")
            dataset.attrs.update(scale_factor=0.5 * (number + 1), _FillValue=np.int16(-32767))
    samples = Windows((4, 3, 5), 2, axis=(0, 1, 2), pad="edge")
    dataset = opened(
        str(tmp_path / "*.h5"), {"t": Field("t", decode="cf")}, samples, index_dir=str(tmp_path / "index")
    )
    batch = dataset.read_batch(range(len(dataset)))
    where = dataset.index.locate(np.arange(len(dataset)))
    values = np.where(packed == -32767, np.nan, packed * 0.5).astype("f4")
    for slot, start in enumerate(dataset.index.starts(where).tolist()):
        each = zip(start, (4, 3, 5), packed.shape, strict=True)
        box = values[np.ix_(*(np.arange(one, one + size).clip(0, n - 1) for one, size, n in each))]
        np.testing.assert_array_equal(batch["t"][slot], box * (where.file[slot] + 1))


def test_each_entry_of_a_leading_axis_is_a_volume(opened, tmp_path):
    volumes = np.random.default_rng(0).standard_normal((5, 6, 7, 8))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = volumes, np.arange(5)
    fields = {"x": "x", "y": Field("y", constant=True, series_axis=0)}
    samples = Windows((3, 2, 4), (3, 2, 4), axis=(1, 2, 3))
    dataset = opened(
        str(tmp_path / "a.h5"), fields, samples, series=Series(axis=0), index_dir=str(tmp_path / "index")
    )
    assert len(dataset) == 5 * 2 * 3 * 2
    batch = dataset.read_batch(range(len(dataset)))
    where = dataset.index.locate(np.arange(len(dataset)))
    for slot, (a, b, c) in enumerate(dataset.index.starts(where).tolist()):
        volume = volumes[where.series[slot]]
        np.testing.assert_array_equal(batch["x"][slot], volume[a : a + 3, b : b + 2, c : c + 4])
    assert batch["y"].tolist() == where.series.tolist()


@pytest.mark.parametrize(
    ("fields", "samples", "error", "message"),
    [
        ({"x": "x"}, Windows(4, axis=2), OptionError, "axis 2 is outside of '/x', which has 2 axes"),
        ({"x": "x"}, Windows((2, 2), axis=(1, -1)), OptionError, "names one axis of '/x' twice"),
        ({"x": "x"}, Windows((2, 90), axis=(0, 1)), OptionError, "does not fit into any file"),
        ({"t": "t"}, Windows((2, 2), axis=(0, 1)), OptionError, "axis 1 is outside of '/t'"),
        (
            {"x": "x"},
            Windows((2, 2), axis=(1, 2)),
            OptionError,
            r"along its last axes, Field\('x', axis=\[0, 1\]\)",
        ),
        (
            {"x": "x", "z": "z"},
            Windows((2, 2), axis=(1, 0)),
            SchemaError,
            "need the same lengths in all fields",
        ),
        ({"x": Field("x", axis=(0, 1))}, Windows(2), OptionError, "names 2 axes, and samples.axis=0 has 1"),
        (
            {"x": Field("x", ragged="pad")},
            Windows(4, axis=-1),
            OptionError,
            "all windows have one: remove ragged",
        ),
        ({"x": Field("x", ragged="concat")}, Whole(axis=-1), OptionError, "rows lie along axis 1"),
        ({"x": "x"}, Whole(axis=-1), SchemaError, "has 83 rows, expected 50"),
        (
            {"x": Field(["x", "y"], ragged="pad")},
            Whole(axis=-1),
            FieldError,
            "cannot be joined: make a field of each",
        ),
    ],
)
def test_what_does_not_fit_is_said_at_setup(recordings, tmp_path, fields, samples, error, message):
    with pytest.raises(error, match=message):
        H5Dataset(str(recordings / "*.h5"), fields, samples, index_dir=str(tmp_path))


@pytest.mark.parametrize(("join", "shape"), [("first", (2, 3)), ("last", (3, 2)), ("concat", (6,))])
def test_rows_along_another_axis_are_joined(tmp_path, join, shape):
    values = np.arange(24, dtype="f4").reshape(2, 3, 4)
    with h5py.File(tmp_path / "0.h5", "w") as file:
        file["x"], file["y"] = values
    fields = {"both": Field(["x", "y"], join=join)}
    dataset = H5Dataset(str(tmp_path / "0.h5"), fields, Rows(axis=1), index_dir=str(tmp_path / "index"))
    rows = values[:, :, 2]
    expected = {"first": rows, "last": rows.T, "concat": rows.reshape(-1)}[join]
    np.testing.assert_array_equal(dataset.read_batch([2])["both"][0].numpy(), expected)
    assert dataset.sample_spec()["both"].shape == shape
    dataset.close()


def test_whole_series_of_one_length_are_joined(tmp_path):
    values = np.arange(48, dtype="f4").reshape(2, 2, 3, 4)
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["y"] = values[number]
    fields = {"both": Field(["x", "y"], join="concat", ragged="pad"), "n": "length:both"}
    dataset = H5Dataset(str(tmp_path / "*.h5"), fields, Whole(axis=-1), index_dir=str(tmp_path / "index"))
    batch = dataset.read_batch([0, 1])
    np.testing.assert_array_equal(batch["both"].numpy(), values.reshape(2, 6, 4))
    assert batch["n"].tolist() == [4, 4]
    dataset.close()


@pytest.mark.parametrize("samples", [Rows(axis=1), Whole(axis=1)])
@pytest.mark.parametrize("lengths", [(4, 2), (2, 4)])
def test_ragged_says_nothing_of_axes_beside_rows_along_another_axis(tmp_path, samples, lengths):
    """The second file would be cut, or read beyond its end."""
    for number, length in enumerate(lengths):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.zeros((2, 9, length))
    with pytest.raises(SchemaError, match=f"has {lengths[1]} entries along axis 2, expected {lengths[0]}"):
        H5Dataset(str(tmp_path / "*.h5"), {"x": Field("x", ragged="pad")}, samples, index_dir=str(tmp_path))


def test_files_must_agree_in_the_axes_without_windows(recordings, tmp_path):
    with h5py.File(tmp_path / "3.h5", "w") as file:
        file["x"] = np.zeros((4, 60), "f4")
    files = [str(recordings / "*.h5"), str(tmp_path / "3.h5")]
    with pytest.raises(SchemaError, match="has 4 entries along axis 0, expected 3"):
        H5Dataset(files, {"x": "x"}, Windows(4, axis=-1), index_dir=str(tmp_path))


@pytest.mark.parametrize("jitter", [False, True])
def test_a_crop_with_a_value_that_is_not_finite_is_named_by_where_it_begins(tmp_path, jitter):
    values = np.zeros((12, 12), "f4")
    values[7, 9] = np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    dm = H5DataModule(
        str(tmp_path / "a.h5"), ["x"], Windows((4, 4), 4, axis=(0, 1), jitter=jitter), batch_size=9, threads=0,
        split=Split(val=None, test=None), access={"on_nonfinite": "raise"}, index_dir=str(tmp_path / "index"),
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    with pytest.raises(NonFiniteError, match=r"at start \(\d+, \d+\) of .*a\.h5") as caught:
        list(dm.train_dataloader())
    dm.teardown()
    row, column = map(int, re.findall(r"start \((\d+), (\d+)\)", str(caught.value))[0])
    assert np.isnan(values[row : row + 4, column : column + 4]).any()
