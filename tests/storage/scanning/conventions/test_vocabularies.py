"""Names of categories, as AnnData and pandas write them: kept, as a digest, or recorded as unread."""

import h5py
import numpy as np
import pytest
from scanned import describe

from h5lightning.planning.catalog.schema import UNREAD
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.storage.scanning.metadata_values import ValueReader

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def columns_of(file, path):
    """The names of the categories of each column, or the text that stands in their place."""
    return {
        member.name: member.categories or member.vocabulary
        for member in describe(file.id, path, VALUES).members
        if member.categories or member.vocabulary
    }


# ── codes and categories ─────────────────────────────────────────────────────────────────────────────


def write_table(file, codes, names):
    file[codes] = np.array([0, 1, 1, 0], "i1")
    file[codes.rpartition("/")[0] + "/categories"] = names


NAMES = {
    "float": (np.array([0.5, 2]), ("0.5", "2.0")),
    "bool": (np.array([False, True]), ("False", "True")),
    "variable": (["ape", "bär"], ("ape", "bär")),
    "fixed": (np.array([b"ape", b"bee"]), ("ape", "bee")),
    "numbers": ([10, 20], ("10", "20")),
}


@pytest.mark.parametrize(("names", "categories"), NAMES.values(), ids=NAMES)
def test_codes_beside_their_categories(file, names, categories):
    write_table(file, "obs/cell/codes", names)
    found = describe(file.id, "obs/cell/codes", VALUES)
    assert (found.dtype, found.categories, found.refusal) == ("|i1", categories, "")


def test_categories_by_reference(file):
    file["obs/cell"] = np.array([0, 1], "i1")
    file["obs/__categories/cell"] = ["ape", "bee"]
    file["obs/cell"].attrs["categories"] = file["obs/__categories/cell"].ref
    assert describe(file.id, "obs/cell", VALUES).categories == ("ape", "bee")


def test_other_attributes_called_categories(file):
    file["x"] = np.zeros(3, "i1")
    file["x"].attrs["categories"] = "a,b"
    assert describe(file.id, "x", VALUES).categories is None


def test_codes_without_categories(file):
    file["g/codes"] = np.zeros(3, "i1")
    file["codes"] = np.zeros(3, "i1")
    assert describe(file.id, "g/codes", VALUES).categories is None
    assert describe(file.id, "codes", VALUES).categories is None


def test_codes_with_several_axes_are_no_column(file):
    file["g/codes"] = np.zeros((3, 8), "i2")
    file["g/categories"] = ["cat", "dog", "eel"]
    assert describe(file.id, "g/codes", VALUES).categories is None


# ── names that are not kept ──────────────────────────────────────────────────────────────────────────


