"""The report about files of many kinds, and whether the suggested code runs."""

import json
import os
import shlex
import shutil

import h5py
import hydra
import numpy as np
import pytest
import torch
from composing import arguments_of, composed
from omegaconf import OmegaConf
from series_files import (
    demonstrations,
    masked_demonstrations,
    offline_episodes,
    packed_series,
    replay_buffer,
    the_well,
    transitions,
)

from h5lightning.errors import NoMatchError
from h5lightning.storage.discovery import discover
from h5lightning.tools.inspect import inspect_files

RNG = np.random.default_rng(0)


def one_file(folder, **datasets):
    with h5py.File(folder / "a.h5", "w") as file:
        for path, values in datasets.items():
            file[path.replace("__", "/")] = values


def images(folder):
    for number in range(12):
        with h5py.File(folder / f"a{number:02}.h5", "w") as file:
            pixels = RNG.integers(0, 255, (40 + number, 8, 8), dtype="u1")
            file.create_dataset("images", data=pixels, chunks=(32, 8, 8), compression="gzip", shuffle=True)
            file["labels"] = RNG.integers(0, 10, 40 + number)
            file["ids"] = np.arange(40 + number)
            file.attrs["patient"] = f"p{number // 2}"
            file.attrs["weight"] = number / 7


def regression(folder):
    one_file(folder, features=RNG.random((500, 20)), target=RNG.random(500, dtype="f4"), mean=RNG.random(20))


def simulation(folder):
    for number in range(6):
        with h5py.File(folder / f"run{number}.h5", "w") as file:
            file["u"] = RNG.random((30 + number, 2, 4, 4), dtype="f4")


def table_of_arrays(folder):
    kinds = h5py.enum_dtype({"cat": 0, "dog": 1}, basetype="u1")
    with h5py.File(folder / "t.h5", "w") as file:
        file["df"] = np.zeros(9, [("name", "S4"), ("v", "<f4", (3,)), ("k", kinds)])


def table(folder):
    rows = np.zeros(300, dtype=[("p x", "f8"), ("charge", "i4"), ("name", "S4")])
    one_file(folder, events=rows)


def columns(folder):
    one_file(folder, **{f"f{number:02}": RNG.random(100).astype(">f4") for number in range(12)})


def whole(folder):
    for number in range(12):
        with h5py.File(folder / f"img{number:02}.h5", "w") as file:
            file["image"] = RNG.integers(0, 255, (16, 16, 3), dtype="u1")
            file["label"] = number % 3


def whole_with_attribute(folder):
    for number in range(12):
        with h5py.File(folder / f"day{number:02}.h5", "w") as file:
            file["signal"] = RNG.random((50, 4), dtype="f4")
            file.attrs["target"] = number / 10


def categories(folder):
    kinds = h5py.enum_dtype({"cat": 0, "dog": 1}, basetype="i1")
    swapped = h5py.enum_dtype({"dog": 0, "cat": 1}, basetype="i1")
    for number in range(4):
        with h5py.File(folder / f"k{number}.h5", "w") as file:
            file["x"] = RNG.random((30, 3), dtype="f4")
            file.create_dataset("kind", data=np.zeros(30, "i1"), dtype=swapped if number == 2 else kinds)


def mixed(folder):
    """Of ten files, 3, 5, 7 and 8 each have a different problem, and 9 is not HDF5."""
    for number in range(10):
        with h5py.File(folder / f"m{number}.h5", "w") as file:
            rows = 0 if number == 5 else 20
            shape = (rows, 5 if number == 7 else 4)
            dtype = "f8" if number == 8 else "f4"
            if number == 3:
                file.create_dataset("x", shape, dtype, chunks=(5, 4))
            else:
                file["x"] = RNG.random(shape).astype(dtype)
            file["y"] = np.zeros(rows, "i8")
    (folder / "m9.h5").write_bytes(b"PK\x03\x04")


def tiny(folder):
    one_file(folder, x=np.zeros((1, 3), "f4"))


