"""Values of files that say what their numbers mean, and readers that deliver others, which must be found."""

import h5py
import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Field, Windows
from h5lightning.tools.check.value_check import check_values

pytestmark = pytest.mark.timeout(60)
RNG = np.random.default_rng(0)
DECODED, CONVERTED, COMPLETE = range(3)


def write(folder, count=3, *, dtype="i2", attrs=None, rows=60, values=None):
    """Files of packed numbers, each with another scale."""
    for number in range(count):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            stored = RNG.integers(1, 90, (rows, 3)) if values is None else values
            data = file.create_dataset("t", data=stored.astype(dtype))
            for name, value in (attrs or {}).items():
                data.attrs[name] = value(number) if callable(value) else value
            file["y"] = np.arange(rows, dtype="i4")
    return str(folder / "*.h5")


PACKING = {
    "scale_factor": lambda number: np.float32(0.01 * (number + 1)),
    "add_offset": 273.15,
    "_FillValue": np.int16(7),
}


def results_of(pattern, field, **options):
    fields = {"x": field, "y": Field("y")}
    with check_run(pattern, fields=fields, **options) as run:
        return check_values(run, ignore)


class Spoiling:
    """A reader that adds one to what it reads of one dataset."""

    def __init__(self, reader):
        self._reader = reader

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def __reduce__(self):
        return type(self), (self._reader,)

    def read(self, files, takes):
        self._reader.read(files, takes)
        for take in takes:
            if take.source.path == "t":
                take.out[take.slots[-1]] += 1


@pytest.mark.parametrize("dtype", [None, "float64", "float16", "bfloat16"])
def test_decoded_values_are_what_each_file_means(tmp_path, dtype):
    pattern = write(tmp_path, attrs=PACKING)
    decoded, converted, complete = results_of(pattern, Field("t", decode="cf", dtype=dtype))
    assert decoded.failures == ()
    assert decoded.scope == "1 field decoded, 47 samples"
    assert (converted.scope, complete.scope) == (
        "no field converted",
        "no field with numbers for missing values",
    )


def test_wrong_values_are_found(tmp_path):
    pattern = write(tmp_path, attrs=PACKING)
    result = results_of(pattern, Field("t", decode="cf"), reader=Spoiling)[DECODED]
    assert len(result.failures) == 3
    assert result.failures[0].startswith(
        "field 'x' ('/t') differs from the stored numbers decoded by its attributes"
    )
    assert "first in 0.h5 row 59" in result.failures[0]


@pytest.mark.parametrize(
    ("attrs", "dtype"),
    [
        ({"scale_factor": 0.5, "valid_range": np.array([5, 60], "i2")}, "i2"),
        ({"add_offset": 1.0, "valid_min": np.int16(9), "valid_max": np.int16(50)}, "i2"),
        ({"missing_value": np.float32(1e20), "scale_factor": 2.0}, "f4"),
        ({"_Unsigned": np.bytes_("true"), "scale_factor": 0.1, "_FillValue": np.int8(-1)}, "i1"),
        ({"conversion": 2.5e-6, "unit": np.bytes_("volts")}, "i2"),
    ],
    ids=["range", "bounds", "missing value", "unsigned", "NWB"],
)
def test_other_conventions(tmp_path, attrs, dtype):
    values = RNG.integers(0, 255, (60, 3)).astype("u1").view("i1") if dtype == "i1" else None
    if "missing_value" in attrs:
        values = RNG.normal(size=(60, 3)).astype("f4")
        values[5:50] = 1e20
    pattern = write(tmp_path, attrs=attrs, dtype=dtype, values=values)
    good = results_of(pattern, Field("t", decode="cf"))
    assert [result.failures for result in good] == [(), (), ()]
    assert good[DECODED].scope == "1 field decoded, 47 samples"
    bad = results_of(pattern, Field("t", decode="cf"), reader=Spoiling)
    assert len(bad[DECODED].failures) == 3


def test_windows_and_constants(tmp_path):
    pattern = write(tmp_path, attrs=PACKING)
    fields = {
        "x": Field("t", decode="cf", steps=(1, 3)),
        "y": Field("y"),
        "z": Field("t", decode="cf", constant=True),
    }
    with check_run(pattern, fields=fields, samples=Windows(3, dilation=2)) as run:
        decoded = check_values(run, ignore)[DECODED]
    assert decoded.failures == ()
    assert decoded.scope == "2 fields decoded, 92 samples"


