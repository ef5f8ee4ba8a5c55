"""How numbers are decoded by their attributes, as CF, netCDF and NWB write them, and lookalikes."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
from encodings_found import create_filled, find, of_attributes

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


# ── packing ──────────────────────────────────────────────────────────────────────────────────────────

PACKED = {
    "both": (
        {"scale_factor": 0.01, "add_offset": 280.0},
        (0.01, 280.0),
        ("scale_factor=0.01", "add_offset=280.0"),
    ),
    "scale": ({"scale_factor": np.float32(0.5)}, (0.5, 0.0), ("scale_factor=0.5",)),
    "offset": ({"add_offset": np.int16(3), "scale_factor": 1}, (1.0, 3.0), ("add_offset=3",)),
    "array of one": ({"scale_factor": np.array([[2.0]])}, (2.0, 0.0), ("scale_factor=2.0",)),
    "negative": ({"scale_factor": -1.0}, (-1.0, 0.0), ("scale_factor=-1.0",)),
    "big-endian": ({"scale_factor": np.array(2, ">f4")}, (2.0, 0.0), ("scale_factor=2.0",)),
}


@pytest.mark.parametrize("dtype", ["i1", "<u2", ">i4", "<f4", ">f8"])
@pytest.mark.parametrize(("attrs", "linear", "said"), PACKED.values(), ids=PACKED)
def test_packing(file, dtype, attrs, linear, said):
    assert of_attributes(file, dtype, **attrs) == Encoding("cf", *linear, said_by=said)


IDENTITIES = {
    "floats": {"scale_factor": 1.0, "add_offset": 0.0},
    "integers": {"scale_factor": np.int8(1), "add_offset": np.uint8(0)},
    "float32": {"scale_factor": np.ones(1, "f4"), "add_offset": np.float32(-0.0)},
    "NaN": {"_FillValue": np.float32(math.nan), "missing_value": np.array([math.nan])},
    "empty": {
        "missing_value": h5py.Empty("f4"),
        "valid_range": np.zeros(0),
        "scale_factor": h5py.Empty("f8"),
    },
    "one for each column": {"scale_factor": np.ones(3), "add_offset": np.zeros(3)},
    "whole type": {"valid_range": np.array([-32768, 32767], "i2")},
    "wider than the type": {"valid_min": -(10**6), "valid_max": 10**6},
    "infinite": {"valid_min": -math.inf, "valid_max": math.inf},
    "never": {"_FillValue": np.int32(10**6), "missing_value": np.array([-999.5, 1e20])},
    "signed": {"_Unsigned": np.bytes_(b"false")},
    "other": {"long_name": np.bytes_(b"temperature"), "units": np.bytes_(b"K")},
    "offset": {"offset": 5.0},
    "conversion": {"conversion": 0.001},
    "origin of a volume": {"offset": np.array([0.0, 0.0, 40.0]), "unit": "nm"},
    "words": {"conversion": "linear", "offset": np.bytes_(b"centre"), "unit": "V"},
}


@pytest.mark.parametrize("attrs", IDENTITIES.values(), ids=IDENTITIES)
def test_attributes_without_effect_are_no_encoding(file, attrs):
    assert of_attributes(file, "i2", **attrs) is None


def test_other_types_have_no_encoding(file):
    kinds = {
        "bool": np.zeros(4, "?"),
        "compound": np.zeros(4, [("a", "i4"), ("b", "f4")]),
    }
    for name, data in kinds.items():
        file.create_dataset(name, data=data).attrs.update(scale_factor=0.5, _FillValue=0)
        assert find(file, name) is None


PROBLEMS = {
    "text": ({"scale_factor": "0.01"}, "'scale_factor' that is text, expected one number"),
    "fixed text": ({"add_offset": np.bytes_(b"1")}, "'add_offset' that is text"),
    "array": ({"scale_factor": [1, 2]}, "'scale_factor' that holds 2 numbers, expected one number"),
    "zero": ({"scale_factor": 0.0}, "'scale_factor' that is zero"),
    "NaN": ({"add_offset": math.nan}, "'add_offset' that is nan, expected a finite number"),
    "infinite": ({"scale_factor": math.inf}, "'scale_factor' that is inf"),
    "complex": ({"scale_factor": 1j}, "'scale_factor' that is no number"),
    "bool": ({"_FillValue": np.True_}, "'_FillValue' that is no number"),
    "text fill": ({"missing_value": "-999"}, "'missing_value' that is text, expected numbers"),
    "three bounds": ({"valid_range": [0, 1, 2]}, "'valid_range' that holds 3 numbers, expected two numbers"),
    "text range": ({"valid_range": "0, 10"}, "'valid_range' that is text"),
    "two ends": ({"valid_min": [0, 1]}, "'valid_min' that holds 2 numbers"),
    "sign": ({"_Unsigned": np.bytes_(b"maybe")}, "'_Unsigned' that is 'maybe', expected 'true' or 'false'"),
    "sign as a number": ({"_Unsigned": 1}, "'_Unsigned' that is no text"),
    "conversion": ({"conversion": "1e-6", "neurodata_type": "TimeSeries"}, "'conversion' that is text"),
    "NaN conversion": ({"conversion": math.nan, "unit": "V"}, "'conversion' that is nan"),
    "two conventions": (
        {"scale_factor": 2.0, "conversion": 3.0, "unit": "V"},
        "two conventions: scale_factor=2.0, conversion=3.0",
    ),
}


@pytest.mark.parametrize(
    "name", ["scale_factor", "add_offset", "_FillValue", "missing_value", "valid_range", "valid_max"]
)
@pytest.mark.parametrize("text", ["1 pixel = 2 um", "n/a", "0 to 10", "", np.bytes_(b"none"), "nought"])
def test_prose_in_attributes_of_numbers_has_no_effect(file, name, text):
    assert of_attributes(file, "i2", **{name: text}) is None


@pytest.mark.parametrize(("attrs", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_attributes_of_a_wrong_kind_are_a_problem(file, attrs, problem):
    found = of_attributes(file, "i2", **attrs)
    assert problem in found.problem
    assert found.is_packed


def test_complex_numbers_are_a_problem_only_where_something_is_said(file):
    assert "complex" in of_attributes(file, "c8", scale_factor=0.5).problem
    del file["x"]
    assert "complex" in of_attributes(file, "c16", _FillValue=-999.0).problem
    del file["x"]
    assert of_attributes(file, "c8", scale_factor=1.0, _FillValue=math.nan) is None


# ── missing values ───────────────────────────────────────────────────────────────────────────────────

FILLS = {
    "integer": ("i2", np.int16(-999), (-999,)),
    "of another type": ("u1", np.int64(255), (255,)),
    "float of an integer": ("i4", np.float64(-999.0), (-999,)),
    "not of the type": ("u1", np.int16(-1), ()),
    "not whole": ("i4", np.float32(0.5), ()),
    "float32 of float64": ("f4", np.float64(1e20), (float(np.float32(1e20)),)),
    "float64 of float32": ("f8", np.float32(0.1), (float(np.float32(0.1)),)),
    "too large": ("f4", np.float64(1e300), ()),
    "too small": ("f4", np.float64(1e-300), ()),
    "zero": ("f4", np.int8(0), (0.0,)),
    "infinite": ("f4", np.float64(-math.inf), (-math.inf,)),
    "largest": ("u8", np.uint64(2**64 - 1), (2**64 - 1,)),
    "least": ("i8", np.int64(-(2**63)), (-(2**63),)),
    "rounded up to the end": ("u8", np.float64(2**64), ()),
    "vector": ("i2", np.array([-999, -998, 10**6]), (-999, -998)),
    "vector with NaN": ("f8", np.array([math.nan, 7.0]), (7.0,)),
}


@pytest.mark.parametrize("name", ["_FillValue", "missing_value"])
@pytest.mark.parametrize(("dtype", "value", "fills"), FILLS.values(), ids=FILLS)
def test_fills_are_numbers_of_the_stored_type(file, name, dtype, value, fills):
    found = of_attributes(file, dtype, **{name: value})
    assert (() if found is None else found.fills) == fills
    if found is not None:
        assert not found.is_packed
        assert found.said_by[0].startswith(f"{name}=")


def test_fills_of_both_attributes(file):
    found = of_attributes(file, "i2", _FillValue=np.int16(-1), missing_value=np.array([-1, -2], "i2"))
    assert found.fills == (-1, -2)
    assert found.said_by == ("_FillValue=-1", "missing_value=[-1, -2]")


RANGES = {
    "both": ("i2", {"valid_range": np.array([-5, 5], "i2")}, (-5, 5)),
    "range first": ("i2", {"valid_range": np.array([-5, 5], "i2"), "valid_min": np.int16(0)}, (-5, 5)),
    "one end": ("i2", {"valid_range": np.array([-32768, 5], "i2")}, (None, 5)),
    "low": ("u1", {"valid_min": np.uint8(1)}, (1, None)),
    "high": ("f4", {"valid_max": np.float64(0.1)}, (None, float(np.float32(0.1)))),
    "not of the type": ("i2", {"valid_range": np.array([0.5, 100.0]), "valid_max": np.int16(7)}, (None, 7)),
    "fractions are not of the type": ("i2", {"valid_min": 0.5, "valid_max": 7.0}, (None, 7)),
    "NaN": ("f4", {"valid_range": np.array([math.nan, 1.0], "f4"), "valid_min": np.float32(0)}, (None, 1.0)),
}


@pytest.mark.parametrize(("dtype", "attrs", "bounds"), RANGES.values(), ids=RANGES)
def test_valid_ranges_are_compared_with_stored_numbers(file, dtype, attrs, bounds):
    found = of_attributes(file, dtype, **attrs)
    assert (found.low, found.high) == bounds


UNSIGNED = {
    "signed fill": ("i1", "true", {"_FillValue": np.int8(-1)}, True, (255,), (None, None)),
    "unsigned fill": ("i1", "true", {"_FillValue": np.uint8(255)}, True, (255,), (None, None)),
    "wider fill": ("i2", "True", {"missing_value": np.int32(65535)}, True, (65535,), (None, None)),
    "range": ("i1", "true", {"valid_range": np.array([0, -2], "i1")}, True, (), (None, 254)),
    "whole range": ("i1", "true", {"valid_range": np.array([0, -1], "i1")}, True, (), (None, None)),
    "other way": ("u1", "false", {"_FillValue": np.uint8(255)}, False, (-1,), (None, None)),
    "other way, signed": ("u1", "false", {"_FillValue": np.int8(-1)}, False, (-1,), (None, None)),
    "largest": ("i8", "true", {"_FillValue": np.int64(-1)}, True, (2**64 - 1,), (None, None)),
    "beyond": ("i1", "true", {"_FillValue": np.int16(256)}, True, (), (None, None)),
}


@pytest.mark.parametrize(
    ("dtype", "text", "attrs", "sign", "fills", "bounds"), UNSIGNED.values(), ids=UNSIGNED
)
def test_the_sign_is_read_as_the_file_says(file, dtype, text, attrs, sign, fills, bounds):
    found = of_attributes(file, dtype, _Unsigned=np.bytes_(text.encode()), **attrs)
    assert (found.is_unsigned, found.fills, (found.low, found.high)) == (sign, fills, bounds)
    assert found.said_by[0] == f"_Unsigned={text.lower()}"


def test_text_of_variable_length_is_left_to_a_process(file):
    file.create_dataset("x", data=np.zeros(4, "i1")).attrs["_Unsigned"] = "true"
    with pytest.raises(NeedsProcessError):
        find(file)
    assert find(file, values=ValueReader(reads_text=True)).is_unsigned


@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_a_sign_that_changes_nothing_is_none(file, dtype):
    assert of_attributes(file, dtype, _Unsigned=np.bytes_(b"true")) is None


# ── defaults of netCDF ───────────────────────────────────────────────────────────────────────────────

DEFAULTS = {
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": float(np.float32(9.969209968386869e36)),
    "f8": 9.969209968386869e36,
}


@pytest.mark.parametrize(("dtype", "fill"), DEFAULTS.items(), ids=DEFAULTS)
def test_what_netcdf_fills_with_is_missing(file, dtype, fill):
    create_filled(file, dtype, fill)
    assert find(file) is None
    found = find(file, of_netcdf=True)
    assert found == Encoding("cf", fills=(fill,), said_by=(found.said_by[0],))
    assert found.said_by[0].endswith(" (the default of netCDF)")
    file["x"].attrs["_Netcdf4Dimid"] = 0
    assert find(file) == found
    # An own fill takes the place of the default, also if it masks nothing.
    file["x"].attrs["_FillValue"] = np.array(7, dtype)
    assert find(file, of_netcdf=True).fills == (7,)


@pytest.mark.parametrize(("dtype", "fill"), [("i1", -127), ("u1", 255), ("i2", 0), ("f4", math.nan)])
def test_other_fills_are_no_defaults(file, dtype, fill):
    create_filled(file, dtype, fill)
    assert find(file, of_netcdf=True) is None


def test_fills_that_nobody_set_are_no_defaults(file):
    file["x"] = np.zeros(3, "i4")
    assert find(file, of_netcdf=True) is None


# ── NWB ──────────────────────────────────────────────────────────────────────────────────────────────


def write_series(file, **attrs):
    file["acquisition/es/data"] = np.zeros((4, 2), "i2")
    file["acquisition/es/data"].attrs.update(attrs)


@pytest.mark.parametrize("evidence", ["unit", "own type", "type of the group"])
def test_conversion_of_nwb(file, evidence):
    write_series(file, conversion=1e-6, offset=np.float32(0.5))
    assert find(file, "acquisition/es/data") is None
    if evidence == "unit":
        file["acquisition/es/data"].attrs["unit"] = "volts"
    owner = "acquisition/es" if evidence == "type of the group" else "acquisition/es/data"
    file[owner].attrs["neurodata_type"] = "ElectricalSeries"
    said = ("conversion=1e-06", "offset=0.5")
    assert find(file, "acquisition/es/data") == Encoding("nwb", 1e-6, 0.5, said_by=said)


@pytest.mark.parametrize("attrs", [{"conversion": 1.0, "offset": 0.0}, {"conversion": np.float32(1)}])
def test_factors_of_one_are_no_encoding(file, attrs):
    write_series(file, unit="volts", **attrs)
    assert find(file, "acquisition/es/data") is None


def test_factors_of_channels_are_a_problem_unless_all_are_one(file):
    write_series(file, unit="volts", conversion=1.0)
    file["acquisition/es/channel_conversion"] = np.ones(2)
    assert find(file, "acquisition/es/data") is None
    file["acquisition/es/channel_conversion"][1] = 2.0
    assert "'/acquisition/es/channel_conversion'" in find(file, "acquisition/es/data").problem
