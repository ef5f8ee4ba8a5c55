"""A kind of field is a class: a new one needs a plan, a reader, and nothing else."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5Dataset, Windows
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.loading.fields import make_field_reader as module
from h5lightning.loading.fields.field_reader import FieldReader
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.planning.fields import Fields, FieldSpec, StoredField
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

pytestmark = pytest.mark.timeout(60)
ROWS, FILES = 9, 3


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NextRowField(StoredField):
    """The sum of the row that another dataset names, and of the row after it."""


class NextRowReader(FieldReader):
    """Reads in two rounds: what it needs in the second one is what it read in the first one."""

    def fill(self, batch, out):
        numbers = np.empty(len(batch.rows), np.int64)
        own = np.arange(len(numbers))
        named = DatasetColumn("named", None, "<i8", ())
        yield [RowRequest(ReadRequest(named, batch.borders, batch.rows, own, numbers))]
        x = DatasetColumn("x", None, "<f8", (2,))
        first, second = (np.empty((len(numbers), 2)) for _ in range(2))
        yield [
            RowRequest(ReadRequest(x, batch.borders, numbers + step, own, values))
            for step, values in enumerate((first, second))
        ]
        out[batch.slots] = first + second


@pytest.fixture
def dataset(tmp_path):
    for number in range(FILES):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(2.0 * ROWS).reshape(ROWS, 2) + 100 * number
            file["named"] = np.arange(ROWS)[::-1] % (ROWS - 1)
            file["grid"] = np.full(3, number)
            file.attrs["number"] = number
    fields = {
        "x": "x",
        "two": Field("x", steps=(0, 2)),
        "grid": Field("grid", constant=True),
        "number": "attr:number",
    }
    with_all = H5Dataset(str(tmp_path / "*.h5"), fields, Windows(2))
    yield with_all
    with_all.close()


def test_all_kinds_fill_one_batch(dataset):
    ids = np.random.default_rng(0).permutation(len(dataset))
    where, batch = dataset.index.locate(ids), dataset.read_batch(ids)
    expected = (
        100 * where.file[:, None, None]
        + np.arange(2.0 * ROWS).reshape(ROWS, 2)[where.row[:, None] + np.arange(2)]
    )
    np.testing.assert_array_equal(batch["x"].numpy(), expected)
    np.testing.assert_array_equal(batch["two"].numpy(), expected)
    np.testing.assert_array_equal(batch["grid"].numpy(), where.file[:, None].repeat(3, axis=1))
    np.testing.assert_array_equal(batch["number"].numpy(), where.file)


def test_a_new_kind_needs_no_branch(dataset, monkeypatch):
    monkeypatch.setitem(module._READERS, NextRowField, NextRowReader)
    old = dataset._batches
    plan = NextRowField(
        key="next",
        path="x",
        spec=FieldSpec((2,), "float64"),
        member=None,
        forms=old.fields.row_fields[0].forms,
        row_shape=(2,),
    )
    fields = Fields((*old.fields.plans, plan), old.fields.rows)
    reader = BatchReader(old.index, fields, old.reader, old.access)
    ids = np.random.default_rng(0).permutation(len(dataset))[:11]
    where, batch = old.index.locate(ids), reader.read(ids)
    named = (np.arange(ROWS)[::-1] % (ROWS - 1))[where.row]
    x = np.arange(2.0 * ROWS).reshape(ROWS, 2) + 100 * where.file[:, None, None]
    slots = np.arange(len(ids))
    np.testing.assert_array_equal(batch["next"].numpy(), x[slots, named] + x[slots, named + 1])
    assert batch.keys() == {"x", "two", "grid", "number", "next"}
    assert not reader.read([], ["next"])["next"].numel()


def test_a_kind_without_a_reader_is_an_error(dataset):
    plan = dataset._batches.fields.plans[0]
    with pytest.raises(KeyError):
        module.make_field_reader(NextRowField(
            key="n", path="x", spec=plan.spec, member=None, forms=plan.forms, row_shape=(2,)
        ), None)  # fmt: skip
