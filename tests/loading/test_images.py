"""Fields of encoded images and bytes, from all layouts of storage, against imagecodecs and h5py."""

import copy
import pickle

import h5py
import imagecodecs
import numpy as np
import pytest
import torch
from image_files import LAYOUTS, jpeg, pixels, png, put_bytes, write_episodes
from torch.utils.data import DataLoader

from h5lightning import Access, Field, H5DataModule, H5Dataset, Series, Split, Whole, Windows
from h5lightning.errors import (
    BadFileError,
    FieldError,
    H5LightningError,
    OptionError,
    ResourceError,
    SchemaError,
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("episodes")
    values = write_episodes(folder)
    return f"{folder}/*.hdf5", values, np.stack([imagecodecs.jpeg_decode(value) for value in values])


@pytest.fixture
def opened():
    """Makes datasets, whose files are closed after the test."""
    made = []

    def make(*args, **options):
        made.append(H5Dataset(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def write(path, values, layout="variable", **more):
    with h5py.File(path, "w") as file:
        put_bytes(file, "x", values, layout)
        file["action"] = np.arange(len(values))
        for name, other in more.items():
            put_bytes(file, name, other)
    return str(path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"reader": "h5py"}, {"access": Access(memory_map=False)}])
def test_each_layout_of_storage(episodes, layout, options, opened):
    files, values, expected = episodes
    fields = {
        "x": Field(f"images/{layout}", decode="image"),
        "first": Field(f"images/{layout}", decode="image", layout="CHW", dtype="float32"),
        "raw": Field(f"images/{layout}", decode="bytes"),
        "a": "action",
    }
    dataset = opened(files, fields, **options)
    batch = dataset.read_batch(list(range(len(values)))[::-1])
    assert np.array_equal(batch["x"].numpy(), expected[::-1])
    assert np.array_equal(batch["first"].numpy(), expected[::-1].transpose(0, 3, 1, 2))
    assert batch["first"].dtype == torch.float32
    assert batch["raw"] == values[::-1]
    spec = dataset.sample_spec()
    assert (spec["x"].shape, spec["x"].dtype) == ((24, 40, 3), "uint8")
    assert (spec["first"].shape, spec["raw"].shape, spec["raw"].dtype) == ((3, 24, 40), (), "bytes")
    assert torch.equal(dataset[3]["x"], torch.from_numpy(expected[3]))
    assert dataset[3]["raw"] == values[3]


@pytest.mark.parametrize("pad", [None, "edge", "zero"])
def test_windows(episodes, pad, opened):
    files, values, expected = episodes
    fields = {
        "x": Field("images/variable", decode="image", steps=(-1, 2)),
        "raw": Field("images/padded", decode="bytes", steps=(-1, 2)),
        "two": Field(["images/variable", "images/text"], decode="image", join="first"),
        "a": "action",
    }
    batch = opened(files, fields, samples=Windows(2, pad=pad)).read_batch([0, 6] if pad else [0, 4])
    # Of the first file, which has 7 rows.
    rows = [[-1, 0, 1], [5, 6, 7]] if pad else [[0, 1, 2], [4, 5, 6]]
    for slot, steps in enumerate(rows):
        for step, row in enumerate(steps):
            is_padding, inside = not 0 <= row < 7, min(max(row, 0), 6)
            zero = is_padding and pad == "zero"
            assert np.array_equal(batch["x"][slot, step].numpy(), expected[inside] * (not zero))
            assert batch["raw"][slot][step] == (b"" if zero else values[inside])
    assert batch["two"].shape == (2, 2, 2, 24, 40, 3)
    assert torch.equal(batch["two"][:, 0, 0], batch["x"][:, 1])


def test_whole_series(episodes, opened):
    files, values, expected = episodes
    fields = {
        "x": Field("images/variable", decode="image", ragged="list"),
        "raw": Field("images/padded", decode="bytes"),
        "some": Field("action", ragged="list"),
    }
    dataset = opened(files, fields, samples=Whole())
    batch = dataset.read_batch([2, 0])
    assert [len(value) for value in batch["x"]] == [len(value) for value in batch["raw"]] == [4, 7]
    assert np.array_equal(batch["x"][0].numpy(), expected[16:])
    assert batch["raw"][1] == values[:7]
    assert dataset.sample_spec()["x"].shape == (None, 24, 40, 3)
    drawn = opened(files, {"x": Field("images/text", decode="image"), "a": "action"}, samples=Whole(take=3))
    images = drawn.read_batch([1])
    rows = (images["a"][0, :, 0] / 2).long() + 7
    assert np.array_equal(images["x"][0].numpy(), expected[rows.numpy()])


def test_windows_cross_joined_files(episodes, opened):
    files, values, expected = episodes
    joined = {"series": Series(join_files=True), "samples": Windows(4)}
    fields = {
        "x": Field("images/variable", decode="image"),
        "raw": Field("images/variable-gzip", decode="bytes"),
    }
    dataset = opened(files, fields, **joined)
    assert len(dataset) == 17
    batch = dataset.read_batch([5, 14])
    assert np.array_equal(batch["x"].numpy(), expected[[[5, 6, 7, 8], [14, 15, 16, 17]]])
    assert batch["raw"] == [values[5:9], values[14:18]]
    # Their lengths differ between these files.
    with pytest.raises(OptionError, match="bytes of another length in each file"):
        opened(files, {"x": Field("images/padded", decode="image")}, **joined)


def test_series_of_a_file(tmp_path, opened):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(3):
            own = [jpeg(pixels(10 * number + row)) for row in range(2 + number)]
            put_bytes(file, f"demo_{number}/rgb", own, "padded")
        dataset = file.create_dataset("grid", (2, 3), h5py.vlen_dtype("u1"))
        for place in np.ndindex(2, 3):
            dataset[place] = np.frombuffer(png(pixels(place[0] * 3 + place[1])), np.uint8)
    starred = opened(f"{tmp_path}/*.h5", {"x": Field("demo_*/rgb", decode="image")}, samples=Windows(2))
    assert np.array_equal(
        starred.read_batch([5])["x"][0, 1].numpy(), imagecodecs.jpeg_decode(jpeg(pixels(23)))
    )
    # Two leading axes, and rows of several images.
    leading = {"x": Field("grid", decode="image")}
    rows = opened(f"{tmp_path}/*.h5", leading, samples=Windows(1, axis=1), series=Series(axis=0))
    assert np.array_equal(rows.read_batch([4])["x"][0, 0].numpy(), pixels(4))
    many = opened(f"{tmp_path}/*.h5", {**leading, "b": Field("grid", decode="bytes")})
    batch = many.read_batch([1])
    assert np.array_equal(batch["x"][0].numpy(), np.stack([pixels(number) for number in (3, 4, 5)]))
    assert batch["b"] == [[png(pixels(number)) for number in (3, 4, 5)]]


def test_gray_alpha_and_mixed_formats(tmp_path, opened):
    color, gray = pixels(1), pixels(2, channels=1)
    alpha = np.dstack([color, gray])
    write(tmp_path / "gray.h5", [png(gray), jpeg(gray)])
    batch = opened(str(tmp_path / "gray.h5"), {"x": Field("x", decode="image", layout="CHW")}).read_batch([0])
    assert np.array_equal(batch["x"][0].numpy(), gray)
    path = write(tmp_path / "mixed.h5", [png(color), png(gray), png(alpha), jpeg(gray), jpeg(color)])
    expected = [color, np.dstack([gray] * 3), color]
    for layout, axes in (("HWC", (0, 1, 2)), ("CHW", (2, 0, 1))):
        batch = opened(path, {"x": Field("x", decode="image", layout=layout)}).read_batch([0, 1, 2, 3, 4])
        for found, image in zip(batch["x"].numpy(), expected, strict=False):
            assert np.array_equal(found, image.transpose(axes))
        assert (np.ptp(batch["x"][3].numpy().astype(int), axis=axes.index(2)) == 0).all()
    path = write(tmp_path / "late.h5", [png(gray), png(color)])
    with pytest.raises(BadFileError, match=r"at row 1 of .*late.h5 is a color image, and the first image"):
        opened(path, {"x": Field("x", decode="image")}).read_batch([0, 1])


def test_images_of_different_sizes(tmp_path, opened):
    sizes = [(20 + 3 * number, 31 - number) for number in range(8)]
    values = [png(pixels(number, size)) for number, size in enumerate(sizes)]
    write(tmp_path / "a.h5", values[:5])
    write(tmp_path / "b.h5", values[5:])
    files = f"{tmp_path}/*.h5"
    for mode, layout in (("list", "CHW"), ("pad", "HWC")):
        dataset = opened(files, {"x": Field("x", decode="image", ragged=mode, layout=layout)})
        batch = dataset.read_batch([6, 1, 3, 6])["x"]
        for slot, number in enumerate([6, 1, 3, 6]):
            height, width = sizes[number]
            expected = pixels(number, sizes[number])
            if mode == "list":
                assert np.array_equal(batch[slot].numpy(), expected.transpose(2, 0, 1))
            else:
                assert np.array_equal(batch[slot, :height, :width].numpy(), expected)
                assert not batch[slot, height:].any()
                assert not batch[slot, :, width:].any()
    assert dataset.sample_spec()["x"].shape == (None, None, 3)
    with pytest.raises(
        SchemaError, match=r"image at row 0 of '/x' in .*b.h5 has 35 × 26 pixels .* ragged='list'"
    ):
        opened(files, {"x": Field("x", decode="image")})
    one = opened(f"{tmp_path}/a.h5", {"x": Field("x", decode="image")})
    with pytest.raises(
        FieldError, match=r"at row 2 of .*a.h5 has 26 × 29 .* expected 20 × 31 .* row 0 of .*a.h5"
    ):
        one.read_batch([0, 2])
    with pytest.raises(OptionError, match="a sample has several"):
        opened(files, {"x": Field("x", decode="image", ragged="list")}, samples=Windows(2))


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 3}, {"num_workers": 2}])
def test_loaders(episodes, options):
    files, values, expected = episodes
    fields = {
        "x": Field("images/variable", decode="image"),
        "list": Field("images/text", decode="image", ragged="list"),
        "raw": Field("images/opaque", decode="bytes"),
        "a": "action",
    }
    split = Split(val=0, test=0)
    data = H5DataModule(files, fields, batch_size=6, split=split, provenance=True, **options)
    data.setup("fit")
    seen = []
    for _ in range(2):
        for batch in data.train_dataloader():
            ids = batch["sample_id"].tolist()
            seen += ids
            assert np.array_equal(batch["x"].numpy(), expected[ids])
            assert all(
                np.array_equal(one.numpy(), expected[i]) for one, i in zip(batch["list"], ids, strict=True)
            )
            assert batch["raw"] == [values[i] for i in ids]
    assert sorted(seen) == sorted([*range(len(values))] * 2)
    data.teardown("fit")


