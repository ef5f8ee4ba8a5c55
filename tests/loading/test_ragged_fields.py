"""Fields whose samples have different shapes, from files of all kinds of storage, against a loop over h5py."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from h5lightning import Field, H5DataModule, H5Dataset, Rows, Series, Split, Whole, Windows
from h5lightning.errors import (
    FieldError,
    MissingDataError,
    NonFiniteError,
    OptionError,
    ResourceError,
    SchemaError,
)
from h5lightning.options import Access

pytestmark = pytest.mark.timeout(240)
READERS = ("auto", "h5py")
CHUNKS = {"chunks": (4, 3), "maxshape": (None, 3)}
STORED = ({}, CHUNKS, {**CHUNKS, "compression": "gzip"})
RECORD = np.dtype([("a", "<f4", (2,)), ("b", "<i8")])


def write(folder: Path, lengths, options=None, *, widths=None) -> list[dict[str, np.ndarray]]:
    """A file for each length, and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng, found = np.random.default_rng(0), []
    for number, rows in enumerate(lengths):
        table = np.zeros(rows, RECORD)
        table["a"], table["b"] = rng.normal(size=(rows, 2)), rng.integers(0, 99, rows)
        width = 3 if widths is None else widths[number]
        own = {
            "x": rng.normal(size=(rows, 3)).astype("<f4"),
            "big": rng.integers(0, 99, (rows, 3)).astype(">i4"),
            "count": rng.integers(0, 99, rows).astype("<i2"),
            "image": rng.normal(size=(rows, 2, width)),
            "grid": rng.normal(size=(number + 1, 2)),
            "table": table,
        }
        with h5py.File(folder / f"{number:02}.h5", "w") as file:
            for name, values in own.items():
                file.create_dataset(name, data=values, **(options or {} if values.shape == (rows, 3) else {}))
            file.attrs["cell"] = np.arange(float(number + 1))
        found.append({**own, "cell": np.arange(float(number + 1))})
    return found


def opened(request, folder, *args, **options) -> H5Dataset:
    dataset = H5Dataset(f"{folder}/*.h5", *args, **options)
    request.addfinalizer(dataset.close)
    return dataset


def expected(mode, samples):
    """What is delivered of samples, as NumPy makes it."""
    if mode == "list":
        return samples
    if mode == "concat":
        return np.concatenate(samples)
    longest = np.max([sample.shape for sample in samples], axis=0)
    padded = np.zeros((len(samples), *longest), samples[0].dtype)
    for slot, sample in zip(padded, samples, strict=True):
        slot[tuple(map(slice, sample.shape))] = sample
    return padded


def assert_delivered(found, mode, samples, dtype=None) -> None:
    wanted = expected(mode, [np.asarray(sample) for sample in samples])
    pairs = [(found, wanted)] if mode != "list" else list(zip(found, wanted, strict=True))
    for tensor, values in pairs:
        assert tuple(tensor.shape) == values.shape
        np.testing.assert_array_equal(tensor.numpy(), values.astype(dtype or values.dtype.newbyteorder("=")))


@pytest.mark.parametrize("options", STORED, ids=("plain", "chunks", "gzip"))
@pytest.mark.parametrize("mode", ["list", "concat", "pad"])
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), data=st.data())
def test_whole_series_of_different_lengths(tmp_path, options, mode, lengths, data):
    stored = write(tmp_path / "a", lengths, options)
    fields = {name: Field(name, ragged=mode) for name in ("x", "big", "count")}
    fields |= {"wide": Field("count", dtype="float64", ragged=mode), "n": "length:big"}
    fields |= {"b": Field("table", member="b", ragged=mode), "both": Field("x", ragged=mode, dtype="float16")}
    fields |= {"grid": Field("grid", constant=True, ragged=mode), "cell": Field(attr="cell", ragged=mode)}
    ids = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=7))
    for reader in READERS:
        dataset = H5Dataset(str(tmp_path / "a/*.h5"), fields, Whole(), reader=reader)
        batch = dataset.read_batch(ids)
        for key in ("x", "big", "count", "grid", "cell"):
            assert_delivered(batch[key], mode, [stored[number][key] for number in ids])
        assert_delivered(batch["wide"], mode, [stored[number]["count"] for number in ids], "f8")
        assert_delivered(batch["both"], mode, [stored[number]["x"] for number in ids], "f2")
        assert_delivered(batch["b"], mode, [stored[number]["table"]["b"] for number in ids])
        assert batch["n"].tolist() == [lengths[number] for number in ids]
        for sample, number in zip(map(dataset.__getitem__, ids), ids, strict=True):
            np.testing.assert_array_equal(sample["x"].numpy(), stored[number]["x"])
            assert int(sample["n"]) == lengths[number]
        dataset.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("samples", [Rows(), Windows(2), Windows(3, pad="zero"), Whole()], ids=repr)
