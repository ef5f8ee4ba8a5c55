"""Fields planned over catalogs that are made up."""

import dataclasses

import numpy as np
import pytest

from h5lightning.options import Field, Rows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.planning.field_planning import plan_fields

__all__ = [
    "ALL",
    "ATTRS",
    "DT",
    "GRID",
    "SPECIES",
    "TABLE",
    "TEXT",
    "WAVE",
    "X",
    "Y",
    "catalog_of",
    "changed",
    "message_of",
    "plan",
    "rows_of",
]


X = DatasetSchema("x", "<f8", (9, 4, 2))


Y = DatasetSchema("y", "<i4", (9,))


SPECIES = DatasetSchema("species", "|u1", (9,), categories=("cat", "dog"))


TABLE = DatasetSchema("table", "compound", (9,), members=(Member("t", "<f8"), Member("id", ">i2")))


GRID = DatasetSchema("grid", "<f4", (3, 5))


DT = DatasetSchema("dt", "<f4", ())


WAVE = DatasetSchema("wave", "<c8", (9,))


TEXT = DatasetSchema("text", "text", (9,), refusal="holds text of variable length")


ALL = (X, Y, SPECIES, TABLE, GRID, DT, WAVE, TEXT)


ATTRS = {"@fps": 30, "@name": "left", "x@box": [[0.5, 1.0], [2.0, 3.0]]}


def changed(schema, **changes):
    return dataclasses.replace(schema, **changes)


def catalog_of(*files, attrs=None):
    """A catalog of a.h5, b.h5, … with these datasets, and attributes where given."""
    attrs = [ATTRS] * len(files) if attrs is None else attrs
    schemas = [FileSchema(tuple(datasets), values) for datasets, values in zip(files, attrs, strict=True)]
    names = [f"{chr(ord('a') + number)}.h5" for number in range(len(files))]
    return Catalog.of("/data", names, np.zeros((len(files), 4)), schemas)


def rows_of(count, *schemas):
    return tuple(changed(schema, shape=(count, *schema.shape[1:])) for schema in schemas)


def plan(field, *files, samples=None, **options):
    """The plan of a single field ``f`` beside the rows of ``y``."""
    catalog = options.pop("catalog", None) or catalog_of(*(files or [ALL]))
    fields = plan_fields(catalog, {"y": Field("y"), "f": field}, samples or Rows(), **options)
    assert [one.key for one in fields.plans] == ["y", "f"]
    return fields.plans[1]


def message_of(error, call, *arguments, **options):
    """The text of the error, whose class must be exactly this one."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert type(caught.value) is error
    return str(caught.value)
