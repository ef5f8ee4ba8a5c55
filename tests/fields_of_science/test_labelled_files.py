"""Samples with labels, tables and statistics: each user's few lines deliver what the reader of the field reads."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
from users import check_user

from h5lightning import Field, H5DataModule, Normalize, Series, Shuffle, Split, Table, Whole, Windows

pytestmark = pytest.mark.timeout(120)
LENGTHS = (9, 12, 7, 10, 8, 11, 6, 13, 9, 10)


def write_table(path, names, lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *lines])


def standard(rows_of, axis=0):
    """Shift and scale for mean 0 and standard deviation 1 of the rows of train, which a function returns."""

    def scale(train):
        rows = rows_of(train).astype("f8")
        return np.nanmean(rows, axis), np.nanstd(rows, axis)

    return scale


def number_of(names, values):
    """What is delivered for values that are categories."""
    return np.array([list(names).index(value) for value in values], "i8")


# ── images and tables beside the files ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["variable", "padded"])
def test_robot_episodes_with_compressed_images(tmp_path, form):
    """ALOHA: JPEG of each step, of variable length or padded with zeros; windows of actions; scaled positions."""
    codecs = pytest.importorskip("imagecodecs", reason="pip install 'h5lightning[images]'")
    read = {}
    for number, rows in enumerate(LENGTHS):
        rng = np.random.default_rng(number)
        images = rng.integers(0, 255, (rows, 8, 10, 3), "u1")
        stored = [np.frombuffer(codecs.jpeg_encode(image), "u1") for image in images]
        name = f"episode_{number}.hdf5"
        with h5py.File(tmp_path / name, "w") as file:
            file["action"] = rng.normal(size=(rows, 14)).astype("f4")
            file["observations/qpos"] = rng.normal(3, 2, (rows, 14)).astype("f4")
            longest = max(map(len, stored)) if form == "padded" else 0
            kind = "u1" if longest else h5py.vlen_dtype("u1")
            shape = (rows, longest) if longest else (rows,)
            camera = file.create_dataset("observations/images/cam_high", shape, kind)
            for row, one in enumerate(stored):
                camera[row] = np.pad(one, (0, longest - len(one))) if longest else one
            read[name] = {"action": file["action"][()], "qpos": file["observations/qpos"][()]}
        read[name]["image"] = np.stack([codecs.jpeg_decode(one.tobytes()) for one in stored])
    dm = H5DataModule(
        f"{tmp_path}/*.hdf5",
        fields={
            "image": Field("observations/images/cam_high", decode="image", steps=(0, 1)),
            "qpos": Field("observations/qpos", steps=(0, 1)),
            "action": Field("action", steps=(0, 6)), "is_pad": "pad:action",
        },
        samples=Windows(1, pad="edge"), normalize={"qpos": "standard"}, provenance=True,
    )  # fmt: skip

    def expected(place):
        values, row = read[place[0]], place[2]
        steps = np.arange(row, row + 6)
        last = len(values["action"]) - 1
        return {
            "image": values["image"][row : row + 1],
            "qpos": values["qpos"][row : row + 1],
            "action": values["action"][np.minimum(steps, last)],
            "is_pad": steps > last,
        }

    qpos = standard(lambda train: np.concatenate([read[name]["qpos"] for name in {one[0] for one in train}]))
    found = check_user(dm, expected, count=sum(LENGTHS), scaled={"qpos": qpos})
    assert all(found.values())


def test_bags_of_slides_with_labels_and_cases(tmp_path):
    """CLAM: all patches of a slide, a label from a table; the slides of a case stay together."""
    read, lines = {}, []
    for number in range(14):
        rng = np.random.default_rng(number)
        patches = int(rng.integers(3, 9))
        read[f"slide_{number}.h5"] = rng.normal(1e3, 2, (patches, 16)).astype("f4")
        with h5py.File(tmp_path / f"slide_{number}.h5", "w") as file:
            file["features"] = read[f"slide_{number}.h5"]
            file["coords"] = rng.integers(0, 9999, (patches, 2))
        lines.append([f"case_{number // 2}", f"slide_{number}", ["normal", "tumor"][number % 3 > 0]])
    write_table(tmp_path / "dataset.csv", ["case_id", "slide_id", "label"], lines)
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={
            "bag": Field("features", ragged="pad"), "n": "length:bag",
            "y": Field("table:label", categories=["normal", "tumor"]),
        },
        samples=Whole(), table=Table(f"{tmp_path}/dataset.csv", file="slide_id"),
        split=Split(keep_together="table:case_id", val=0.2, test=0.2), normalize={"bag": "standard"},
        batch_size=3, provenance=True,
    )  # fmt: skip
    line_of = {f"{slide}.h5": (case, label) for case, slide, label in lines}
    expected = {
        (name, "", 0): {
            "bag": bag,
            "n": np.array(len(bag)),
            "y": np.array(["normal", "tumor"].index(line_of[name][1])),
        }
        for name, bag in read.items()
    }
    bags = standard(lambda train: np.concatenate([read[name] for name, *_ in train]))
    found = check_user(
        dm,
        expected,
        ragged={"bag": "n"},
        scaled={"bag": bags},
        apart=lambda place: line_of[place[0]][0],
    )
    assert all(found.values())


def test_recordings_of_hearts_with_a_table_by_key(tmp_path):
    """CODE-15: several parts, each with an empty last row that no line of the table knows; no patient in two splits."""
    read, lines = {}, []
    for part in range(3):
        rng = np.random.default_rng(part)
        ids = np.append(rng.permutation(20) + 100 * part + 1, 0)
        with h5py.File(tmp_path / f"exams_part{part}.hdf5", "w") as file:
            file["exam_id"] = ids
            file["tracings"] = rng.normal(size=(21, 32, 12)).astype("f4") * (ids > 0)[:, None, None]
            tracings = file["tracings"][()]
        for row, exam in enumerate(ids[:-1]):
            line = [int(exam), int(exam) % 17, int(rng.integers(20, 90)), bool(rng.random() < 0.3)]
            lines.append(line)
            read[f"exams_part{part}.hdf5", "", row] = {
                "ecg": tracings[row],
                "age": np.array(line[2]),
                "af": np.array(int(line[3])),
            }
    patients = {line[0]: line[1] for line in lines}
    np.random.default_rng(0).shuffle(lines)
    write_table(tmp_path / "exams.csv", ["exam_id", "patient_id", "age", "AF"], lines)
    dm = H5DataModule(
        f"{tmp_path}/exams_part*.hdf5",
        fields={
            "ecg": "tracings", "age": "table:age",
            "af": Field("table:AF", categories=["False", "True"]),
        },
        table=Table(f"{tmp_path}/exams.csv", key={"exam_id": "exam_id"}, on_missing="skip"),
        split=Split(keep_together="table:patient_id", val=0.2, test=0.2), provenance=True,
    )  # fmt: skip

    def patient(place):
        with h5py.File(tmp_path / place[0]) as file:
            return patients[int(file["exam_id"][place[2]])]

    found = check_user(dm, read, apart=patient)
    assert all(found.values())


# ── tables of particles and packed fields ────────────────────────────────────────────────────────────


def test_jets_with_tracks(tmp_path):
    """ATLAS: members of jets and of their tracks, some of which are not valid; cuts; flavours as classes."""
    labels = [0, 4, 5]
    jets, tracks = {}, {}
    for number in range(3):
        rng = np.random.default_rng(number)
        name = f"ttbar_{number}.h5"
        jet = np.zeros(60, [("pt", "f4"), ("eta", "f4"), ("HadronConeExclTruthLabelID", "i4"), ("n", "u8")])
        jet["pt"], jet["eta"] = rng.exponential(6e4, 60), rng.normal(0, 2, 60)
        jet["HadronConeExclTruthLabelID"] = rng.choice([0, 4, 5, 15], 60)
        track = np.zeros((60, 40), [("d0", "f4"), ("z0", "f4"), ("hits", "u1"), ("valid", "?")])
        track["valid"] = np.arange(40) < rng.integers(0, 30, 60)[:, None]
        for member in ("d0", "z0"):
            track[member] = np.where(track["valid"], rng.normal(5, 3, (60, 40)), np.nan)
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("jets", data=jet, chunks=(20,), compression="lzf")
            file.create_dataset("tracks", data=track, chunks=(20, 40), compression="lzf")
        jets[name], tracks[name] = jet, track
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={
            "jets": Field("jets", member=["pt", "eta"]), "tracks": Field("tracks", member=["d0", "z0"]),
            "valid": Field("tracks", member="valid"),
            "flavour": Field("jets", member="HadronConeExclTruthLabelID", categories=labels),
        },
        where={"flavour": labels, "jets[pt]": (20e3, 250e3)},
        normalize={"jets": "standard", "tracks": Normalize(where="valid")}, provenance=True,
    )  # fmt: skip
    expected = {
        (name, "", row): {
            "jets": np.array([jet[row]["pt"], jet[row]["eta"]]),
            "tracks": np.stack([tracks[name][row]["d0"], tracks[name][row]["z0"]], -1),
            "valid": tracks[name][row]["valid"],
            "flavour": np.array(labels.index(jet[row]["HadronConeExclTruthLabelID"])),
        }
        for name, jet in jets.items()
        for row in range(60)
        if jet[row]["HadronConeExclTruthLabelID"] in labels and 20e3 <= jet[row]["pt"] < 250e3
    }
    scaled = {
        "jets": standard(lambda train: np.stack([expected[place]["jets"] for place in train])),
        "tracks": standard(
            lambda train: np.concatenate([expected[one]["tracks"][expected[one]["valid"]] for one in train])
        ),
    }
    found = check_user(dm, expected, scaled=scaled, apart=lambda place: place)
    assert all(found.values())
    assert len(expected) < 180


def test_packed_years_that_go_on(written):
    """ERA5: each file has its own scale and offset; windows go from year to year; statistics of decoded values."""
    files = written("labelled", "reanalysis", "reanalysis")
    dm = H5DataModule(
        str(files.files),
        fields={
            "x": Field("t2m", decode="cf", steps=(0, 4)), "y": Field("t2m", decode="cf", steps=(4, 5)),
        },
        samples=Windows(5), series=Series(join_files="time"),
        split=Split(by="block", val=0.2, test=0.2), batch_size=8, provenance=True,
        normalize={"x": Normalize(per="all"), "y": Normalize(per="all")},
    )  # fmt: skip
    values = files.expected["t2m"]

    def first(place):
        return 30 * (int(place[0].removesuffix(".nc")) - 2000) + place[2]

    def expected(place):
        return {"x": values[first(place) :][:4], "y": values[first(place) + 4 :][:1]}

    def rows_of_train(train):
        return values[sorted({first(place) + step for place in train for step in range(5)})]

    both = dict.fromkeys(("x", "y"), standard(rows_of_train, None))
    found = check_user(dm, expected, count=120 - 3 * 4, scaled=both, apart=lambda place: place)
    rows = {stage: {first(one) + step for one in found[stage] for step in range(5)} for stage in found}
    assert not rows["train"] & rows["val"]
    assert not (rows["train"] | rows["val"]) & rows["test"]
    assert any(place[2] > 25 for place in found["train"])  # a window that ends in the next year


# ── labels of series ─────────────────────────────────────────────────────────────────────────────────


def test_traces_of_earthquakes_with_labels_in_attributes(tmp_path):
    """STEAD: each trace is a dataset, whose attributes say what it is and where the wave arrives."""
    kinds = ["earthquake_local", "noise"]
    expected = {}
    for number in range(3):
        with h5py.File(tmp_path / f"chunk{number}.hdf5", "w") as file:
            rng = np.random.default_rng(number)
            for trace in range(12):
                kind = kinds[int(rng.random() < 0.4)] if number else kinds[0]
                one = file.create_dataset(
                    f"data/T{number}_{trace}_EV", data=rng.normal(size=(60, 3)).astype("f4")
                )
                one.attrs.update(trace_category=kind, p_arrival_sample=float(rng.integers(5, 50)))
                expected[f"chunk{number}.hdf5", one.name.rsplit("/", 1)[-1], 0] = {
                    "wave": one[()],
                    "kind": np.array(kinds.index(kind)),
                    "p": np.array(one.attrs["p_arrival_sample"]),
                }
    dm = H5DataModule(
        f"{tmp_path}/*.hdf5",
        fields={
            "wave": "data/*", "p": "attr:p_arrival_sample",
            "kind": Field(attr="trace_category", categories=True),
        },
        samples=Whole(), split={"by": "series", "val": 0.2, "test": 0.2}, batch_size=4, provenance=True,
    )  # fmt: skip
    found = check_user(dm, expected)
    assert all(found.values())
    assert dm.sample_spec["kind"].classes == tuple(kinds)


@pytest.mark.parametrize("layout", ["times first", "channels first"])
def test_stretches_of_a_night_with_a_stage(tmp_path, layout):
    """EEG: each line of a table is a stretch with its stage of sleep; windows lie inside of stretches."""
    stages, lines, read = ["N1", "N2", "W"], [], {}
    for number in range(6):
        rng = np.random.default_rng(number)
        read[f"sub-{number}.h5"] = rng.normal(2, 7, (300, 4)).astype("f4")
        with h5py.File(tmp_path / f"sub-{number}.h5", "w") as file:
            eeg = read[f"sub-{number}.h5"]
            file["eeg"] = eeg if layout == "times first" else eeg.T
        for start in range(10, 250, 60):
            stop = start + int(rng.integers(30, 55))
            lines.append([f"sub-{number}", start, stop, stages[int(rng.integers(3))]])
    write_table(tmp_path / "stages.csv", ["subject", "from", "to", "stage"], lines)
    axis = 0 if layout == "times first" else 1
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={"eeg": "eeg", "stage": Field("table:stage", categories=True)},
        samples=Windows(20, stride=10, axis=axis),
        table=Table(f"{tmp_path}/stages.csv", file="subject", start="from", stop="to"),
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True,
        normalize={"eeg": Normalize(per="first" if axis else "last")},
    )  # fmt: skip
    stretches, allowed = {}, {}
    for subject, start, stop, stage in lines:
        of_file = stretches.setdefault(f"{subject}.h5", {})
        of_file[str(len(of_file))] = (start, stop, stages.index(stage))
        allowed.setdefault(f"{subject}.h5", []).extend(range(start, stop))
    expected = {}
    for name, of_file in stretches.items():
        for series, (start, stop, stage) in of_file.items():
            for row in range(0, stop - start - 19, 10):
                rows = read[name][start + row :][:20]
                expected[name, series, row] = {"eeg": rows.T if axis else rows, "stage": np.array(stage)}

    def channels(train):
        names = {one[0] for one in train}
        rows = np.concatenate([read[name][allowed[name]] for name in names]).astype("f8")
        found = rows.mean(0), rows.std(0)
        return tuple(one[:, None] for one in found) if axis else found

    found = check_user(dm, expected, scaled={"eeg": channels}, apart=lambda place: place[0])
    assert all(found.values())


# ── text beside numbers, by the writers of the fields ────────────────────────────────────────────────


def test_trials_with_choices(written):
    files = written("labelled", "choices", "choices")
    dm = H5DataModule(
        str(files.files),
        fields={
            "contrast": "intervals/trials/contrast",
            "choice": Field("intervals/trials/choice", categories=["left", "right", "no response"]),
        },
        split={"by": "file", "val": 0.2, "test": 0.2}, provenance=True,
    )  # fmt: skip
    expected = {}
    for number in range(6):
        choices = files.expected[f"{number}/choice"]
        codes = number_of(["left", "right", "no response"], choices)
        for row, code in enumerate(codes):
            contrast = files.expected[f"{number}/contrast"][row]
            expected[f"{number}.nwb", "", row] = {"contrast": contrast, "choice": code}
    found = check_user(dm, expected)
    assert all(found.values())


def test_frames_with_text(written):
    files = written("labelled", "frames", "frames")
    dm = H5DataModule(
        str(files.files),
        fields={
            "x": Field("df/table", member="values_block_0", dtype="float32"),
            "site": Field("df/table", member="site", categories=True),
            "weather": Field("df/table", member="values_block_1", categories=True),
        },
        normalize={"x": "standard"}, where={"site": ["east", "north"]}, provenance=True,
    )  # fmt: skip
    expected = {}
    for number in range(3):
        sites, weather = (files.expected[f"{number}/{name}"] for name in ("site", "weather"))
        for row in np.flatnonzero(np.isin(sites, ["east", "north"])):
            expected[f"{number}.h5", "", int(row)] = {
                "x": files.expected[f"{number}/values"][row],
                "site": number_of(["east", "north", "süd"], sites[[row]])[0],
                "weather": number_of(["rain", "sun"], weather[[row]]),
            }
    rows = standard(lambda train: np.stack([expected[place]["x"] for place in train]))
    check_user(dm, expected, scaled={"x": rows}, apart=lambda place: place)


def test_recordings_of_matlab_with_labels(written):
    """A cell array of text, one for each sample."""
    files = written("labelled", "recordings", "recordings")
    dm = H5DataModule(
        str(files.files), {"x": "x", "y": Field("label", categories=True)}, normalize={"x": "minmax"},
        dtype="float32", provenance=True,
    )  # fmt: skip
    expected = {
        (f"{number}.mat", "", row): {
            "x": files.expected[f"{number}/x"][row],
            "y": number_of(["run", "sit", "walk"], files.expected[f"{number}/label"][[row]])[0],
        }
        for number in range(3)
        for row in range(12)
    }

    def extent(train):
        rows = np.stack([expected[place]["x"] for place in train])
        return (rows.max(0) + rows.min(0)) / 2, np.ptp(rows, 0) / 2

    found = check_user(dm, expected, scaled={"x": extent}, apart=lambda place: place)
    assert all(found.values())


def test_cells_of_donors_in_files_with_other_types(written):
    """Three files whose lists of types differ: one list of classes; no donor in two splits; as many of each type."""
    files = written("labelled", "cells", "cells")
    kinds = ("B", "DC", "Mono", "NK", "T")
    options = {
        "fields": {"x": "X", "y": Field("obs/cell_type", categories=True)},
        "split": Split(keep_together="field:obs/donor", val=0.2, test=0.2),
        "normalize": {"x": "standard"},
    }
    dm = H5DataModule(str(files.files), **options, batch_size=8, provenance=True)
    expected = {
        (f"{number}.h5ad", "", row): {"x": files.expected[f"{number}/X"][row], "y": code}
        for number in range(3)
        for row, code in enumerate(number_of(kinds, files.expected[f"{number}/cell_type"]))
    }
    rows = standard(lambda train: np.stack([expected[place]["x"] for place in train]))
    found = check_user(
        dm,
        expected,
        scaled={"x": rows},
        apart=lambda place: files.expected[f"{place[0][0]}/donor"][place[2]],
    )
    assert all(found.values())
    assert dm.sample_spec["y"].classes == kinds
    counts = np.bincount([int(sample["y"]) for sample in found["train"].values()], minlength=5)
    balanced = H5DataModule(str(files.files), **options, shuffle=Shuffle(balance="y"), batch_size=8)
    balanced.prepare_data()
    balanced.setup()
    np.testing.assert_allclose(balanced.class_weights("y"), counts.sum() / (5 * counts), rtol=1e-6)
    drawn = np.zeros(5)
    for _ in range(20):
        for batch in balanced.train_dataloader():
            drawn += np.bincount(batch["y"], minlength=5)
    balanced.teardown()
    np.testing.assert_allclose(drawn / drawn.sum(), 0.2, atol=0.06)