def test_rows_whose_shapes_differ_between_files(request, tmp_path, samples, reader):
    lengths = [4, 4, 4, 4]
    stored = write(tmp_path / "a", lengths, widths=[3, 5, 3, 4])
    fields = {"image": Field("image", ragged="pad", dtype="float32"), "p": "pad:image"}
    if isinstance(samples, Windows):
        del fields["p"]
    dataset = opened(request, tmp_path / "a", fields | {"y": "count"}, samples, reader=reader)
    assert dataset.field_spec["image"].shape[-1] is None
    ids = np.random.default_rng(1).permutation(len(dataset))
    batch = dataset.read_batch(ids)
    where = dataset.index.locate(ids)
    windows = []
    for file, row in zip(where.file.tolist(), where.row.tolist(), strict=True):
        image = stored[file]["image"].astype("f4")
        steps = {"rows": 1, "windows": getattr(samples, "length", 0), "whole": 4}[samples.kind]
        window = np.zeros((steps, *image.shape[1:]), "f4")
        part = image[row : row + steps]
        window[: len(part)] = part
        windows.append(window[0] if samples.kind == "rows" else window)
    assert_delivered(batch["image"], "pad", windows)
    if "p" in batch:
        widths = [stored[file]["image"].shape[-1] for file in where.file.tolist()]
        assert batch["p"].tolist() == [[entry >= width for entry in range(max(widths))] for width in widths]


@pytest.mark.parametrize("mode", ["list", "concat"])
def test_matches_of_a_star_with_rows_of_their_own_shape(request, tmp_path, mode):
    """As ANI-1x: the number of atoms differs between molecules, and is one axis of their coordinates."""
    rng, stored = np.random.default_rng(0), []
    with h5py.File(tmp_path / "ani.h5", "w") as file:
        for number in range(12):
            atoms, shapes = 1 + number % 5, 2 + number % 3
            coordinates, kinds = rng.normal(size=(shapes, atoms, 3)).astype("f4"), rng.integers(1, 9, atoms)
            file[f"m{number:02}/coordinates"], file[f"m{number:02}/kinds"] = coordinates, kinds
            stored += [(coordinates[row], kinds) for row in range(shapes)]
    fields = {
        "r": Field("*/coordinates", ragged=mode),
        "f": Field("*/coordinates", ragged=mode, dtype="float64"),
        "z": Field("*/kinds", constant=True, ragged=mode),
        "n": "length:r",
    }
    dataset = opened(request, tmp_path, fields)
    ids = np.random.default_rng(2).integers(0, len(dataset), 40)
    batch = dataset.read_batch(ids)
    assert_delivered(batch["r"], mode, [stored[number][0] for number in ids])
    assert_delivered(batch["f"], mode, [stored[number][0] for number in ids], "f8")
    assert_delivered(batch["z"], mode, [stored[number][1] for number in ids])
    assert batch["n"].tolist() == [len(stored[number][1]) for number in ids]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("table", ["ends", "offsets"])