def test_transforms_decode_bytes_themselves(episodes, opened):
    files, values, expected = episodes

    def decode(sample):
        sample["x"] = torch.from_numpy(imagecodecs.jpeg_decode(sample["raw"])).float()
        sample["size"] = len(sample.pop("raw"))
        return sample

    dataset = opened(
        files,
        {"raw": Field("images/text", decode="bytes"), "kept": Field("images/padded", decode="bytes")},
        transform=decode,
    )
    batch = dataset.read_batch([5, 0])
    assert np.array_equal(batch["x"].numpy(), expected[[5, 0]])
    assert batch["size"].tolist() == [len(values[5]), len(values[0])]
    assert batch["kept"] == [values[5], values[0]]
    replaced = opened(
        files,
        {"raw": Field("images/text", decode="bytes")},
        transform=lambda sample: {"raw": len(sample["raw"])},
    )
    assert replaced.read_batch([1, 2])["raw"].tolist() == [len(values[1]), len(values[2])]
    assert replaced.sample_spec()["raw"].dtype == "int64"


def test_loaders_of_torch_and_copies(episodes, opened):
    files, values, expected = episodes
    dataset = opened(
        files, {"x": Field("images/text", decode="image"), "raw": Field("images/text", decode="bytes")}
    )
    copies = pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)
    for one in (dataset, *copies):
        for collate in (None, dataset.collate):
            batch = next(iter(DataLoader(one, 4, collate_fn=collate)))
            assert np.array_equal(batch["x"].numpy(), expected[:4])
            assert batch["raw"] == values[:4]
        one.close()


