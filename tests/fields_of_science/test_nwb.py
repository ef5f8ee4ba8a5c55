"""Sessions of neurophysiology by pynwb: a field delivers what pynwb returns in units, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from field_files import Request, as_stored, assert_rounded, assert_same, follow

from h5lightning import Windows
from h5lightning.errors import UnsupportedFieldError

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
