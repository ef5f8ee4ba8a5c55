"""The schema of one object of a file: layout, filters, missing data, links and groups."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from scanned import describe

from h5lightning.storage.scanning.describe_dataset import dataset_paths
from h5lightning.storage.scanning.metadata_values import ValueReader

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


STORAGE = {
    "contiguous": ({}, "contiguous", None, ()),
    "chunked": ({"chunks": (4, 3)}, "chunked", (4, 3), ()),
    "gzip": ({"chunks": (4, 3), "compression": 7}, "chunked", (4, 3), ("deflate(7)",)),
    "pipeline": (
        {"chunks": (4, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
        "chunked",
        (4, 3),
        ("shuffle", "deflate(4)", "fletcher32"),
    ),
    "lzf": ({"chunks": (4, 3), "compression": "lzf"}, "chunked", (4, 3), ("lzf",)),
    "scaleoffset": ({"chunks": (4, 3), "scaleoffset": 0}, "chunked", (4, 3), ("scaleoffset",)),
}


@pytest.mark.parametrize(("options", "storage", "chunks", "filters"), STORAGE.values(), ids=STORAGE)
def test_layout_and_filters(file, options, storage, chunks, filters):
    data = np.arange(30, dtype="<i4").reshape(10, 3)
    dataset = file.create_dataset("g/x", data=data, **options)
    found = describe(file.id, "g/x", VALUES)
    assert (found.path, found.dtype, found.shape) == ("g/x", "<i4", (10, 3))
    assert (found.storage, found.chunks, found.filters) == (storage, chunks, filters)
    assert found.stored_bytes == dataset.id.get_storage_size() > 0
    assert (found.missing_chunks, found.refusal) == (0, "")


@pytest.mark.parametrize(
    ("number", "text"), [(32015, "zstd"), (32001, "blosc"), (32008, "bitshuffle"), (31999, "filter 31999")]
)
def test_filters_of_plug_ins_are_named(file, number, text):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())  # parameters that an installed plug-in takes too
    h5d.create(file.id, b"x", h5t.IEEE_F32LE, h5s.create_simple((8,)), plist)
    assert describe(file.id, "x", VALUES).filters == (text,)


def test_compact(file):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.COMPACT)
    h5d.create(file.id, b"x", h5t.IEEE_F32LE, h5s.create_simple((8,)), plist)
    found = describe(file.id, "x", VALUES)
    assert (found.storage, found.stored_bytes, found.missing_chunks) == ("compact", 32, 0)


MISSING = {
    "contiguous-never-written": ({"shape": (8, 4)}, None, 1),
    "contiguous-empty": ({"shape": (0, 4)}, None, 0),
    "chunked-never-written": ({"shape": (10, 4), "chunks": (4, 4)}, None, 3),
    "one-chunk-written": ({"shape": (10, 4), "chunks": (4, 3)}, np.s_[5:6, 0:1], 5),
    "chunked-empty": ({"shape": (0, 4), "chunks": (4, 4), "maxshape": (None, 4)}, None, 0),
    "filtered": ({"shape": (100,), "chunks": (10,), "compression": "gzip"}, np.s_[20:45], 7),
}


@pytest.mark.parametrize(("options", "written", "missing"), MISSING.values(), ids=MISSING)
def test_missing_chunks_are_counted(file, options, written, missing):
    dataset = file.create_dataset("x", dtype="f4", **options)
    if written is not None:
        dataset[written] = 1
    assert describe(file.id, "x", VALUES).missing_chunks == missing


@pytest.mark.parametrize("size", [1, 7, 40], ids=["shrunk", "within-a-chunk", "grown"])
def test_missing_chunks_follow_the_extent(file, size):
    dataset = file.create_dataset("x", data=np.arange(20), chunks=(4,), maxshape=(None,))
    dataset.resize((size,))
    assert describe(file.id, "x", VALUES).missing_chunks == max(0, (size - 20) // 4)


def test_scalar_has_no_rows_and_is_not_refused(file):
    file["x"] = 3.0
    found = describe(file.id, "x", VALUES)
    assert (found.shape, found.rows, found.refusal) == ((), None, "")


def test_null_dataspace(file):
    file["x"] = h5py.Empty("f4")
    found = describe(file.id, "x", VALUES)
    assert (found.shape, found.storage) == ((), "none")
    assert "no values" in found.refusal


def test_refused_type_keeps_its_layout(file):
    file.create_dataset("x", data=["a", "b"], chunks=(1,))
    found = describe(file.id, "x", VALUES)
    assert (found.dtype, found.shape, found.chunks, found.itemsize) == ("text", (2,), (1,), 0)
    assert "no tensor can hold text" in found.refusal


# ── storage elsewhere ────────────────────────────────────────────────────────────────────────────────


def test_external_storage(file, tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"\x01" * 64)
    file.create_dataset("x", (16,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 64)])
    found = describe(file.id, "x", VALUES)
    assert (found.storage, found.missing_chunks) == ("external", 0)
    assert "outside of the HDF5 file" in found.refusal


def test_virtual_dataset(file, tmp_path):
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "absent.h5"), "x", (8,))
    file.create_virtual_dataset("x", layout)
    found = describe(file.id, "x", VALUES)
    assert (found.storage, found.missing_chunks) == ("virtual", 0)
    assert "is a virtual dataset" in found.refusal


# ── links, groups, other objects ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["absent", "absent/x", "g/absent", "x/y", "x/y/z"])
def test_missing_objects_are_none(file, path):
    file["x"] = [1, 2]
    file.create_group("g")
    assert describe(file.id, path, VALUES) is None


LINKS = {
    "soft": (h5py.SoftLink("/x"), "link", "the soft link '/link' to '/x'"),
    "dangling": (h5py.SoftLink("/absent"), "link", "the soft link '/link' to '/absent'"),
    "soft-group": (h5py.SoftLink("/g"), "link/y", "the soft link '/link' to '/g'"),
    "external": (h5py.ExternalLink("b.h5", "/q"), "link", "the external link '/link' to '/q' in 'b.h5'"),
    "external-group": (
        h5py.ExternalLink("b.h5", "/q"),
        "link/z",
        "the external link '/link' to '/q' in 'b.h5'",
    ),
}


@pytest.mark.parametrize(("link", "path", "words"), LINKS.values(), ids=LINKS)
def test_links_are_not_followed(file, link, path, words):
    file["x"] = [1, 2]
    file["g/y"] = [1, 2]
    file["link"] = link
    found = describe(file.id, path, VALUES)
    assert (found.dtype, found.shape) == ("link", ())
    assert words in found.refusal


def test_group_names_its_datasets(file):
    for name in "abcdefghi":
        file[f"g/h/{name}"] = [1]
    file["g/e"] = h5py.ExternalLink("b.h5", "/x")
    found = describe(file.id, "g", VALUES)
    assert found.dtype == "group"
    assert found.refusal.startswith("is a group; it holds: 'g/h/a', 'g/h/b'")
    assert found.refusal.endswith("'g/h/h', …")


def test_group_names_its_numbered_datasets_as_a_family(file):
    for number in range(9):
        file[f"g/h/d{number}"] = [number]
    assert describe(file.id, "g", VALUES).refusal == (
        "is a group. '/g/h/*' is a family of 9 datasets (d0 … d8); Field('g/h/*'): a '*' makes each one a series"
    )


def test_group_without_datasets(file):
    file.create_group("g/h")
    assert describe(file.id, "g", VALUES).refusal == "is a group without datasets"


def test_named_type(file):
    file["t"] = np.dtype("f4")
    assert "holds no data" in describe(file.id, "t", VALUES).refusal


def test_dataset_paths_follow_hard_links_only(file):
    file["b/y"] = [1]
    file["a/deep/er/x"] = [1]
    file["again"] = file["b/y"]
    file["b/loop"] = file["b"]
    file["soft"] = h5py.SoftLink("/b/y")
    file["external"] = h5py.ExternalLink("b.h5", "/x")
    file["type"] = np.dtype("f4")
    assert dataset_paths(file.id) == ["a/deep/er/x", "again", "b/y"]


def test_names_that_are_not_unicode(file):
    h5d.create(file.id, b"\xff\xfe", h5t.IEEE_F32LE, h5s.create_simple((2,)))
    (path,) = dataset_paths(file.id)
    assert describe(file.id, path, VALUES).shape == (2,)


# ── sizes and filters that make no sense ─────────────────────────────────────────────────────────────


def test_an_unknown_filter_is_refused(file):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    plist.set_filter(31999, h5py.h5z.FLAG_OPTIONAL, ())
    h5d.create(file.id, b"x", h5t.IEEE_F32LE, h5s.create_simple((8,)), plist)
    assert describe(file.id, "x", VALUES).refusal.startswith("uses unknown filter 31999")


def test_a_size_that_no_file_has(file):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((2**20,))
    h5d.create(file.id, b"x", h5t.IEEE_F64LE, h5s.create_simple((2**61,)), plist)
    with pytest.raises(ValueError, match=rf"has shape \({2**61},\), which would take {2**64} bytes"):
        describe(file.id, "x", VALUES)


def test_a_shape_that_differs_from_what_is_stored(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(40.0)
    data = path.read_bytes()
    place = data.index((40).to_bytes(8, "little") * 2)  # the shape, and the largest shape
    path.write_bytes(data[:place] + (30).to_bytes(8, "little") * 2 + data[place + 16 :])
    with (
        h5py.File(path) as file,
        pytest.raises(ValueError, match=r"take 320 bytes, expected 240 for shape \(30,\)"),
    ):
        describe(file.id, "x", VALUES)
