"""The readers of netCDF-4 read rewritten files as they read the originals."""

import itertools

import numpy as np
import pytest

from h5lightning.options import Field
from h5lightning.tools.doctor import diagnose_files, rewrite_files
from tests.support.described_files import described

xarray = pytest.importorskip("xarray")
pytestmark = pytest.mark.timeout(120)


def dataset():
    rng = np.random.default_rng(0)
    times = np.datetime64("2001-01-01", "ns") + np.arange(300) * np.timedelta64(6, "h")
    field = rng.normal(280, 9, (300, 16, 24))
    field[3, 4, 5] = np.nan
    return xarray.Dataset(
        {
            "t2m": (("time", "lat", "lon"), field, {"units": "K", "long_name": "2 m température"}),
            "mask": (("lat", "lon"), rng.random((16, 24)) > 0.3),
            "station": (("lat",), [f"s{number}" for number in range(16)]),
            "stored": (("time", "lat", "lon"), rng.integers(0, 99, (300, 16, 24)) / 2),
        },
        {"time": times, "lat": np.linspace(-90, 90, 16), "lon": np.arange(24.0), "level": 850.0},
        {"title": "a test", "history": ["one", "two"]},
    )


SPLIT = {"chunksizes": (300, 4, 6), "zlib": True, "complevel": 7, "shuffle": True, "fletcher32": True}
PACKED = {
    "dtype": "i2",
    "scale_factor": 0.5,
    "add_offset": 10.0,
    "_FillValue": -999,
    "chunksizes": (100, 8, 8),
}
ENGINES = ("netcdf4", "h5netcdf")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("unlimited", [[], ["time"]], ids=["fixed", "unlimited"])
def test_xarray_opens_the_same_dataset(tmp_path, monkeypatch, engine, unlimited):
    for module in ("netCDF4", "h5netcdf"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    encoding = {"t2m": SPLIT, "stored": PACKED}
    dataset().to_netcdf("a.nc", engine=engine, unlimited_dims=unlimited, encoding=encoding)
    before = (tmp_path / "a.nc").read_bytes()
    fields = {"x": Field("t2m"), "y": Field("stored")}
    exec(compile(diagnose_files(["a.nc"], fields, progress=False).fix.python, "fix", "exec"), {})
    # Also a coordinate, so that references to a dimension scale must be redirected.
    rewrite_files("a.nc", "coordinates", {"time": {"chunk_rows": 50, "filter": "deflate"}, "stored": {}})
    assert (tmp_path / "a.nc").read_bytes() == before
    for folder, reader in itertools.product(("rewritten", "coordinates"), ENGINES):
        with (
            xarray.open_dataset("a.nc", engine=reader) as old,
            xarray.open_dataset(f"{folder}/a.nc", engine=reader) as new,
        ):
            xarray.testing.assert_identical(new.load(), old.load())
            assert (list(new), new.encoding["unlimited_dims"]) == (list(old), old.encoding["unlimited_dims"])
            assert new["stored"].encoding["scale_factor"] == 0.5
        assert described(f"{folder}/a.nc") == described("a.nc")
    again = diagnose_files(["rewritten/a.nc"], fields, progress=False)
    assert {finding.kind for finding in again.findings if finding.severity != "fine"} == {"float64"}


def test_netcdf4_knows_its_dimensions_groups_and_types(tmp_path, monkeypatch):
    netcdf4 = pytest.importorskip("netCDF4")
    monkeypatch.chdir(tmp_path)
    with netcdf4.Dataset("a.nc", "w") as file:
        file.createDimension("row", None)
        file.createDimension("column", 6)
        group = file.createGroup("inner")
        for place, name in ((file, "x"), (group, "y")):
            made = place.createVariable(
                name, "f8", ("row", "column"), zlib=True, chunksizes=(20, 2), fill_value=-1.0
            )
            made[:60] = np.arange(360.0).reshape(60, 6)
        kind = file.createEnumType(np.uint8, "kind", {"a": 0, "b": 1})
        file.createVariable("k", kind, ("column",))[:] = 1
        group.createVariable("z", str, ("column",))[:] = np.array(list("abcdef"), object)
    rewrite_files("a.nc", "rewritten", {"x": {"chunk_rows": 20, "filter": "deflate"}, "inner/y": {}, "k": {}})
    assert described("rewritten/a.nc") == described("a.nc")
    with netcdf4.Dataset("a.nc") as old, netcdf4.Dataset("rewritten/a.nc", "a") as new:
        assert list(new.variables) == list(old.variables)
        assert new["x"].dimensions == old["x"].dimensions == new["inner/y"].dimensions
        np.testing.assert_array_equal(new["inner/y"][:], old["inner/y"][:])
        assert new["k"].datatype.enum_dict == old["k"].datatype.enum_dict
        new["x"][60] = 7  # the dimension is without a limit, and all of its variables grow
        assert new["inner/y"].shape == (61, 6)
