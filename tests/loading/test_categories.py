"""The numbers of categories, from all that files call a category, against a search in Python."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5lightning import Field, H5Dataset, Series, Whole, Windows
from h5lightning.errors import FieldError, MissingDataError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.loading.batch_reader import BatchReader

pytestmark = pytest.mark.timeout(240)

VLEN = h5py.string_dtype()
NAMES = (["T", "B", "NK"], ["B", "T"], ["mast", "NK", "T", "B"])  # of each file, in its own order
ROWS = (7, 4, 9)


def enumeration(names, numbers):
    return h5py.enum_dtype(dict(zip(names, numbers, strict=True)), basetype="<i2")


def write_file(path: Path, names: list[str], texts: list[str], site: str) -> None:
    """One file with the texts in each of the forms."""
    codes = np.asarray([names.index(text) for text in texts])
    record = np.dtype([("fixed", "S6"), ("code", enumeration(names, range(len(names)))), ("e", "<f4")])
    table = np.zeros(len(texts), record)
    table["fixed"], table["code"], table["e"] = [text.encode() for text in texts], codes, codes * 2.0
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(len(texts), dtype="f4")
        file.create_dataset("vlen", data=texts, dtype=VLEN)
        file["fixed"] = np.asarray(texts, "S8")
        file["table"] = table
        numbers = [5 * n - 3 for n in range(len(names))]
        file.create_dataset("enum", data=5 * codes - 3, dtype=enumeration(names, numbers))
        pairs = np.asarray([texts, texts[::-1]], object).transpose()
        file.create_dataset("pairs", data=pairs, dtype=VLEN)
        group = file.create_group("cell")
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "categorical", "0.2.0"
        group.attrs["ordered"] = False
        group["codes"] = codes.astype("i1")
        group.create_dataset("categories", data=names, dtype=VLEN)
        flags = file.create_dataset("flags", data=codes.astype("u1") * 4)
        flags.attrs["flag_values"] = np.arange(len(names), dtype="u1") * 4
        flags.attrs["flag_meanings"] = " ".join(names)
        file["number"] = codes.astype(["<i8", ">i2", "<f4"][len(names) - 2])
        file.create_dataset("one", data=texts[0], dtype=VLEN)
        file.attrs["site"] = site


PLACES = {
    "vlen": Field("vlen"),
    "fixed": Field("fixed"),
    "column": Field("table", member="fixed"),
    "code": Field("table", member="code"),
    "enum": Field("enum"),
    "cell": Field("cell"),
    "flags": Field("flags"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three files with lists of their own, and the texts of all rows."""
    folder, rng, texts = tmp_path_factory.mktemp("forms"), np.random.default_rng(0), []
    for number, (names, rows) in enumerate(zip(NAMES, ROWS, strict=True)):
        own = rng.choice(names[:3], rows).tolist()
        write_file(folder / f"{number}.h5", names, own, f"site {number % 2}")
        texts.append(own)
    return folder, texts


def with_categories(field: Field, categories, **options) -> Field:
    names = ("path", "attr", "constant", "member", "series_axis")
    return Field(**{name: getattr(field, name) for name in names}, categories=categories, **options)


def every(dataset):
    try:
        return dataset.read_batch(np.arange(len(dataset)))
    finally:
        dataset.close()


@pytest.mark.parametrize("categories", [True, ["NK", "T", "mast", "B", "never"]])
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_all_forms_of_text_mean_the_same(files, categories, reader):
    folder, texts = files
    fields = {key: with_categories(field, categories) for key, field in PLACES.items()}
    dataset = H5Dataset(f"{folder}/*.h5", {"x": "x"} | fields, reader=reader)
    # Of the declared names, those that never occur are no categories.
    occurring = sorted({text for own in texts for text in own})
    names = occurring if categories is True else categories
    batch = every(dataset)
    for key in fields:
        assert dataset.field_spec[key].classes == tuple(names)
        assert batch[key].tolist() == [names.index(text) for own in texts for text in own], key
        assert str(batch[key].dtype) == "torch.int64"


