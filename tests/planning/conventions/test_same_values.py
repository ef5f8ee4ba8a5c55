"""Datasets that must be the same in all files are compared."""

from contextlib import closing

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options import Access, Field
from h5lightning.planning.catalog.annotations import Annotations
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.conventions.same_values import check_same, find_others, is_same


def catalog_of(*digests):
    """Files with these digests of ``s``; None for one without it."""
    schemas = [
        FileSchema(
            ()
            if digest is None
            else (DatasetSchema("s", "text", (3,), annotations=Annotations(digest=digest)),)
        )
        for digest in digests
    ]
    return Catalog.of(
        "/d", [f"{number}.h5" for number in range(len(digests))], np.zeros((len(digests), 4)), schemas
    )


def no_difference(*_):
    return ""


def check(*digests, **options):
    check_same(
        catalog_of(*digests), ["s"], np.arange(len(digests)), **{"difference_of": no_difference, **options}
    )


def test_equal_digests_are_fine():
    check("a", "a", "a")
    check_same(catalog_of("a", "b"), [], np.arange(2), difference_of=no_difference)
    check_same(catalog_of("a", "b"), ["s"], np.array([1]), difference_of=no_difference)


def test_another_digest_is_an_error():
    with pytest.raises(SchemaError) as caught:
        check("b", "a", "c", "a", "c", difference_of=lambda *asked: f"{asked}")
    assert str(caught.value) == (
        "access.same: '/s' in /d/0.h5 is not the same as in /d/1.h5: (0, 1, 's') (and 2 more files). Write equal "
        "values to all files, exclude the files that differ (with a '!' pattern or access.on_bad_file='skip'), or "
        "remove the path from access.same"
    )


def test_a_file_that_lacks_it_is_an_error():
    with pytest.raises(
        MissingFieldError, match=r"/d/1.h5 holds no '/s' \(and 1 more file\); did you mean 's2'"
    ):
        check("a", None, None, names_in=lambda _: ["s2"])


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(UnsupportedFieldError, match=r"in /d/1\.h5 cannot be compared: it holds references"):
        check("a", "? holds references", "? holds references")


def test_files_that_differ_from_most_are_found():
    catalog = catalog_of("a", "b", "a", None)
    found = find_others(catalog, ["s", "absent"], np.arange(4), difference_of=lambda *_: "row 0")
    assert [(one.name, one.reason) for one in found] == [
        ("1.h5", "'/s' is not the same as in most files: row 0"),
        ("3.h5", "holds no '/s'"),
    ]


def test_groups_hold_what_lies_below():
    assert is_same("var/x", ["var"])
    assert is_same("s", ["a", "s"])
    assert not is_same("variable", ["var"])
    assert not is_same("s", [])


# ── real files ───────────────────────────────────────────────────────────────────────────────────────


def write(path, **values):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((6, 3), "f4")
        for name, value in values.items():
            file[name.replace("__", "/")] = value


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("H5LIGHTNING_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


DIFFERENT = {
    "text": (["a", "b"], ["a", "c"], "row 1: 'c', expected 'b'"),
    "numbers": ([1, 2], [1.0, 2.5], "row 1: 2.5, expected 2"),
    "shape": ([1, 2], [1, 2, 3], "has shape"),
    "scalar": ("m", "ft", "value: 'ft', expected 'm'"),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("one", "other", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_difference_is_shown(folder, one, other, words):
    write(folder / "a.h5", s=one)
    write(folder / "b.h5", s=other)
    with pytest.raises(SchemaError, match=words):
        H5Dataset(str(folder / "*.h5"), ["x"], access=Access(same="s"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("same", ["g/s", ["/g/s"], "g"], ids=["text", "list", "group"])
def test_there_are_ways_out(folder, same):
    write(folder / "a.h5", g__s=[1, 2])
    write(folder / "b.h5", g__s=[1, 3])
    pattern = str(folder / "*.h5")
    with pytest.raises(SchemaError, match="row 1: 3, expected 2"):
        H5Dataset(pattern, ["x"], access=Access(same=same))
    assert len(H5Dataset(pattern, ["x"])) == 12
    skipping = Access(same=same, on_bad_file="skip", max_bad_fraction=0.5)
    assert len(H5Dataset(pattern, ["x"], access=skipping)) == 6


@pytest.mark.timeout(120)
def test_what_is_the_same_is_no_field(folder):
    for name in "ab":
        write(folder / f"{name}.h5", s=np.arange(6.0), t=["u", "v"], g__n=np.arange(6))
    same = Access(same=["s", "t", "g"])
    with closing(H5Dataset(str(folder / "*.h5"), access=same)) as dataset:
        assert list(dataset[0]) == ["x"]
    with closing(H5Dataset(str(folder / "*.h5"), {"x": Field("x"), "s": Field("s")}, access=same)) as dataset:
        assert list(dataset[0]) == ["x", "s"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["val", "predict"])
def test_all_roles_must_agree(folder, role):
    write(folder / "a.h5", s=1)
    write(folder / "b.h5", s=2)
    files = {"train": str(folder / "a.h5"), role: str(folder / "b.h5")}
    module = H5DataModule(files=files, fields=["x"], access={"same": ["s"]}, batch_size=2)
    with pytest.raises(SchemaError, match="value: 2, expected 1"):
        module.setup()


@pytest.mark.timeout(120)
def test_a_mistyped_path_is_explained(folder):
    write(folder / "a.h5", names=["u"])
    with pytest.raises(MissingFieldError, match="did you mean 'names'"):
        H5Dataset(str(folder / "a.h5"), ["x"], access=Access(same="name"))
    on_skip = Access(same="name", on_bad_file="skip")
    with pytest.raises(MissingFieldError, match="did you mean 'names'"):
        H5Dataset(str(folder / "a.h5"), ["x"], access=on_skip)


@pytest.mark.parametrize("scale", [0.1, 0.2])
def test_equal_numbers_with_another_encoding_are_not_the_same(tmp_path, scale):
    for number, factor in enumerate((0.1, scale)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["grid"] = np.arange(3), np.arange(2)
            file["grid"].attrs["scale_factor"] = factor
    access = Access(same=["grid"])
    if scale == 0.1:
        H5Dataset(tmp_path / "*.h5", {"x": "x"}, access=access).close()
        return
    with pytest.raises(
        SchemaError, match=r"'/grid' in .*1\.h5 is not .*: its numbers are encoded differently"
    ):
        H5Dataset(tmp_path / "*.h5", {"x": "x"}, access=access)
