"""Files whose samples differ in size: scans, bags of patches, clouds of points, molecules; as their users load them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from users import check_user

from h5lightning import Field, H5DataModule, Series, Shuffle, Whole
from h5lightning.errors import FieldError, ResourceError, SchemaError

pytestmark = pytest.mark.timeout(90)
READERS = ["auto", "h5py"]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def each(place):
    """Samples of their own: those of one file may be in different splits."""
    return place


# ── fastMRI: a file for each volume, whose k-space has its own width ─────────────────────────────────

SCANS = ((5, 20), (6, 24), (4, 20), (7, 22), (5, 28), (6, 20), (5, 22))
HEADER = b"<?xml version='1.0'?><ismrmrdHeader/>"


@pytest.fixture
def fastmri(tmp_path):
    for number, (slices, width) in enumerate(SCANS):
        with h5py.File(tmp_path / f"file_brain_{number}.h5", "w") as file:
            k = normal(number, slices, 4, 18, width) + 1j * normal(50 + number, slices, 4, 18, width)
            file["kspace"] = k.astype("c8")
            file["reconstruction_rss"] = normal(100 + number, slices, 16, 16)
            file["ismrmrd_header"] = HEADER
            file.attrs.update(
                acquisition="AXT2", max=float(number) / 7, norm=0.1, patient_id=f"{number // 2:x}"
            )
    return tmp_path


def scans(folder, change=lambda kspace: kspace):
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            for row in range(len(file["kspace"])):
                yield (
                    (path.name, "", row),
                    {
                        "kspace": change(file["kspace"][row]),
                        "target": file["reconstruction_rss"][row],
                        "max": np.array(file.attrs["max"]),
                    },
                )


def crop(sample):
    """The 16 columns in the middle."""
    first = (sample["kspace"].shape[-1] - 16) // 2
    return sample | {"kspace": sample["kspace"][..., first : first + 16]}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", ["list", "stack"])
def test_fastmri(fastmri, form, reader):
    dm = H5DataModule(
        f"{fastmri}/*.h5",
        fields={
            "kspace": Field("kspace", ragged=form),
            "target": "reconstruction_rss",
            "max": "attr:max",
        },
        transform=crop if form == "stack" else None,
        batch_size=4, provenance=True, reader=reader,
    )  # fmt: skip
    cropped = lambda kspace: kspace[..., (kspace.shape[-1] - 16) // 2 :][..., :16]  # noqa: E731
    check_user(dm, dict(scans(fastmri, cropped if form == "stack" else lambda kspace: kspace)))


def test_fastmri_padded_to_the_widest_scan(fastmri):
    dm = H5DataModule(
        f"{fastmri}/*.h5",
        fields={
            "kspace": Field("kspace", ragged="pad"),
            "width": "length:kspace",
            "outside": "pad:kspace",
        },
        split={"val": None, "test": None}, batch_size=5, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    expected, seen = {place: sample["kspace"] for place, sample in scans(fastmri)}, 0
    for batch in dm.train_dataloader():
        places = [
            (file.rsplit("/", 1)[-1], series, row) for file, series, row in dm.locate(batch["sample_id"])
        ]
        widths = [expected[place].shape[-1] for place in places]
        assert batch["width"].tolist() == widths
        assert batch["kspace"].shape == (len(widths), 4, 18, max(widths))
        assert batch["outside"].shape == (len(widths), max(widths))
        for place, width, value, outside in zip(
            places, widths, batch["kspace"], batch["outside"], strict=True
        ):
            np.testing.assert_array_equal(value[..., :width], expected[place])
            assert not value[..., width:].any()
            assert outside.tolist() == [column >= width for column in range(max(widths))]
            seen += 1
    dm.teardown()
    assert seen == len(expected)


def test_widths_that_differ_are_an_error_that_says_what_to_do(fastmri):
    dm = H5DataModule(f"{fastmri}/*.h5", fields={"kspace": "kspace"})
    with pytest.raises(SchemaError, match=r"kspace.*24.*20") as caught:
        dm.setup()
    assert "ragged" in str(caught.value)
    assert "file_brain_" in str(caught.value)


def test_stacking_widths_without_a_crop_is_an_error_that_says_what_to_do(fastmri):
    dm = H5DataModule(f"{fastmri}/*.h5", {"kspace": Field("kspace", ragged="stack")})
    dm.prepare_data()
    dm.setup()
    with pytest.raises(FieldError, match=r"'stack'.*file_brain_.*transform.*ragged='list' or 'pad'$"):
        list(dm.train_dataloader())
    dm.teardown()


# ── CLAM: a bag of patches for each slide ────────────────────────────────────────────────────────────

BAGS = (31, 4, 17, 60, 9, 22, 13, 45, 27, 8, 38, 19)


@pytest.fixture
def clam(tmp_path):
    for number, patches in enumerate(BAGS):
        with h5py.File(tmp_path / f"slide_{number}.h5", "w") as file:
            shape = (patches, 12)
            file.create_dataset("features", data=normal(number, *shape), maxshape=(None, 12), chunks=(1, 12))
            coords = np.random.default_rng(number).integers(0, 10**5, (patches, 2))
            file.create_dataset("coords", data=coords, maxshape=(None, 2), chunks=(1, 2))
            file["coords"].attrs.update(
                patch_size=256, patch_level=0, name=f"slide_{number}", save_path="/data"
            )
    return tmp_path


def bags(folder):
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            yield (
                (path.name, "", 0),
                {
                    "features": file["features"][()],
                    "coords": file["coords"][()],
                    "n": np.array(len(file["coords"])),
                },
            )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", ["concat", "pad"])
def test_clam_bags(clam, form, reader):
    dm = H5DataModule(
        f"{clam}/*.h5",
        fields={
            "features": Field("features", ragged=form),
            "coords": Field("coords", ragged=form),
            "n": "length:features",
        },
        samples=Whole(), batch_size=3, provenance=True, reader=reader,
    )  # fmt: skip
    found = check_user(dm, dict(bags(clam)), ragged={"features": "n", "coords": "n"})
    assert all(found.values())


def test_clam_bags_as_lists(clam):
    dm = H5DataModule(
        f"{clam}/*.h5",
        fields={
            "features": Field("features", ragged="list"),
            "coords": Field("coords", ragged="list"),
            "n": "length:features",
        },
        samples=Whole(), batch_size=3, provenance=True,
    )  # fmt: skip
    check_user(dm, dict(bags(clam)))


def test_clam_bags_of_similar_size(clam):
    """Each bag once, in batches that need less padding than in random order."""
    dm = H5DataModule(
        f"{clam}/*.h5",
        fields={"features": Field("features", ragged="pad"), "n": "length:features", "outside": "pad:features"},
        samples=Whole(), shuffle=Shuffle(bucket="length:features"), split={"val": None, "test": None},
        batch_size=3, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    batches = list(dm.train_dataloader())
    dm.teardown()
    assert sorted(size for batch in batches for size in batch["n"].tolist()) == sorted(BAGS)
    sizes = sorted(BAGS)
    cut = {tuple(sizes[first : first + 3]) for first in range(0, len(sizes), 3)}
    assert {tuple(sorted(batch["n"].tolist())) for batch in batches} == cut
    for batch in batches:
        assert (batch["outside"].sum(1) == batch["n"].max() - batch["n"]).all()


def test_some_patches_of_a_bag(clam):
    """The same patches of features and coordinates, others in the next epoch, all of a bag that has fewer."""
    dm = H5DataModule(
        f"{clam}/*.h5",
        fields={
            "features": Field("features", ragged="concat"),
            "coords": Field("coords", ragged="concat"),
            "n": "length:features",
        },
        samples=Whole(take=10), split={"val": None, "test": None}, batch_size=4, provenance=True,
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    expected = {place[0]: sample for place, sample in bags(clam)}
    epochs = []
    for _ in range(2):
        drawn = {}
        for batch in dm.train_dataloader():
            names = [place.file.rsplit("/", 1)[-1] for place in dm.locate(batch["sample_id"])]
            lengths = batch["n"].tolist()
            features, coords = batch["features"].split(lengths), batch["coords"].split(lengths)
            for name, some, where in zip(names, features, coords, strict=True):
                whole = expected[name]
                rows = [int(np.flatnonzero((whole["features"] == one.numpy()).all(1))[0]) for one in some]
                assert rows == sorted(set(rows))
                assert len(rows) == min(10, len(whole["features"]))
                np.testing.assert_array_equal(where, whole["coords"][rows])
                drawn[name] = rows
        assert set(drawn) == set(expected)
        epochs.append(drawn)
    dm.teardown()
    assert epochs[0] != epochs[1]


def test_a_bag_too_large_to_pad_is_named(clam):
    dm = H5DataModule(
        f"{clam}/*.h5",
        fields={"features": Field("features", ragged="pad")},
        samples=Whole(), split={"val": None, "test": None}, batch_size=12,
        access={"max_padded_bytes": 12 * 50 * 12 * 4},
    )  # fmt: skip
    dm.prepare_data()
    dm.setup()
    with pytest.raises(ResourceError, match=r"max_padded_bytes.*slide_3\.h5"):
        list(dm.train_dataloader())
    dm.teardown()


def test_bags_without_ragged_are_an_error_that_says_what_to_do(clam):
    dm = H5DataModule(f"{clam}/*.h5", fields={"features": "features"}, samples=Whole())
    with pytest.raises(SchemaError, match="ragged") as caught:
        dm.setup()
    assert "slide_" in str(caught.value)


# ── clouds of points, one after the other in a file ──────────────────────────────────────────────────

CLOUDS = ((5, 30, 1, 12, 7), (20, 3, 3, 9), (11, 16, 2, 25, 8, 6))


@pytest.fixture
def clouds(tmp_path):
    for number, sizes in enumerate(CLOUDS):
        with h5py.File(tmp_path / f"batch{number}.h5", "w") as file:
            file.create_dataset(
                "points", data=normal(number, sum(sizes), 3), chunks=(16, 3), compression="gzip"
            )
            file["colors"] = np.random.default_rng(number).integers(0, 255, (sum(sizes), 3), "u1")
            file["offsets"] = np.concatenate([[0], np.cumsum(sizes)])
            file["ends"] = np.cumsum(sizes)
            file["label"] = np.arange(len(sizes)) % 3
    return tmp_path


def cloud_samples(folder):
    for path, sizes in zip(sorted(folder.glob("*.h5")), CLOUDS, strict=True):
        ends = np.cumsum(sizes)
        with h5py.File(path) as file:
            for row, (size, end) in enumerate(zip(sizes, ends, strict=True)):
                yield (
                    (path.name, "", row),
                    {
                        "points": file["points"][end - size : end],
                        "colors": file["colors"][end - size : end],
                        "label": file["label"][row],
                        "n": np.array(size),
                    },
                )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", ["concat", "pad"])
@pytest.mark.parametrize("index", ["offsets", "ends"])
def test_point_clouds(clouds, index, form, reader):
    dm = H5DataModule(
        f"{clouds}/*.h5",
        fields={
            "points": Field("points", index=index, ragged=form),
            "colors": Field("colors", index=index, ragged=form),
            "label": "label",
            "n": "length:points",
        },
        batch_size=4, provenance=True, reader=reader,
    )  # fmt: skip
    check_user(dm, dict(cloud_samples(clouds)), ragged={"points": "n", "colors": "n"}, apart=each)


def test_point_clouds_as_series_of_points(clouds):
    """The same files with the table as that of series: a cloud is a whole series, and its label is one entry."""
    dm = H5DataModule(
        f"{clouds}/*.h5",
        fields={"points": Field("points", ragged="concat"), "n": "length:points"},
        samples=Whole(), series=Series(offsets="offsets"), split={"by": "series"}, batch_size=4, provenance=True,
    )  # fmt: skip
    expected = {
        (file, str(row), 0): {"points": sample["points"], "n": sample["n"]}
        for (file, _, row), sample in cloud_samples(clouds)
    }
    check_user(dm, expected, ragged={"points": "n"})


@pytest.mark.parametrize("index", ["offsets", "ends"])
def test_batches_of_similar_clouds(clouds, index):
    dm = H5DataModule(
        f"{clouds}/*.h5",
        fields={"points": Field("points", index=index, ragged="pad"), "label": "label", "n": "length:points"},
        shuffle=Shuffle(bucket="length:points"), split={"by": "sample"}, batch_size=5, provenance=True,
    )  # fmt: skip
    expected = dict(cloud_samples(clouds))
    for sample in expected.values():
        del sample["colors"]
    check_user(dm, expected, ragged={"points": "n"}, apart=each)


def test_an_index_that_does_not_end_with_the_points_is_named(clouds):
    with h5py.File(clouds / "batch1.h5", "a") as file:
        file["offsets"][-1] = 34
    dm = H5DataModule(f"{clouds}/*.h5", fields={"points": Field("points", index="offsets", ragged="list")})
    with pytest.raises(SchemaError, match=r"(?s)batch1\.h5.*offsets.*34.*35") as caught:
        dm.setup()
    assert "points" in str(caught.value)


# ── ANI-1x: a group for each formula ─────────────────────────────────────────────────────────────────

FORMULAS = {"C1H4": (9, 5), "C2H6O1": (4, 9), "H2O1": (11, 3), "C10H8": (3, 18), "C2H2": (6, 4)}


@pytest.fixture
def ani(tmp_path):
    """Conformations of molecules: atoms are the same in a group, coordinates and energies differ."""
    for number in range(3):
        with h5py.File(tmp_path / f"ani1x_{number}.h5", "w") as file:
            for place, (name, (count, atoms)) in enumerate(FORMULAS.items()):
                if (place + number) % 4 == 3:
                    continue
                seed = 100 * number + place
                group = file.create_group(name)
                group["atomic_numbers"] = np.random.default_rng(seed).integers(1, 9, atoms, "u1")
                group["coordinates"] = normal(seed, count, atoms, 3)
                group["wb97x_dz.energy"] = normal(seed + 50, count).astype("f8")
                group["wb97x_dz.forces"] = normal(seed + 70, count, atoms, 3)
    return tmp_path


def conformations(folder):
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            for name, group in file.items():
                for row in range(len(group["coordinates"])):
                    yield (
                        (path.name, name, row),
                        {
                            "pos": group["coordinates"][row],
                            "z": group["atomic_numbers"][()],
                            "energy": group["wb97x_dz.energy"][row].astype("f4"),
                            "n": np.array(len(group["atomic_numbers"])),
                        },
                    )


def ani_module(folder, form, **options):
    return H5DataModule(
        f"{folder}/*.h5",
        fields={
            "pos": Field("*/coordinates", ragged=form),
            "z": Field("*/atomic_numbers", constant=True, ragged=form),
            "energy": Field("*/wb97x_dz.energy", dtype="float32"),
            "n": "length:pos",
        },
        provenance=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", ["concat", "list", "pad"])
def test_ani(ani, form, reader):
    dm = ani_module(ani, form, split={"by": "series"}, batch_size=6, reader=reader)
    ragged = {} if form == "list" else {"pos": "n", "z": "n"}
    found = check_user(dm, dict(conformations(ani)), ragged=ragged)
    assert len({place[1] for place in found["train"]}) > 2


def test_a_graph_of_a_batch_has_the_molecule_of_each_atom(ani):
    def graph(batch):
        return batch | {"batch": torch.repeat_interleave(torch.arange(len(batch["n"])), batch["n"])}

    dm = ani_module(ani, "concat", split={"val": None, "test": None}, batch_size=7, batch_transform=graph)
    dm.prepare_data()
    dm.setup()
    expected, seen = dict(conformations(ani)), set()
    for batch in dm.train_dataloader():
        assert len(batch["pos"]) == len(batch["z"]) == len(batch["batch"])
        for number, (file, series, row) in enumerate(dm.locate(batch["sample_id"])):
            place = (file.rsplit("/", 1)[-1], series, row)
            atoms = batch["batch"] == number
            np.testing.assert_array_equal(batch["pos"][atoms], expected[place]["pos"])
            np.testing.assert_array_equal(batch["z"][atoms], expected[place]["z"])
            seen.add(place)
    dm.teardown()
    assert seen == set(expected)


@pytest.mark.parametrize("mode", ["full", "block"])
def test_molecules_of_similar_size(ani, mode):
    dm = ani_module(
        ani, "pad", split={"by": "sample", "test": None}, batch_size=6,
        shuffle=Shuffle(mode=mode, bucket="length:pos"),
    )  # fmt: skip
    check_user(dm, dict(conformations(ani)), ragged={"pos": "n", "z": "n"}, apart=each)
    dm.prepare_data()
    dm.setup()
    batches = [batch["n"] for batch in dm.train_dataloader()]
    dm.teardown()
    sizes = torch.sort(torch.cat(batches)).values
    whole = [batch for batch in batches if len(batch) == 6]
    # Sorted by size, neighbours share a batch: the sum of what sizes differ by cannot be more than their range.
    assert sum(int(batch.max() - batch.min()) for batch in whole) <= int(sizes[-1] - sizes[0])
