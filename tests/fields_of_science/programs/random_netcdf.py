"""Variables of random types with random attributes, by netCDF4-python, and what it reads from them with its masks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from saving import write_cases

ROWS, COLUMNS, VARIABLES = 12, 5, 120
KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8")


def stored(rng: np.random.Generator, kind: str) -> np.ndarray:
    shape = (ROWS, COLUMNS)
    if kind[0] == "f":
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 6)).astype(kind)
    limits = np.iinfo(kind)
    low, high = max(limits.min, -(10**6)), min(limits.max, 10**6)
    found = rng.integers(low, high, shape, endpoint=True).astype(kind)
    # By the conventions of netCDF, bytes have no fill value unless an attribute names one; not all readers agree.
    return np.where(found == {"i1": -127, "u1": 255}.get(kind, low - 1), 7, found).astype(kind)


def attributes(rng: np.random.Generator, kind: str, values: np.ndarray) -> dict[str, Any]:
    """Some of the attributes of the conventions, with the type of the variable or of the packing."""
    found: dict[str, Any] = {}
    float_kind = rng.choice(["f4", "f8"])
    if rng.random() < 0.6:
        found["scale_factor"] = np.dtype(float_kind).type(rng.choice([1.0, 0.01, 1 / 3, -2.5, 1e-6, 1000.0]))
    if rng.random() < 0.6:
        found["add_offset"] = np.dtype(float_kind).type(rng.choice([0.0, 273.15, -1e-3, 1e5]))
    pick = values.ravel()
    if rng.random() < 0.3:
        found["missing_value"] = rng.choice(pick, rng.integers(1, 3))
    if rng.random() < 0.3:
        found["valid_min"] = np.sort(pick)[rng.integers(0, 9)]
    if rng.random() < 0.3:
        found["valid_max"] = np.sort(pick)[-rng.integers(1, 9)]
    if rng.random() < 0.2:
        found = {key: value for key, value in found.items() if not key.startswith("valid_")}
        found["valid_range"] = np.sort(pick)[[rng.integers(0, 9), -rng.integers(1, 9)]]
    if kind[0] == "i" and rng.random() < 0.3:
        found["_Unsigned"] = str(rng.choice(["true", "false"]))
        if found["_Unsigned"] == "true":  # bounds are unsigned numbers; readers disagree on the rest
            found = {key: value for key, value in found.items() if not key.startswith("valid_")}
    return found


def random_variables(folder: Path) -> Mapping[str, Any]:
    rng = np.random.default_rng(int(sys.argv[2]))
    with netCDF4.Dataset(folder / "0.nc", "w") as file:
        file.createDimension("time", ROWS)
        file.createDimension("x", COLUMNS)
        for number in range(VARIABLES):
            kind = str(rng.choice(KINDS))
            values = stored(rng, kind)
            endian = str(rng.choice(["little", "big"]))
            fill = rng.choice(values.ravel()) if rng.random() < 0.4 else None
            options: dict[str, Any] = {"endian": endian, "zlib": bool(rng.integers(2)), "fill_value": fill}
            variable = file.createVariable(f"v{number}", kind, ("time", "x"), **options)
            variable.setncatts(attributes(rng, kind, values))
            variable.set_auto_maskandscale(False)
            variable[:] = values
    found = {}
    with netCDF4.Dataset(folder / "0.nc") as file:
        for number in range(VARIABLES):
            read = np.ma.asarray(file[f"v{number}"][:])
            mask = np.ma.getmaskarray(read)
            found[f"v{number}"] = np.where(mask, np.nan, read.data.astype("f8"))
    return found


if __name__ == "__main__":
    write_cases([random_variables])
