"""Opening a dataset: bounded caches, only data of the file itself, no unknown filter."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from h5lightning.errors import BadFileError, MissingFieldError, UnsupportedFieldError
from h5lightning.options import Access
from h5lightning.storage.hdf5.open_dataset import filter_problem, open_dataset
from h5lightning.storage.hdf5.open_file import open_file


@pytest.fixture
def path(tmp_path):
    """A file with a dataset ``g/x`` and links to it and elsewhere."""
    name = str(tmp_path / "a.h5")
    with h5py.File(name, "w") as file:
        file["g/x"] = np.arange(10)
        file["soft"] = h5py.SoftLink("/g/x")
        file["outside"] = h5py.ExternalLink("other.h5", "/g/x")
        file["away"] = h5py.ExternalLink("other.h5", "/g")
    return name


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"chunks": (5,)}, 0), ({"chunks": (5,), "compression": "gzip"}, 1000)],
    ids=["raw", "filtered"],
)
def test_only_decoded_chunks_are_cached(options, expected, tmp_path):
    path = str(tmp_path / "chunked.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("g/x", data=np.arange(10), **options)
    with open_file(path, Access(), rdcc_nbytes=1000) as file:
        dataset = open_dataset(file, path, "g/x", Access())
        assert dataset.id.get_access_plist().get_chunk_cache()[1] == expected
        assert dataset.name == "/g/x"
        assert dataset[:].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("y", MissingFieldError, "'/y' is not in .*a.h5"),
        ("g/y/z", MissingFieldError, "'/g/y/z' is not in .*a.h5"),
        ("g/x/z", MissingFieldError, "'/g/x/z' is not in .*a.h5"),
        ("g", UnsupportedFieldError, "'/g' in .*a.h5 is not a dataset"),
        (
            "soft",
            UnsupportedFieldError,
            "'/soft' in .*a.h5 is reached through the soft link '/soft' to '/g/x'",
        ),
        (
            "outside",
            UnsupportedFieldError,
            "'/outside' in .*a.h5 is reached through the external link '/outside'",
        ),
        ("away/x", UnsupportedFieldError, "'/away/x' in .*a.h5 is reached through the external link '/away'"),
    ],
    ids=[
        "missing",
        "missing-group",
        "below-a-dataset",
        "group",
        "soft-link",
        "external-link",
        "external-group",
    ],
)
def test_only_datasets_of_the_file_itself_are_opened(path, tmp_path, name, error, message):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["g/x"] = np.arange(3)
    with open_file(path, Access()) as file:
        with pytest.raises(error, match=message):
            open_dataset(file, path, name, Access())
        assert open_dataset(file, path, "g/x", Access())[:].tolist() == list(range(10))


def test_an_unknown_filter(path):
    with h5py.File(path, "a") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(31999, h5py.h5z.FLAG_OPTIONAL, ())
        h5d.create(file.id, b"x", h5t.IEEE_F32LE, h5s.create_simple((8,)), plist)
    with (
        open_file(path, Access()) as file,
        pytest.raises(UnsupportedFieldError, match=r"'/x' in .*a\.h5 uses unknown filter 31999"),
    ):
        open_dataset(file, path, "x", Access())


def test_known_filters():
    assert filter_problem([1, 2, 3, 4, 5, 6, 32000, 32001, 32004, 32008, 32015, 32026]) == ""
    assert filter_problem([]) == ""
    assert "unknown filter 7 " in filter_problem([1, 32100, 7])


def test_a_virtual_dataset(path):
    with h5py.File(path, "a") as file:
        layout = h5py.VirtualLayout((10,), "<i8")
        layout[:] = h5py.VirtualSource(file["g/x"])
        file.create_virtual_dataset("v", layout)
    with open_file(path, Access()) as file:
        with pytest.raises(UnsupportedFieldError, match=r"'/v' in .*a\.h5 is a virtual dataset"):
            open_dataset(file, path, "v", Access())
        allowed = open_dataset(file, path, "v", Access(allow_external=str(path).rpartition("/")[0]))
        assert allowed[:].tolist() == list(range(10))


def test_damage_on_the_way_names_the_dataset(path):
    with h5py.File(path, "a") as file:
        header = h5py.h5o.get_info(file["g/x"].id).addr
    with open(path, "r+b") as raw:
        raw.seek(header)
        raw.write(b"\xff" * 8)
    with (
        open_file(path, Access()) as file,
        pytest.raises(BadFileError, match=r"'/g/x' in .*a\.h5 cannot be opened"),
    ):
        open_dataset(file, path, "g/x", Access())


def test_chunks_that_take_too_much_memory(path):
    with h5py.File(path, "a") as file:
        file.create_dataset("bomb", (2**26,), "<f8", chunks=(2**26,), compression="gzip")
        file.create_dataset("large", (2**26,), "<f8", chunks=(2**26,))
    with open_file(path, Access()) as file:
        with pytest.raises(UnsupportedFieldError, match=r"'/bomb' in .*a\.h5 has chunks of 536870912 bytes"):
            open_dataset(file, path, "bomb", Access(cache_bytes=2**20))
        assert open_dataset(file, path, "bomb", Access(cache_bytes=2**30)).shape == (2**26,)
        assert open_dataset(file, path, "large", Access(cache_bytes=0)).shape == (2**26,)


def test_a_name_that_is_no_utf_8(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file[b"\xff\xfe"] = [1, 2, 3]
    with h5py.File(path) as file:
        found = open_dataset(file, str(path), b"\xff\xfe".decode("utf-8", "surrogateescape"), Access())
        assert found[:].tolist() == [1, 2, 3]