MANY = {
    "numbers": np.arange,
    "floats": lambda n: np.arange(n) / 4,
    "fixed": lambda n: np.array([b"%d" % i for i in range(n)]),
    "variable": lambda n: [str(i) for i in range(n)],
    "long": lambda n: np.array([b"%d" % i + b"x" * 2_000_000 for i in range(n // 4_000)]),
}


@pytest.mark.parametrize("names_of", MANY.values(), ids=MANY)
def test_many_names_are_compared_by_a_digest(file, names_of):
    names = names_of(12_000)
    other = list(names)
    other[-1], other[-2] = other[-2], other[-1]
    write_table(file, "a/codes", names)
    write_table(file, "b/codes", names)
    write_table(file, "c/codes", np.asarray(other) if isinstance(names, np.ndarray) else other)
    first, same, swapped = (describe(file.id, f"{group}/codes", VALUES) for group in "abc")
    assert first.categories is None
    assert first.vocabulary.startswith(f"{len(names):,} names with the digest ")
    assert explain_difference(same, first) == ""
    assert explain_difference(swapped, first) == (
        f"has categories {swapped.vocabulary}, expected {first.vocabulary}"
    )


def test_how_text_is_stored_does_not_matter(file):
    write_table(file, "a/codes", MANY["fixed"](12_000))
    write_table(file, "b/codes", MANY["variable"](12_000))
    assert describe(file.id, "a/codes", VALUES).vocabulary == describe(file.id, "b/codes", VALUES).vocabulary


@pytest.mark.parametrize(("count", "is_kept"), [(10_000, True), (10_001, False)], ids=["most", "too-many"])
def test_up_to_ten_thousand_names_are_kept(file, count, is_kept):
    write_table(file, "g/codes", np.arange(count))
    assert (describe(file.id, "g/codes", VALUES).categories is not None) == is_kept


def test_names_that_a_scan_does_not_read_are_said_to_be_unread(file, tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"secrets!")
    file["g/codes"] = np.zeros(3, "i1")
    file.create_dataset("g/categories", (2,), "S4", external=[(str(tmp_path / "secret.bin"), 0, 8)])
    found = describe(file.id, "g/codes", VALUES)
    assert (found.categories, found.vocabulary) == (None, f"{UNREAD}they lie in another file")
    file["h/codes"] = np.zeros(3, "i1")
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((2,))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    h5py.h5d.create(file["h"].id, b"categories", h5py.h5t.STD_I64LE, h5py.h5s.create_simple((2,)), plist)
    found = describe(file.id, "h/codes", VALUES)
    assert (found.categories, found.vocabulary) == (
        None,
        f"{UNREAD}they are stored with zstd, which a scan does not decode",
    )


def test_a_link_to_another_file_is_no_table(file):
    file["g/codes"] = np.zeros(3, "i1")
    file["g/categories"] = h5py.ExternalLink("other.h5", "/x")
    found = describe(file.id, "g/codes", VALUES)
    assert (found.categories, found.vocabulary) == (None, "")


# ── AnnData before 0.7 ───────────────────────────────────────────────────────────────────────────────

OBS = np.dtype(
    [("index", h5py.string_dtype()), ("kind", "i1"), ("site", "i1"), ("n", "<i8"), ("depth", "<f8")]
)


def write_legacy(file, path="obs", group="uns", kinds=("T", "B"), sites=(10, 20)):
    """As `AnnData.write` of 0.6.22 does."""
    obs = np.zeros(4, OBS)
    obs["index"], obs["kind"], obs["site"], obs["n"] = "c", [0, 1, 1, 0], [1, 1, 0, 0], [0, 100, 200, 300]
    file[path] = obs
    file[f"{group}/kind_categories"] = list(kinds)
    file[f"{group}/site_categories"] = np.asarray(sites)


@pytest.mark.parametrize(("path", "group"), [("obs", "uns"), ("var", "uns"), ("raw.var", "raw.cat")])
def test_columns_whose_names_lie_elsewhere(file, path, group):
    write_legacy(file, path, group)
    assert columns_of(file, path) == {"kind": ("T", "B"), "site": ("10", "20")}


def test_a_single_name_is_a_scalar(file):
    file["obs"] = np.zeros(3, [("kind", "i1"), ("n", "i8")])
    file["uns/kind_categories"] = "T"
    file["uns/n_categories"] = 0  # a count, not a name
    assert columns_of(file, "obs") == {"kind": ("T",)}


def test_columns_of_their_own_whose_names_lie_elsewhere(file):
    file["obs/kind"] = np.array([0, 1], "i1")
    file["obs/n"] = np.array([0, 100])
    file["uns/kind_categories"] = ["T", "B"]
    file["uns/n_categories"] = ["few", "many"]
    assert describe(file.id, "obs/kind", VALUES).categories == ("T", "B")
    assert describe(file.id, "obs/n", VALUES).categories is None


LOOKALIKES = {
    "numbers beyond the names": (np.array([0, 100]), ["few", "many"], "obs"),
    "below minus one": (np.array([0, -2]), ["few", "many"], "obs"),
    "floats": (np.array([0.0, 1.0]), ["few", "many"], "obs"),
    "another table": (np.array([0, 1]), ["few", "many"], "cells"),
    "several axes": (np.array([0, 1]), [["few", "many"]], "obs"),
}


@pytest.mark.parametrize(("values", "names", "path"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_lookalikes_of_codes_have_no_names(file, values, names, path):
    table = np.zeros(2, [("n", values.dtype), ("x", "f4")])
    table["n"] = values
    file[path] = table
    file["uns/n_categories"] = names
    assert columns_of(file, path) == {}


# ── pandas ───────────────────────────────────────────────────────────────────────────────────────────


def write_pandas(file, meta=b"category", names=(b"x", b"y")):
    """As `DataFrame.to_hdf(key="df", format="table")` does."""
    table = np.zeros(3, [("index", "<i8"), ("values_block_0", "<f8", (2,)), ("values_block_1", "i1", (1,))])
    table["values_block_1"] = [[0], [1], [-1]]
    file["df/table"] = table
    file["df/table"].attrs["values_block_0_meta"] = np.bytes_(b"N.")
    file["df/table"].attrs["values_block_1_meta"] = np.bytes_(meta)
    values = np.zeros(len(names), [("index", "<i8"), ("values", np.asarray(names).dtype)])
    values["values"] = names
    file["df/meta/values_block_1/meta/table"] = values


@pytest.mark.parametrize(
    ("names", "expected"), [((b"x", b"y"), ("x", "y")), ((10, 20), ("10", "20"))], ids=["text", "numbers"]
)
def test_columns_of_tables_of_pandas(file, names, expected):
    write_pandas(file, names=names)
    assert columns_of(file, "df/table") == {"values_block_1": expected}


def test_columns_that_pandas_calls_no_category(file):
    write_pandas(file, meta=b"N.")
    assert columns_of(file, "df/table") == {}
