"""How the numbers of a dataset are decoded: ragged rows, codes, probed rows, and the scan."""

from __future__ import annotations

from contextlib import closing

import h5py
import numpy as np
import pytest
from encodings_found import NO_TEXT, create_filled, divided_by, find

from h5lightning import H5Dataset
from h5lightning.errors import MissingDataError, UnsupportedFieldError
from h5lightning.options import Access, Field
from h5lightning.planning.catalog.annotations import NOTHING, Annotations, Encoding, Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.encodings import masked_row
from h5lightning.storage.scanning.describe_file import describe_file
from h5lightning.storage.scanning.scan_request import ScanRequest


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


# ── rows that are no rows ────────────────────────────────────────────────────────────────────────────


def write_index(file, path, target):
    index = file.create_dataset(path, data=np.array([2, 6]))
    index.attrs["neurodata_type"] = "VectorIndex"
    index.attrs["target"] = target


def test_targets_of_an_index_are_no_rows(file):
    file["units/spike_times"] = np.arange(6.0)
    write_index(file, "units/spike_times_index", file["units/spike_times"].ref)
    assert divided_by(file, "units/spike_times") == "units/spike_times_index"
    assert divided_by(file, "units/spike_times_index") == ""
    assert find(file, "units/spike_times") is None


def test_values_that_an_index_divides_may_be_packed_too(file):
    file["x"] = np.arange(6)
    file["x"].attrs["scale_factor"] = 0.5
    write_index(file, "x_index", file["x"].ref)
    assert divided_by(file) == "x_index"
    assert find(file).scale == 0.5


def test_lookalikes_of_an_index_have_no_effect(file):
    file["x"] = np.arange(6.0)
    file["other"] = np.arange(6.0)
    index = file.create_dataset("x_index", data=np.arange(6))
    assert divided_by(file) == ""
    for target in (file["other"].ref, "x", h5py.Reference(), file["x"].regionref[:2]):
        index.attrs["target"] = target
        assert divided_by(file) == ""
    index.attrs["target"] = file["other"].ref
    del file["other"]
    assert divided_by(file) == ""
    del file["x_index"]
    file.create_group("x_index")
    assert divided_by(file) == ""
    del file["x_index"]
    file["x_index"] = h5py.ExternalLink("elsewhere.h5", "/x")
    assert divided_by(file) == ""


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────


def write_codes(file, names, group="obs/cell", dtype="i1"):
    file[f"{group}/codes"] = np.zeros(4, dtype)
    file[f"{group}/categories"] = names


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i4", ">f4", "f8"])
def test_codes_of_text(file, dtype):
    write_codes(file, ["ape", "bee"], dtype=dtype)
    assert find(file, "obs/cell/codes") == Encoding("codes", low=0, high=1, said_by=("categories",))


def test_codes_of_numbers_only_where_the_group_says_what_it_is(file):
    write_codes(file, np.array([10, 20, 30]))
    assert find(file, "obs/cell/codes") is None
    file["obs/cell"].attrs["encoding-type"] = "categorical"
    assert find(file, "obs/cell/codes").high == 2


def test_codes_that_refer_to_their_names(file):
    file["obs/__categories/cell"] = ["ape", "bee", "cat"]
    file["obs/cell"] = np.array([0, 2, -1], "i1")
    file["obs/cell"].attrs["categories"] = file["obs/__categories/cell"].ref
    assert find(file, "obs/cell") == Encoding("codes", low=0, high=2, said_by=("categories",))


def test_codes_of_more_axes_are_something_else(file):
    file["q/codes"] = np.zeros((4, 8), "i2")
    file["q/categories"] = ["a", "b"]
    assert find(file, "q/codes") is None


# ── rows that are looked at ──────────────────────────────────────────────────────────────────────────

MASKING = Encoding("cf", fills=(-1,), said_by=("_FillValue=-1",))


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3000)}, {"chunks": (2, 3000), "compression": "gzip"}])
@pytest.mark.parametrize(("row", "is_seen"), [(0, True), (10, True), (19, True), (3, False)])
def test_three_rows_are_probed(file, options, row, is_seen):
    data = np.zeros((20, 3000), ">i2")
    data[row, 1] = -1
    file.create_dataset("x", data=data, **options)
    found = masked_row(DatasetInfo.of(file["x"].id), MASKING)
    assert found == (Found(row, "holds -1, which _FillValue marks as missing") if is_seen else None)


@pytest.mark.parametrize(
    ("options", "is_seen"), [({}, True), ({"chunks": (4,)}, True), ({"chunks": (1,)}, False)]
)
def test_all_rows_of_small_datasets_are_probed(file, options, is_seen):
    file.create_dataset("x", data=np.array([0, 0, 0, -1, 0, 0, 0, 0, 0, 0], "i2"), **options)
    found = masked_row(DatasetInfo.of(file["x"].id), MASKING)
    assert found == (Found(3, "holds -1, which _FillValue marks as missing") if is_seen else None)