@pytest.mark.parametrize(
    ("dtype", "delivered"),
    [
        ("f8", "float32"),
        ("f4", "float16"),
        ("f8", "bfloat16"),
        ("i2", "float32"),
        ("i8", "int32"),
        ("f4", "int16"),
    ],
)
def test_conversions(tmp_path, dtype, delivered):
    pattern = write(tmp_path, dtype=dtype)
    good = results_of(pattern, Field("t", dtype=delivered))
    assert [result.failures for result in good] == [(), (), ()]
    assert good[CONVERTED].scope == "1 field converted, 47 samples"
    assert good[DECODED].scope == "no field decoded"
    bad = results_of(pattern, Field("t", dtype=delivered), reader=Spoiling)[CONVERTED]
    assert len(bad.failures) == 3
    assert f"differs from the stored values by more than the rounding of {delivered}" in bad.failures[0]


def test_a_value_that_cannot_be_converted_is_named(tmp_path):
    values = np.ones((60, 3))
    values[-1] = 1e10
    result = results_of(write(tmp_path, dtype="f8", values=values), Field("t", dtype="int16"))[CONVERTED]
    assert len(result.failures) == 3
    assert "holds 10000000000.0 at row 59" in result.failures[0]


def test_missing_values_that_are_met_are_named(tmp_path):
    values = RNG.integers(1, 90, (60, 1000))  # a scan looks at all rows of less
    values[1:29] = values[31:59] = -999
    pattern = write(tmp_path, attrs={"_FillValue": np.int16(-999)}, values=values)
    result = results_of(pattern, Field("t"))[COMPLETE]
    assert result.scope == "1 field with numbers for missing values, 47 samples"
    assert [failure.partition(":")[0] for failure in result.failures] == ["0.h5", "1.h5", "2.h5"]
    assert "which stands for a missing value (_FillValue=-999)" in result.failures[0]
    stored = results_of(pattern, Field("t", decode="stored"))
    assert [one.failures for one in stored] == [(), (), ()]


def test_undecided_packing_is_an_error_of_planning(tmp_path):
    with (
        pytest.raises(UnsupportedFieldError, match="is packed"),
        check_run(write(tmp_path, attrs=PACKING), fields={"x": Field("t"), "y": Field("y")}),
    ):
        pass


def test_plain_fields_are_not_looked_at(write_files):
    with check_run(write_files()) as run:
        results = check_values(run, ignore)
    assert all(result.scope.startswith("no field") for result in results)


@pytest.mark.parametrize(
    ("values", "failures"), [({"a": 0, "b": 1}, 3), ({"a": 0, "b": 7}, 0)], ids=["dense", "sparse"]
)
def test_numbers_of_no_category_are_named(tmp_path, values, failures):
    codes = np.zeros(60, "i1")
    codes[-1] = 2
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("t", data=codes, dtype=h5py.enum_dtype(values, basetype="i1"))
            file["y"] = np.arange(60)
    result = results_of(str(tmp_path / "*.h5"), Field("t"))[COMPLETE]
    assert len(result.failures) == failures
    assert all(
        "contains a number that stands for a missing value, first in" in failure
        for failure in result.failures
    )
    assert results_of(str(tmp_path / "*.h5"), Field("t", decode="stored"))[COMPLETE].failures == ()


@pytest.mark.parametrize("join", ["last", "first", "concat"])
def test_each_part_of_a_list_is_compared_with_its_dataset(tmp_path, join):
    pattern = write(tmp_path, attrs=PACKING)
    fields = {"x": Field(["t", "t"], decode="cf", join=join), "y": Field(["y", "y"], join=join)}
    with check_run(pattern, fields=fields, samples=Windows(3)) as run:
        decoded, converted, _ = check_values(run, ignore)
    assert (decoded.failures, converted.failures) == ((), ())
    assert decoded.scope.startswith("1 field decoded")
    assert converted.scope.startswith("1 field converted")
    with check_run(pattern, fields=fields, samples=Windows(3), reader=Spoiling) as run:
        decoded = check_values(run, ignore)[DECODED]
    assert decoded.failures[0].startswith("field 'x' ('/t') differs from the stored numbers")