def test_rows_of_several_texts_attributes_and_constants(files):
    folder, texts = files
    fields = {
        "x": "x",
        "pairs": Field("pairs", categories=True),
        "site": Field(attr="site", categories=True, dtype="uint8"),
        "one": Field("one", constant=True, categories=["NK", "B", "T", "mast"]),
        "number": Field("number", categories=[2, 0, 1, 3], dtype="float32"),
        "all": Field("number", categories=True),
        "joined": Field("table", member=["fixed", "code"], categories=True),
    }
    batch = every(H5Dataset(f"{folder}/*.h5", fields))
    occurring = sorted({text for own in texts for text in own})
    flat = [text for own in texts for text in own]
    pairs = [pair for own in texts for pair in zip(own, own[::-1], strict=True)]
    assert batch["pairs"].tolist() == [[occurring.index(text) for text in pair] for pair in pairs]
    assert batch["site"].tolist() == [number % 2 for number, own in enumerate(texts) for _ in own]
    assert batch["one"].tolist() == [["NK", "B", "T", "mast"].index(own[0]) for own in texts for _ in own]
    numbers = [NAMES[number].index(text) for number, own in enumerate(texts) for text in own]
    assert batch["number"].tolist() == [[2, 0, 1, 3].index(number) for number in numbers]
    assert batch["all"].tolist() == numbers
    assert batch["joined"].tolist() == [[occurring.index(text)] * 2 for text in flat]


def windows_of(numbers: list[int], steps: range, pad: str | None) -> list[list[int]]:
    """The steps of the windows of one file, as the contract says."""

    def step(row: int) -> int:
        inside = min(max(row, 0), len(numbers) - 1)
        return numbers[inside] if inside == row or pad == "edge" else 0

    starts = range(len(numbers)) if pad else range(1, len(numbers) - 3)
    return [[step(start + offset) for offset in steps] for start in starts]


@pytest.mark.parametrize("pad", [None, "edge", "zero"])
def test_windows_and_their_padding(files, pad):
    """A number 0 of the padding is 0 for the model, whatever the categories are."""
    folder, texts = files
    names = ["mast", "T", "NK", "B"]
    paths = ("vlen", "enum", "cell")
    fields = {path: Field(path, categories=names, steps=(-1, 3)) for path in paths}
    fields["next"] = Field("cell", categories=names, steps=(3, 4))
    fields["number"] = Field("number", categories=[3, 2, 1, 0], steps=(-1, 3))
    batch = every(H5Dataset(f"{folder}/*.h5", fields, Windows(3, pad=pad)))
    steps, following, of_numbers = [], [], []
    for file, own in enumerate(texts):
        numbers = [names.index(text) for text in own]
        steps += windows_of(numbers, range(-1, 3), pad)
        following += windows_of(numbers, range(3, 4), pad)
        of_numbers += windows_of([3 - NAMES[file].index(text) for text in own], range(-1, 3), pad)
    for path in paths:
        assert batch[path].tolist() == steps
    assert batch["next"].tolist() == following
    assert batch["number"].tolist() == of_numbers


@pytest.mark.parametrize("ragged", ["list", "pad", "concat"])
def test_whole_series_of_text(files, ragged):
    folder, texts = files
    dataset = H5Dataset(
        f"{folder}/*.h5",
        {"x": Field("x", ragged=ragged), "y": Field("vlen", categories=True, ragged=ragged)},
        Whole(),
    )
    found = dataset.read_batch([0, 1, 2])
    occurring = sorted({text for own in texts for text in own})
    expected = [[occurring.index(text) for text in own] for own in texts]
    values = found["y"]
    if ragged == "list":
        assert [one.tolist() for one in values] == expected
    elif ragged == "concat":
        assert values.tolist() == [number for own in expected for number in own]
    else:
        assert values.tolist() == [own + [0] * (9 - len(own)) for own in expected]
    dataset.close()