def test_rows_of_datasets_of_any_length(file):
    for rows in (1, 2):
        file[f"x{rows}"] = np.full(rows, -1, "i2")
        assert masked_row(DatasetInfo.of(file[f"x{rows}"].id), MASKING).row == 0
    file["scalar"] = np.int16(-1)
    assert masked_row(DatasetInfo.of(file["scalar"].id), MASKING).row == 0
    file.create_dataset("empty", shape=(0, 3), dtype="i2", maxshape=(None, 3), chunks=(1, 3))
    assert masked_row(DatasetInfo.of(file["empty"].id), MASKING) is None


def test_expensive_rows_are_not_probed(file):
    file.create_dataset("x", shape=(3, 5_000_000), dtype="i2", fillvalue=-1)
    assert masked_row(DatasetInfo.of(file["x"].id), MASKING) is None


def test_damaged_rows_are_left_to_the_reader(file):
    file.create_dataset("x", data=np.full((4, 100), -1, "i2"), chunks=(1, 100), compression="gzip")
    file["x"].id.write_direct_chunk((0, 0), b"no deflate")
    assert masked_row(DatasetInfo.of(file["x"].id), MASKING) is None


def test_codes_and_undecodable_numbers_are_not_probed(file):
    file["x"] = np.full(3, -1, "i2")
    opened = DatasetInfo.of(file["x"].id)
    assert masked_row(opened, Encoding("codes", low=0, high=1)) is None
    assert masked_row(opened, Encoding("cf", fills=(-1,), problem="is odd")) is None
    assert masked_row(opened, Encoding("cf", scale=2.0)) is None


MESSAGES = {
    "float": ("f4", 1e20, {"_FillValue": np.float32(1e20)}, "holds 1e+20, which _FillValue marks as missing"),
    "unsigned": (
        "i1",
        -1,
        {"_FillValue": np.int8(-1), "_Unsigned": np.bytes_(b"true")},
        "holds 255, which _FillValue marks as missing",
    ),
    "range": (
        "i2",
        400,
        {"valid_range": np.array([0, 300], "i2")},
        "holds 400, which valid_range marks as missing",
    ),
    "both": (
        "i2",
        -9,
        {"_FillValue": np.int16(-9), "missing_value": np.int16(-9)},
        "holds -9, which _FillValue and missing_value mark as missing",
    ),
}


@pytest.mark.parametrize(("dtype", "value", "attrs", "what"), MESSAGES.values(), ids=MESSAGES)
def test_messages_name_the_number_and_the_attribute(file, dtype, value, attrs, what):
    file.create_dataset("x", data=np.full(3, value, dtype)).attrs.update(attrs)
    assert masked_row(DatasetInfo.of(file["x"].id), find(file)) == Found(0, what)


# ── the scan of a file ───────────────────────────────────────────────────────────────────────────────


