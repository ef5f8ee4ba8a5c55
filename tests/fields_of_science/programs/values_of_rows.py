"""Labels, groups and keys of rows as programs of several fields store them, and what these programs read.

Text is what the program shows, ``<NA>`` where it says that a value is missing; NaN for missing numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import hdf5storage
import netCDF4
import numpy as np
import pandas as pd
import tables
import xarray as xr
from by_anndata import CELLS, annotated, frame, kinds, read, write_06, write_07
from saving import joined, write_cases

NA = "<NA>"
ROWS = 7


def texts(values: Any) -> np.ndarray:
    return np.asarray([NA if value is None or pd.isna(value) else str(value) for value in values])


def of_cells(folder: Path, columns: Mapping[str, str]) -> Mapping[str, Any]:
    """Name in a scan → what anndata reads from a column of ``obs``."""
    found = read(folder)
    return {name: joined([texts(one.obs[column]) for one in found]) for name, column in columns.items()}


def cells(folder: Path) -> Mapping[str, Any]:
    """Categories, text, nullable columns of all kinds; the second file lacks values, and has other codes."""
    anndata.settings.allow_write_nullable_strings = True
    for number in range(2):
        donors = pd.array([f"d{row % 3}" for row in range(CELLS)], dtype="string")
        whole = pd.array(np.arange(CELLS), dtype="Int64")
        if number:
            donors[2], whole[5] = pd.NA, pd.NA
        obs = frame(
            number,
            kind=kinds(number, missing=bool(number), names="cba" if number else "abc"),
            size=pd.Categorical([2.5, 1.5, 1.5] * 3),
            barcode=[f"ÄC-{row}" for row in range(CELLS)],
            donor=donors,
            whole=whole,
        )
        annotated(number, obs).write_h5ad(folder / f"{number}.h5ad")
    found = of_cells(folder, {"obs/kind": "kind", "obs/barcode": "barcode", "obs/donor": "donor"})
    numbers = {
        name: joined([one.obs[name].to_numpy("f8", na_value=np.nan) for one in read(folder)])
        for name in ("size", "whole")
    }
    index = joined([one.obs_names for one in read(folder)]).astype("U")
    return {**found, "obs/size": numbers["size"], "obs/whole": numbers["whole"], "obs/_index": index}


def cells_07(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_07(folder / f"{number}.h5ad", number, missing=bool(number), names="cab" if number else "abc")
    return of_cells(folder, {"obs/kind": "kind"})


def cells_06(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_06(folder / f"{number}.h5ad", number, missing=bool(number), names="cab" if number else "abc")
    return of_cells(folder, {"obs[kind]": "kind"})


MEANINGS = ("land", "sea", "ice")


def named(codes: Any) -> np.ndarray:
    return np.asarray([NA if code is np.ma.masked else MEANINGS[code // 2] for code in codes])


def netcdf(folder: Path) -> Mapping[str, Any]:
    """Flags, text of both kinds, packed numbers, and rows that were never given a value."""
    found: dict[str, list[Any]] = {name: [] for name in ("surface", "station", "word", "level", "count")}
    for number in range(2):
        path = folder / f"{number}.nc"
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("time", None)
            file.createDimension("letters", 6)
            surface = file.createVariable("surface", "i1", ("time",), fill_value=-1)
            surface.flag_values, surface.flag_meanings = np.asarray([0, 2, 4], "i1"), " ".join(MEANINGS)
            surface[:] = np.ma.masked_equal([0, 2, 4, -1, 4, 0, 2], -1)
            station = file.createVariable("station", str, ("time",))
            for row in range(ROWS):
                station[row] = f"Zürich {row % 2 + number}"
            word = file.createVariable("word", "S1", ("time", "letters"))
            word[:] = netCDF4.stringtochar(np.asarray([f"w{10 ** (row % 3)}" for row in range(ROWS)], "S6"))
            level = file.createVariable("level", "i2", ("time",), zlib=True, fill_value=-9)
            level.scale_factor, level.add_offset = 0.5, 10.0
            level[:] = np.ma.masked_equal([10, 10.5, 12, 10, 99, 10, 12], 99)
            file.createVariable("count", "i4", ("time",))[1:ROWS] = 3
        with netCDF4.Dataset(path) as file:
            found["surface"].append(named(file["surface"][:]))
            found["station"].append(file["station"][:].astype("U"))
            found["word"].append(netCDF4.chartostring(file["word"][:]))
            for name in ("level", "count"):
                found[name].append(np.ma.filled(file[name][:].astype("f8"), np.nan))
    return {name: joined(parts) for name, parts in found.items()}


def xarray(folder: Path) -> Mapping[str, Any]:
    """Flags and text as xarray writes them through h5netcdf."""
    codes = np.asarray([0, 2, 4, 2, 0, 0, 4], "i1")
    flags = {"flag_values": np.asarray([0, 2, 4], "i1"), "flag_meanings": " ".join(MEANINGS)}
    labels = [f"site {row % 3}" for row in range(ROWS)]
    made = xr.Dataset({"surface": ("time", codes, flags), "site": ("time", np.asarray(labels, object))})
    made.to_netcdf(folder / "0.nc", engine="h5netcdf")
    with xr.open_dataset(folder / "0.nc", engine="h5netcdf") as found:
        return {"surface": named(found["surface"].to_numpy()), "site": found["site"].to_numpy().astype("U")}


def pandas(folder: Path) -> Mapping[str, Any]:
    """Texts and categories of tables; a missing category, and text columns that are stored as one."""
    every = ["site", "kind", "left", "right"]
    for number in range(2):
        made = pd.DataFrame(
            {
                "x": np.arange(ROWS) / 3,
                "site": [f"ort-{row % 2 + number}" for row in range(ROWS)],
                "kind": pd.Categorical(["b", "a", None if number else "a", "b", "a", "a", "b"], ["b", "a"]),
                "left": ["l", "lll"] * 3 + ["l"],
                "right": ["r", "rr"] * 3 + ["ü"],
            }
        )
        columns = ["site", "kind"]
        made.to_hdf(
            folder / f"{number}.h5",
            key="df",
            format="table",
            data_columns=columns,
            complib="blosc",
            complevel=5,
        )
    found = [pd.read_hdf(path, "df") for path in sorted(folder.glob("*.h5"))]
    columns = {name: joined([texts(one[name]) for one in found]) for name in every}
    return {
        "df/table[site]": columns["site"],
        "df/table[kind]": columns["kind"],
        "df/table[values_block_0]": np.stack([columns["left"], columns["right"]], axis=1),
    }


class Particle(tables.IsDescription):
    """A text, and an enumeration whose numbers are not 0, 1, …"""

    name = tables.StringCol(8, pos=0)
    kind = tables.EnumCol(tables.Enum({"e": 11, "mu": 13, "gamma": 22}), "e", base="int16", pos=1)


def pytables(folder: Path) -> Mapping[str, Any]:
    with tables.open_file(folder / "0.h5", "w") as file:
        made = file.create_table("/", "particles", Particle)
        for row in range(ROWS):
            made.row["name"], made.row["kind"] = f"p{row % 4}", (11, 13, 22)[row % 3]
            made.row.append()
        made.flush()
        kind = made.get_enum("kind")
        return {
            "particles[name]": made.col("name").astype("U"),
            "particles[kind]": texts([kind(number) for number in made.col("kind")]),
        }


def matlab(folder: Path) -> Mapping[str, Any]:
    """Cells of text, along a row and along a column of MATLAB."""
    words = np.asarray(["left", "right", "", "größe", "left", "x" * 40, "right"], object)
    for number in range(2):
        content = {"side": words[:, None], "row": words[None, ::-1]}
        path = str(folder / f"{number}.mat")
        hdf5storage.savemat(path, content, format="7.3", store_python_metadata=False, appendmat=False)
    found = [hdf5storage.loadmat(str(path), appendmat=False) for path in sorted(folder.glob("*.mat"))]
    names = ("side", "row")
    return {
        name: joined(
            [["".join(np.asarray(cell).ravel().tolist()) for cell in one[name].ravel()] for one in found]
        )
        for name in names
    }


CASES: Sequence[Any] = (cells, cells_07, cells_06, netcdf, xarray, pandas, pytables, matlab)
if __name__ == "__main__":
    write_cases(CASES)
