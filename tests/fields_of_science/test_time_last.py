"""Recordings and arrays whose samples lie along the last axis: EEG, MATLAB v7.3; as their users load them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from users import check_user

from h5lightning import Field, H5DataModule, Rows, Whole, Windows
from h5lightning.errors import OptionError, SchemaError

pytestmark = pytest.mark.timeout(90)
READERS = ["auto", "h5py"]
TIMES = (300, 410, 256, 333, 280, 390, 301)
LAYOUTS = {
    "contiguous": {},
    "chunks": {"chunks": (5, 64)},
    "gzip": {"chunks": (1, 50), "compression": "gzip"},
    "all_channels_gzip": {"chunks": (6, 32), "compression": "gzip", "shuffle": True},
}


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def recordings(folder, **options):
    for number, times in enumerate(TIMES):
        with h5py.File(folder / f"sub-{number:02}.h5", "w") as file:
            file.create_dataset("eeg", data=normal(number, 6, times), **options)
            file["label"] = np.arange(times) // 37 % 4
            file["montage"] = normal(99, 6, 3)
            file["channels"] = np.array(["Fp1", "Fp2", "C3", "C4", "O1", "O2"], dtype=h5py.string_dtype())
            file.attrs.update(sfreq=250.0, subject=number, age=20.0 + number)
    return folder


def windows(folder, length, stride):
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            for row in range(0, file["eeg"].shape[1] - length + 1, stride):
                yield (
                    (path.name, "", row),
                    {
                        "eeg": file["eeg"][:, row : row + length],
                        "label": file["label"][row : row + length],
                        "montage": file["montage"][()],
                        "subject": np.array(file.attrs["subject"]),
                    },
                )


FIELDS = {
    "eeg": "eeg",
    "label": Field("label", axis=0),
    "montage": Field("montage", constant=True),
    "subject": "attr:subject",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_of_channels_by_time(tmp_path, layout, reader):
    dm = H5DataModule(
        f"{recordings(tmp_path, **LAYOUTS[layout])}/*.h5",
        fields=FIELDS,
        samples=Windows(64, stride=32, axis=-1),
        provenance=True, reader=reader,
    )  # fmt: skip
    found = check_user(dm, dict(windows(tmp_path, 64, 32)))
    assert all(found.values())


def test_the_axis_of_a_field_that_has_one_axis_is_the_last(tmp_path):
    """``axis=-1`` is that of the labels, too."""
    fields = FIELDS | {"label": "label"}
    dm = H5DataModule(
        f"{recordings(tmp_path)}/*.h5", fields, samples=Windows(64, stride=32, axis=-1), provenance=True
    )
    check_user(dm, dict(windows(tmp_path, 64, 32)))


def test_each_stage_has_its_own_windows_and_recordings_are_divided_into_blocks(tmp_path):
    """Short overlapping windows for training, long ones side by side for the rest; no time is in two splits."""
    dm = H5DataModule(
        f"{recordings(tmp_path)}/*.h5",
        fields={"eeg": "eeg", "label": Field("label", axis=0)},
        samples={"train": Windows(16, stride=8, axis=-1), "val": Windows(30, stride=30, axis=-1)},
        split={"by": "block", "val": 0.2, "test": 0.2}, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    times: dict[str, set[tuple[str, int]]] = {}
    for stage, length in (("train", 16), ("val", 30), ("test", 30)):
        for batch in getattr(dm, f"{stage}_dataloader")():
            for place, eeg, label in zip(
                dm.locate(batch["sample_id"]), batch["eeg"], batch["label"], strict=True
            ):
                with h5py.File(place.file) as file:
                    rows = slice(place.row, place.row + length)
                    np.testing.assert_array_equal(eeg, file["eeg"][:, rows])
                    np.testing.assert_array_equal(label, file["label"][rows])
                times.setdefault(stage, set()).update(
                    (place.file, row) for row in range(rows.start, rows.stop)
                )
    dm.teardown()
    assert set(times) == {"train", "val", "test"}
    assert not times["train"] & times["val"]
    assert not times["train"] & times["test"]
    assert not times["val"] & times["test"]


@pytest.mark.parametrize("pad", ["edge", "zero"])
def test_a_window_around_each_time_padded_at_the_ends(tmp_path, pad):
    """The last axis is padded, and the padding is a mask of times."""
    dm = H5DataModule(
        f"{recordings(tmp_path)}/*.h5",
        fields={"eeg": Field("eeg", steps=(-4, 5)), "label": "label", "outside": "pad:eeg"},
        samples=Windows(1, stride=10, axis=-1, pad=pad), split={"by": "file"}, provenance=True,
    )  # fmt: skip
    expected = {}
    for number, total in enumerate(TIMES):
        name = f"sub-{number:02}.h5"
        with h5py.File(tmp_path / name) as file:
            eeg, label = file["eeg"][()], file["label"][()]
        for row in range(0, total, 10):
            rows = row + np.arange(-4, 5)
            outside = (rows < 0) | (rows >= total)
            value = eeg[:, rows.clip(0, total - 1)]
            if pad == "zero":
                value[:, outside] = 0
            expected[name, "", row] = {"eeg": value, "label": label[row : row + 1], "outside": outside}
    check_user(dm, expected)


def test_windows_that_begin_anywhere(tmp_path):
    dm = H5DataModule(
        f"{recordings(tmp_path)}/*.h5",
        fields={"eeg": "eeg", "label": "label"},
        samples=Windows(64, stride=32, axis=-1, jitter=True),
        split={"val": None, "test": None}, provenance=True, transform=lambda sample, info: sample | {"row": info.row},
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    seen = []
    for batch in dm.train_dataloader():
        for place, eeg, label, row in zip(
            dm.locate(batch["sample_id"]), batch["eeg"], batch["label"], batch["row"].tolist(), strict=True
        ):
            with h5py.File(place.file) as file:
                np.testing.assert_array_equal(eeg, file["eeg"][:, row : row + 64])
                np.testing.assert_array_equal(label, file["label"][row : row + 64])
            assert place.row <= row < place.row + 32
            seen.append((place.file.rsplit("/", 1)[-1], "", place.row))
    dm.teardown()
    assert sorted(seen) == sorted(place for place, _ in windows(tmp_path, 64, 32))


def test_whole_recordings_of_different_length(tmp_path):
    """Padded along the last axis, which is that of the lengths."""
    dm = H5DataModule(
        f"{recordings(tmp_path)}/*.h5",
        fields={
            "eeg": Field("eeg", ragged="pad"), "times": "length:eeg", "outside": "pad:eeg", "subject": "attr:subject",
        },
        samples=Whole(axis=-1), split={"val": None, "test": None}, batch_size=3,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    subjects = []
    for batch in dm.train_dataloader():
        longest = int(batch["times"].max())
        assert batch["eeg"].shape == (len(batch["times"]), 6, longest)
        assert torch.equal(batch["outside"], torch.arange(longest) >= batch["times"][:, None])
        for eeg, times, subject in zip(batch["eeg"], batch["times"], batch["subject"].tolist(), strict=True):
            assert int(times) == TIMES[subject]
            np.testing.assert_array_equal(eeg[:, : int(times)], normal(subject, 6, TIMES[subject]))
            assert not eeg[:, int(times) :].any()
            subjects.append(subject)
    dm.teardown()
    assert sorted(subjects) == list(range(len(TIMES)))


def test_rows_of_the_wrong_axis_are_an_error_that_names_the_axis(tmp_path):
    """Channels beside times: who forgets ``axis=-1`` is told so, also where all recordings have one length."""
    files = f"{recordings(tmp_path)}/*.h5"
    for fields in (["eeg"], ["eeg", "label"], {"eeg": Field("eeg", ragged="list"), "label": "label"}):
        with pytest.raises(SchemaError, match=r"eeg.*axis=-1") as caught:
            H5DataModule(files, fields, samples=Windows(4)).setup()
        assert "sub-0" in str(caught.value)


def test_an_axis_that_labels_lack_is_an_error_that_names_theirs(tmp_path):
    files = f"{recordings(tmp_path)}/*.h5"
    with pytest.raises(OptionError, match=r"'/label', which has 1 axis: .* Field\('label', axis=0\)"):
        H5DataModule(files, ["eeg", "label"], samples=Windows(4, axis=1)).setup()


def test_all_datasets_with_one_length_along_the_last_axis_are_fields(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["eeg"], file["label"] = normal(number, 6, 40), np.arange(40)
    dm = H5DataModule(
        f"{tmp_path}/*.h5", samples=Windows(8, stride=8, axis=-1), split={"by": "file", "val": 0.3, "test": None},
        provenance=True,
    )  # fmt: skip
    expected = {
        (f"{number}.h5", "", row): {
            "eeg": normal(number, 6, 40)[:, row : row + 8],
            "label": np.arange(row, row + 8),
        }
        for number in range(3)
        for row in range(0, 40, 8)
    }
    check_user(dm, expected)


# ── MATLAB ───────────────────────────────────────────────────────────────────────────────────────────


def matlab(path, arrays):
    """What ``save(…, '-v7.3')`` writes: a user block, axes reversed, and the class of each array."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            kind = {"float64": "double", "float32": "single", "bool": "logical"}.get(
                values.dtype.name, values.dtype.name
            )
            stored = values.T.astype("u1") if kind == "logical" else values.T
            file.create_dataset(name, data=stored, chunks=stored.shape, compression="gzip")
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
            if kind == "logical":
                file[name].attrs["MATLAB_int_decode"] = np.int32(1)
    with open(path, "r+b") as file:
        text = (
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
        )
        file.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


