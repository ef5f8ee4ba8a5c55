"""Volumes that are trained by crops: electron microscopy and computed tomography; as their users load them."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest
from users import check_user, train

from h5lightning import Field, H5DataModule, Rows, Series, Whole, Windows
from h5lightning.errors import OptionError, SchemaError

pytestmark = pytest.mark.timeout(90)
READERS = ["auto", "h5py"]
VOLUMES = ((20, 24, 18), (16, 20, 26), (24, 16, 16), (17, 19, 23), (18, 18, 20))


def voxels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, "u1")


def neurons(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**40, shape, "u8")


def starts_of(sizes, lengths, strides):
    """The corners of a grid of boxes that lie inside as a whole."""
    return itertools.product(
        *(
            range(0, size - length + 1, stride)
            for size, length, stride in zip(sizes, lengths, strides, strict=True)
        )
    )


def box(values, start, lengths, first=0):
    return values[
        (slice(None),) * first + tuple(slice(a, a + length) for a, length in zip(start, lengths, strict=True))
    ]


# ── electron microscopy ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def em(tmp_path):
    """pytorch-3dunet: ``raw`` and ``label`` of one shape, in compressed chunks."""
    for number, shape in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"block_{number}.h5", "w") as file:
            options = {"chunks": (8, 8, 8), "compression": "gzip"}
            file.create_dataset("raw", data=voxels(number, *shape), **options)
            file.create_dataset("label", data=neurons(number, *shape).astype("u2"), shuffle=True, **options)
    return tmp_path


def crops(folder, lengths, strides):
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            raw, label = file["raw"][()], file["label"][()]
        for start in starts_of(raw.shape, lengths, strides):
            yield (
                (path.name, "", start),
                {"raw": box(raw, start, lengths), "label": box(label, start, lengths)},
            )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("stride", [4, (8, 5, 6)])
def test_em_crops_of_a_grid(em, stride, reader):
    dm = H5DataModule(
        f"{em}/*.h5",
        fields={"raw": "raw", "label": "label"},
        samples=Windows((8, 8, 8), stride=stride, axis=(0, 1, 2)),
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True, reader=reader,
    )  # fmt: skip
    check_user(dm, dict(crops(em, (8, 8, 8), (stride,) * 3 if isinstance(stride, int) else stride)))


def test_em_crops_of_one_volume_divided_into_blocks(em):
    """Crops of different splits share no section."""
    dm = H5DataModule(
        f"{em}/block_2.h5",
        fields={"raw": "raw", "label": "label"},
        samples=Windows((4, 8, 8), stride=2, axis=(0, 1, 2)),
        split={"by": "block", "val": 0.25, "test": 0.25}, provenance=True,
    )  # fmt: skip
    every = {place: one for place, one in crops(em, (4, 8, 8), (2, 2, 2)) if place[0] == "block_2.h5"}
    dm.prepare_data()
    dm.setup()
    sections: dict[str, set[int]] = {}
    for stage in ("train", "val", "test"):
        for batch in getattr(dm, f"{stage}_dataloader")():
            for location, raw, label in zip(
                dm.locate(batch["sample_id"]), batch["raw"], batch["label"], strict=True
            ):
                sample = every["block_2.h5", "", location.start]
                np.testing.assert_array_equal(raw, sample["raw"])
                np.testing.assert_array_equal(label, sample["label"])
                sections.setdefault(stage, set()).update(range(location.row, location.row + 4))
    dm.teardown()
    assert set(sections) == {"train", "val", "test"}
    assert all(not sections[a] & sections[b] for a, b in itertools.combinations(sections, 2))


@pytest.mark.parametrize("reader", READERS)
def test_em_crops_at_any_place(em, reader):
    """In training, each crop lies between its cell and the next ones, at another place in each epoch."""
    dm = H5DataModule(
        f"{em}/*.h5",
        fields={"raw": "raw", "label": "label"},
        samples=Windows((8, 8, 8), stride=(4, 4, 5), axis=(0, 1, 2), jitter=True),
        split={"val": None, "test": None}, provenance=True, reader=reader, transform=with_start,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    volumes = {path.name: h5py.File(path) for path in em.glob("*.h5")}
    cells = {place for place, _ in crops(em, (8, 8, 8), (4, 4, 5))}
    epochs = []
    for _ in range(2):
        drawn = {}
        for batch in dm.train_dataloader():
            for location, raw, label, start in zip(
                dm.locate(batch["sample_id"]),
                batch["raw"],
                batch["label"],
                batch["start"].tolist(),
                strict=True,
            ):
                name = location.file.rsplit("/", 1)[-1]
                for key, value in (("raw", raw), ("label", label)):
                    np.testing.assert_array_equal(value, box(volumes[name][key], start, (8, 8, 8)))
                moved = np.array(start) - location.start
                assert (moved >= 0).all()
                assert (moved < (4, 4, 5)).all()
                drawn[name, "", location.start] = tuple(start)
        assert set(drawn) == cells
        epochs.append(drawn)
    dm.teardown()
    assert epochs[0] != epochs[1]
    assert sum(drawn != start for (_, _, start), drawn in epochs[0].items()) > len(cells) / 2


def with_start(sample, info):
    return sample | {"start": np.array(info.start)}


@pytest.mark.parametrize("pad", ["edge", "zero"])
def test_em_prediction_covers_the_volume(em, pad):
    """Padded boxes side by side, put back where ``locate`` says: each voxel once."""
    dm = H5DataModule(
        {"predict": f"{em}/*.h5"},
        fields={"raw": "raw", "outside": "pad:raw"},
        samples=Windows((8, 8, 8), stride=8, axis=(0, 1, 2), pad=pad),
        batch_size=7, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    expected = {}
    for path in em.glob("*.h5"):
        with h5py.File(path) as file:
            expected[path.name] = file["raw"][()]
    out = {name: np.zeros_like(values) for name, values in expected.items()}
    times = {name: np.zeros(values.shape, "i4") for name, values in expected.items()}
    for batch in dm.predict_dataloader():
        places = dm.locate(batch["sample_id"])
        for location, raw, outside in zip(
            places, batch["raw"].numpy(), batch["outside"].numpy(), strict=True
        ):
            name = location.file.rsplit("/", 1)[-1]
            here = tuple(slice(a, a + 8) for a in location.start)
            inside = tuple(
                slice(0, len(range(*one.indices(size))))
                for one, size in zip(here, out[name].shape, strict=True)
            )
            out[name][here], times[name][here] = raw[inside], times[name][here] + 1
            assert not outside[inside].any()
            assert outside.sum() == outside.size - outside[inside].size
            filled = np.pad(
                raw[inside], [(0, 8 - one.stop) for one in inside], "edge" if pad == "edge" else "constant"
            )
            np.testing.assert_array_equal(raw, filled)
    dm.teardown()
    for name, values in expected.items():
        np.testing.assert_array_equal(out[name], values)
        assert (times[name] == 1).all()


def test_training_by_drawn_crops_and_predicting_by_padded_ones(em):
    """Each stage has samples of its own, and a Trainer trains with them."""
    dm = H5DataModule(
        f"{em}/*.h5",
        fields={"raw": Field("raw", dtype="float32"), "label": "label"},
        samples={
            "train": Windows((8, 8, 8), stride=4, axis=(0, 1, 2), jitter=True),
            "val": Windows((8, 8, 8), stride=8, axis=(0, 1, 2)),
        },
        split={"by": "file", "val": 0.2, "test": 0.2}, batch_size=4,
    )  # fmt: skip
    train(dm, steps=5)


@pytest.fixture
def cremi(tmp_path):
    for number, (z, y, x) in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"sample_{number}.hdf", "w") as file:
            file.create_dataset(
                "volumes/raw", data=voxels(number, z, y, x), chunks=(4, 8, 8), compression="gzip"
            )
            file.create_dataset(
                "volumes/labels/neuron_ids",
                data=neurons(number, z, y, x),
                chunks=(4, 8, 8),
                compression="gzip",
            )
            for name in ("volumes/raw", "volumes/labels/neuron_ids"):
                file[name].attrs["resolution"] = (40.0, 4.0, 4.0)
            file["volumes/labels/neuron_ids"].attrs["offset"] = (0.0, 0.0, 0.0)
            file["annotations/locations"] = np.zeros((3, 3))
    return tmp_path


@pytest.mark.parametrize("reader", READERS)
def test_cremi(cremi, reader):
    dm = H5DataModule(
        f"{cremi}/*.hdf",
        fields={"raw": "volumes/raw", "ids": "volumes/labels/neuron_ids"},
        samples=Windows((5, 12, 12), stride=(3, 4, 7), axis=(0, 1, 2)),
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for path in cremi.glob("*.hdf"):
        with h5py.File(path) as file:
            raw, ids = file["volumes/raw"][()], file["volumes/labels/neuron_ids"][()]
        expected |= {
            (path.name, "", start): {"raw": box(raw, start, (5, 12, 12)), "ids": box(ids, start, (5, 12, 12))}
            for start in starts_of(raw.shape, (5, 12, 12), (3, 4, 7))
        }
    check_user(dm, expected)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("chunks", [None, (1, 8, 8, 8), (2, 5, 6, 7)])
def test_channels_before_a_volume_and_a_label_without_them(tmp_path, chunks, reader):
    for number, (z, y, x) in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            compression = None if chunks is None else "gzip"
            file.create_dataset(
                "raw", data=voxels(number, 2, z, y, x), chunks=chunks, compression=compression
            )
            file["label"] = voxels(10 + number, z, y, x) % 3
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={"raw": "raw", "label": Field("label", axis=(0, 1, 2))},
        samples=Windows((6, 8, 8), stride=5, axis=(1, 2, 3)),
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            raw, label = file["raw"][()], file["label"][()]
        expected |= {
            (path.name, "", start): {
                "raw": box(raw, start, (6, 8, 8), first=1),
                "label": box(label, start, (6, 8, 8)),
            }
            for start in starts_of(label.shape, (6, 8, 8), (5, 5, 5))
        }
    check_user(dm, expected)


# ── computed tomography: each volume has a label ─────────────────────────────────────────────────────


@pytest.fixture
def ct(tmp_path):
    """Volumes of one shape along a leading axis, and the label and age of each."""
    for number in range(3):
        with h5py.File(tmp_path / f"split{number}.h5", "w") as file:
            scans = np.random.default_rng(number).integers(-1000, 2000, (5, 10, 12, 14)).astype("i2")
            file.create_dataset("ct", data=scans, chunks=(1, 5, 6, 7), compression="gzip")
            file["label"], file["age"] = np.arange(5) % 3, np.linspace(40, 80, 5, dtype="f4") + number
    return tmp_path


@pytest.mark.parametrize("reader", READERS)
def test_ct_crops_with_the_label_of_their_volume(ct, reader):
    dm = H5DataModule(
        f"{ct}/*.h5",
        fields={
            "ct": "ct",
            "label": Field("label", constant=True, series_axis=0),
            "age": Field("age", constant=True, series_axis=0),
        },
        series=Series(axis=0),
        samples=Windows((6, 8, 8), stride=(4, 4, 3), axis=(1, 2, 3)),
        split={"by": "series", "val": 0.2, "test": 0.2}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for path in ct.glob("*.h5"):
        with h5py.File(path) as file:
            scans, label, age = file["ct"][()], file["label"][()], file["age"][()]
        for number, start in itertools.product(range(5), starts_of((10, 12, 14), (6, 8, 8), (4, 4, 3))):
            expected[path.name, str(number), start] = {
                "ct": box(scans[number], start, (6, 8, 8)),
                "label": label[number],
                "age": age[number],
            }
    found = check_user(dm, expected)
    assert all(found.values())


def test_ct_slices_and_whole_volumes_with_their_labels(ct):
    """The slices of a volume in training, the volume as a whole in validation."""
    dm = H5DataModule(
        f"{ct}/*.h5",
        fields={"ct": "ct", "label": Field("label", constant=True, series_axis=0)},
        series=Series(axis=0),
        samples={"train": Rows(axis=1), "val": Whole(axis=1)},
        split={"by": "series", "val": 0.2, "test": 0.2}, provenance=True, batch_size=4,
    )  # fmt: skip
    with_volumes = {}
    for path in ct.glob("*.h5"):
        with h5py.File(path) as file:
            for number in range(5):
                with_volumes[path.name, str(number)] = (file["ct"][number], file["label"][number])

    def expected(place):
        scan, label = with_volumes[place[:2]]
        return {"ct": scan[place[2]] if place[:2] in trained else scan, "label": label}

    dm.prepare_data()
    dm.setup()
    trained = {
        (place.file.rsplit("/", 1)[-1], place.series)
        for batch in dm.train_dataloader()
        for place in dm.locate(batch["sample_id"])
    }
    dm.teardown()
    others = len(with_volumes) - len(trained)
    check_user(dm, expected, count=10 * len(trained) + others)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_for_each_volume_with_its_label_as_attribute(tmp_path, reader):
    for number, shape in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"patient{number}.h5", "w") as file:
            file["ct"] = voxels(number, *shape).astype("f4")
            file.attrs.update(label=number % 2, patient=f"p{number}")
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={"ct": "ct", "label": "attr:label"},
        samples=Windows((8, 9, 10), stride=(8, 4, 6), axis=(0, 1, 2)),
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for number, shape in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"patient{number}.h5") as file:
            ct = file["ct"][()]
        for start in starts_of(shape, (8, 9, 10), (8, 4, 6)):
            expected[f"patient{number}.h5", "", start] = {
                "ct": box(ct, start, (8, 9, 10)),
                "label": np.array(number % 2),
            }
    check_user(dm, expected)


def test_whole_volumes_of_different_size(tmp_path):
    """One file for each volume: padded along each axis that differs, or cropped by a transform."""
    for number, shape in enumerate(VOLUMES):
        with h5py.File(tmp_path / f"patient{number}.h5", "w") as file:
            file["ct"] = voxels(number, *shape).astype("f4") + 1
            file.attrs["label"] = number % 2
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={"ct": Field("ct", ragged="pad"), "label": "attr:label"},
        samples=Whole(), split={"val": None, "test": None}, batch_size=2, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    seen = 0
    for batch in dm.train_dataloader():
        shapes = []
        for place, padded in zip(dm.locate(batch["sample_id"]), batch["ct"].numpy(), strict=True):
            with h5py.File(place.file) as file:
                ct = file["ct"][()]
            np.testing.assert_array_equal(padded[tuple(map(slice, ct.shape))], ct)
            assert np.count_nonzero(padded) == ct.size
            shapes.append(ct.shape)
        assert batch["ct"].shape[1:] == tuple(np.max(shapes, axis=0))
        seen += len(shapes)
    dm.teardown()
    assert seen == len(VOLUMES)


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────────


def test_a_label_of_another_shape_is_named(em):
    with h5py.File(em / "block_3.h5", "a") as file:
        del file["label"]
        file["label"] = np.zeros((17, 19, 22), "u2")
    dm = H5DataModule(f"{em}/*.h5", ["raw", "label"], samples=Windows((8, 8, 8), axis=(0, 1, 2)))
    with pytest.raises(SchemaError, match=r"(?s)block_3\.h5") as caught:
        dm.setup()
    assert "label" in str(caught.value)
    assert "22" in str(caught.value)
    assert "23" in str(caught.value)


def test_a_label_without_the_axes_of_crops_is_an_error_that_names_its_field(ct):
    dm = H5DataModule(
        f"{ct}/*.h5", ["ct", "label"], series=Series(axis=0), samples=Windows((6, 8, 8), axis=(1, 2, 3))
    )
    with pytest.raises(OptionError, match=r"Field\('label', constant=True, series_axis=0\)"):
        dm.setup()


def test_a_box_larger_than_a_volume_says_so(em):
    dm = H5DataModule(f"{em}/*.h5", ["raw", "label"], samples=Windows((8, 32, 8), axis=(0, 1, 2)))
    with pytest.raises(OptionError, match="32") as caught:
        dm.setup()
    assert "pad" in str(caught.value) or "block_" in str(caught.value)


def test_the_summary_says_what_a_grid_leaves_out(em):
    dm = H5DataModule(f"{em}/*.h5", ["raw", "label"], samples=Windows((8, 8, 8), stride=8, axis=(0, 1, 2)))
    dm.prepare_data()
    dm.setup()
    text = str(dm.summary())
    dm.teardown()
    assert "pad" in text, text
