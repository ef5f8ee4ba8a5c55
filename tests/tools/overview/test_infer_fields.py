"""Which fields are inferred if files also hold tables that divide rows, and numbers that are not data."""

import numpy as np
import pytest

from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import Annotations, SeriesTable
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.tools.overview.dataset_summary import summarize_datasets
from h5lightning.tools.overview.infer_fields import infer_fields


def guessed(*datasets, files=3):
    schema = FileSchema(tuple(sorted(datasets, key=lambda dataset: dataset.path)))
    catalog = Catalog.of("/", [f"{n}.h5" for n in range(files)], np.zeros((files, 4)), [schema] * files)
    return infer_fields(summarize_datasets(catalog), files, {})


def dataset(path, *shape, dtype="<f4", **options):
    return DatasetSchema(path, dtype, shape, **options)


@pytest.mark.parametrize("kind", ["ends", "flags"])
def test_tables_and_flags_are_no_labels(kind):
    divided = Annotations(series=(SeriesTable(("terminals",), kind),))
    found = guessed(
        dataset("observations", 90, 17, annotations=divided),
        dataset("terminals", 90, dtype="|b1", annotations=divided),
    )
    assert found.fields == {"x": Field("observations")}
    found = guessed(dataset("observations", 90, 17), dataset("kind", 90, dtype="|b1"))
    assert found.fields == {"x": Field("observations"), "y": Field("kind")}


def test_a_start_time_is_no_label_of_a_file():
    data = dataset("acquisition/s/data", 90, 4)
    for name in ("acquisition/s/starting_time", "start", "sampling_rate", "version"):
        assert set(guessed(data, dataset(name, dtype="<f8")).fields) == {"x"}
    assert guessed(data, dataset("count", dtype="<i8")).fields["y"] == Field("count", constant=True)


def test_a_large_index_does_not_hide_the_data():
    index = [dataset(f"_i_x/{name}", 10**6, refusal="is bookkeeping of PyTables: an index") for name in "abc"]
    assert guessed(dataset("x", 90, 4), *index).fields == {"x": Field("x")}


def test_buckets_of_seisbench_are_distinguished_from_datasets_of_that_name():
    buckets = [dataset(f"data/bucket{number}", 90, 3, 400) for number in range(12)]
    formatted = dataset("data_format/component_order", dtype="text", refusal="holds text")
    with pytest.raises(UnsupportedFieldError, match=r"metadata\.csv beside the file"):
        guessed(*buckets, formatted)
    with pytest.raises(UnsupportedFieldError, match=r"fields=\{'x': 'data/bucket0'\}"):
        guessed(buckets[0], formatted)
    assert guessed(buckets[0]).fields == {"x": Field("data/bucket0")}


def test_the_index_of_a_table_of_pandas_is_no_label_and_no_column():
    fixed = guessed(dataset("df/block0_values", 90, 5, dtype="<f8"), dataset("df/axis1", 90, dtype="<i8"))
    assert fixed.fields == {"x": Field("df/block0_values")}
    members = (Member("index", "<i8"), Member("values_block_0", "<f8", (5,)))
    table = guessed(dataset("df/table", 90, dtype="compound", members=members))
    assert table.fields == {"values_block_0": Field("df/table", member="values_block_0")}
    alone = guessed(dataset("t", 90, dtype="compound", members=members[:1]))
    assert alone.fields == {"index": Field("t", member="index")}
