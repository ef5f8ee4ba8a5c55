"""Files by netCDF4-python, and what it reads from them with its masks and scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from saving import joined, write_cases

ROWS = 8
DIMENSIONS = ("time", "lat", "lon")
SIZES = (ROWS, 3, 4)


def counts(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-3000, 3000, SIZES)


def write(path: Path, fill: Callable[[netCDF4.Dataset], None]) -> None:
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(DIMENSIONS, (None, *SIZES[1:]), strict=True):
            file.createDimension(name, size)
        file.createVariable("time", "i8", ("time",))[:] = np.arange(ROWS)
        fill(file)


def put(file: netCDF4.Dataset, name: str, stored: np.ndarray, kind: str, **options: Any) -> None:
    """A variable of stored numbers; names that are not options of netCDF4 are attributes."""
    known = {"fill_value", "endian", "zlib", "shuffle"}
    variable = file.createVariable(
        name, kind, DIMENSIONS[: stored.ndim], **{key: options[key] for key in known & set(options)}
    )
    variable.setncatts({key: value for key, value in options.items() if key not in known})
    variable.set_auto_maskandscale(False)
    variable[:] = stored


def read(folder: Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The values of each variable of all files as netCDF4 reads them, with NaN for masked ones."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for path in sorted(folder.glob("*.nc")):
        with netCDF4.Dataset(path) as file:
            for name in names:
                values = np.ma.asarray(file[name][:])
                found[name].append(
                    values.astype("f8").filled(np.nan) if np.ma.is_masked(values) else values.data
                )
    return {name: joined(parts) for name, parts in found.items()}


def packed_differently(folder: Path) -> Mapping[str, Any]:
    """Two files and two variables, each packed differently, as in ERA5."""
    for number in range(2):

        def fill(file: netCDF4.Dataset, number: int = number) -> None:
            options = {"zlib": True, "shuffle": True, "fill_value": -32767, "missing_value": np.int16(-32767)}
            scale, offset = 0.0021 * (number + 1), 273.15 + 11 * number
            put(
                file, "t2m", counts(number), "i2", scale_factor=scale, add_offset=offset, units="K", **options
            )
            put(
                file,
                "tp",
                counts(9 + number),
                "i2",
                scale_factor=1e-6 / (number + 1),
                add_offset=0.03,
                **options,
            )

        write(folder / f"{number}.nc", fill)
    return read(folder, ["t2m", "tp"])


def packed_and_masked(folder: Path) -> Mapping[str, Any]:
    """Cells of the second file are missing."""
    for number in range(2):

        def fill(file: netCDF4.Dataset, number: int = number) -> None:
            stored = counts(number)
            if number:
                stored[2, 1, :3] = -32767
                stored[-1] = -999
            options = {"fill_value": -32767, "missing_value": np.int16(-999), "scale_factor": 0.01 + number}
            put(file, "sst", stored, "i2", zlib=True, **options)

        write(folder / f"{number}.nc", fill)
    return read(folder, ["sst"])


def packing_of_some_files(folder: Path) -> Mapping[str, Any]:
    """One file is packed, the other has the same type without packing."""
    write(folder / "0.nc", lambda file: put(file, "v", counts(0), "i2"))
    write(folder / "1.nc", lambda file: put(file, "v", counts(1), "i2", scale_factor=0.5))
    return read(folder, ["v"])


def land_as_a_large_number(folder: Path) -> Mapping[str, Any]:
    for number in range(2):

        def fill(file: netCDF4.Dataset, number: int = number) -> None:
            values = counts(number).astype("f4") / 7
            values[:, 0, 1:] = 1e20
            put(file, "sst", values, "f4", fill_value=np.float32(1e20), zlib=True)

        write(folder / f"{number}.nc", fill)
    return read(folder, ["sst"])


def missing_values(folder: Path) -> Mapping[str, Any]:
    """A ``missing_value`` of one number and of two; integers and floats; only in a late row."""

    def fill(file: netCDF4.Dataset) -> None:
        stored = counts(0)
        stored[3, 0, 0], stored[5, 1, 1] = -999, -998
        put(file, "one", stored, "i4", missing_value=np.int32(-999))
        put(file, "two", stored, "i2", missing_value=np.array([-999, -998], "i2"))
        put(file, "real", stored.astype("f8"), "f8", missing_value=-999.0)
        put(file, "with_scale", stored, "i2", missing_value=np.int16(-998), scale_factor=0.25)

    write(folder / "0.nc", fill)
    return read(folder, ["one", "two", "real", "with_scale"])


def valid_ranges(folder: Path) -> Mapping[str, Any]:
    def fill(file: netCDF4.Dataset) -> None:
        stored = counts(0)
        put(file, "low", stored, "i2", valid_min=np.int16(-1000))
        put(file, "high", stored, "i2", valid_max=np.int16(1000), scale_factor=0.1, add_offset=-5.0)
        put(file, "both", stored, "i2", valid_range=np.array([-2000, 2000], "i2"))
        put(file, "real", stored / 8, "f4", valid_min=np.float32(-300), valid_max=np.float32(300))

    write(folder / "0.nc", fill)
    return read(folder, ["low", "high", "both", "real"])


def unsigned_in_signed(folder: Path) -> Mapping[str, Any]:
    """Types that netCDF-3 lacks: unsigned bytes and shorts."""

    def fill(file: netCDF4.Dataset) -> None:
        stored = np.arange(ROWS * 12).reshape(SIZES) * 3 % 250
        put(file, "u1", stored.astype("u1").view("i1"), "i1", _Unsigned="true", scale_factor=0.5)
        wide = (counts(3) + 40000).astype("u2").view("i2")
        put(file, "u2", wide, "i2", _Unsigned="true", scale_factor=0.01, add_offset=200.0)
        put(file, "plain", wide, "i2", _Unsigned="true")
        with_fill = stored.astype("u1").view("i1").copy()
        with_fill[4, 1] = -1
        put(file, "filled", with_fill, "i1", _Unsigned="true", fill_value=np.int8(-1), scale_factor=2.0)

    write(folder / "0.nc", fill)
    return read(folder, ["u1", "u2", "plain", "filled"])


def several_types(folder: Path) -> Mapping[str, Any]:
    """Packing of all types, with attributes of all types."""

    def fill(file: netCDF4.Dataset) -> None:
        stored = counts(1)
        put(file, "u1", stored % 200, "u1", scale_factor=1 / 3, add_offset=-40.0)
        put(file, "u2", stored + 30000, "u2", scale_factor=1e-4)
        put(file, "i4", stored * 100003, "i4", scale_factor=1e-7, add_offset=1.0)
        put(file, "i8", stored * 10**9 + 7, "i8", scale_factor=1e-9)
        put(file, "f4", stored / 3, "f4", scale_factor=100.0)
        put(file, "f8", stored / 3, "f8", add_offset=273.15)
        put(file, "narrow", stored, "i2", scale_factor=np.float32(0.1), add_offset=np.float32(273.15))
        put(file, "whole", stored, "i2", scale_factor=np.int32(3), add_offset=np.int16(100))
        put(file, "shift", stored, "i2", add_offset=1e6)

    write(folder / "0.nc", fill)
    return read(folder, ["u1", "u2", "i4", "i8", "f4", "f8", "narrow", "whole", "shift"])


def big_endian(folder: Path) -> Mapping[str, Any]:
    def fill(file: netCDF4.Dataset) -> None:
        put(file, "packed", counts(0), ">i2", endian="big", scale_factor=0.01, fill_value=-32767)
        stored = counts(0).astype("f4")
        stored[2, 2] = -9999
        put(file, "masked", stored, ">f4", endian="big", fill_value=np.float32(-9999))

    write(folder / "0.nc", fill)
    return read(folder, ["packed", "masked"])


def byte_orders_of_files(folder: Path) -> Mapping[str, Any]:
    """One file little-endian, the other big-endian, each packed differently."""
    for number, (order, endian) in enumerate((("<", "little"), (">", "big"))):

        def fill(
            file: netCDF4.Dataset, number: int = number, order: str = order, endian: str = endian
        ) -> None:
            put(file, "t2m", counts(number), f"{order}i2", endian=endian, scale_factor=0.01 * (number + 1))

        write(folder / f"{number}.nc", fill)
    return read(folder, ["t2m"])


def widths_of_files(folder: Path) -> Mapping[str, Any]:
    """Packed to shorts in one file, plain floats in the other: the values have one type."""
    write(folder / "0.nc", lambda file: put(file, "t", counts(0), "i2", scale_factor=0.01, add_offset=5.0))
    write(folder / "1.nc", lambda file: put(file, "t", counts(1) / 100, "f4"))
    return read(folder, ["t"])


def rows_that_were_never_written(folder: Path) -> Mapping[str, Any]:
    """Rows are missing at the end: in a chunk that was begun, and in separate chunks. No attribute says so."""
    with netCDF4.Dataset(folder / "0.nc", "w") as file:
        file.createDimension("time", ROWS)
        file.createDimension("x", 4)
        for name, chunk, rows in (("whole", 2, ROWS), ("partly", ROWS, 5), ("never", 2, 5)):
            variable = file.createVariable(name, "f4", ("time", "x"), chunksizes=(chunk, 4))
            variable[:rows] = np.arange(rows * 4).reshape(rows, 4)
    return read(folder, ["whole", "partly", "never"])


def plain(folder: Path) -> Mapping[str, Any]:
    """Plain variables, 2-D coordinates, a dimension without a variable, fill values that do not occur."""
    for number in range(2):

        def fill(file: netCDF4.Dataset, number: int = number) -> None:
            put(file, "wind", counts(number) / 5, "f4", fill_value=np.float32(-9999), units="m s-1")
            put(file, "level", counts(number), "i2", fill_value=np.int16(-32767))
            put(file, "identity", counts(number), "i2", scale_factor=1.0, add_offset=0.0)
            put(file, "nan_is_missing", counts(number) / 5, "f8", fill_value=np.nan)
            place = file.createVariable("latitude", "f8", ("lat", "lon"))
            place[:] = np.arange(12).reshape(3, 4) + number
            file.createVariable("names", str, ("lat",))[:] = np.array(["a", "b", "c"], dtype=object)
            file.createVariable("crs", "i4", ())[:] = 7

        write(folder / f"{number}.nc", fill)
    return read(folder, ["wind", "level", "identity", "nan_is_missing", "time"])


if __name__ == "__main__":
    write_cases(
        [
            packed_differently, packed_and_masked, packing_of_some_files, land_as_a_large_number, missing_values,
            valid_ranges, unsigned_in_signed, several_types, big_endian, byte_orders_of_files, widths_of_files,
            rows_that_were_never_written, plain,
        ]
    )  # fmt: skip
