"""Lists of datasets and columns as one tensor: the values of h5py, joined by NumPy; or an error with its remedy."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset, Windows
from h5lightning.errors import FieldError, MissingFieldError, OptionError, SchemaError, UnsupportedFieldError

READERS = ("direct", "h5py")
ROWS, FILES = 23, 3
STORED = [
    {},
    {"chunks": True},
    {"chunks": True, "compression": "lzf"},
    {"chunks": True, "compression": "gzip"},
]
NAMES = ("plain", "chunks", "lzf", "gzip")
TRACKS = np.dtype(
    [("pt", "<f4"), ("eta", "<f4"), ("name", "S4"), ("hits", "<i4", (2,)), ("id", "<i4"), ("e", "<f8")]
)


def columns(rng):
    records = np.zeros(ROWS, TRACKS)
    for name in ("pt", "eta", "e"):
        records[name] = rng.normal(size=ROWS)
    records["hits"] = rng.integers(0, 9, (ROWS, 2))
    records["id"] = rng.integers(0, 9, ROWS)
    return records


def chunks_of(values, options):
    rows = {"chunks": (5, *values.shape[1:])} if "chunks" in options else {}
    return options | rows


@pytest.fixture(params=STORED, ids=NAMES)
def data(request, tmp_path):
    """The pattern of some files, and all their datasets, ``(files, rows, …)``."""
    rng = np.random.default_rng(0)
    values = {}
    for number in range(FILES):
        own = {
            name: rng.normal(size=(ROWS, *shape)).astype(dtype)
            for name, shape, dtype in (
                ("t2m", (3, 4), "f4"),
                ("msl", (3, 4), "f4"),
                ("wind", (3, 4, 2), "f4"),
                ("pair", (2, 3, 4), "f4"),
                ("long", (3, 6), "f4"),
                ("a", (), "f4"),
                ("b", (3,), "f8"),
            )
        }
        own["count"] = rng.integers(0, 99, ROWS).astype("i2")
        own["code"] = rng.integers(0, 99, ROWS).astype(">i4")
        own["tracks"] = columns(rng)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for name, array in own.items():
                file.create_dataset(name, data=array, **chunks_of(array, request.param))
            for name in ("lat", "lon"):
                own[name] = rng.normal(size=(3, 4))
                file[name] = own[name]
        for name, array in own.items():
            values.setdefault(name, []).append(array)
    return str(tmp_path / "*.h5"), {name: np.stack(arrays) for name, arrays in values.items()}


def opened(request, *args, **options):
    dataset = H5Dataset(*args, **options)
    request.addfinalizer(dataset.close)
    return dataset


def joined(parts, axis, least):
    """Values of the same samples on one axis."""
    return np.concatenate(
        [np.expand_dims(part, axis) if part.ndim == least else part for part in parts], axis
    )


def same(found, expected):
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.numpy().dtype == expected.dtype


FIELDS = {
    "channels": Field(["t2m", "msl", "wind"]),
    "first": Field(["pair", "t2m", "msl"], join="first"),
    "wide": Field(["t2m", "long"], join="concat"),
    "scalars": Field(["a", "a"], join="concat"),
    "mixed": Field(["a", "b"], join="concat"),
    "one": Field(["t2m"]),
    "columns": Field("tracks", member=["pt", "e", "eta"]),
    "hits": Field("tracks", member=["hits", "id"]),
    "whole": Field(["count", "code"]),
    "chosen": Field(["count", "a"], dtype="float64"),
    "half": Field(["a", "b"], dtype="bfloat16", join="concat"),
}


def expected_rows(values):
    """What each of `FIELDS` is for rows, ``(files, rows, …)``."""
    tracks = values["tracks"]
    return {
        "channels": joined([values["t2m"], values["msl"], values["wind"]], 4, 4),
        "first": joined([values["pair"], values["t2m"], values["msl"]], 2, 4),
        "wide": np.concatenate([values["t2m"], values["long"]], -1),
        "scalars": np.stack([values["a"]] * 2, -1),
        "mixed": np.concatenate([values["a"][..., None].astype("f8"), values["b"]], -1),
        "one": values["t2m"][..., None],
        "columns": np.stack([tracks["pt"].astype("f8"), tracks["e"], tracks["eta"].astype("f8")], -1),
        "hits": np.concatenate([tracks["hits"], tracks["id"][..., None]], -1),
        "whole": np.stack([values["count"].astype("i4"), values["code"].astype("i4")], -1),
        "chosen": np.stack([values["count"].astype("f8"), values["a"].astype("f8")], -1),
    }


@pytest.mark.parametrize("reader", READERS)
def test_rows_are_joined(request, data, reader):
    pattern, values = data
    dataset = opened(request, pattern, FIELDS, reader=reader)
    order = np.random.default_rng(1).permutation(len(dataset))
    batch = dataset.read_batch(order)
    for key, expected in expected_rows(values).items():
        same(batch[key], expected.reshape(-1, *expected.shape[2:])[order])
    half = torch.from_numpy(expected_rows(values)["mixed"].reshape(-1, 4)[order]).float().bfloat16()
    assert torch.equal(batch["half"], half)
    copied = pickle.loads(pickle.dumps(dataset))
    request.addfinalizer(copied.close)
    again = copied.read_batch(order)
    assert all(torch.equal(batch[key], again[key]) for key in batch)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dilation", [1, 3])
def test_rows_of_windows_are_joined(request, data, reader, dilation):
    pattern, values = data
    samples = Windows(4, dilation=dilation)
    dataset = opened(request, pattern, FIELDS, samples, reader=reader)
    steps = np.arange(4) * dilation
    starts = np.arange(ROWS - steps[-1])
    batch = dataset.read_batch(range(len(dataset)))
    for key, expected in expected_rows(values).items():
        windows = expected[:, starts[:, None] + steps]
        same(batch[key], windows.reshape(-1, *windows.shape[2:]))


@pytest.mark.parametrize("reader", READERS)
def test_steps_hold_for_all_parts(request, data, reader):
    pattern, values = data
    fields = {
        "x": Field(["t2m", "msl"], steps=(0, 2), join="first"),
        "y": Field(["t2m", "msl"], steps=(2, 3)),
    }
    dataset = opened(request, pattern, fields, Windows(3), reader=reader)
    batch = dataset.read_batch([5])
    rows = [np.stack([values["t2m"][0, row], values["msl"][0, row]]) for row in (5, 6)]
    same(batch["x"], np.stack(rows)[None])
    same(batch["y"], np.stack([values["t2m"][0, 7], values["msl"][0, 7]], -1)[None, None])


@pytest.mark.parametrize("reader", READERS)
def test_constants_are_joined(request, data, reader):
    pattern, values = data
    fields = {
        "x": "t2m",
        "grid": Field(["lat", "lon"], constant=True),
        "low": Field(["lat", "lon"], constant=True, dtype="float32"),
    }
    dataset = opened(request, pattern, fields, reader=reader)
    batch = dataset.read_batch([0, ROWS, 2 * ROWS + 1])
    expected = np.stack([values["lat"], values["lon"]], -1)
    same(batch["grid"], expected)
    same(batch["low"], expected.astype("f4"))


def test_the_channels_have_names(request, data):
    pattern, _ = data
    fields = FIELDS | {"both": Field(["tracks", "tracks"], member=["pt", "eta"])}
    spec = opened(request, pattern, fields).sample_spec()
    assert spec["channels"].columns == ("t2m", "msl", "wind[0]", "wind[1]")
    assert spec["columns"].columns == ("pt", "e", "eta")
    assert spec["mixed"].columns == ("a", "b[0]", "b[1]", "b[2]")
    assert spec["both"].columns == ("tracks/pt", "tracks/eta", "tracks/pt", "tracks/eta")
    assert spec["channels"].shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("field", "error", "message"),
    [
        (Field(["t2m", "long"]), FieldError, r"'/t2m' has the shape \(3, 4\), and '/long' has .* \(3, 6\) \(of a row"),
        (Field(["t2m", "a"]), FieldError, r"'/t2m' has the shape \(3, 4\), and '/a' has the shape \(\) \(of a row\)"),
        (Field(["count", "a"]), OptionError, r"int16 and '/a' is float32: one tensor .*dtype='float32'\) chooses it"),
        (Field("tracks", member=["pt", "id"]), OptionError, r"\(column 'pt'\) is float32 and .*'id'\) is int32"),
        (Field("tracks", member=["pt", "phi"]), MissingFieldError, r"no column 'phi'; known: .*name: text of 4 bytes"),
        (Field("tracks", member=["pt", "etaa"]), MissingFieldError, r"no column 'etaa'; did you mean 'eta'\?"),
        (Field("tracks", member=["pt", "name"]), UnsupportedFieldError, r"the column 'name' \(text of 4 bytes\)"),
        (Field(["t2m", "tracks"]), UnsupportedFieldError, r"is a table \(compound\) with the columns"),
        (Field(["t2m", "nope"]), MissingFieldError, r"holds no dataset '/nope'"),
        (Field(["t2m", "lat"]), SchemaError, r"'/lat' has 3 rows and '/t2m' has 23"),
        (Field(["t2m", "msl"], steps=(0, 1)), OptionError, r"steps need samples=Windows"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_does_not_join_is_named(data, field, error, message):
    pattern, _ = data
    with pytest.raises(error, match=message):
        H5Dataset(pattern, {"x": field})


@pytest.mark.parametrize("reader", READERS)
def test_each_part_is_decoded_by_its_own_attributes(request, tmp_path, reader):
    for number, scale in enumerate((0.5, 0.25)):
        with h5py.File(tmp_path / f"{number}.nc", "w") as file:
            for name, offset in (("t2m", 10), ("msl", 100)):
                file[name] = np.asarray([[1, 2], [-999, 4], [5, 6]], "i2")
                file[name].attrs.update(
                    scale_factor=scale, add_offset=float(offset), _FillValue=np.int16(-999)
                )
            file["plain"] = np.full((3, 2), number, "f8")
    fields = {"x": Field(["t2m", "msl", "plain"], decode="cf")}
    found = opened(request, str(tmp_path / "*.nc"), fields, reader=reader).read_batch(range(6))["x"]
    stored = np.asarray([[1, 2], [np.nan, 4], [5, 6]])
    expected = [
        np.stack([stored * scale + 10, stored * scale + 100, np.full((3, 2), number)], -1)
        for number, scale in enumerate((0.5, 0.25))
    ]
    same(found, np.concatenate(expected).astype("f4"))
    with pytest.raises(
        UnsupportedFieldError, match=r"Field\(\['t2m', 'msl'\], decode='cf'\) delivers the decoded"
    ):
        H5Dataset(str(tmp_path / "*.nc"), {"x": Field(["t2m", "msl"])})


@pytest.mark.parametrize("reader", READERS)
def test_values_that_a_type_cannot_hold_are_named(request, tmp_path, reader):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.asarray([1.0, 1e300, 2.0])
        file["b"] = np.asarray([1.0, 2.0, 3.0])
        file["big"] = np.asarray([1, 2**24 + 1, 3])

    def dataset(*paths, **options):
        return opened(request, str(tmp_path / "a.h5"), {"x": Field(list(paths), **options)}, reader=reader)

    with pytest.raises(
        FieldError, match=r"field 'x' \('/b', '/a'\) holds 1e\+300 at row 1 of .*a.h5, which float32"
    ):
        dataset("b", "a", dtype="float32").read_batch([0, 1])
    with pytest.raises(
        FieldError, match=r"field 'x' \('/big'\) holds 16777217 at row 1 of .*a.h5, which float32"
    ):
        dataset("b", "big", dtype="float32").read_batch([0, 1])
    same(dataset("b", "big", dtype="float32").read_batch([0, 2])["x"], np.asarray([[1, 1], [3, 3]], "f4"))


def test_files_of_different_types_are_joined_in_the_type_that_is_asked_for(request, tmp_path):
    for number, dtype in enumerate(("f4", "f8")):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["a"], file["b"] = np.arange(3, dtype=dtype), np.arange(3, 6, dtype="f4")
    pattern = str(tmp_path / "*.h5")
    with pytest.raises(SchemaError, match=r"Field\(\['a', 'b'\], dtype='float64'\) delivers one type"):
        H5Dataset(pattern, {"x": Field(["a", "b"])})
    found = opened(request, pattern, {"x": Field(["a", "b"], dtype="float64")}).read_batch(range(6))["x"]
    same(found, np.asarray([[0, 3], [1, 4], [2, 5]] * 2, "f8"))


def test_predict_files_may_lack_a_list(tmp_path):
    for name in ("train", "predict"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["t2m"], file["msl"] = np.ones((8, 3), "f4"), np.zeros((8, 3), "f4")
            if name == "train":
                file["low"], file["high"] = np.ones(8, "f4"), np.ones(8, "f4")
    dm = H5DataModule(
        {name: str(tmp_path / f"{name}.h5") for name in ("train", "predict")},
        {"x": Field(["t2m", "msl"]), "y": Field(["low", "high"])},
        batch_size=4,
        num_workers=0,
    )
    dm.setup("predict")
    assert {key: tuple(value.shape) for key, value in next(iter(dm.predict_dataloader())).items()} == {
        "x": (4, 3, 2)
    }
    dm.setup("fit")
    assert next(iter(dm.train_dataloader()))["y"].shape == (4, 2)
    dm.teardown("fit")


def test_a_mapping_says_the_same(request, data):
    pattern, values = data
    fields = {"x": {"path": ["t2m", "msl"], "steps": [0, 1], "join": "first"}}
    found = opened(request, pattern, fields, {"length": 2}).read_batch([3])["x"]
    same(found, np.stack([values["t2m"][0, 3], values["msl"][0, 3]])[None, None])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("samples", [None, Windows(3)], ids=repr)
def test_a_table_is_decoded_once_for_all_its_columns(request, tmp_path, reader, samples):
    kind = np.dtype([(f"c{number}", "<f4") for number in range(22)])
    records = np.zeros(60, kind)
    for name in kind.names:
        records[name] = np.random.default_rng(0).normal(size=60)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("t", data=records, chunks=(10,), compression="lzf")
    names = list(kind.names)[:12]
    fields = {
        "x": Field("t", member=names),
        "y": Field("t", member="c3"),
        "z": Field("t", member=names[::-1]),
    }
    dataset = opened(request, str(tmp_path / "a.h5"), fields, samples, reader=reader)
    batch = dataset.read_batch(range(58))
    expected = np.stack([records[name] for name in names], -1)
    if samples is not None:
        expected = expected[np.arange(58)[:, None] + np.arange(3)]
    same(batch["x"], expected[:58])
    same(batch["z"], expected[:58, ..., ::-1])
    caches = dataset._batches.reader._decoded.pool()._caches.values()
    assert [cache.filled for cache in caches] == [6]
    assert [cache.row_bytes for cache in caches] == [12 * 4]