def awkward_names(folder):
    one_file(folder, **{"raw data__größe (m), {a}": RNG.random((50, 2), dtype="f4"), "null": np.arange(50)})


def packed(folder):
    """Numbers with a different scale in each file, and a dimension without coordinates, as netCDF writes them."""
    for number in range(6):
        with h5py.File(folder / f"p{number}.h5", "w") as file:
            file["t2m"] = RNG.integers(1, 90, (30, 6, 5)).astype("i2")
            file["t2m"].attrs["scale_factor"] = 0.01 * (number + 1)
            file["t2m"].attrs["_FillValue"] = np.int16(-999)
            file["station"] = np.zeros(6, "f4")
            file["station"].attrs["CLASS"] = np.bytes_("DIMENSION_SCALE")
            file["station"].attrs["NAME"] = np.bytes_(
                f"This is a netCDF dimension but not a netCDF variable {6:9}"
            )


def masked(folder):
    """Floats and labels with numbers that mark missing values."""
    for number in range(6):
        with h5py.File(folder / f"o{number}.h5", "w") as file:
            values = RNG.random((30, 6), dtype="f4")
            values[0, 2] = 1e20
            file["sst"] = values
            file["sst"].attrs["missing_value"] = np.float32(1e20)
            labels = RNG.integers(0, 5, 30)
            labels[-1] = -1
            file["label"] = labels
            file["label"].attrs["_FillValue"] = -1


def one_group_for_each_file(folder):
    for number in range(8):
        with h5py.File(folder / f"s{number}.h5", "w") as file:
            file[f"sim_{number}/u"] = np.zeros((10, 8), "f4")


def one_dataset_for_each_image(folder):
    one_file(folder, **{f"img_{number:04}": np.zeros((8, 8, 3), "u1") for number in range(50)})


USABLE = [
    packed, masked, images, regression, simulation, table, columns, whole, whole_with_attribute, categories, mixed,
    tiny, awkward_names, demonstrations, one_group_for_each_file, one_dataset_for_each_image, masked_demonstrations,
    transitions, packed_series, the_well, replay_buffer, offline_episodes,
]  # fmt: skip


def sparse(folder):
    with h5py.File(folder / "cells.h5", "w") as file:
        group = file.create_group("X")
        group.attrs["encoding-type"] = "csr_matrix"
        group["data"], group["indices"] = RNG.random(2000, dtype="f4"), np.zeros(2000, "i4")
        group["indptr"] = np.arange(0, 2001, 40, dtype="i4")
        file["obs/kind/codes"] = np.zeros(50, "i1")
        file["obs/kind/categories"] = np.array([b"T", b"B"])


def encoded_images(folder):
    with h5py.File(folder / "v.h5", "w") as file:
        encoded = file.create_dataset("jpeg", (20,), dtype=h5py.vlen_dtype("u1"))
        for number in range(20):
            encoded[number] = np.zeros(100 + number, "u1")
        file["label"] = np.arange(20)


def virtual(folder):
    layout = h5py.VirtualLayout((10, 3), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "d", (10, 3))
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_virtual_dataset("d", layout)


def nothing_in_common(folder):
    for name in "abcd":
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file[f"value_{name}"] = np.zeros(10)


def half_and_half(folder):
    for number in range(40):
        with h5py.File(folder / f"n{number}.h5", "w") as file:
            file["x"] = np.zeros((10, 3 + number % 2), "f4")


def all_bad(folder):
    (folder / "a.h5").write_bytes(b"")
    (folder / "b.h5").write_bytes(b"\x93NUMPY")


def only_text(folder):
    one_file(folder, words=np.array([b"a", b"b"]))


def no_dataset(folder):
    one_file(folder)


def buckets(folder):
    with h5py.File(folder / "waveforms.h5", "w") as file:
        file["data/bucket0"] = RNG.random((50, 3, 949), dtype="f4")
        file["data/bucket1"] = RNG.random((20, 3, 400), dtype="f4")
        file["data_format/component_order"] = b"ZNE"


