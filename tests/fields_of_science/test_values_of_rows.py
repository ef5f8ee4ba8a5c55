"""Labels, groups and keys that a scan reads are those that the programs of the fields read from their own files."""

from __future__ import annotations

import numpy as np
import pytest

from h5lightning.planning.catalog.row_values import joined_row_values
from h5lightning.storage.scanning import ScanRequest
from h5lightning.storage.scanning.parallel_scan import scan_files

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("cells", ["obs/kind", "obs/barcode", "obs/donor", "obs/size", "obs/whole", "obs/_index"]),
        ("cells_07", ["obs/kind"]),
        ("cells_06", ["obs[kind]"]),
        ("netcdf", ["surface", "station", "word", "level", "count"]),
        ("xarray", ["surface", "site"]),
        ("pandas", ["df/table[site]", "df/table[kind]", "df/table[values_block_0]"]),
        ("pytables", ["particles[name]", "particles[kind]"]),
        ("matlab", ["side", "row"]),
    ],
)
def test_values_are_what_the_program_reads(written, case, names):
    made = written("values_of_rows", case)
    assert sorted(made.expected) == sorted(names)
    paths = sorted(str(path) for path in made.files.parent.glob(made.files.name))
    schemas = scan_files(paths, ScanRequest((), row_values=tuple(names)), progress=False)
    found = joined_row_values([schema.row_values for schema in schemas])
    for name, expected in made.expected.items():
        values, units = found[name], range(len(paths))
        assert [values.problem(unit) for unit in units] == [""] * len(paths)
        union, number_of = values.vocabulary(np.arange(len(paths)))
        missing = np.nan if expected.dtype.kind == "f" else "<NA>"
        each = np.asarray([*union, missing])
        rows = []
        for unit in units:
            codes = values.rows_of(unit)
            rows.append(np.where(codes < 0, -1, number_of[values.first_value[unit] + codes]))
        read = each[np.concatenate(rows)].reshape(expected.shape)
        np.testing.assert_array_equal(read, expected, err_msg=name)
        assert set(union) == {value for value in expected.ravel().tolist() if value == value} - {"<NA>"}  # noqa: PLR0124
