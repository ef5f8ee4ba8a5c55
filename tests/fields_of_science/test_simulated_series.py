"""Simulations and recordings: trajectories on a leading axis, a group or a dataset for each, and files of frames."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from users import check_user, delivered, train

from h5lightning import Field, H5DataModule, Rows, Series, Windows

pytestmark = pytest.mark.timeout(60)
TRAJECTORIES, TIMES = 4, 9


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def the_well(path, seed: int) -> None:
    """As the data generator of The Well writes it."""
    names = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file.attrs.update(a=0.25, b=0.75, dataset_name="dummy_dataset", grid_type="cartesian")
        file.attrs.update(n_spatial_dims=2, n_trajectories=TRAJECTORIES)
        file.attrs["simulation_parameters"] = np.array(["a", "b"], names)
        mask = file.create_dataset("boundary_conditions/x_periodic/mask", data=np.zeros(6, bool))
        mask.parent.attrs.update(
            associated_dims="x", bc_type="PERIODIC", sample_varying=False, time_varying=False
        )
        for name, values in (
            ("time", np.linspace(0, 1, TIMES)),
            ("x", np.linspace(0, 1, 6)),
            ("y", np.linspace(0, 1, 5)),
        ):
            file.create_dataset(f"dimensions/{name}", data=values.astype("f4")).attrs["sample_varying"] = (
                False
            )
        for name, value in (("a", 0.25), ("b", 0.75), ("time_varying_scalar", normal(9, TIMES))):
            made = file.create_dataset(f"scalars/{name}", data=value)
            made.attrs.update(time_varying=name.startswith("time"), sample_varying=False)
        fields = {
            "t0_fields/constant_field": (normal(seed, TRAJECTORIES, 6, 5), False),
            "t0_fields/density": (normal(seed + 1, TRAJECTORIES, TIMES, 6, 5), True),
            "t1_fields/velocity": (normal(seed + 2, TRAJECTORIES, TIMES, 6, 5, 2), True),
        }
        for name, (values, time_varying) in fields.items():
            made = file.create_dataset(name, data=values)
            made.attrs.update(dim_varying=[True, True], sample_varying=True, time_varying=time_varying)
            made.parent.attrs["field_names"] = np.array([name.rpartition("/")[2]], names)


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_the_well(tmp_path, reader):
    """Windows of a trajectory; a field of each trajectory, a time that all share, and a rollout to test."""
    for number in range(3):
        the_well(tmp_path / f"part_{number}.hdf5", 10 * number)
    dm = H5DataModule(
        f"{tmp_path}/*.hdf5",
        fields={
            "state": Field(["t0_fields/density", "t1_fields/velocity"]),
            "time": Field("dimensions/time", axis=0),
            "force": Field("t0_fields/constant_field", constant=True, series_axis=0),
        },
        series=Series(axis=0), samples={"train": Windows(3, axis=1), "test": Windows(7, axis=1)},
        split={"by": "series"}, provenance=True, reader=reader,
    )  # fmt: skip
    train(dm)
    dm.setup()
    found = delivered(dm)
    dm.teardown()
    for stage, length in (("train", 3), ("val", 3), ("test", 7)):
        trajectories = {place[:2] for place in found[stage]}
        assert len(found[stage]) == len(trajectories) * (TIMES - length + 1) > 0
        for (name, entry, row), sample in found[stage].items():
            with h5py.File(tmp_path / name) as file:
                rows = int(entry), slice(row, row + length)
                density, velocity = file["t0_fields/density"][rows], file["t1_fields/velocity"][rows]
                expected = {
                    "state": np.concatenate([density[..., None], velocity], -1),
                    "time": file["dimensions/time"][rows[1]],
                    "force": file["t0_fields/constant_field"][rows[0]],
                }
            for key, value in expected.items():
                np.testing.assert_array_equal(sample[key], value)
    series = [place[:2] for stage in found.values() for place in {place[:2]: place for place in stage}]
    assert len(series) == len(set(series)) == 3 * TRAJECTORIES


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_pdebench_tensors(tmp_path, reader):
    """``tensor (N, T, X)`` with coordinates: each entry of the first axis is a simulation."""
    with h5py.File(tmp_path / "1D_Burgers.hdf5", "w") as file:
        file["tensor"] = normal(0, 10, TIMES, 32)
        file["x-coordinate"], file["t-coordinate"] = (
            np.linspace(0, 1, 32, dtype="f4"),
            np.arange(TIMES + 1, dtype="f4"),
        )
    dm = H5DataModule(
        f"{tmp_path}/1D_Burgers.hdf5",
        fields={
            "x": Field("tensor", steps=(0, 2)), "y": Field("tensor", steps=(2, 3)),
            "grid": Field("x-coordinate", constant=True),
        },
        series=Series(axis=0), samples=Windows(3, axis=1), split={"by": "series"}, provenance=True, reader=reader,
    )  # fmt: skip
    with h5py.File(tmp_path / "1D_Burgers.hdf5") as file:
        tensor, grid = file["tensor"][()], file["x-coordinate"][()]
    expected = {
        ("1D_Burgers.hdf5", str(entry), row): {
            "x": tensor[entry, row : row + 2], "y": tensor[entry, row + 2 : row + 3], "grid": grid,
        }
        for entry in range(10)
        for row in range(TIMES - 2)
    }  # fmt: skip
    found = check_user(dm, expected)
    assert all(found.values())


def test_pdebench_groups(tmp_path):
    """``0000/data`` and ``0000/grid/*``: a group for each simulation, whose names are numbers."""
    with h5py.File(tmp_path / "2D_diff-react.h5", "w") as file:
        for number in range(12):
            file[f"{number:04}/data"] = normal(number, TIMES, 5, 5, 2)
            file[f"{number:04}/grid/x"], file[f"{number:04}/grid/t"] = (
                np.linspace(-1, 1, 5, dtype="f4"),
                np.arange(9.0),
            )
    dm = H5DataModule(
        f"{tmp_path}/2D_diff-react.h5",
        fields={"state": "*/data", "grid": Field("*/grid/x", constant=True)},
        samples=Windows(2), split={"by": "series"}, provenance=True,
    )  # fmt: skip
    with h5py.File(tmp_path / "2D_diff-react.h5") as file:
        expected = {
            ("2D_diff-react.h5", name, row): {
                "state": made["data"][row : row + 2],
                "grid": made["grid/x"][()],
            }
            for name, made in file.items()
            for row in range(TIMES - 1)
        }
    check_user(dm, expected)