def test_series_with_names_have_texts_of_their_own(tmp_path):
    names = ["left", "up", "down"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, own in enumerate((["up", "down", "up"], ["left"], ["down", "left", "left", "up"])):
            cell = file.create_group(f"cell/{number}")
            cell["codes"] = np.asarray([names.index(text) for text in own], "i1")
            cell.create_dataset("categories", data=names, dtype=VLEN)
            cell.attrs["encoding-type"], cell.attrs["encoding-version"] = "categorical", "0.2.0"
            demo = file.create_group(f"data/demo_{number}")
            demo["x"] = np.arange(len(own))
            demo.create_dataset("move", data=own, dtype=VLEN)
            demo.attrs["task"] = ["lift", "can", "lift"][number]
    fields = {
        "x": "data/*/x",
        "move": Field("data/*/move", categories=True),
        "task": Field("data/*", attr="task", categories=["lift", "can"]),
    }
    batch = every(H5Dataset(str(tmp_path / "a.h5"), fields))
    assert batch["move"].tolist() == [2, 0, 2, 1, 0, 1, 1, 2]
    assert batch["task"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    # Each match may be a group that is one column.
    dataset = H5Dataset(str(tmp_path / "a.h5"), {"move": Field("cell/*", categories=["left", "up", "down"])})
    assert every(dataset)["move"].tolist() == [1, 2, 1, 0, 2, 0, 0, 1]


def test_one_text_of_each_series_and_rows_along_two_axes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((3, 4, 2), "f4")
        file.create_dataset("kind", data=["b", "a", "b"], dtype=VLEN)
        file.create_dataset("phase", data=[["s", "s", "e", "e"], ["s", "e", "e", "e"], ["s"] * 4], dtype=VLEN)
        file["label"] = np.arange(12).reshape(3, 4) % 3 + 1
    fields = {
        "x": "x",
        "kind": Field("kind", constant=True, series_axis=0, categories=True),
        "phase": Field("phase", categories=["s", "e"]),
        "label": Field("label", categories=[3, 2, 1]),
    }
    batch = every(H5Dataset(str(tmp_path / "a.h5"), fields, Windows(2, axis=1), series=Series(axis=0)))
    assert batch["kind"].tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert batch["phase"].tolist() == [[0, 0], [0, 1], [1, 1], [0, 1], [1, 1], [1, 1], [0, 0], [0, 0], [0, 0]]
    assert batch["label"][:3].tolist() == [[2, 1], [1, 0], [0, 2]]


def test_windows_cross_files_that_go_on(tmp_path):
    for number, own in enumerate((["a", "b"], ["c", "a", "a"], ["b"])):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.zeros(len(own))
            file.create_dataset("y", data=own, dtype=VLEN)
    fields = {"x": "x", "y": Field("y", categories=True)}
    batch = every(H5Dataset(f"{tmp_path}/*.h5", fields, Windows(3), series=Series(join_files=True)))
    assert batch["y"].tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 0], [0, 0, 1]]


def test_masks_with_many_numbers_in_a_row_are_mapped_when_they_are_read(tmp_path):
    """So many numbers are not kept, only which of them occur."""
    rng = np.random.default_rng(0)
    masks = rng.choice([0, 4, 255], size=(2, 300, 300)).astype("u1")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(2)
        file["mask"] = masks
        file.create_dataset(
            "enum",
            data=masks,
            dtype=h5py.enum_dtype({"sky": 0, "road": 4, "void": 255, "car": 9}, basetype="u1"),
        )
    fields = {
        "x": "x",
        "mask": Field("mask", categories=True, dtype="uint8"),
        "enum": Field("enum", categories=True),
        "crop": Field("enum", categories=["road", "sky", "void"], axis=(1, 2)),
    }
    dataset = H5Dataset(str(tmp_path / "a.h5"), {key: fields[key] for key in ("x", "mask", "enum")})
    assert dataset.field_spec["enum"].classes == ("road", "sky", "void")
    batch = every(dataset)
    assert (batch["mask"].numpy() == np.searchsorted([0, 4, 255], masks)).all()
    assert (batch["enum"].numpy() == np.asarray([1, 0, 2])[np.searchsorted([0, 4, 255], masks)]).all()
    dataset = H5Dataset(str(tmp_path / "a.h5"), {"crop": fields["crop"]}, Windows((64, 300), axis=(1, 2)))
    crop = dataset[1]["crop"].numpy()
    assert (crop == np.asarray([1, 0, 2])[np.searchsorted([0, 4, 255], masks[:, 1:65])]).all()
    dataset.close()


