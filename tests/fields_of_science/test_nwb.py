"""Sessions of neurophysiology by pynwb: a field delivers what pynwb returns in units, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from field_files import Request, as_stored, assert_rounded, assert_same, follow

from h5lightning import Windows
from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Access, Field
from h5lightning.planning.series.row_index import OtherRows, check_row_index, row_index_of
from h5lightning.storage.discovery import discover
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.survey_request import scan_request

pytestmark = pytest.mark.timeout(120)
PROGRAM = "by_pynwb"
VOLTAGES = "acquisition/ap/data"
PLAIN = [
    "acquisition/wheel/data",
    "acquisition/Position/place/data",
    "intervals/trials/start_time",
    "intervals/trials/stop_time",
    "intervals/trials/side",
]


@pytest.mark.parametrize("path", PLAIN)
def test_series_that_are_stored_in_their_unit_are_delivered(written, path):
    files = written(PROGRAM, "plain")
    assert_same(Request.of(files.files, path).read()[path], files.expected[path])


@pytest.mark.parametrize("path", PLAIN[:2])
def test_windows_over_series_are_delivered(written, path):
    files = written(PROGRAM, "plain")
    got = Request.of(files.files, path, samples=Windows(8, stride=8)).read()[path]
    assert_same(got, files.expected[path].reshape(10, 8, -1))


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_counts_of_an_amplifier_are_refused_and_the_advice_works(written, reader):
    files = written(PROGRAM, "voltages")
    request = Request.of(files.files, VOLTAGES)
    error = request.refused("conversion", "decode")
    assert isinstance(error, UnsupportedFieldError)
    found = follow(Request.of(files.files, VOLTAGES, reader=reader), error)
    assert_rounded(found["decode=cf"][VOLTAGES], files.expected[VOLTAGES])
    assert_same(found["decode=stored"][VOLTAGES], as_stored(files.files, VOLTAGES))
    exact = Request.of(files.files, VOLTAGES, decode="cf", dtype="float64").read(reader=reader)
    np.testing.assert_allclose(exact[VOLTAGES], files.expected[VOLTAGES], rtol=1e-15)


def test_gains_of_channels_are_never_left_out(written):
    files = written(PROGRAM, "channels_with_gains_of_their_own")
    request = Request.of(files.files, VOLTAGES)
    error = request.refused("conversion", "decode")
    for advice, found in follow(request, error).items():
        if advice == "decode=stored":
            assert_same(found[VOLTAGES], as_stored(files.files, VOLTAGES))
        else:
            assert_rounded(found[VOLTAGES], files.expected[VOLTAGES])


def test_spike_times_of_several_units_are_not_rows(written):
    files = written(PROGRAM, "spikes")
    request = Request.of(files.files, "units/spike_times")
    error = request.refused("spike_times_index")
    assert isinstance(error, UnsupportedFieldError)
    found = follow(request, error)
    assert_same(found["decode=stored"]["units/spike_times"], files.expected["units/spike_times"])
    assert_same(Request.of(files.files, "units/depth").read()["units/depth"], files.expected["units/depth"])


@pytest.mark.parametrize("has_others", [False, True])
def test_units_without_spikes_are_rows_too(written, has_others):
    files = written(PROGRAM, "silent_units")
    field = Field("units/spike_times", index="units/spike_times_index", ragged="list")
    request = scan_request({"spikes": field}, None, None, Access(), None, labels=True)
    catalog = build_catalog(discover(str(files.files)), request, access=Access(), progress=False).catalog
    others = OtherRows("units/id", np.asarray([4, 4])) if has_others else None
    (part,), every = field.parts(), np.arange(2)
    rows, remarks = check_row_index(catalog, every, part, others, "spikes")
    assert (rows.tolist(), remarks) == ([4, 4], ())
    index = row_index_of(catalog, every, part, None if others is None else others.rows)
    np.testing.assert_array_equal(index.lengths.reshape(2, 4), files.expected["sizes"])