UNUSABLE = {
    buckets: "'/data/bucket0' is a bucket of SeisBench: its rows are traces of different lengths",
    sparse: "which is a part of the sparse CSR matrix '/X'",
    encoded_images: "'/jpeg', which holds bytes of variable length: Field(path, decode='image')",
    virtual: "'/d', which is a virtual dataset",
    nothing_in_common: "no dataset in common",
    half_and_half: "20 of 40 files differ from the others",
    all_bad: "none of the files can be read",
    only_text: "no dataset in common that can be a field",
    no_dataset: "hold no dataset",
}


def name_of(function):
    return getattr(function, "__name__", None)


@pytest.fixture
def inspected(tmp_path):
    """Write files of one kind, and inspect them."""

    def inspect(kind, pattern="*.h5"):
        kind(tmp_path)
        return inspect_files([str(tmp_path / pattern)])

    return inspect


def datasets_of(found):
    return {dataset.path: dataset for dataset in found.datasets}


def issues_of(found):
    return {issue.kind: issue for issue in found.traps}


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────


def made_by_python(found):
    namespace = {}
    exec(found.code.python, namespace)
    return namespace["dm"]


@pytest.mark.parametrize("kind", USABLE, ids=name_of)
def test_the_python_trains(inspected, kind):
    found = inspected(kind)
    assert found.is_usable, found.reason
    dm = made_by_python(found)
    dm.prepare_data()
    dm.setup()
    dm.batch_size = 2
    batch = next(iter(dm.train_dataloader()))
    dm.teardown()
    assert all(isinstance(values, torch.Tensor) for values in batch.values())
    assert not any(values.dtype == torch.float64 for values in batch.values())


@pytest.mark.parametrize("kind", USABLE, ids=name_of)
def test_yaml_and_command_line_say_the_same_as_python(inspected, kind):
    found = inspected(kind)
    expected = arguments_of(made_by_python(found))
    assert arguments_of(composed(yaml=found.code.yaml)) == expected
    command = shlex.split(found.code.command.replace("\\\n", ""))
    assert command[:2] == ["h5lightning", "train"]
    assert (
        arguments_of(composed(overrides=[word for word in command[2:] if word.startswith("data.")]))
        == expected
    )


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (images, "classifier"),
        (regression, "regressor"),
        (whole_with_attribute, "regressor"),
        (simulation, None),
    ],
    ids=["integers", "floats", "attribute", "no labels"],
)
def test_the_command_line_names_a_model_for_the_labels(inspected, kind, model):
    assert inspected(kind).code.command.partition("model=")[2] == (model or "")


def test_hints_say_how_to_forecast_and_what_keeps_files_together(inspected):
    assert "samples=Windows(5)" in inspected(simulation).hints[0]


def test_an_attribute_that_files_share_is_offered_for_the_split(inspected):
    (hint,) = inspected(images).hints
    assert "'patient' (6 values: p0, p1, p2, p3 and 2 more)" in hint
    assert "Split(keep_together='attr:patient')" in hint


@pytest.mark.parametrize("kind", UNUSABLE, ids=name_of)
def test_unusable_files_have_a_reason(inspected, kind):
    found = inspected(kind)
    assert (found.is_usable, found.code) == (False, None)
    assert UNUSABLE[kind] in found.reason


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────


def test_files_that_differ_are_left_out_of_the_code(inspected, tmp_path):
    found = inspected(mixed)
    assert found.left_out == ("m3.h5", "m7.h5", "m8.h5")
    dm = made_by_python(found)
    assert dm.hparams["files"] == [
        str(tmp_path / "*.h5"),
        *(f"!{tmp_path}/m{number}.h5" for number in (3, 7, 8)),
    ]
    assert dm.hparams["access"]["on_bad_file"] == "skip"


def test_names_with_wildcards_are_left_out_by_name(tmp_path):
    for number in range(6):
        with h5py.File(tmp_path / f"run[{number}].h5", "w") as file:
            file["x"] = np.zeros((20, 3 if number == 4 else 2), "f4")
    found = inspect_files([str(tmp_path / "*.h5")])
    dm = made_by_python(found)
    dm.setup()
    names = sorted(os.path.basename(path) for paths in dm.splits.values() for path in paths)
    assert set(names) == {f"run[{number}].h5" for number in (0, 1, 2, 3, 5)}


