"""Numbers decoded from attributes, compared with values computed by hand."""

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.tools.check.expected_values import decoded_values, first_wrong, missing_values


def attributed(tmp_path, values, **attrs):
    file = h5py.File(tmp_path / "a.h5", "w")
    file["x"] = values
    file["x"].attrs.update(attrs)
    return file["x"]


NAN = np.nan
CF = Encoding("cf")
CASES = {
    "scale and offset": ([1, 2], "i2", {"scale_factor": 0.5, "add_offset": 10.0}, CF, [10.5, 11.0]),
    "a scale of type float32": (
        [2],
        "i2",
        {"scale_factor": np.float32(0.1)},
        CF,
        [2 * float(np.float32(0.1))],
    ),
    "fill": ([1, -9], "i2", {"scale_factor": 2.0, "_FillValue": np.int16(-9)}, CF, [2.0, NAN]),
    "several": ([1, 7, 8], "i4", {"missing_value": np.array([7, 8])}, CF, [1, NAN, NAN]),
    "range": ([1, 5, 9], "i2", {"valid_range": np.array([2, 8], "i2")}, CF, [NAN, 5, NAN]),
    "bounds": ([1, 5, 9], "f4", {"valid_min": 2.0, "valid_max": 8}, CF, [NAN, 5, NAN]),
    "unsigned": ([-1, 1], "i1", {"_FillValue": np.int8(-1)}, Encoding("cf", is_unsigned=True), [NAN, 1]),
    "unsigned, with its own sign": (
        [-56, 1],
        "i1",
        {"add_offset": 1.0},
        Encoding("cf", is_unsigned=True),
        [201, 2],
    ),
    "NWB": ([3], "i2", {"conversion": 2.0, "offset": 1.0, "scale_factor": 9.0}, Encoding("nwb"), [7.0]),
    "a fill of the library": (
        [1, -32767],
        "i2",
        {"add_offset": 1.0},
        Encoding("cf", fills=(-32767,)),
        [2, NAN],
    ),
    "a fill that the type does not hold": (
        [1],
        "u1",
        {"_FillValue": np.int16(-9), "add_offset": 0.0},
        CF,
        [1],
    ),
    "text": ([1], "i2", {"scale_factor": "0.5"}, CF, [1]),
    "nothing": ([1, 2], "i2", {}, None, [1, 2]),
}


@pytest.mark.parametrize(("values", "dtype", "attrs", "encoding", "expected"), CASES.values(), ids=CASES)
def test_decoded(tmp_path, values, dtype, attrs, encoding, expected):
    stored = np.asarray(values, dtype)
    found = decoded_values(attributed(tmp_path, stored, **attrs), stored, encoding)
    assert np.array_equal(found, np.asarray(expected), equal_nan=True)


def test_codes(tmp_path):
    encoding = Encoding("codes", low=0, high=2)
    stored = np.array([0, -1, 2, 3], "i1")
    assert missing_values(attributed(tmp_path, stored), stored, encoding).tolist() == [
        False,
        True,
        False,
        True,
    ]
    stored = np.array([0, np.nan])
    assert missing_values(attributed(tmp_path, stored), stored, encoding).tolist() == [False, True]


@pytest.mark.parametrize(
    ("found", "expected", "delivered", "is_exact", "place"),
    [
        ([[1.0], [2.0]], [[1.0], [2.5]], "float32", False, 1),
        ([np.float32(0.1)], [0.1], "float32", False, None),
        ([np.float32(0.1)], [0.1], "float32", True, 0),
        ([NAN, np.inf], [NAN, np.inf], "float32", False, None),
        ([NAN], [1.0], "float32", False, 0),
        ([np.inf], [1e300], "float32", False, 0),
        ([2**53], [2**53 + 1], "float64", True, 0),
        ([1 + 1j], [1 + 2j], "complex64", False, 0),
        (np.float16([1e-8]), [1e-8], "float16", False, None),
    ],
)
def test_first_wrong(found, expected, delivered, is_exact, place):
    assert first_wrong(np.asarray(found), np.asarray(expected), delivered, is_exact=is_exact) == place


def test_attributes_that_the_type_does_not_hold_mark_nothing(tmp_path):
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file["x"] = np.array([-1, 5], "i2")
        file["x"].attrs.update(valid_max=np.int32(40000), missing_value=np.int32(65535), scale_factor=0.5)
        found = decoded_values(file["x"], file["x"][()], Encoding("cf", scale=0.5))
    np.testing.assert_array_equal(found, [-0.5, 2.5])


@pytest.mark.parametrize("fill", [1.7e308, 1e-300])
def test_a_fill_value_beyond_a_float_marks_nothing(tmp_path, fill):
    dataset = attributed(tmp_path, np.array([np.inf, 0.0], "f4"), _FillValue=fill)
    assert not missing_values(dataset, dataset[()], CF).any()


def test_a_virtual_dataset_means_what_its_sources_say(tmp_path):
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file["source"] = np.array([1, 2, 9], "i2")
        layout = h5py.VirtualLayout((3,), "i2")
        layout[:] = h5py.VirtualSource(file["source"])
        virtual = file.create_virtual_dataset("x", layout)
        said = Encoding("cf", scale=0.5, offset=1.0, fills=(2,), high=5)
        found = decoded_values(virtual, virtual[()], said)
    np.testing.assert_array_equal(found, [1.5, np.nan, np.nan])
