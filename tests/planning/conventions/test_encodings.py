"""What files say of the numbers of a field is refused, looked at or decoded, as the user asks."""

import dataclasses

import numpy as np
import pytest

from h5lightning.errors import MissingDataError, OptionError, UnsupportedFieldError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import Annotations, Encoding, Found
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema, FileSchema, Member
from h5lightning.planning.conventions.encodings import check_encodings, forms_of, is_type_said, remedy
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
    said = {"encoding": MASKING, "masked": Found(5, "holds 1e+20, which _FillValue calls missing")}
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