def large():
    data = bytearray(jpeg(pixels(0)))
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xfe\xff\xfe"
    return bytes(data)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "is empty, expected an image"),
        (b"GIF89a", "is neither JPEG nor PNG: its first bytes are b'GIF89a'"),
        (jpeg(pixels(3))[:-30], "JPEG image that was cut off"),
        (png(pixels(3))[:-30], "damaged PNG image"),
        (png(pixels(3))[:60] + b"\x55" * 9 + png(pixels(3))[69:], "damaged PNG image"),
        (png(pixels(3)).replace((24).to_bytes(4, "big"), (100_000).to_bytes(4, "big"), 1), "cannot hold"),
        (png(pixels(3).astype("u2") * 256), "PNG image of 16 bits"),
    ],
)
@pytest.mark.parametrize("row", [0, 3])
def test_bytes_that_are_no_image(tmp_path, value, message, row, opened):
    values = [jpeg(pixels(number)) for number in range(5)]
    values[row] = value
    path = write(tmp_path / "a.h5", values)
    with pytest.raises(H5LightningError) as caught:
        opened(path, {"x": Field("x", decode="image")}).read_batch([1, 3, 0])
    assert message in str(caught.value)
    assert "a.h5" in str(caught.value)
    assert f"row {row}" in str(caught.value)
    # Its bytes are delivered all the same.
    assert opened(path, {"x": Field("x", decode="bytes")}).read_batch([row])["x"] == [value]