def test_rows_of_an_index_constants_of_any_length_and_masks(tmp_path):
    words = (["a", "b", "c", "a", "d"], ["b", "a", "d", "d"])
    for number, own in enumerate(words):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.zeros(3)
            file.create_dataset("words", data=own, dtype=VLEN)
            file["ends"] = [2, 3, len(own)]
            group = file.create_group("count")
            group.attrs["encoding-type"], group.attrs["encoding-version"] = "nullable-integer", "0.1.0"
            group["values"], group["mask"] = [1, 2, 3], [False, True, False]
    fields = {
        "x": "x",
        "entry": Field("words", index="ends", categories=True, ragged="list"),
        "all": Field("words", constant=True, categories=["d", "c", "b", "a"], ragged="list"),
        "count": Field("count", categories=True, unknown=-1),
    }
    batch = every(H5Dataset(f"{tmp_path}/*.h5", fields))
    entries = [own[a:b] for own in words for a, b in ((0, 2), (2, 3), (3, len(own)))]
    assert [one.tolist() for one in batch["entry"]] == [
        ["abcd".index(word) for word in own] for own in entries
    ]
    assert [one.tolist() for one in batch["all"]] == [
        ["dcba".index(word) for word in own] for own in words for _ in range(3)
    ]
    assert batch["count"].tolist() == [0, -1, 1] * 2