def test_h5md_trajectories_of_a_group_each(tmp_path):
    """Frames of molecular dynamics, ``particles/<group>/position/value (T, atoms, 3)``; one file for each run."""
    for number, frames in enumerate((8, 12, 9, 7, 10, 11, 9, 8, 7, 12)):
        with h5py.File(tmp_path / f"run_{number}.h5md", "w") as file:
            file.create_group("h5md").attrs["version"] = (1, 1)
            for name in ("position", "force"):
                made = file.create_group(f"particles/trajectory/{name}")
                made["step"], made["time"] = np.arange(frames), np.arange(frames) * 0.1
                made.create_dataset("value", data=normal(number, frames, 6, 3), chunks=(1, 6, 3))
                made["value"].attrs["unit"] = "Angstrom"
            file["particles/trajectory/box/edges/value"] = normal(number, frames, 3, 3)
    path = "particles/trajectory/position/value"
    dm = H5DataModule(
        f"{tmp_path}/*.h5md",
        fields={"now": Field(path, steps=(-1, 1)), "next": Field(path, steps=(1, 2))},
        samples=Windows(1), provenance=True,
    )  # fmt: skip
    expected = {}
    for name in tmp_path.glob("*.h5md"):
        with h5py.File(name) as file:
            value = file[path][()]
        for row in range(1, len(value) - 1):
            expected[name.name, "", row] = {"now": value[row - 1 : row + 1], "next": value[row + 1 : row + 2]}
    check_user(dm, dict(expected.items()))


def test_ani_1x_conformations_of_molecules(tmp_path):
    """A group for each formula: conformations are rows, atomic numbers are the same for all of them."""
    with h5py.File(tmp_path / "ani1x.h5", "w") as file:
        for number, (name, count) in enumerate(
            {"C1H4": 9, "C10H22": 6, "C2H6": 8, "H2O1": 12, "N1H3": 7}.items()
        ):
            made = file.create_group(name)
            made["atomic_numbers"] = np.array([6, 1, 1, 1, number], "u1")
            made["coordinates"] = normal(number, count, 5, 3)
            made["wb97x_dz.energy"], made["wb97x_dz.forces"] = (
                normal(50 + number, count).astype("f8"),
                normal(9, count, 5, 3),
            )
    dm = H5DataModule(
        f"{tmp_path}/ani1x.h5",
        fields={
            "numbers": Field("*/atomic_numbers", constant=True),
            "positions": "*/coordinates", "energy": "*/wb97x_dz.energy", "forces": "*/wb97x_dz.forces",
        },
        samples=Rows(), split={"by": "series", "val": 0.2, "test": 0.2}, batch_size=5, provenance=True,
    )  # fmt: skip
    with h5py.File(tmp_path / "ani1x.h5") as file:
        expected = {
            ("ani1x.h5", name, row): {
                "numbers": made["atomic_numbers"][()], "positions": made["coordinates"][row],
                "energy": np.asarray(made["wb97x_dz.energy"][row]), "forces": made["wb97x_dz.forces"][row],
            }
            for name, made in file.items()
            for row in range(len(made["coordinates"]))
        }  # fmt: skip
    check_user(dm, expected)


def test_stead_traces_are_datasets_with_labels_as_attributes(tmp_path):
    """``data/<trace> (samples, 3)``: each dataset is a series, and says when the waves arrived."""
    with h5py.File(tmp_path / "waveforms.hdf5", "w") as file:
        for number in range(20):
            made = file.create_dataset(f"data/B{number}.TA_EV", data=normal(number, 60, 3))
            made.attrs.update(p_arrival_sample=float(10 + number), trace_category="earthquake_local")
            made.attrs["source_id"] = number // 4
    dm = H5DataModule(
        f"{tmp_path}/waveforms.hdf5",
        fields={"wave": "data/*", "p": "attr:p_arrival_sample"},
        samples=Windows(30, stride=15), split={"keep_together": "attr:source_id", "val": 0.2, "test": 0.2},
        provenance=True,
    )  # fmt: skip
    with h5py.File(tmp_path / "waveforms.hdf5") as file:
        expected = {
            ("waveforms.hdf5", name, row): {
                "wave": made[row : row + 30],
                "p": np.asarray(made.attrs["p_arrival_sample"]),
            }
            for name, made in file["data"].items()
            for row in range(0, 31, 15)
        }
    found = check_user(dm, expected, apart=lambda place: int(place[1][1:].split(".")[0]) // 4)
    assert all(found.values())