def test_unwritten_chunks_everywhere_are_filled_on_request(tmp_path):
    for number in range(6):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", (20, 4), "f4", chunks=(5, 4))
    found = inspect_files([str(tmp_path / "*.h5")])
    assert 'on_missing="fill"' in found.code.python
    assert issues_of(found)["never written"].severity == "problem"


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
def test_paths_from_the_shell_become_a_pattern_again(tmp_path, monkeypatch, absolute):
    (tmp_path / "runs").mkdir()
    simulation(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    start = str(tmp_path / "runs") if absolute else "runs"
    found = inspect_files([f"{start}/run{number}.h5" for number in range(6)])
    assert f'files="{start}/*.h5"' in found.code.python


def test_some_of_the_files_stay_a_list(tmp_path):
    simulation(tmp_path)
    paths = [str(tmp_path / f"run{number}.h5") for number in range(5)]
    assert made_by_python(inspect_files(paths)).hparams["files"] == paths


def test_patterns_that_match_nothing_are_an_error(tmp_path):
    with pytest.raises(NoMatchError):
        inspect_files([str(tmp_path / "*.h5")])


# ── what files hold ──────────────────────────────────────────────────────────────────────────────────


def test_datasets_are_described(inspected):
    found = inspected(images)
    pixels, labels = datasets_of(found)["images"], datasets_of(found)["labels"]
    assert (pixels.dtype, pixels.shape, pixels.rows) == ("uint8", "40–51 × 8 × 8", (40, 51))
    assert pixels.storage == "32 × 8 × 8, shuffle, deflate(4)"
    assert (pixels.keys, labels.keys, datasets_of(found)["ids"].keys) == (("x",), ("y",), ())
    assert (found.files, labels.stored_bytes) == (12, 8 * sum(range(40, 52)))
    assert found.file_bytes == sum(
        os.path.getsize(os.path.join(found.root, f"a{n:02}.h5")) for n in range(12)
    )


def test_groups_of_one_structure_are_one_line(inspected):
    found = inspected(demonstrations)
    assert {path: dataset.datasets for path, dataset in datasets_of(found).items()} == {
        "data/demo_*/actions": 30,
        "data/demo_*/obs/pose": 30,
    }
    assert datasets_of(found)["data/demo_*/actions"].shape == "20–49 × 7"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (images, "Rows: 40–51 in each file, 546 in all. A sample is one row: x of 8 × 8, y"),
        (regression, "Rows: 500. A sample is one row: x of 20, y"),
        (whole, "The whole file looks like one sample: 12 files, each with '/image' of 16 × 16 × 3"),
        (
            demonstrations,
            "One group per demonstration: '/data/demo_*' (30 groups), each with actions, obs/pose",
        ),
        (one_dataset_for_each_image, "One dataset per image: '/img_*' (50 datasets)"),
        (
            one_dataset_for_each_image,
            "Each dataset looks like one sample: 50 datasets '/img_*' of 8 × 8 × 3",
        ),
        (
            packed_series,
            "Rows: 30 in each series, 360 in all. A sample is one row: x of 4",
        ),
        (one_group_for_each_file, "One group per sim: '/sim_*' (8 groups), each with u"),
        (sparse, "CSR matrix '/X': only nonzero values are stored, so that it has no rows"),
        (sparse, "'/obs/kind/codes' has 2 categories: T, B"),
        (table, "Table '/events' with the columns p x (float64), charge (int32), name (text of 4 bytes)"),
        (
            table_of_arrays,
            "Table '/df' with the columns name (text of 4 bytes), v (3 × float32), k (uint8, 2 categories: cat, dog)",
        ),
        (table_of_arrays, "Rows: 9. A sample is one row: v of 3, k"),
        (columns, "Columns: 12 datasets '/f*' with one number per row. Rows: 100"),
    ],
)
def test_the_layout_is_described(inspected, kind, sentence):
    assert sentence in inspected(kind).layout


