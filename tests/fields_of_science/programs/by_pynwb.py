"""Sessions by pynwb, and their values in units as it returns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
from pynwb.behavior import Position, SpatialSeries
from pynwb.ecephys import ElectricalSeries
from saving import joined, write_cases

SAMPLES = 40
CHANNELS = 3
SESSIONS = 7


def session(number: int) -> pynwb.NWBFile:
    start = datetime(2024, 1, 1 + number, tzinfo=timezone.utc)
    return pynwb.NWBFile(
        session_description="a test", identifier=f"session-{number}", session_start_time=start
    )


def counts(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-2000, 2000, (SAMPLES, CHANNELS)).astype("i2")


def electrodes(nwb: pynwb.NWBFile) -> Any:
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group(name="shank", description="-", location="CA1", device=device)
    for _ in range(CHANNELS):
        nwb.add_electrode(group=group, location="CA1")
    return nwb.create_electrode_table_region(region=list(range(CHANNELS)), description="all")


def write(folder: Path, number: int, fill: Callable[[pynwb.NWBFile], None]) -> None:
    nwb = session(number)
    fill(nwb)
    with pynwb.NWBHDF5IO(folder / f"{number}.nwb", "w") as io:
        io.write(nwb)


def in_units(folder: Path, name: str) -> np.ndarray:
    found = []
    for path in sorted(folder.glob("*.nwb")):
        with pynwb.NWBHDF5IO(path, "r") as io:
            found.append(np.asarray(io.read().acquisition[name].get_data_in_units()))
    return joined(found)


def voltages(folder: Path) -> Mapping[str, Any]:
    """Raw counts of an amplifier, with a different gain and offset in each session."""
    for number in range(2):

        def fill(nwb: pynwb.NWBFile, number: int = number) -> None:
            series = ElectricalSeries(
                name="ap", data=counts(number), electrodes=electrodes(nwb), rate=30000.0,
                conversion=1.95e-7 * (number + 1), offset=0.5 * number,
            )  # fmt: skip
            nwb.add_acquisition(series)

        write(folder, number, fill)
    return {"acquisition/ap/data": in_units(folder, "ap")}


def channels_with_gains_of_their_own(folder: Path) -> Mapping[str, Any]:
    def fill(nwb: pynwb.NWBFile) -> None:
        series = ElectricalSeries(
            name="ap", data=counts(0), electrodes=electrodes(nwb), rate=30000.0, conversion=1e-6,
            channel_conversion=[1.0, 2.0, 4.0],
        )  # fmt: skip
        nwb.add_acquisition(series)

    write(folder, 0, fill)
    return {"acquisition/ap/data": in_units(folder, "ap")}


def plain(folder: Path) -> Mapping[str, Any]:
    """No packed values: a conversion of one, positions in metres, times, and trials without ragged columns."""
    for number in range(2):

        def fill(nwb: pynwb.NWBFile, number: int = number) -> None:
            times = np.arange(SAMPLES) / 50
            wheel = pynwb.TimeSeries(name="wheel", data=counts(number) / 7.0, unit="cm/s", timestamps=times)
            nwb.add_acquisition(wheel)
            spatial = SpatialSeries(
                name="place", data=counts(number)[:, :2] / 9.0, reference_frame="door", rate=50.0
            )
            nwb.add_acquisition(Position(spatial_series=spatial))
            nwb.add_trial_column(name="side", description="-")
            for trial in range(5):
                nwb.add_trial(start_time=trial + 0.0, stop_time=trial + 0.5, side=trial % 2)

        write(folder, number, fill)
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.nwb")):
        with pynwb.NWBHDF5IO(path, "r") as io:
            nwb = io.read()
            found.setdefault("acquisition/wheel/data", []).append(
                nwb.acquisition["wheel"].get_data_in_units()
            )
            place = nwb.acquisition["Position"].spatial_series["place"]
            found.setdefault("acquisition/Position/place/data", []).append(place.get_data_in_units())
            for name in ("start_time", "stop_time", "side"):
                found.setdefault(f"intervals/trials/{name}", []).append(nwb.trials[name][:])
    return {name: joined(parts) for name, parts in found.items()}


def spikes(folder: Path) -> Mapping[str, Any]:
    """Spike times of several units are stored one after the other; another dataset says where each unit ends."""
    for number in range(2):

        def fill(nwb: pynwb.NWBFile, number: int = number) -> None:
            rng = np.random.default_rng(number)
            nwb.add_unit_column(name="depth", description="-")
            for unit, size in enumerate((3, 5, 4)):
                nwb.add_unit(spike_times=np.sort(rng.random(size)), depth=float(unit))

        write(folder, number, fill)
    found, depths = [], []
    for path in sorted(folder.glob("*.nwb")):
        with pynwb.NWBHDF5IO(path, "r") as io:
            units = io.read().units
            found += [np.asarray(units["spike_times"][unit]) for unit in range(3)]
            depths.append(units["depth"][:])
    return {"units/spike_times": np.concatenate(found), "units/depth": joined(depths)}


def silent_units(folder: Path) -> Mapping[str, Any]:
    """The first unit of each session has no spike, so that the ends of units begin with 0."""
    for number in range(2):

        def fill(nwb: pynwb.NWBFile, number: int = number) -> None:
            rng = np.random.default_rng(number)
            for size in (0, 5, 0, 4 + number):
                nwb.add_unit(spike_times=np.sort(rng.random(size)))

        write(folder, number, fill)
    sizes = []
    for path in sorted(folder.glob("*.nwb")):
        with pynwb.NWBHDF5IO(path, "r") as io:
            units = io.read().units
            sizes.append([len(units["spike_times"][unit]) for unit in range(4)])
    return {"sizes": np.asarray(sizes)}


def trials_and_spikes(folder: Path) -> Mapping[str, Any]:
    """Trials, one of whose columns is ragged, and units, one of which is silent; each session has its own numbers."""
    for number in range(SESSIONS):

        def fill(nwb: pynwb.NWBFile, number: int = number) -> None:
            rng = np.random.default_rng(number)
            nwb.add_trial_column(name="side", description="-")
            nwb.add_trial_column(name="licks", description="-", index=True)
            for trial in range(6 + number):
                licks = np.sort(rng.random(trial % 4) + trial)
                nwb.add_trial(start_time=trial + 0.0, stop_time=trial + 0.9, side=trial % 2, licks=licks)
            nwb.add_unit_column(name="depth", description="-")
            for unit in range(3 + number % 2):
                times = np.sort(rng.random(4 * unit + number) * trial) if unit != 1 else np.zeros(0)
                nwb.add_unit(spike_times=times, depth=float(unit))

        write(folder, number, fill)
    found: dict[str, Any] = {}
    for number in range(SESSIONS):
        with pynwb.NWBHDF5IO(folder / f"{number}.nwb", "r") as io:
            nwb = io.read()
            for name in ("start_time", "side"):
                found[f"{number}/{name}"] = nwb.trials[name][:]
            for table, name in ((nwb.trials, "licks"), (nwb.units, "spike_times")):
                for row in range(len(table)):
                    found[f"{number}/{name}/{row}"] = np.asarray(table[name][row], "f8")
            found[f"{number}/depth"] = nwb.units["depth"][:]
    return found


if __name__ == "__main__":
    write_cases([voltages, channels_with_gains_of_their_own, plain, spikes, silent_units, trials_and_spikes])
