"""Plans of attributes: their values, and values that no tensor can hold."""

import numpy as np
import pytest
from planned import ALL, ATTRS, catalog_of, message_of, plan

from h5lightning.errors import (
    MissingFieldError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import Field
from h5lightning.planning.fields import FieldSpec


def test_an_attribute_has_a_value_for_each_file():
    catalog = catalog_of(ALL, ALL, ALL, attrs=[{"@fps": 30}, {}, {"@fps": 25.5}])
    found = plan(Field(attr="fps"), catalog=catalog, files=np.array([0, 2]))
    assert found.values.tolist() == [30.0, 0.0, 25.5]
    assert (found.stored, found.spec) == ("<f8", FieldSpec((), "float64"))


@pytest.mark.parametrize(
    ("name", "attrs", "error", "expected"),
    [
        ("fps", [ATTRS, {}], MissingFieldError, "field 'f': /data/b.h5 lacks the attribute 'fps'"),
        (
            "fps",
            [ATTRS, {"@fps": [30, 31]}],
            SchemaError,
            "field 'f': the attribute 'fps' in /data/b.h5 has shape (2,), expected () as in /data/a.h5",
        ),
        (
            "name",
            [ATTRS, ATTRS],
            UnsupportedFieldError,
            (
                "field 'f': the attribute 'name' in /data/a.h5 is 'left', no tensor can hold it; "
                "numbers can be fields, text can be used by split.keep_together='attr:NAME'"
            ),
        ),
    ],
    ids=["missing", "shape", "text"],
)
def test_attributes_that_do_not_fit(name, attrs, error, expected):
    catalog = catalog_of(ALL, ALL, attrs=attrs)
    assert message_of(error, plan, Field(attr=name), catalog=catalog) == expected


def test_a_missing_attribute_names_the_nearest_of_that_object():
    asked = []

    def attrs_in(file, owner):
        asked.append((file, owner))
        return ["unit", "scale"]

    assert message_of(MissingFieldError, plan, Field("x", attr="units"), attrs_in=attrs_in) == (
        "field 'f': /data/a.h5 lacks the attribute 'units' of 'x'; did you mean 'unit'?"
    )
    assert asked == [(0, "x")]