def test_a_layout_that_is_recognised_comes_first(inspected):
    found = inspected(demonstrations)
    assert found.layout[0] == found.call.reason
    assert found.call.reason.startswith(
        "Demonstrations: each group '/data/demo_*' is a series of observations"
    )


# ── issues ───────────────────────────────────────────────────────────────────────────────────────────


def chunked(folder, shape, chunks, dtype="f4", **options):
    with h5py.File(folder / "c.h5", "w") as file:
        file.create_dataset("x", data=np.ones(shape, dtype), chunks=chunks, **options)


def gzipped(shape, chunks):
    return lambda folder: chunked(folder, shape, chunks, compression="gzip")


def of_different_storage(folder):
    for number in range(2):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=np.ones((8, 2), "f4"), chunks=(4, 2) if number else None)


def of_different_width(folder):
    for number, dtype in enumerate(("<f4", "<f4", "<f8", ">f4")):
        with h5py.File(folder / f"w{number}.h5", "w") as file:
            file["x"] = RNG.random((20, 3)).astype(dtype)
            file["n"] = RNG.integers(0, 9, 20).astype("i8" if number == 2 else ">i2")


def half_written(folder):
    simulation(folder)
    with h5py.File(folder / "run3.h5", "a") as file:
        file["u"][20:] = 0


def of_different_length(folder):
    one_file(folder, x=np.zeros((50, 4), "f4"), y=np.zeros(49, "i8"))


def sometimes_absent(folder):
    simulation(folder)
    with h5py.File(folder / "run3.h5", "a") as file:
        file.move("u", "v")


def with_links(folder):
    one_file(folder, x=np.zeros((9, 2), "f4"))
    with h5py.File(folder / "a.h5", "a") as file:
        file.create_dataset("raw", (9, 3), "f4", external=[(str(folder / "raw.bin"), 0, 108)])


