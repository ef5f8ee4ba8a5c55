"""What the numbers of a field mean is refused, checked or decoded; rows without a value are errors at setup."""

import dataclasses
from contextlib import closing

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5Dataset
from h5lightning.errors import MissingDataError, OptionError, SchemaError, UnsupportedFieldError
from h5lightning.planning.catalog.annotations import Annotations, Encoding, Found
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.planning.conventions.encoding_checks import check_encodings, forms_of, is_type_said, remedy
from h5lightning.planning.fields import StoredForm

PACKED = Encoding("cf", scale=0.01, offset=280.0, said_by=("scale_factor=0.01", "add_offset=280.0"))
OTHER = dataclasses.replace(PACKED, scale=0.02, said_by=("scale_factor=0.02", "add_offset=280.0"))
MASKING = Encoding("cf", fills=(1e20,), said_by=("_FillValue=1e+20",))
CODES = Encoding("codes", low=0, high=1, said_by=("categories",))
UNSIGNED = Encoding("cf", is_unsigned=True, said_by=("_Unsigned=true",))
BAD = Encoding("cf", problem="has a scale_factor of text")
IDENTITY = Encoding("cf", low=0, said_by=("valid_min=0",))


def catalog_of(*said, dtypes=()):
    dtypes = dtypes or ["<i2"] * len(said)
    schemas = [
        FileSchema(
            (DatasetSchema("x", dtype, (9,), annotations=(each and Annotations(**each)) or Annotations()),)
        )
        for each, dtype in zip(said, dtypes, strict=True)
    ]
    names = [f"{number}.h5" for number in range(len(said))]
    return Catalog.of("/data", names, np.zeros((len(said), 4), np.int64), schemas)


def check(catalog, field):
    check_encodings(catalog, np.arange(len(catalog)), "key", field)


@pytest.mark.parametrize("encoding", [PACKED, UNSIGNED, BAD], ids=["packed", "unsigned", "bad"])
def test_numbers_that_stand_for_others_are_refused_with_the_file_and_the_remedy(encoding):
    with pytest.raises(UnsupportedFieldError) as caught:
        check(catalog_of({}, {"encoding": encoding}), Field("x"))
    text = str(caught.value)
    assert "field 'key': '/x' in /data/1.h5 " in text
    assert "Field('x', decode='stored')" in text
    assert all(said in text for said in encoding.said_by)


@pytest.mark.parametrize("encoding", [None, MASKING, IDENTITY, CODES], ids=["none", "mask", "range", "codes"])
def test_numbers_that_stand_for_themselves_are_accepted(encoding):
    check(catalog_of({"encoding": encoding}), Field("x"))


def test_a_missing_value_that_was_seen_is_refused_with_its_row():
    said = {"encoding": MASKING, "masked": Found(5, "holds 1e+20, which _FillValue marks as missing")}
    with pytest.raises(MissingDataError, match=r"'/x' in /data/1.h5 holds 1e\+20, .*row 5.*decode='cf'"):
        check(catalog_of({"encoding": MASKING}, said), Field("x"))
    check(catalog_of(said), Field("x", decode="cf"))
    check(catalog_of(said), Field("x", decode="stored"))


def test_stored_numbers_may_always_be_asked_for():
    for encoding in (PACKED, UNSIGNED, BAD, CODES):
        check(catalog_of({"encoding": encoding}), Field("x", decode="stored"))


def test_cf_refuses_what_it_cannot_decode_and_what_it_does_not_speak_of():
    with pytest.raises(UnsupportedFieldError, match="scale_factor of text"):
        check(catalog_of({"encoding": BAD}), Field("x", decode="cf"))
    with pytest.raises(OptionError, match="numbers of categories"):
        check(catalog_of({"encoding": CODES}), Field("x", decode="cf"))
    with pytest.raises(OptionError, match="column 't'"):
        check(catalog_of({}), Field("x", member="t", decode="cf"))


