"""Sessions of neurophysiology by pynwb: trials with the spikes of their session, and units with their spikes."""

from __future__ import annotations

import numpy as np
import pytest
from users import check_user, train

from h5lightning import Field, H5DataModule, Shuffle
from h5lightning.errors import SchemaError

pytestmark = pytest.mark.timeout(120)
SESSIONS = 7
READERS = ["auto", "h5py"]
SPIKES = "units/spike_times"
INDEX = "units/spike_times_index"


@pytest.fixture
def sessions(written):
    return written("by_pynwb", "trials_and_spikes")


def rows_of(expected, number, name):
    """What pynwb returns for each row of a ragged column."""
    found = {
        key.split("/")[2]: value for key, value in expected.items() if key.startswith(f"{number}/{name}/")
    }
    return [found[str(row)] for row in range(len(found))]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", ["list", "pad", "concat"])
def test_units_are_rows(sessions, form, reader):
    dm = H5DataModule(
        str(sessions.files),
        fields={
            "spikes": Field(SPIKES, index=INDEX, ragged=form, dtype="float32"),
            "n": "length:spikes",
            "depth": "units/depth",
        },
        split={"by": "file", "val": 0.15, "test": 0.15}, batch_size=4, provenance=True, reader=reader,
    )  # fmt: skip
    expected = {
        (f"{number}.nwb", "", row): {
            "spikes": spikes.astype("f4"),
            "n": np.array(len(spikes)),
            "depth": sessions.expected[f"{number}/depth"][row],
        }
        for number in range(SESSIONS)
        for row, spikes in enumerate(rows_of(sessions.expected, number, "spike_times"))
    }
    found = check_user(dm, expected, ragged={} if form == "list" else {"spikes": "n"})
    assert all(found.values())


@pytest.mark.parametrize("reader", READERS)
def test_trials_with_a_ragged_column_of_their_own(sessions, reader):
    dm = H5DataModule(
        str(sessions.files),
        fields={
            "side": "intervals/trials/side",
            "licks": Field("intervals/trials/licks", index="intervals/trials/licks_index", ragged="pad"),
            "n": "length:licks",
        },
        split={"by": "file", "val": 0.15, "test": 0.15}, batch_size=5, provenance=True, reader=reader,
        shuffle=Shuffle(bucket="length:licks"),
    )  # fmt: skip
    expected = {
        (f"{number}.nwb", "", row): {
            "side": sessions.expected[f"{number}/side"][row],
            "licks": licks,
            "n": np.array(len(licks)),
        }
        for number in range(SESSIONS)
        for row, licks in enumerate(rows_of(sessions.expected, number, "licks"))
    }
    check_user(dm, expected, ragged={"licks": "n"})


def test_trials_with_the_spikes_of_all_units(sessions):
    """The spikes of a session are the same for each of its trials: a transform counts those of the trial."""
    dm = H5DataModule(
        str(sessions.files),
        fields={
            "start": "intervals/trials/start_time",
            "side": "intervals/trials/side",
            "spikes": Field(SPIKES, index=INDEX, constant=True, ragged="list"),
        },
        split={"by": "file", "val": 0.15, "test": None}, batch_size=5, provenance=True,
    )  # fmt: skip
    train(dm)
    dm.prepare_data()
    dm.setup()
    seen = set()
    for batch in [*dm.train_dataloader(), *dm.val_dataloader()]:
        for number, place in enumerate(dm.locate(batch["sample_id"])):
            session = place.file.rsplit("/", 1)[-1].removesuffix(".nwb")
            assert float(batch["start"][number]) == sessions.expected[f"{session}/start_time"][place.row]
            assert float(batch["side"][number]) == sessions.expected[f"{session}/side"][place.row]
            units = rows_of(sessions.expected, session, "spike_times")
            assert len(batch["spikes"][number]) == len(units)
            for found, times in zip(batch["spikes"][number], units, strict=True):
                np.testing.assert_array_equal(found, times)
            seen.add((session, place.row))
    dm.teardown()
    assert len(seen) == sum(len(sessions.expected[f"{number}/side"]) for number in range(SESSIONS))


def test_spikes_counted_in_the_bins_of_a_trial(sessions):
    """``(units, bins)`` of each trial, which a transform makes; sessions have other numbers of units."""

    def count(sample):
        edges = float(sample.pop("start")) + np.linspace(0, 0.9, 10)
        counts = np.stack([np.histogram(times, edges)[0] for times in sample.pop("spikes")])
        return sample | {"counts": counts.astype("f4").sum(0)}

    dm = H5DataModule(
        str(sessions.files),
        fields={
            "start": "intervals/trials/start_time",
            "side": "intervals/trials/side",
            "spikes": Field(SPIKES, index=INDEX, constant=True, ragged="list"),
        },
        split={"by": "file", "val": 0.15, "test": 0.15}, batch_size=5, provenance=True, transform=count,
    )  # fmt: skip
    expected = {}
    for number in range(SESSIONS):
        units = rows_of(sessions.expected, number, "spike_times")
        for row, start in enumerate(sessions.expected[f"{number}/start_time"]):
            counts = [np.histogram(times, start + np.linspace(0, 0.9, 10))[0] for times in units]
            sample = {
                "side": sessions.expected[f"{number}/side"][row],
                "counts": np.sum(counts, 0).astype("f4"),
            }
            expected[f"{number}.nwb", "", row] = sample
    check_user(dm, expected)


def test_an_index_of_another_table_is_an_error_that_names_both_lengths(sessions):
    dm = H5DataModule(
        str(sessions.files),
        fields={"spikes": Field(SPIKES, index="intervals/trials/licks_index", ragged="list")},
    )
    with pytest.raises(SchemaError, match=r"(?s)\.nwb.*licks_index|licks_index.*\.nwb") as caught:
        dm.setup()
    assert "spike_times" in str(caught.value)


def test_units_beside_trials_are_an_error_that_says_how_each_trial_gets_them(sessions):
    fields = {"start": "intervals/trials/start_time", "spikes": Field(SPIKES, index=INDEX, ragged="list")}
    with pytest.raises(SchemaError, match=r"spike_times_index.*trials.*constant=True, ragged='list'"):
        H5DataModule(str(sessions.files), fields).setup()