@pytest.mark.parametrize(
    ("kind", "issue", "severity", "words"),
    [
        (regression, "float64", "warning", "'/features' is float64"),
        (images, "amplified reads", "warning", "one row costs 2 KiB instead of 64 B (32 times as much)"),
        (gzipped((64, 10), (64, 10)), "one chunk", "warning", "'/x' is one compressed chunk"),
        (gzipped((5000, 1024), (4500, 1024)), "large chunks", "warning", "'/x' has chunks of 17.6 MiB"),
        (columns, "big-endian", "note", "'/f*' is big-endian: no problem"),
        (
            sparse,
            "unusable",
            "note",
            "'/X/data', '/X/indices', '/X/indptr': each is a part of the sparse CSR",
        ),
        (
            encoded_images,
            "unusable",
            "note",
            "'/jpeg' holds bytes of variable length: Field('jpeg', decode='image')",
        ),
        (virtual, "virtual", "note", "'/d' is a virtual dataset"),
        (with_links, "external", "note", "'/raw' keeps its values outside"),
        (
            categories,
            "categories",
            "warning",
            "has categories [dog, cat], expected [cat, dog] as in most files",
        ),
        (
            mixed,
            "different rows",
            "problem",
            "'/x' has rows of shape (5,), expected (4,) as in most files, in m7.h5",
        ),
        (mixed, "never written", "problem", "'/x': 4 chunks never written, in m3.h5"),
        (mixed, "no rows", "warning", "in m5.h5: access.on_bad_file='skip' accepts them"),
        (mixed, "different storage", "note", "'/x' is stored in different ways: chunks (5, 4), contiguous"),
        (of_different_storage, "different storage", "note", "chunks (4, 2), contiguous"),
        (
            of_different_width,
            "different rows",
            "problem",
            "w2.h5. Field('x', dtype='float64') delivers one type",
        ),
        (
            of_different_width,
            "different rows",
            "problem",
            "w2.h5. Field('n', dtype='int64') delivers one type",
        ),
        (
            half_written,
            "half written",
            "warning",
            "'/u': its last row holds only the fill value, in run3.h5",
        ),
        (packed, "packed", "problem", "'/t2m' in "),
        (packed, "packed", "problem", "Field('t2m', decode='cf') delivers the decoded values"),
        (masked, "missing values", "problem", "Field('sst', decode='cf') delivers the decoded values"),
        (of_different_length, "different lengths", "note", "in a.h5: '/x' 50, '/y' 49"),
        (sometimes_absent, "absent", "warning", "'/u' is absent in run3.h5"),
        (
            nothing_in_common,
            "nothing in common",
            "problem",
            "is in 1 of 4. Do these files belong to one data set?",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else None,
)
def test_issues_are_found(inspected, kind, issue, severity, words):
    found = [item for item in inspected(kind).traps if item.kind == issue]
    assert [item.severity for item in found] == [severity] * len(found)
    assert any(words in item.text for item in found), found


@pytest.mark.parametrize("kind", [simulation, whole], ids=name_of)
def test_good_files_have_no_issue(inspected, kind):
    assert inspected(kind).traps == ()


def test_bookkeeping_of_programs_is_no_issue(inspected):
    found = inspected(packed)
    assert {issue.kind for issue in found.traps} == {"packed"}
    assert datasets_of(found)["station"].refusal.startswith("is bookkeeping of netCDF")


def test_tables_of_series_may_differ_in_length(tmp_path):
    one_file(tmp_path, observations=RNG.random((90, 5), dtype="f4"), ep_len=np.array([30, 20, 40]))
    found = inspect_files([str(tmp_path / "*.h5")])
    assert {issue.kind for issue in found.traps} == {"several series"}
    assert {path: dataset.keys for path, dataset in datasets_of(found).items()} == {
        "ep_len": (), "observations": ("x",),
    }  # fmt: skip
    assert "Series(lengths='ep_len')" in found.code.python.replace('"', "'")


def test_packed_and_masked_values_are_suggested_decoded(inspected):
    assert 'fields={"x": Field("t2m", decode="cf")}' in inspected(packed).code.python
    code = made_by_python(inspected(masked, "o*.h5")).hparams["fields"]
    assert {key: field["decode"] for key, field in code.items()} == {"x": "cf", "y": "stored"}


def test_issues_come_in_the_order_of_their_severity(inspected):
    severities = [issue.severity for issue in inspected(mixed).traps]
    assert severities == sorted(severities, key=("problem", "warning", "note").index)
    assert len(set(severities)) == 3


def test_rows_that_can_be_read_alone_are_no_issue(inspected):
    assert "amplified reads" not in issues_of(inspected(gzipped((64, 1000), (1, 1000))))


# ── bad files ────────────────────────────────────────────────────────────────────────────────────────


def test_bad_files_are_listed_and_do_not_end_the_report(inspected):
    found = inspected(mixed)
    assert [file.name for file in found.bad] == ["m9.h5"]
    assert "is not HDF5" in found.bad[0].reason
    assert found.files == 9


def test_a_first_file_that_is_bad_hides_no_attribute(inspected, tmp_path):
    images(tmp_path)
    os.mkfifo(tmp_path / "a.h5")
    found = inspect_files([str(tmp_path / "*.h5")])
    assert [file.name for file in found.bad] == ["a.h5"]
    assert "patient" in found.hints[0]


def test_attributes_of_different_kinds_do_not_end_the_report(tmp_path):
    images(tmp_path)
    with h5py.File(tmp_path / "a05.h5", "a") as file:
        file.attrs["patient"] = np.zeros((), [("a", "f4"), ("b", "i4")])
    found = inspect_files([str(tmp_path / "*.h5")])
    assert (found.is_usable, found.bad, found.hints) == (True, (), ())


def test_files_that_are_no_hdf5_are_left_out(tmp_path):
    simulation(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    found = inspect_files([str(tmp_path / "*")])
    assert [file.name for file in found.skipped] == ["notes.txt"]
    assert found.files == 6


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path, shut):
    simulation(tmp_path)
    (tmp_path / "below").mkdir()
    shut(tmp_path / "below")
    found = inspect_files([str(tmp_path / "**" / "*.h5")])
    assert [file.name for file in found.bad] == ["below"]
    assert found.files == 6
    assert "skip" in found.code.python


# ── many files ───────────────────────────────────────────────────────────────────────────────────────


def test_many_files_make_a_short_report(tmp_path):
    whole(tmp_path)
    for number in range(400):
        shutil.copy(tmp_path / "img00.h5", tmp_path / f"more{number:03}.h5")
    found = inspect_files([str(tmp_path / "*.h5")])
    assert len(json.dumps(found.to_plain())) < 4_000


def test_the_report_is_json(inspected):
    found = json.loads(json.dumps(inspected(images).to_plain()))
    assert found["usable"] is True
    assert [dataset["path"] for dataset in found["datasets"]] == ["ids", "images", "labels"]
    assert set(found["code"]) == {"python", "yaml", "command"}


def test_columns_have_keys_that_any_configuration_reads_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["p x", "p-x", "null", "_target_", "größe", "1e5", "sample_id", "${oc.env:HOME}"]
    with h5py.File("a.h5", "w") as file:
        file["t"] = np.zeros(40, [(name, "f4") for name in names])
    code = inspect_files(["a.h5"]).code
    fields = OmegaConf.to_container(OmegaConf.create(code.yaml).data.fields, resolve=True)
    members = ["".join(field["member"]) for field in fields.values()]
    assert members == names
    assert all(key.isascii() and key.isidentifier() and key[0] != "_" for key in fields)
    assert list(fields)[:4] == ["p_x", "p_x_", "column_null", "column__target_"]
    made = hydra.utils.instantiate({"_target_": "builtins.dict", "_convert_": "all", "fields": fields})
    assert "".join(made["fields"]["column_sample_id"]["member"]) == "sample_id"


def test_a_file_that_is_left_out_is_left_out_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = "${oc.env:HOME} [1].h5"
    for name in ("a.h5", "b.h5", "c.h5", odd):
        with h5py.File(name, "w") as file:
            file["x"] = np.zeros((20, 5 if name == odd else 4), "f4")
    found = inspect_files(["*.h5"])
    assert found.left_out == (odd,)
    files = OmegaConf.to_container(OmegaConf.create(found.code.yaml), resolve=True)["data"]["files"]
    assert files == ["*.h5", "![$]{oc.env:HOME} [[]1].h5"]
    assert list(discover(files).names) == ["a.h5", "b.h5", "c.h5"]


def test_text_and_names_of_cells_say_which_field_delivers_their_numbers(tmp_path):
    for number, names in enumerate([["B", "T"], ["NK", "T"], ["B", "NK", "T"]]):
        with h5py.File(tmp_path / f"{number}.h5ad", "w") as file:
            file["X"] = np.zeros((60, 20), "f4")
            file["obs/batch"] = np.array([b"first", b"second"] * 30)
            column = file.create_group("obs/cell_type")
            column["codes"] = (np.arange(60) % len(names)).astype("i1")
            column["categories"] = np.array(names, dtype=h5py.string_dtype())
            attrs = {"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False}
            column.attrs.update(attrs)
    found = inspect_files([str(tmp_path / "*.h5ad")], progress=False)
    assert """"y": Field("obs/cell_type", categories=True)""" in found.code.python
    assert "y: {path: obs/cell_type, categories: true}" in found.code.yaml
    assert not found.left_out
    namespace = {}
    exec(found.code.python, namespace)
    dm = namespace["dm"]
    dm.prepare_data()
    dm.setup("fit")
    assert dm.num_classes("y") == 3
    dm.teardown()
    texts = [issue.text for issue in found.traps]
    words = "holds text of 6 bytes: no tensor can hold text. Field('obs/batch', categories=True) delivers"
    assert any(words in text for text in texts)
    words = "different meanings. Field('obs/cell_type', categories=True) gives each name one number"
    assert any(words in text for text in texts)
    assert not any("'/obs/cell_type/categories'" in text for text in texts)