def test_no_image_may_fill_the_memory(tmp_path, opened):
    path = write(tmp_path / "a.h5", [jpeg(pixels(0)), large()])
    with pytest.raises(FieldError, match=r"at row 1 of .*a.h5 has 65534 × 65534 pixels .*, expected 24 × 40"):
        opened(path, {"x": Field("x", decode="image")}).read_batch([0, 1])
    ragged = opened(path, {"x": Field("x", decode="image", ragged="list")})
    with pytest.raises(
        ResourceError, match=r"at row 1 of .*a.h5 has 65534 × 65534 .* access.max_padded_bytes is 1"
    ):
        ragged.read_batch([1])
    path = write(tmp_path / "b.h5", [large()])
    with pytest.raises(ResourceError, match=r"65534 × 65534 pixels .*row 0 of .*b.h5, take 12"):
        opened(path, {"x": Field("x", decode="image")})
    with pytest.raises(ResourceError, match=r"at row 0 of .*b.h5 takes .* access.max_padded_bytes is 100 B"):
        opened(path, {"x": Field("x", decode="bytes")}, access=Access(max_padded_bytes=100))


def test_fields_that_hold_no_bytes(tmp_path, opened):
    path = write(tmp_path / "a.h5", [jpeg(pixels(0))] * 4)
    with h5py.File(path, "a") as file:
        file["pixels"] = np.stack([pixels(1 + number) for number in range(4)])
        file["lists"] = np.zeros(4, "i4")
        file.create_dataset("floats", (4,), h5py.vlen_dtype("f4"))
        file["texts"] = ["some", "text", "and", "more"]
    for path_in_file, message in [
        (
            "pixels",
            r"row 0 of '/pixels' .* neither JPEG nor PNG.* \(24, 40, 3\) look like pixels: remove decode",
        ),
        ("lists", "holds <i4 in rows of shape"),
        ("floats", "holds sequences of different length"),
        ("texts", "holds text of variable length"),
    ]:
        with pytest.raises(FieldError, match=message):
            opened(path, {"x": Field(path_in_file, decode="image"), "a": "action"})
    with pytest.raises(FieldError, match=r"'/x' in .* holds bytes of variable length: Field"):
        opened(path, {"x": "x"})
    for field in (
        Field("x", decode="image", constant=True),
        Field("x", decode="bytes", ragged="pad"),
        Field("x", decode="bytes", dtype="uint8"),
        Field(["x", "x"], decode="bytes"),
    ):
        with pytest.raises(OptionError, match="field 'x': decode="):
            opened(path, {"x": field, "a": "action"})


def test_statistics_and_conditions_of_pixels(tmp_path):
    sizes = [(20 + number % 3, 31 - number % 2) for number in range(9)]
    images = [pixels(number, size) for number, size in enumerate(sizes)]
    write(tmp_path / "a.h5", [png(image) for image in images])
    write(tmp_path / "b.h5", [png(pixels(number)) for number in range(5)], other=[b"any"] * 5)
    every = np.concatenate([image.reshape(-1, 3) for image in images]).astype("f8")
    dark = [number for number in range(5) if pixels(number).max() < 140]
    assert 0 < len(dark) < 5
    fields = {"x": Field("x", decode="image", ragged="list"), "a": "action"}
    split = Split(val=0, test=0)
    options = {"split": split, "batch_size": 3, "provenance": True, "normalize": {"x": "standard"}}
    data = H5DataModule(str(tmp_path / "a.h5"), fields, **options)
    data.setup("fit")
    assert np.allclose(data.statistics["x"].mean, every.mean(axis=0), rtol=1e-6)
    assert np.allclose(data.statistics["x"].std, every.std(axis=0), rtol=1e-6)
    for batch in data.train_dataloader():
        for value, number in zip(batch["x"], batch["sample_id"].tolist(), strict=True):
            expected = (images[number] - every.mean(axis=0)) / every.std(axis=0)
            assert np.allclose(value.numpy(), expected, atol=1e-6)
    data.teardown("fit")
    fields = {"x": Field("x", decode="image"), "a": "action"}
    data = H5DataModule(
        str(tmp_path / "b.h5"), fields, where={"x": (None, 140)}, batch_size=1, split=split, provenance=True
    )
    data.setup("fit")
    assert sorted(int(batch["sample_id"]) for batch in data.train_dataloader()) == dark
    data.teardown("fit")
    fields["x"] = Field("x", decode="bytes")
    with pytest.raises(OptionError, match=r"where.x: field 'x' \('/x'\) is delivered as bytes"):
        H5DataModule(str(tmp_path / "b.h5"), fields, where={"x": (None, 200)}).setup("fit")
    with pytest.raises(OptionError, match="holds no numbers to be normalised"):
        H5DataModule(str(tmp_path / "b.h5"), fields, normalize={"x": "standard"}).setup("fit")