@pytest.mark.parametrize("reader", READERS)
def test_matlab_samples_that_matlab_counts_last_come_first(tmp_path, reader):
    """``images(H, W, C, N)`` of MATLAB is ``(N, C, W, H)`` in the file: rows are samples without any option."""
    for number in range(3):
        images = np.random.default_rng(number).integers(0, 255, (5, 6, 3, 10 + number)).astype("u1")
        labels = np.arange(10.0 + number).reshape(1, -1) % 4
        matlab(tmp_path / f"{number}.mat", {"images": images, "labels": labels})
    dm = H5DataModule(
        f"{tmp_path}/*.mat",
        fields={"image": "images", "label": Field("labels", dtype="int64")},
        split={"by": "sample"}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for path in tmp_path.glob("*.mat"):
        with h5py.File(path) as file:
            images, labels = file["images"][()].T, file["labels"][()].T
        for row in range(images.shape[-1]):
            expected[path.name, "", row] = {
                "image": images[..., row].transpose(2, 1, 0),
                "label": labels[:, row].astype("i8"),
            }
    check_user(dm, expected, apart=lambda place: place)


@pytest.mark.parametrize("reader", READERS)
def test_matlab_samples_that_matlab_counts_first_come_last(tmp_path, reader):
    """``X(N, C)`` of MATLAB is ``(C, N)`` in the file: rows lie along the last axis."""
    for number in range(3):
        x, y = normal(number, 30 + number, 8).astype("f8"), np.arange(30.0 + number).reshape(-1, 1) % 3
        matlab(tmp_path / f"{number}.mat", {"X": x, "Y": y, "valid": y > 0})
    dm = H5DataModule(
        f"{tmp_path}/*.mat",
        fields={"x": Field("X", dtype="float32"), "y": "Y", "valid": "valid"},
        samples=Rows(axis=-1), split={"by": "sample"}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for path in tmp_path.glob("*.mat"):
        with h5py.File(path) as file:
            x, y, valid = (file[name][()].T for name in ("X", "Y", "valid"))
        for row in range(len(x)):
            expected[path.name, "", row] = {"x": x[row].astype("f4"), "y": y[row], "valid": valid[row]}
    check_user(dm, expected, apart=lambda place: place)


@pytest.mark.parametrize("reader", READERS)
def test_matlab_signals_with_time_first_in_matlab(tmp_path, reader):
    """``signal(T, C)`` of MATLAB, windows of times; and ``trials(N, T, C)``, rows along the last of three axes."""
    for number in range(3):
        signal, trials = normal(number, 120 + 7 * number, 4), normal(50 + number, 9, 20, 4)
        matlab(tmp_path / f"{number}.mat", {"signal": signal, "trials": trials, "y": np.arange(9.0)[:, None]})
    dm = H5DataModule(
        f"{tmp_path}/*.mat", fields={"x": "signal"}, samples=Windows(32, stride=16, axis=-1),
        split={"by": "file", "val": 0.3, "test": None}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.mat") as file:
            signal = file["signal"][()]
        for row in range(0, signal.shape[1] - 31, 16):
            expected[f"{number}.mat", "", row] = {"x": signal[:, row : row + 32]}
    check_user(dm, expected)
    dm = H5DataModule(
        f"{tmp_path}/*.mat", fields={"x": "trials", "y": "y"}, samples=Rows(axis=-1),
        split={"by": "sample"}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.mat") as file:
            for row in range(9):
                sample = {"x": file["trials"][..., row], "y": file["y"][:, row]}
                expected[f"{number}.mat", "", row] = sample
    check_user(dm, expected, apart=lambda place: place)
