"""Files with labels as text or as names, by the writers of several fields: one case, named by the second argument."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from saving import joined, write_cases


def cells(folder: Path) -> Mapping[str, Any]:
    """Cells of five donors; each file knows other types of cells."""
    import anndata
    import pandas as pd

    found: dict[str, Any] = {}
    for number, kinds in enumerate((["B", "T", "NK"], ["T", "Mono"], ["NK", "B", "Mono", "DC"])):
        rng = np.random.default_rng(number)
        obs = {
            "cell_type": pd.Categorical(rng.choice(kinds, 40)),
            "donor": pd.Categorical(rng.choice([f"d{donor}" for donor in range(5)], 40)),
        }
        frame = pd.DataFrame(obs, index=[f"c{cell}" for cell in range(40)])
        path = folder / f"{number}.h5ad"
        anndata.AnnData(rng.poisson(1, (40, 6)).astype("f4"), obs=frame).write_h5ad(path)
        read = anndata.read_h5ad(path)
        found |= {f"{number}/{name}": np.array(read.obs[name].astype(str), "U") for name in obs}
        found[f"{number}/X"] = read.X
    return found


def reanalysis(folder: Path) -> Mapping[str, Any]:
    """A file for each year, each packed with its own scale and offset; times go on from file to file."""
    import netCDF4

    parts = []
    for year in range(4):
        with netCDF4.Dataset(folder / f"{2000 + year}.nc", "w") as file:
            for name, size in (("time", None), ("lat", 4), ("lon", 5)):
                file.createDimension(name, size)
            time = file.createVariable("time", "i4", ("time",))
            time.units = "hours since 2000-01-01"
            time[:] = np.arange(30 * year, 30 * year + 30)
            packed = file.createVariable("t2m", "i2", ("time", "lat", "lon"), zlib=True, fill_value=-32767)
            packed.scale_factor, packed.add_offset = 0.01 + 0.001 * year, 280.0 + year
            packed[:] = 280 + year + np.random.default_rng(year).normal(0, 10, (30, 4, 5))
        with netCDF4.Dataset(folder / f"{2000 + year}.nc") as file:
            parts.append(file["t2m"][:].filled(np.nan))
    return {"t2m": joined(parts)}


def choices(folder: Path) -> Mapping[str, Any]:
    """Trials of sessions, with the choice of the animal as text."""
    import pynwb

    found: dict[str, Any] = {}
    for number in range(6):
        start = datetime(2024, 1, 1 + number, tzinfo=timezone.utc)
        nwb = pynwb.NWBFile(session_description="-", identifier=f"session-{number}", session_start_time=start)
        nwb.add_trial_column(name="choice", description="-")
        nwb.add_trial_column(name="contrast", description="-")
        for trial in range(7 + number):
            choice = ("left", "right", "no response")[(trial * trial + number) % 3]
            nwb.add_trial(
                start_time=trial + 0.0, stop_time=trial + 0.5, choice=choice, contrast=trial / (3 + number)
            )
        with pynwb.NWBHDF5IO(folder / f"{number}.nwb", "w") as io:
            io.write(nwb)
        with pynwb.NWBHDF5IO(folder / f"{number}.nwb", "r") as io:
            trials = io.read().trials
            found[f"{number}/choice"] = np.array(trials["choice"][:], "U")
            found[f"{number}/contrast"] = np.array(trials["contrast"][:])
    return found


def frames(folder: Path) -> Mapping[str, Any]:
    """Tables of pandas with two columns of text: one by itself, one in a block of texts."""
    import pandas as pd

    found: dict[str, Any] = {}
    for number in range(3):
        rng = np.random.default_rng(number)
        columns = {
            "speed": rng.normal(50, 5, 24),
            "flow": rng.normal(9, 1, 24),
            "site": rng.choice(["north", "süd", "east"][: 2 + number % 2], 24),
            "weather": rng.choice(["rain", "sun"], 24),
        }
        path = folder / f"{number}.h5"
        pd.DataFrame(columns).to_hdf(path, key="df", format="table", data_columns=["site"])
        read = pd.read_hdf(path, "df")
        found |= {f"{number}/{name}": np.array(read[name], "U") for name in ("site", "weather")}
        found[f"{number}/values"] = read[["flow", "speed"]].to_numpy()
    return found


def recordings(folder: Path) -> Mapping[str, Any]:
    """Recordings of MATLAB with a label for each sample, as a cell array of text."""
    import hdf5storage

    found: dict[str, Any] = {}
    for number in range(3):
        rng = np.random.default_rng(number)
        path = str(folder / f"{number}.mat")
        labels = rng.choice(["walk", "run", "sit"], (12, 1)).astype(object)
        content = {"x": rng.normal(size=(5, 12)), "label": labels}
        hdf5storage.savemat(path, content, format="7.3", store_python_metadata=False, appendmat=False)
        read = hdf5storage.loadmat(path, appendmat=False)
        texts = [str(np.ravel(cell)[0]) for cell in read["label"].reshape(-1)]
        found |= {f"{number}/x": read["x"].T, f"{number}/label": np.array(texts)}
    return found


if __name__ == "__main__":
    write_cases(
        [{case.__name__: case for case in (cells, reanalysis, choices, frames, recordings)}[sys.argv[2]]]
    )
