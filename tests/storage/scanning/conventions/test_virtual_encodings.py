"""How a virtual dataset is decoded, by its own attributes and those of its sources."""

from contextlib import closing

import h5py
import numpy as np
import pytest

from h5lightning import H5Dataset
from h5lightning.errors import MissingDataError, UnsupportedFieldError
from h5lightning.options import Access, Field

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
