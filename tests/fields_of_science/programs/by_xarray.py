"""Files by xarray with both of its engines, and what both read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from saving import joined, write_cases

ROWS = 8
ENGINES = ("netcdf4", "h5netcdf")


def dataset(
    number: int, *, holes: bool = False, names: Sequence[str] = ("red", "green", "blue")
) -> xr.Dataset:
    values = np.random.default_rng(number).normal(size=(ROWS, 4, 3)) * 10 + 280
    if holes:
        values[3, 1] = np.nan
        values[-1] = np.nan
    return xr.Dataset(
        {"t": (("time", "lat", "channel"), values), "wet": (("time",), np.arange(ROWS) % 2 == 0)},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(ROWS) * np.timedelta64(1, "h"),
            "lat": np.linspace(50.0, 53.0, 4) + 4 * number,
            "channel": np.array(names, dtype=object),
        },
    )


def read(folder: Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """What xarray reads, which must be the same with both engines."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for path in sorted(folder.glob("*.nc")):
        seen = [xr.open_dataset(path, engine=engine).load() for engine in ENGINES]
        xr.testing.assert_identical(*seen)
        for name in names:
            found[name].append(seen[0][name].values)
    return {name: joined(parts) for name, parts in found.items()}


def plain_with_holes(folder: Path) -> Mapping[str, Any]:
    """What xarray writes by default: floats with a ``_FillValue`` of NaN, whether NaN occurs or not."""
    for number, engine in enumerate(ENGINES):
        dataset(number, holes=True).to_netcdf(folder / f"{number}.nc", engine=engine)
    return read(folder, ["t"])


def packed(folder: Path) -> Mapping[str, Any]:
    for number, engine in enumerate(ENGINES):
        encoding = {
            "t": {
                "dtype": "int16", "scale_factor": 0.002 * (number + 1), "add_offset": 280.0, "_FillValue": -32768,
                "zlib": True,
            }
        }  # fmt: skip
        dataset(number).to_netcdf(folder / f"{number}.nc", engine=engine, encoding=encoding)
    return read(folder, ["t"])


def packed_with_holes(folder: Path) -> Mapping[str, Any]:
    for number, engine in enumerate(ENGINES):
        encoding = {
            "t": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0 + number, "_FillValue": -9999}
        }
        dataset(number, holes=True).to_netcdf(folder / f"{number}.nc", engine=engine, encoding=encoding)
    return read(folder, ["t"])


def unsigned_bytes(folder: Path) -> Mapping[str, Any]:
    """Bytes, stored as signed with ``_Unsigned``, as xarray writes them on request."""
    for number, engine in enumerate(ENGINES):
        encoding = {
            "t": {
                "dtype": "int8",
                "_Unsigned": "true",
                "scale_factor": 0.5,
                "add_offset": 220.0,
                "_FillValue": -1,
            }
        }
        dataset(number, holes=True).to_netcdf(folder / f"{number}.nc", engine=engine, encoding=encoding)
    return read(folder, ["t"])


def channels_in_another_order(folder: Path) -> Mapping[str, Any]:
    for number, engine in enumerate(ENGINES):
        names = ("red", "green", "blue")[:: -1 if number else 1]
        dataset(number, names=names).to_netcdf(folder / f"{number}.nc", engine=engine)
    return read(folder, ["t"])


def channels_of_other_names(folder: Path) -> Mapping[str, Any]:
    for number, engine in enumerate(ENGINES):
        names = ("red", "green", "swir" if number else "blue")
        dataset(number, names=names).to_netcdf(folder / f"{number}.nc", engine=engine)
    return read(folder, ["t"])


def latitudes_from_north_and_from_south(folder: Path) -> Mapping[str, Any]:
    for number, engine in enumerate(ENGINES):
        turned = dataset(0).isel(lat=slice(None, None, -1 if number else 1))
        turned.to_netcdf(folder / f"{number}.nc", engine=engine)
    return read(folder, ["t"])


def tiles(folder: Path) -> Mapping[str, Any]:
    """Nothing to decode: different latitudes, the same channels; booleans; hours since another day."""
    for number, engine in enumerate(ENGINES):
        dataset(number).to_netcdf(folder / f"{number}.nc", engine=engine)
    return read(folder, ["t"])


if __name__ == "__main__":
    write_cases(
        [
            plain_with_holes, packed, packed_with_holes, unsigned_bytes, channels_in_another_order,
            channels_of_other_names, latitudes_from_north_and_from_south, tiles,
        ]
    )  # fmt: skip
