"""Rows without a value, and codes that cannot be compared, are errors at setup; the stored numbers can be requested."""

from contextlib import closing

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5Dataset
from h5lightning.errors import MissingDataError, SchemaError

NAMES = (b"T", b"B", b"NK")


def write_kinds(path, codes=(0, 1, 2, 0), names=NAMES, said="categorical"):
    with h5py.File(path, "w") as file:
        file["kind/codes"], file["kind/categories"] = np.array(codes, "i1"), np.asarray(names)
        file["kind"].attrs["encoding-type"] = said


def write_legacy(path, kinds=(0, 1, 2, 0), names=("T", "B", "NK")):
    with h5py.File(path, "w") as file:
        obs = np.zeros(4, [("index", h5py.string_dtype()), ("kind", "i1"), ("n", "i8")])
        obs["index"], obs["kind"], obs["n"] = "c", kinds, [-1, 5, 6, 7]
        file["obs"], file["uns/kind_categories"] = obs, list(names)


def read(files, field, rows=(0, 3)):
    """The values of some rows, and the names of the classes."""
    with closing(H5Dataset(files, {"y": field})) as dataset:
        return dataset.read_batch(list(rows))["y"].tolist(), dataset.field_spec["y"].classes


CODES, COLUMN = Field("kind/codes"), Field("obs", member="kind")
STORED = Field("kind/codes", decode="stored")


def test_a_code_without_a_category_names_file_row_and_remedy(tmp_path):
    write_kinds(tmp_path / "a.h5")
    for name in ("b.h5", "c.h5"):
        write_kinds(tmp_path / name, (0, 1, 0, -1))
    with pytest.raises(MissingDataError) as caught:
        read(str(tmp_path / "*.h5"), CODES)
    assert f"field 'y': row 3 of '/kind/codes' in {tmp_path / 'b.h5'} holds -1: it has no category" in str(
        caught.value
    )
    assert "(and 1 more file)" in str(caught.value)
    assert "Field('kind/codes', decode='stored') delivers the stored numbers" in str(caught.value)
    assert read(str(tmp_path / "*.h5"), STORED, (0, 7)) == ([0, -1], ("T", "B", "NK"))


def test_a_masked_row(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["age/values"], file["age/mask"] = np.arange(4), np.array([False, False, True, False])
        file["age"].attrs["encoding-type"] = "nullable-integer"
    with pytest.raises(
        MissingDataError, match=r"row 2 of '/age/values' in .*a\.h5 is missing, as '/age/mask'"
    ):
        read(str(tmp_path / "a.h5"), Field("age/values"))
    assert read(str(tmp_path / "a.h5"), Field("age/values", decode="stored"))[0] == [0, 3]
    assert read(str(tmp_path / "a.h5"), Field("age/mask"))[0] == [False, False]


def test_columns_of_legacy_tables(tmp_path):
    path = str(tmp_path / "a.h5")
    write_legacy(path)
    assert read(path, COLUMN) == ([0, 0], ("T", "B", "NK"))
    write_legacy(path, (0, 1, 2, -1))
    with pytest.raises(MissingDataError, match=r"row 3 of '/obs' \(column 'kind'\) in .*a\.h5 holds -1"):
        read(path, COLUMN)
    assert read(path, Field("obs", member="kind", decode="stored")) == ([0, -1], ("T", "B", "NK"))
    assert read(path, Field("obs", member="n")) == ([-1, 7], None)


OTHERS = {
    "order": (b"B", b"T", b"NK"),
    "numbers": (1, 2, 3),
    "more": (*NAMES, b"X"),
    "many": tuple(range(20_000)),
}


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS)
def test_files_with_other_names_do_not_fit_together(tmp_path, names):
    write_kinds(tmp_path / "a.h5")
    write_kinds(tmp_path / "b.h5", names=names)
    with pytest.raises(
        SchemaError, match=r"in .*b\.h5 has categories .*, expected \[T, B, NK\].*decode='stored'"
    ):
        read(str(tmp_path / "*.h5"), CODES)
    assert read(str(tmp_path / "*.h5"), STORED, (1, 5)) == ([1, 1], None)


def test_legacy_tables_with_other_names_do_not_fit_together(tmp_path):
    write_legacy(tmp_path / "a.h5")
    write_legacy(tmp_path / "b.h5", names=("B", "T", "NK"))
    with pytest.raises(SchemaError, match=r"'/obs' \(column 'kind'\) in .*b\.h5 has categories \[B, T, NK\]"):
        read(str(tmp_path / "*.h5"), COLUMN)
    assert read(str(tmp_path / "*.h5"), Field("obs", member="n"), (0, 7))[0] == [-1, 7]
    stored = Field("obs", member="kind", decode="stored")
    assert read(str(tmp_path / "*.h5"), stored, (1, 5)) == ([1, 1], None)


def write_unread(path):
    """Names behind a filter that a scan does not decode."""
    with h5py.File(path, "w") as file:
        file["kind/codes"] = np.array([0, 1, 1, 0], "i1")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((2,))
        h5py.h5d.create(file["kind"].id, b"categories", h5py.h5t.STD_I64LE, space, plist)


def test_names_that_were_not_read_are_not_taken_for_equal(tmp_path):
    write_unread(tmp_path / "a.h5")
    assert read(str(tmp_path / "a.h5"), CODES) == ([0, 0], None)
    write_unread(tmp_path / "b.h5")
    with pytest.raises(
        SchemaError, match=r"categories were not read: they are stored with zstd.*decode='stored'"
    ):
        read(str(tmp_path / "*.h5"), CODES)
    assert read(str(tmp_path / "*.h5"), STORED, (1, 5)) == ([1, 1], None)