def test_letters_of_netcdf_are_words(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("t", 3)
        file.createDimension("letters", 4)
        letters = netcdf.stringtochar(np.asarray(["ab", "cde", "ab"], "S4"))
        file.createVariable("name", "S1", ("t", "letters"))[:] = letters
        file.createVariable("x", "f4", ("t",))[:] = 0
    dataset = H5Dataset(str(tmp_path / "a.nc"), {"x": "x", "name": Field("name", categories=True)})
    assert dataset.field_spec["name"].classes == ("ab", "cde")
    assert every(dataset)["name"].tolist() == [0, 1, 0]


def test_copies_and_workers_have_the_same_categories(files):
    dataset = H5Dataset(f"{files[0]}/*.h5", {"x": "x", "y": Field("cell", categories=True)})
    expected = dataset.read_batch([0, 9, 19])["y"].tolist()
    for other in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert other.read_batch([0, 9, 19])["y"].tolist() == expected
        other.close()
    dataset.close()


@pytest.fixture
def labelled(tmp_path):
    """Files with labels that are no category here and there."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(4)
        file.create_dataset("label", data=["left", "right", "left", "left"], dtype=VLEN)
        file["number"] = np.asarray([0, 4, 5, 5], "i4")
        file.attrs["side"] = "left"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.zeros(3)
        file.create_dataset("label", data=["left", "rigth", "up"], dtype=VLEN)
        file["number"] = np.asarray([0, 7, 4], "i4")
        file.attrs["side"] = "Left"
    return tmp_path


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (
            Field("label", categories=["left", "right"]),
            r"holds 'rigth' at row 1 of .*b\.h5.*'right'.*unknown=-1",
        ),
        (
            Field(attr="side", categories=["left", "right"]),
            r"the attribute 'side'.* 'Left' in .*b\.h5.*'left'",
        ),
        (Field("number", categories=[0, 4, 5]), r"holds 7 at row 1 of .*b\.h5.*'5'"),
        (
            Field("label", categories=[0, 1]),
            r"'left' at row 0 of .*a\.h5 .* known categories are 0, 1",
        ),
        (Field("label"), r"a\.h5 holds text .* Field\('label', categories=True\) delivers"),
        (Field("number", categories=["0", "4"]), r"holds numbers, and its categories are text, such as '0'"),
    ],
)
def test_a_value_that_is_no_category_is_named_with_row_and_file(labelled, field, told):
    with pytest.raises(FieldError, match=told):
        every(H5Dataset(f"{labelled}/*.h5", {"x": "x", "y": field}))


def test_values_that_are_no_category_can_have_a_number(labelled):
    fields = {
        "x": "x",
        "label": Field("label", categories=["left", "right"], unknown=-1),
        "number": Field("number", categories=[0, 4, 5], unknown=9, dtype="uint8"),
        "side": Field(attr="side", categories=["left"], unknown=-100),
    }
    batch = every(H5Dataset(f"{labelled}/*.h5", fields))
    assert batch["label"].tolist() == [0, 1, 0, 0, 0, -1, -1]
    assert batch["number"].tolist() == [0, 1, 2, 2, 0, 9, 1]
    assert batch["side"].tolist() == [0, 0, 0, 0, -100, -100, -100]


def test_rows_without_a_value_are_an_error_or_unknown(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(3)
        group = file.create_group("cell")
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "categorical", "0.2.0"
        group["codes"] = np.asarray([0, -1, 1], "i1")
        group.create_dataset("categories", data=["T", "B"], dtype=VLEN)
        file["score"] = np.asarray([1, np.nan, 2])
    path = str(tmp_path / "a.h5")
    for field in (
        Field("cell", categories=True),
        Field("cell", categories=["T", "B"]),
        Field("score", categories=True),
    ):
        with pytest.raises(MissingDataError, match=r"no value at row 1 of .*a\.h5.*unknown=-1"):
            H5Dataset(path, {"x": "x", "y": field})
    fields = {
        "y": Field("cell", categories=True, unknown=-1),
        "z": Field("score", categories=[2, 1], unknown=-1),
    }
    batch = every(H5Dataset(path, {"x": "x", **fields}))
    assert batch["y"].tolist() == [1, -1, 0]
    assert batch["z"].tolist() == [1, -1, 0]
    with pytest.raises(MissingDataError, match=r"no value at row 1 of"):
        every(H5Dataset(path, {"x": "x", "z": Field("score", categories=[2, 1])}))


def test_what_can_be_no_categories_is_an_error(tmp_path):
    for number, name in enumerate("ab"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = np.asarray([0.5, 1])
            file.create_dataset(
                "mixed", data=["left", "right"] if number else [0, 1], dtype=VLEN if number else "i4"
            )
            packed = file.create_dataset("packed", data=[1, 2])
            packed.attrs["scale_factor"] = 2.0
            file.create_dataset("text", data=[["a", "b"]] * 2, dtype=VLEN)
    pattern = str(tmp_path / "*.h5")
    for field, error, told in (
        (Field("mixed", categories=True), SchemaError, r"b\.h5 holds text, and '/mixed' in .*a\.h5 numbers"),
        (Field("x", categories=True), FieldError, "holds 0.5, which is no whole number"),
        (Field("packed", categories=True), UnsupportedFieldError, "is packed"),
        (Field("x", categories=[0, 1], dtype="bool", unknown=7), OptionError, "cannot hold 7"),
        (Field("none", categories=True), FieldError, "none"),
    ):
        with pytest.raises(error, match=told):
            H5Dataset(pattern, {"x": "x", "y": field})
    with pytest.raises(UnsupportedFieldError, match="text"):
        H5Dataset(pattern, {"y": Field("text", categories=True)}, Windows(1, axis=1))


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_other_categories_are_put_on_what_was_read(files, data):
    """As a checkpoint brings those of training: the same as if they had been given."""
    folder, texts = files
    names = data.draw(st.lists(st.sampled_from(["T", "B", "NK", "mast", "new"]), min_size=1, unique=True))
    key = data.draw(st.sampled_from([*PLACES, "joined"]))
    place = Field("table", member=["fixed", "code"]) if key == "joined" else PLACES[key]
    dataset = H5Dataset(f"{folder}/*.h5", {"x": "x", "y": with_categories(place, True, unknown=-1)})
    batches = dataset._batches
    changed = batches.fields.with_classes({"y": names, "x": ["ignored"]})
    assert changed.spec()["y"].classes == tuple(names)
    flat = [text for own in texts for text in own]
    expected = np.asarray([names.index(text) if text in names else -1 for text in flat])
    other = BatchReader(dataset.index, changed, batches.reader, batches.access)
    found = other.read(np.arange(len(flat)))["y"].numpy()
    assert (found.reshape(len(flat), -1) == expected[:, None]).all()
    dataset.close()