def test_each_distinct_form_is_there_once():
    catalog = catalog_of({"encoding": PACKED}, {}, {"encoding": OTHER}, {"encoding": PACKED})
    forms, form_of = forms_of(catalog, np.arange(4), Field("x", decode="cf"))
    assert [forms[number].encoding for number in form_of] == [PACKED, None, OTHER, PACKED]
    assert len(forms) == 3


def test_files_that_are_left_out_need_no_form():
    catalog = catalog_of({"encoding": PACKED}, {}, {"encoding": OTHER})
    forms, form_of = forms_of(catalog, np.asarray([1, 2]), Field("x", decode="cf"))
    assert [forms[number].encoding for number in form_of[1:]] == [None, OTHER]


def test_without_decode_only_what_may_be_missing_is_looked_at():
    catalog = catalog_of({"encoding": PACKED}, {"encoding": MASKING})
    forms, form_of = forms_of(catalog, np.arange(2), Field("x"))
    assert [forms[number] for number in form_of] == [StoredForm("<i2"), StoredForm("<i2", MASKING)]
    assert forms_of(catalog, np.arange(2), Field("x", decode="stored")) == ((StoredForm("<i2"),), None)


def test_types_that_differ_are_forms():
    catalog = catalog_of({}, {}, {}, dtypes=["<f4", ">f4", "<f4"])
    forms, form_of = forms_of(catalog, np.arange(3), Field("x"))
    assert [forms[number].dtype for number in form_of] == ["<f4", ">f4", "<f4"]


def test_who_says_a_type():
    f4, i4 = DatasetSchema("x", "<f4", (9,)), DatasetSchema("x", "<i4", (9,))
    table = DatasetSchema("x", "compound", (9,), members=(Member("t", "<f4"), Member("n", "<i4")))
    assert is_type_said(Field("x", dtype="int64"), None, f4, i4)
    assert is_type_said(Field("x", decode="cf"), None, f4, i4)
    assert is_type_said(Field("x"), "float32", f4, f4)
    assert not is_type_said(Field("x"), "float32", f4, i4)
    assert not is_type_said(Field("x"), None, f4, f4)
    assert is_type_said(Field("x", member="t"), "float32", table)
    assert not is_type_said(Field("x", member="n"), "float32", table)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field("x", constant=True), "Field('x', constant=True, decode='cf')"),
        (Field("x", steps=(0, 2)), "Field('x', steps=(0, 2), decode='cf')"),
        (Field("x", dtype="float64"), "Field('x', dtype='float64', decode='cf')"),
        (Field("x", dtype="int64"), "Field('x', decode='cf')"),  # no integer is a NaN
    ],
)
def test_the_remedy_keeps_the_other_options(field, expected):
    assert expected in remedy(field)
    with pytest.raises(UnsupportedFieldError) as caught:
        check(catalog_of({"encoding": PACKED}), field)
    assert expected in str(caught.value)


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


KINDS, COLUMN = Field("kind/codes"), Field("obs", member="kind")
STORED = Field("kind/codes", decode="stored")


def test_a_code_without_a_category_names_file_row_and_remedy(tmp_path):
    write_kinds(tmp_path / "a.h5")
    for name in ("b.h5", "c.h5"):
        write_kinds(tmp_path / name, (0, 1, 0, -1))
    with pytest.raises(MissingDataError) as caught:
        read(str(tmp_path / "*.h5"), KINDS)
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
        read(str(tmp_path / "*.h5"), KINDS)
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
    assert read(str(tmp_path / "a.h5"), KINDS) == ([0, 0], None)
    write_unread(tmp_path / "b.h5")
    with pytest.raises(
        SchemaError, match=r"categories were not read: they are stored with zstd.*decode='stored'"
    ):
        read(str(tmp_path / "*.h5"), KINDS)
    assert read(str(tmp_path / "*.h5"), STORED, (1, 5)) == ([1, 1], None)