def test_rows_of_an_index(request, tmp_path, reader, table):
    rng, stored = np.random.default_rng(0), []
    for number in range(3):
        lengths = rng.integers(0, 6, 9)
        values = rng.normal(size=(lengths.sum(), 2)).astype("f4")
        ends = np.cumsum(lengths)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["values"], file["y"] = values, np.arange(9)
            file["table"] = ends if table == "ends" else np.append(0, ends)
        stored += np.split(values, ends[:-1])
    fields = {"v": Field("values", index="table", ragged="concat"), "n": "length:v", "y": "y"}
    dataset = opened(request, tmp_path, fields, reader=reader)
    ids = rng.integers(0, len(dataset), 20)
    batch = dataset.read_batch(ids)
    assert_delivered(batch["v"], "concat", [stored[number] for number in ids])
    assert batch["n"].tolist() == [len(stored[number]) for number in ids]
    assert batch["y"].tolist() == (ids % 9).tolist()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_constant_with_an_index_is_a_list_of_its_entries(request, tmp_path, workers):
    """As NWB: the spike times of all units of a session, beside each trial."""
    rng, stored = np.random.default_rng(0), []
    for number in range(3):
        lengths = rng.integers(0, 6, 4 + number)
        spikes = rng.normal(size=lengths.sum())
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["spikes"], file["spikes_index"], file["y"] = spikes, np.cumsum(lengths), np.arange(5)
        stored.append(np.split(spikes, np.cumsum(lengths)[:-1]))
    field = Field("spikes", index="spikes_index", constant=True, ragged="list")
    fields, seen = {"s": field, "y": "y"}, []
    dataset = opened(request, tmp_path, fields)
    loader = DataLoader(dataset, batch_size=4, collate_fn=dataset.collate, num_workers=workers)
    for number, batch in enumerate(loader):
        for slot, spikes in enumerate(batch["s"]):
            seen.append(len(spikes))
            assert_delivered(spikes, "list", stored[(4 * number + slot) // 5])
    assert seen == [4] * 5 + [5] * 5 + [6] * 5
    assert_delivered(dataset[7]["s"], "list", stored[1])
    assert dataset.sample_spec()["s"].shape == (None, None)

    def count(sample):
        return {"units": len(sample["s"]), "s": sample["s"][1:]}

    batch = opened(request, tmp_path, fields, transform=count).read_batch([0, 6])
    assert batch["units"].tolist() == [4, 5]
    assert_delivered(batch["s"][1], "list", stored[1][1:])


def test_series_without_rows_hide_no_rows_of_an_index(request, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, ends in (("e0", []), ("e1", []), ("e2", [1, 3]), ("e3", []), ("e4", [2])):
            file[f"{name}/v"], file[f"{name}/ends"] = (
                np.arange(float(max(ends, default=0))),
                np.asarray(ends, int),
            )
    fields = {"v": Field("e*/v", index="e*/ends", ragged="pad")}
    padded = opened(request, tmp_path, fields).read_batch([0, 1, 2])["v"]
    assert padded.tolist() == [[0, 0], [1, 2], [0, 1]]
    with pytest.raises(SchemaError, match="rows of different lengths"):
        opened(request, tmp_path, {"v": Field("e*/v", index="e*/ends")})


def test_rows_of_an_index_that_have_one_length_are_one_tensor(request, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"], file["ends"], file["y"] = np.arange(12.0).reshape(6, 2), [2, 4, 6], np.arange(3)
    dataset = opened(request, tmp_path, {"v": Field("values", index="ends"), "y": "y"})
    assert dataset.field_spec["v"].shape == (2, 2)
    assert dataset.read_batch([2, 0])["v"].tolist() == [[[8, 9], [10, 11]], [[0, 1], [2, 3]]]


def test_drawn_rows_are_the_same_in_all_fields_and_ascend(request, tmp_path):
    lengths = [9, 3, 7, 5]
    stored = write(tmp_path / "a", lengths)
    fields = {
        "x": Field("x", ragged="list"),
        "c": Field("count", ragged="list"),
        "xc": Field(["x", "x"], ragged="list"),
    }
    dataset = opened(request, tmp_path / "a", fields, Whole(take=5))
    drawn = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        batch = dataset.read_batch([2, 0, 1, 3])
        rows = []
        for slot, number in enumerate([2, 0, 1, 3]):
            x = batch["x"][slot].numpy()
            rows.append([int(np.flatnonzero((stored[number]["x"] == row).all(axis=1))[0]) for row in x])
            assert rows[-1] == sorted(set(rows[-1]))
            assert len(rows[-1]) == min(5, lengths[number])
            assert batch["c"][slot].tolist() == stored[number]["count"][rows[-1]].tolist()
            np.testing.assert_array_equal(batch["xc"][slot].numpy(), np.stack([x, x], axis=-1))
        drawn.append(rows)
        assert torch.equal(dataset.read_batch([1], ["x"])["x"][0], batch["x"][2])
    assert drawn[0] != drawn[1] != drawn[2]


def test_drawn_rows_of_series_that_are_long_enough_are_one_tensor(request, tmp_path):
    write(tmp_path / "a", [9, 5, 7])
    dataset = opened(request, tmp_path / "a", ["x", "count"], Whole(take=5))
    assert dataset.field_spec["x"].shape == (5, 3)
    assert dataset.read_batch([0, 1, 2])["x"].shape == (3, 5, 3)
    with pytest.raises(SchemaError, match=r"samples='Whole\(take=6\)': .*01.h5 has 5 rows, expected 6"):
        opened(request, tmp_path / "a", ["x"], Whole(take=6))


def test_joined_series_of_different_lengths(request, tmp_path):
    lengths = [2, 5, 3]
    stored = write(tmp_path / "a", lengths)
    fields = {
        "last": Field(["x", "big"], ragged="concat", dtype="float32"),
        "first": Field(["x", "x"], join="first", ragged="concat"),
        "columns": Field("table", member=["b", "a"], ragged="concat", dtype="float64"),
    }
    for reader in READERS:
        batch = opened(request, tmp_path / "a", fields, Whole(), reader=reader).read_batch([1, 0, 2])
        files = [stored[number] for number in (1, 0, 2)]
        last = [np.stack([file["x"], file["big"]], axis=-1).astype("f4") for file in files]
        assert_delivered(batch["last"], "concat", last)
        assert_delivered(batch["first"], "concat", [np.stack([file["x"]] * 2, axis=1) for file in files])
        columns = [np.concatenate([f["table"]["b"][:, None], f["table"]["a"]], axis=1) for f in files]
        assert_delivered(batch["columns"], "concat", columns, "f8")


def test_series_of_a_table_have_their_own_lengths(request, tmp_path):
    values = np.arange(30.0).reshape(15, 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["ends"] = values, [4, 5, 15]
    dataset = opened(request, tmp_path, {"x": Field("x", ragged="list")}, Whole(), series=Series(ends="ends"))
    assert_delivered(dataset.read_batch([2, 0, 1])["x"], "list", [values[5:], values[:4], values[4:5]])


def test_a_transform_gets_samples_of_their_own_shape_and_may_change_it(request, tmp_path):
    lengths = [6, 4, 9]
    stored = write(tmp_path / "a", lengths)
    seen = []

    def crop(sample):
        seen.append((sorted(sample), tuple(sample["x"].shape)))
        return {"x": sample["x"][:4], "count": sample["count"] * 2, "y": sample["x"].sum()}

    fields = {"x": Field("x", ragged="stack"), "count": Field("count", ragged="pad")}
    fields |= {"n": "length:count", "p": "pad:count"}
    dataset = opened(request, tmp_path / "a", fields, Whole(), transform=crop)
    batch = dataset.read_batch([2, 0, 1])
    assert seen == [(["count", "x"], (lengths[number], 3)) for number in (2, 0, 1)]
    assert_delivered(batch["x"], "pad", [stored[number]["x"][:4] for number in (2, 0, 1)])
    assert_delivered(batch["count"], "pad", [stored[number]["count"] * 2 for number in (2, 0, 1)])
    assert batch["n"].tolist() == [9, 6, 4]
    assert batch["p"].sum() == 3 + 5
    assert batch["y"].shape == (3,)
    unequal = opened(request, tmp_path / "a", {"x": Field("x", ragged="stack")}, Whole())
    with pytest.raises(
        FieldError, match=r"ragged='stack', but sample 0 \(row 0 of .*00.h5\) has the shape \(6, 3\)"
    ):
        unequal.read_batch([0, 1])


def test_a_transform_that_keeps_its_samples_shares_no_memory_with_the_batch(request, tmp_path):
    write(tmp_path / "a", [6, 4, 9])
    kept = []

    def keep(sample):
        kept.append(sample["x"])
        return sample

    for mode in ("list", "concat"):
        dataset = opened(request, tmp_path / "a", {"x": Field("x", ragged=mode)}, Whole(), transform=keep)
        batch = dataset.read_batch([0, 1])["x"]
        before = [value.clone() for value in kept]
        for tensor in batch if mode == "list" else [batch]:
            tensor.zero_()
        assert all(torch.equal(one, two) for one, two in zip(kept, before, strict=True))
        kept.clear()


def test_a_transform_may_remove_a_field_and_what_is_told_of_it(request, tmp_path):
    write(tmp_path / "a", [6, 4, 9])
    fields = {"x": Field("x", ragged="list"), "n": "length:x", "c": Field("count", ragged="list")}
    dataset = opened(request, tmp_path / "a", fields, Whole(), transform=lambda sample: {"c": sample["c"]})
    assert list(dataset.read_batch([0, 1])) == ["c"]
    some = opened(
        request, tmp_path / "a", fields, Whole(), transform=lambda s: s if len(s["x"]) > 5 else {"c": s["c"]}
    )
    with pytest.raises(FieldError, match="returned sample 1 of a batch without 'x'"):
        some.read_batch([0, 1])


def test_a_value_that_is_not_finite_is_named_with_its_sample_and_place(request, tmp_path):
    write(tmp_path / "a", [3, 5])
    with h5py.File(tmp_path / "a" / "01.h5", "r+") as file:
        file["x"][4, 1] = np.nan
    access = Access(on_nonfinite="raise")
    dataset = opened(request, tmp_path / "a", {"x": Field("x", ragged="list")}, Whole(), access=access)
    assert len(dataset.read_batch([0])["x"]) == 1
    with pytest.raises(NonFiniteError, match=r"sample at row 0 of .*01.h5 \(\[4, 1\] in the sample\)"):
        dataset.read_batch([0, 1])


def test_packed_values_are_decoded_and_missing_ones_are_refused(request, tmp_path):
    for number, rows in enumerate((3, 5)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(rows, dtype="i2")
            file["x"].attrs["scale_factor"], file["x"].attrs["add_offset"] = 0.5 + number, 1.0
            file["m"] = np.where(np.arange(rows) == 4, -1, np.arange(rows))
            file["m"].attrs["_FillValue"] = np.int64(-1)
    fields = {"x": Field("x", decode="cf", ragged="concat"), "m": Field("m", decode="cf", ragged="concat")}
    batch = opened(request, tmp_path, fields, Whole()).read_batch([1, 0])
    assert_delivered(batch["x"], "concat", [np.arange(5) * 1.5 + 1, np.arange(3) * 0.5 + 1], "f4")
    assert torch.isnan(batch["m"]).tolist() == [False] * 4 + [True] + [False] * 3
    try:
        dataset = opened(request, tmp_path, {"m": Field("m", ragged="list")}, Whole())
    except MissingDataError:
        return  # the scan has seen it
    with pytest.raises(MissingDataError, match=r"holds -1 at row 4 of .*1.h5"):
        dataset.read_batch([0, 1])


def test_a_padded_batch_beyond_the_limit_names_the_longest_sample(request, tmp_path):
    write(tmp_path / "a", [3, 50])
    access = Access(max_padded_bytes=50 * 3 * 4)
    dataset = opened(request, tmp_path / "a", {"x": Field("x", ragged="pad")}, Whole(), access=access)
    assert dataset.read_batch([1])["x"].shape == (1, 50, 3)
    with pytest.raises(
        ResourceError, match=r"The longest is sample 1 \(row 0 of .*01.h5\), of shape \(50, 3\)"
    ):
        dataset.read_batch([0, 1])


@pytest.mark.parametrize(
    ("fields", "samples", "error", "message"),
    [
        ({"x": Field("x")}, Whole(), SchemaError, "Field('x', ragged='list') delivers a list of tensors"),
        (
            {"x": Field("x", ragged="list")},
            Windows(2),
            OptionError,
            "all windows have the shape (2, 3): remove ragged",
        ),
        (
            {"x": Field("image")},
            Rows(),
            SchemaError,
            "Field('image', ragged='list') delivers samples of different",
        ),
        (
            {"x": Field("image", ragged="concat")},
            Rows(),
            FieldError,
            "ragged='concat' puts samples one after",
        ),
        (
            {"x": Field("count", ragged="concat")},
            Rows(),
            FieldError,
            "these are single numbers: remove ragged",
        ),
        ({"x": "x", "n": "length:z"}, Rows(), OptionError, "'length:z' names no field"),
        ({"x": "x", "n": "length:x"}, Rows(), OptionError, "all samples of 'x' have the shape (3,)"),
        ({"x": Field("x", ragged="list"), "p": "pad:x"}, Whole(), OptionError, "so that nothing is padding"),
        (
            {"x": Field("image", ragged="pad"), "n": "length:x"},
            Whole(),
            OptionError,
            "so that one must differ",
        ),
        (
            {"x": "x", "g": Field("grid", constant=True)},
            Rows(),
            SchemaError,
            "delivers values of different lengths",
        ),
        ({"x": "x", "c": Field(attr="cell")}, Rows(), SchemaError, "delivers values of different shapes"),
    ],
)
def test_what_cannot_be_delivered_is_an_error_at_setup(tmp_path, fields, samples, error, message):
    write(tmp_path / "a", [4, 6], widths=[3, 5])
    with pytest.raises(error) as caught:
        H5Dataset(str(tmp_path / "a/*.h5"), fields, samples)
    assert message in str(caught.value)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_send_the_same_batches(request, tmp_path, context):
    lengths = [3, 50_000, 20, 7]
    stored = write(tmp_path / "a", lengths)
    for mode in ("list", "concat", "pad"):
        fields = {"x": Field("x", ragged=mode), "n": "length:x"}
        dataset = opened(request, tmp_path / "a", fields, Whole())
        loader = DataLoader(
            dataset, batch_size=2, collate_fn=dataset.collate, num_workers=1, multiprocessing_context=context
        )
        for number, batch in enumerate(loader):
            assert_delivered(batch["x"], mode, [stored[one]["x"] for one in (2 * number, 2 * number + 1)])
            if mode == "list":
                assert len({tensor.untyped_storage().data_ptr() for tensor in batch["x"]}) == 1


def test_the_default_collate_function_says_what_to_use(request, tmp_path):
    stored = write(tmp_path / "a", [3, 5, 5])
    dataset = opened(request, tmp_path / "a", {"x": Field("x", ragged="pad"), "n": "length:x"}, Whole())
    with pytest.raises(FieldError, match=r"DataLoader\(dataset, collate_fn=dataset.collate\)"):
        next(iter(DataLoader(dataset, batch_size=2)))
    (batch,) = DataLoader(torch.utils.data.Subset(dataset, [1, 2]), batch_size=2)
    assert_delivered(batch["x"], "pad", [stored[1]["x"], stored[2]["x"]])
    batch = dataset.collate([dataset[0], dataset[1]])
    assert_delivered(batch["x"], "pad", [stored[0]["x"], stored[1]["x"]])
    assert batch["n"].tolist() == [3, 5]


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("take", [None, 4])
def test_a_module_delivers_each_series_once_with_its_rows(tmp_path, threads, take):
    lengths = [1 + number % 7 for number in range(30)]
    stored = write(tmp_path / "a", lengths)
    fields = {
        "x": Field("x", ragged="concat"),
        "c": Field("count", ragged="pad"),
        "n": "length:x",
        "p": "pad:c",
    }
    dm = H5DataModule(
        str(tmp_path / "a/*.h5"),
        fields,
        Whole(take=take),
        batch_size=4,
        split=Split(val=0, test=0),
        threads=threads,
        provenance=True,
    )
    dm.setup("fit")
    seen = []
    for batch in dm.train_dataloader():
        files = [int(Path(where.file).stem) for where in dm.locate(batch["sample_id"])]
        seen += files
        counts = [min(lengths[file], take or 99) for file in files]
        assert batch["n"].tolist() == (~batch["p"]).sum(dim=1).tolist() == counts
        for rows, file, counted in zip(batch["x"].split(counts), files, batch["c"], strict=True):
            found = [np.flatnonzero((stored[file]["x"] == row).all(axis=1)).tolist() for row in rows.numpy()]
            assert all(found)
            assert len(found) == min(lengths[file], take or 99)
            own = stored[file]["count"][[row[0] for row in found]].tolist()
            assert counted.tolist() == own + [0] * (len(counted) - len(own))
    dm.teardown()
    assert sorted(seen) == list(range(30))