def test_a_scan_keeps_what_it_found(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["_NCProperties"] = np.bytes_(b"version=2,netcdf=4.9.2")
        file["plain"] = np.zeros(3, "f4")
        file["t"] = np.array([[1, 2], [3, -9]], ">i2")
        file["t"].attrs.update(scale_factor=0.5, _FillValue=np.int16(-9), units="K")
        create_filled(file, "i4", -2147483647, b"filled")
        file["filled"].attrs["units"] = np.bytes_(b"1")
    found = describe_file(str(tmp_path / "a.h5"), ScanRequest(None), NO_TEXT)
    assert found.dataset("plain").annotations is NOTHING
    said = found.dataset("t").annotations
    assert said.encoding == Encoding("cf", 0.5, fills=(-9,), said_by=("scale_factor=0.5", "_FillValue=-9"))
    assert said.masked == Found(1, "holds -9, which _FillValue marks as missing")
    assert Annotations.from_plain(said.to_plain()) == said
    filled = found.dataset("filled").annotations.masked
    assert filled == Found(0, "holds -2147483647, which the default _FillValue of netCDF marks as missing")


def test_what_another_file_says_of_its_numbers_is_found_through_a_link(tmp_path):
    with h5py.File(tmp_path / "there.h5", "w") as file:
        file["g/t"] = np.arange(3, dtype="i2")
        file["g/t"].attrs["scale_factor"] = 0.5
        file["g/s"] = np.arange(3.0)
        write_index(file, "g/s_index", file["g/s"].ref)
    with h5py.File(tmp_path / "here.h5", "w") as file:
        file["t"] = h5py.ExternalLink("there.h5", "/g/t")
        file["s"] = h5py.ExternalLink("there.h5", "/g/s")
    request = ScanRequest(("t", "s"), allow_external=str(tmp_path))
    found = describe_file(str(tmp_path / "here.h5"), request, NO_TEXT)
    assert found.dataset("t").annotations.encoding.scale == 0.5
    assert found.dataset("s").annotations.index == "g/s_index"
    assert "'/g/s_index'" in found.dataset("s").annotations.problem


# ── enumerations ─────────────────────────────────────────────────────────────────────────────────────


def write_enumeration(file, values, fill=255):
    kinds = h5py.enum_dtype({"clear": 0, "cumulus": 1, "missing": 255}, "u1")
    file.create_dataset("x", data=np.array(values, "u1"), dtype=kinds)
    file["x"].attrs.create("_FillValue", fill, dtype=kinds)


def test_the_fill_value_of_an_enumeration_stands_for_a_missing_one(file):
    write_enumeration(file, [0, 1, 255, 1])
    encoding = find(file)
    assert (encoding.fills, encoding.is_packed) == ((255,), False)
    found = masked_row(DatasetInfo.of(file["x"].id), encoding)
    assert found == Found(2, "holds 255, which _FillValue marks as missing")


def test_an_enumeration_is_never_packed(file):
    write_enumeration(file, [0, 1, 255, 1])
    file["x"].attrs["scale_factor"] = 0.5
    assert find(file) == Encoding("cf", fills=(255,), said_by=("_FillValue=255",))
    del file["x"].attrs["_FillValue"]
    assert find(file) is None


def test_an_enumeration_without_attributes_has_no_encoding(file):
    file.create_dataset("x", data=np.array([0, 1], "i2"), dtype=h5py.enum_dtype({"a": 0, "b": 1}, "i2"))
    file["x"].attrs["units"] = "1"
    assert find(file) is None


STORED = np.arange(10, dtype="i2")
PACKED = {"scale_factor": 0.1}
OTHER = {"scale_factor": 0.2}
FILLED = {"_FillValue": np.int16(7)}


@pytest.fixture
def read(tmp_path):
    """Reads all rows of a virtual dataset of sources with these attributes."""

    def make(*sources, own=(), decode=None):
        layout = h5py.VirtualLayout((10 * len(sources),), "i2")
        for number, attributes in enumerate(sources):
            with h5py.File(tmp_path / f"source{number}", "w") as file:
                file["x"] = STORED
                file["x"].attrs.update(attributes)
            source = h5py.VirtualSource(str(tmp_path / f"source{number}"), "x", (10,))
            layout[10 * number : 10 * number + 10] = source
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_virtual_dataset("x", layout).attrs.update(dict(own))
        access = Access(allow_external=str(tmp_path))
        with closing(H5Dataset(tmp_path / "a.h5", {"x": Field("x", decode=decode)}, access=access)) as rows:
            return rows.read_batch(np.arange(len(rows)))["x"].numpy()

    return make


def test_the_packing_of_the_sources_is_that_of_the_virtual_dataset(read):
    with pytest.raises(UnsupportedFieldError, match=r"a\.h5 is packed \(scale_factor=0\.1\)"):
        read(PACKED, PACKED)
    expected = (np.tile(STORED, 2) * 0.1).astype("f4")
    np.testing.assert_array_equal(read(PACKED, PACKED, decode="cf"), expected)


@pytest.mark.parametrize("decode", [None, "cf"])
@pytest.mark.parametrize("other", [OTHER, {}])
def test_sources_that_are_packed_otherwise_cannot_be_decoded(read, other, decode):
    with pytest.raises(UnsupportedFieldError, match=r"source0', which is packed \(.*decode='stored'"):
        read(PACKED, other, decode=decode)
    np.testing.assert_array_equal(read(PACKED, other, decode="stored"), np.tile(STORED, 2))


def test_packing_by_own_attributes_takes_precedence(read):
    found = read(PACKED, PACKED, own=OTHER, decode="cf")
    np.testing.assert_array_equal(found, (np.tile(STORED, 2) * 0.2).astype("f4"))
    with pytest.raises(UnsupportedFieldError, match=r"but its own attributes do not say so"):
        read(PACKED, own=FILLED, decode="cf")


def test_a_missing_value_of_a_source_is_one_of_the_virtual_dataset(read):
    with pytest.raises(MissingDataError, match=r"holds 7 at row 7 of .*a\.h5"):
        read({}, FILLED)
    assert np.isnan(read({}, FILLED, decode="cf")).sum() == 2


def test_sources_without_effect_are_no_encoding(read):
    np.testing.assert_array_equal(read({}, {"units": "m"}, {"scale_factor": 1}), np.tile(STORED, 3))
