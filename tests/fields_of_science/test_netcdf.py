"""netCDF-4 files by netCDF4-python and xarray: a field delivers what they read, or is refused with advice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import h5py
import numpy as np
import pytest
import torch
from field_files import Request, as_stored, assert_rounded, assert_same, follow

from h5lightning import H5DataModule, H5Dataset, Windows
from h5lightning.errors import H5LightningError, MissingDataError, SchemaError, UnsupportedFieldError
from h5lightning.options import Field, Split
from h5lightning.tools.check import CheckSettings, check_files

pytestmark = pytest.mark.timeout(120)
QUICK = CheckSettings(ranks=[1, 2], workers=[0], batch_size=4, batches=2, resumptions=1, samples_per_file=4)

PACKED = {
    ("netcdf", "packed_differently", "t2m"): "scale_factor",
    ("netcdf", "packed_differently", "tp"): "scale_factor",
    ("netcdf", "packed_and_masked", "sst"): "scale_factor",
    ("netcdf", "packing_of_some_files", "v"): "scale_factor",
    ("netcdf", "missing_values", "with_scale"): "scale_factor",
    ("netcdf", "valid_ranges", "high"): "scale_factor",
    ("netcdf", "unsigned_in_signed", "u1"): "scale_factor",
    ("netcdf", "unsigned_in_signed", "u2"): "scale_factor",
    ("netcdf", "unsigned_in_signed", "plain"): "_Unsigned",
    ("netcdf", "unsigned_in_signed", "filled"): "scale_factor",
    ("netcdf", "several_types", "u1"): "scale_factor",
    ("netcdf", "several_types", "u2"): "scale_factor",
    ("netcdf", "several_types", "i4"): "scale_factor",
    ("netcdf", "several_types", "i8"): "scale_factor",
    ("netcdf", "several_types", "f4"): "scale_factor",
    ("netcdf", "several_types", "f8"): "add_offset",
    ("netcdf", "several_types", "narrow"): "scale_factor",
    ("netcdf", "several_types", "whole"): "scale_factor",
    ("netcdf", "several_types", "shift"): "add_offset",
    ("netcdf", "big_endian", "packed"): "scale_factor",
    ("netcdf", "byte_orders_of_files", "t2m"): "scale_factor",
    ("by_xarray", "packed", "t"): "scale_factor",
    ("by_xarray", "packed_with_holes", "t"): "scale_factor",
    ("by_xarray", "unsigned_bytes", "t"): "scale_factor",
}
MASKED = {
    ("netcdf", "land_as_a_large_number", "sst"): "_FillValue",
    ("netcdf", "missing_values", "one"): "missing_value",
    ("netcdf", "missing_values", "two"): "missing_value",
    ("netcdf", "missing_values", "real"): "missing_value",
    ("netcdf", "valid_ranges", "low"): "valid_min",
    ("netcdf", "valid_ranges", "both"): "valid_range",
    ("netcdf", "valid_ranges", "real"): "valid_m",
    ("netcdf", "big_endian", "masked"): "_FillValue",
}
PLAIN = [
    ("netcdf", "plain", "wind"),
    ("netcdf", "plain", "level"),
    ("netcdf", "plain", "nan_is_missing"),
    ("netcdf", "plain", "time"),
    ("netcdf", "rows_that_were_never_written", "whole"),
    ("by_xarray", "plain_with_holes", "t"),
    ("by_xarray", "tiles", "t"),
]


def named(cases):
    return [pytest.param(*case, id="-".join(case)) for case in cases]


@pytest.mark.parametrize(("program", "case", "path"), named(PLAIN))
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_plain_variables_are_delivered_as_the_reader_has_them(written, program, case, path, reader):
    files = written(program, case)
    assert_same(Request.of(files.files, path).read(reader=reader)[path], files.expected[path])


def test_packing_that_is_the_identity_changes_no_type(written):
    files = written("netcdf", "plain")
    got = Request.of(files.files, "identity").read()["identity"]
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got, files.expected["identity"])


@pytest.mark.parametrize(("program", "case", "path"), named(PACKED))
def test_packed_variables_are_refused_and_the_advice_works(written, program, case, path):
    files = written(program, case)
    request = Request.of(files.files, path)
    error = request.refused(PACKED[program, case, path], "decode")
    assert isinstance(error, UnsupportedFieldError)
    check_both_ways_out(request, error, files, path)


@pytest.mark.parametrize(("program", "case", "path"), named(MASKED))
def test_masked_values_are_refused_and_the_advice_works(written, program, case, path):
    files = written(program, case)
    request = Request.of(files.files, path)
    error = request.refused(MASKED[program, case, path], "decode")
    assert isinstance(error, MissingDataError)
    check_both_ways_out(request, error, files, path)


def check_both_ways_out(request, error, files, path):
    """Follow the advice of the message: decoded values, and stored values."""
    found = follow(request, error)
    assert {"decode=cf", "decode=stored"} <= set(found)
    assert_rounded(found["decode=cf"][path], files.expected[path])
    assert_same(found["decode=stored"][path], as_stored(files.files, path))


@pytest.mark.parametrize(("program", "case", "path"), named([*PACKED, *MASKED]))
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_both_readers_decode_in_float64_and_round_once(written, program, case, path, reader):
    files = written(program, case)
    expected = files.expected[path]
    if expected.dtype == np.float32:
        stored, attrs = as_stored(files.files, path), {"scale": np.float32(0.1), "offset": np.float32(273.15)}
        expected = stored.astype("f8") * np.float64(attrs["scale"]) + np.float64(attrs["offset"])
    fields = {dtype: Field(path, decode="cf", dtype=dtype) for dtype in ("float32", "float64")}
    for dtype, got in Request(str(files.files), fields).read(reader=reader).items():
        assert_rounded(got, expected, dtype)


def test_files_of_two_widths_are_one_once_they_are_decoded(written):
    files = written("netcdf", "widths_of_files")
    request = Request.of(files.files, "t")
    found = follow(request, request.refused())
    (meant,) = (values["t"] for advice, values in found.items() if "cf" in advice)
    assert_rounded(meant, files.expected["t"])
    assert_rounded(Request.of(files.files, "t", decode="cf").read()["t"], files.expected["t"])


@pytest.mark.parametrize("path", ["partly", "never"])
def test_rows_that_netcdf_filled_are_never_delivered_as_numbers(written, path):
    """No attribute names the default fill value of netCDF, but its reader masks it."""
    files = written("netcdf", "rows_that_were_never_written")
    request = Request.of(files.files, path)
    error = request.refused()
    assert isinstance(error, MissingDataError)
    found = follow(request, error)
    meant = [values[path] for advice, values in found.items() if "cf" in advice]
    assert meant
    for values in meant:
        assert_rounded(values, files.expected[path])


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_windows_whose_fields_share_a_packed_variable(written, reader):
    files = written("netcdf", "packed_differently")
    expected = files.expected["t2m"].astype("f4")
    fields = {
        "x": Field("t2m", steps=(0, 4), decode="cf"),
        "y": Field("t2m", steps=(4, 5), decode="cf"),
        "raw": Field("t2m", steps=(4, 5), decode="stored"),
        "tp": Field("tp", steps=(0, 1), decode="cf", dtype="float64"),
    }
    with closing(H5Dataset(str(files.files), fields, Windows(5), reader=reader)) as dataset:
        batch = dataset.read_batch(range(len(dataset)))
    starts = [first + row for first in (0, 8) for row in range(4)]
    stored = as_stored(files.files, "t2m")
    for place, start in enumerate(starts):
        np.testing.assert_array_equal(batch["x"][place], expected[start : start + 4])
        np.testing.assert_array_equal(batch["y"][place], expected[start + 4 : start + 5])
        np.testing.assert_array_equal(batch["raw"][place], stored[start + 4 : start + 5])
        np.testing.assert_array_equal(batch["tp"][place], files.expected["tp"][start : start + 1])


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_deliver_what_the_reader_has(written, workers):
    files = written("netcdf", "packed_and_masked")
    module = H5DataModule(
        str(files.files), {"x": Field("sst", decode="cf")}, batch_size=3, num_workers=workers,
        shuffle={"mode": "none"}, split={"val": None, "test": None},
    )  # fmt: skip
    module.prepare_data()
    module.setup("fit")
    try:
        got = torch.cat([batch["x"] for batch in module.train_dataloader()])
    finally:
        module.teardown("fit")
    assert_rounded(got.numpy(), files.expected["sst"])


def test_decoded_values_are_checked_for_nan(written):
    files = written("netcdf", "packed_and_masked")
    request = Request.of(files.files, "sst", decode="cf", access={"on_nonfinite": "raise"})
    assert "sst" in str(request.refused("finite"))


@pytest.mark.parametrize(
    ("case", "axis"),
    [
        ("channels_in_another_order", "channel"),
        ("channels_of_other_names", "channel"),
        ("latitudes_from_north_and_from_south", "lat"),
    ],
)
def test_columns_with_other_labels_in_another_file_are_refused(written, case, axis):
    files = written("by_xarray", case)
    error = Request.of(files.files, "t").refused(axis, "1.nc")
    assert isinstance(error, SchemaError)
    assert_same(Request.of(files.files, "t", decode="stored").read()["t"], as_stored(files.files, "t"))


def test_the_same_coordinates_can_be_required(written):
    files = written("by_xarray", "tiles")
    assert_same(Request.of(files.files, "t", access={"same": ["channel"]}).read()["t"], files.expected["t"])
    with pytest.raises(SchemaError, match="lat"):
        Request.of(files.files, "t", access={"same": ["lat"]}).read()


@pytest.mark.parametrize(
    "seed", ["0", *(pytest.param(str(seed), marks=pytest.mark.campaign) for seed in range(1, 25))]
)
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_random_attributes_have_the_meaning_that_netcdf_gives_them(written, seed, reader):
    files = written("random_netcdf", "random_variables", seed)
    for dtype in ("float64", "float32"):
        exact = [name for name in files.expected if is_exact(files, name, dtype)]
        got = Request.of(files.files, *exact, decode="cf", dtype=dtype).read(reader=reader)
        for name in exact:
            expected = files.expected[name].astype(dtype)
            np.testing.assert_array_equal(np.isnan(got[name]), np.isnan(expected), err_msg=name)
            rounding = (
                2.0**-21 * np.nanmax(np.abs(expected), initial=1) if is_rounded_twice(files, name) else 0.0
            )
            np.testing.assert_allclose(got[name], expected, rtol=0, atol=rounding, err_msg=name)


@pytest.mark.parametrize(
    "seed", ["0", *(pytest.param(str(seed), marks=pytest.mark.campaign) for seed in range(1, 25))]
)
def test_values_that_netcdf_changes_are_refused_and_others_are_delivered(written, seed):
    files = written("random_netcdf", "random_variables", seed)
    for name in [*files.expected][:: 1 if int(seed) else 20]:
        stored = as_stored(files.files, name)
        is_changed = not np.array_equal(files.expected[name], stored.astype("f8"))
        found = Request.of(files.files, name).attempt()
        assert isinstance(found, H5LightningError) == is_changed, (name, found)
        if not is_changed:
            assert_same(found[name], stored)


def described(files, name):
    """The type of a variable, its stored numbers in native order, and its attributes."""
    with h5py.File(next(files.files.parent.glob("*.nc"))) as file:
        values, attrs = (
            file[name][()],
            {key: file[name].attrs[key] for key in file[name].attrs if key[0] != "D"},
        )
    return values.astype(values.dtype.newbyteorder("=")), attrs


def is_rounded_twice(files, name):
    """Whether the reader computes in float32."""
    values, attrs = described(files, name)
    kinds = [attrs[key].dtype for key in ("scale_factor", "add_offset") if key in attrs]
    return np.float32 in {values.dtype.type, *(kind.type for kind in kinds)}


def is_exact(files, name, dtype):
    """Whether the type holds the numbers of a variable that is not packed; other types are refused, not rounded."""
    values, attrs = described(files, name)
    if values.dtype.kind == "f" or (attrs.get("scale_factor", 1), attrs.get("add_offset", 0)) != (1, 0):
        return True
    if attrs.get("_Unsigned") in {b"true", "true"}:
        values = values.view(values.dtype.str.replace("i", "u"))
    return bool((np.abs(values.astype("f8")) <= 2.0 ** (53 if dtype == "float64" else 24)).all())


@pytest.mark.parametrize("case", ["packed_differently", "packed_and_masked", "land_as_a_large_number"])
def test_check_passes_only_with_decoded_values(written, case):
    files = written("netcdf", case)
    (path, *_) = files.expected
    options = {"split": Split(0.25, None, by="block"), "settings": QUICK, "progress": False}
    try:
        report = check_files([str(files.files)], {"x": Field(path)}, **options)
    except H5LightningError as error:
        message = str(error)
    else:
        assert not report.has_passed
        message = str(report.results)
    assert path in message
    assert "decode" in message
    for decode in ("cf", "stored"):
        report = check_files([str(files.files)], {"x": Field(path, decode=decode)}, **options)
        assert report.has_passed, [result for result in report.results if not result.has_passed]


def test_inspect_shows_what_is_packed(written):
    files = written("netcdf", "packed_differently")
    done = subprocess.run(
        [sys.executable, "-m", "h5lightning", "inspect", str(files.files), "--json"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    assert "scale_factor" in done.stdout
    assert "decode" in done.stdout
