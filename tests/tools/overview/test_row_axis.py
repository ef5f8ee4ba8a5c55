"""What the rows of a dataset are, and whether windows of rows are suggested."""

import h5py
import numpy as np
import pytest

from h5lightning.tools.inspect import inspect_files

RNG = np.random.default_rng(0)


def write(folder, count=3, attrs=None, userblock=b"", **datasets):
    for number in range(count):
        path = folder / f"{number}.h5"
        with h5py.File(path, "w", userblock_size=512 if userblock else 0) as file:
            for name, values in datasets.items():
                file[name.replace("__", "/")] = values
            file.attrs.update(attrs or {})
        if userblock:
            with open(path, "r+b") as raw:
                raw.write(userblock)
    return inspect_files([str(folder / "*.h5")])


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def axes_of(found):
    return {issue.paths: issue for issue in found.traps if issue.kind == "axes"}


def advises_windows(found):
    return any("Windows(5)" in hint for hint in found.hints)


def test_the_well(tmp_path):
    found = write(
        tmp_path,
        attrs={"n_trajectories": 8, "simulation_parameters": "a"},
        t0_fields__density=normal(8, 20, 16, 16),
        t1_fields__velocity=normal(8, 20, 16, 16, 2),
        dimensions__time=np.arange(20.0),
    )
    assert axes_of(found) == {}
    assert found.call.layout == "trajectories of The Well"
    assert "samples=Windows(5, axis=1)" in found.call.python
    assert found.is_usable
    assert not advises_windows(found)


@pytest.mark.parametrize("steps", [30, 31], ids=["as many", "one more"])
def test_pdebench(tmp_path, steps):
    found = write(
        tmp_path,
        tensor=normal(50, 30, 64),
        **{"t-coordinate": np.arange(float(steps)), "x-coordinate": np.arange(64.0)},
    )
    assert axes_of(found) == {}
    assert "'/tensor', with time along axis 1, as '/t-coordinate' says" in found.call.reason
    assert not advises_windows(found)


def test_time_along_the_rows_is_time(tmp_path):
    found = write(tmp_path, u=normal(50, 8, 50), time=np.arange(50.0), x=np.arange(8.0))
    assert axes_of(found) == {}
    assert advises_windows(found)


def test_channels_by_time(tmp_path):
    found = write(tmp_path, x=normal(8, 4000), names=np.array([b"a"] * 8))
    (issue,) = axes_of(found).values()
    assert issue.severity == "note"
    assert "sample axis that is shorter than the next axis in all files (8 against 4,000)" in issue.text
    assert "samples=Windows(512, axis=-1)" in issue.text
    assert not advises_windows(found)
    assert found.is_usable


@pytest.mark.parametrize("kind", ["block", "attribute"])
def test_matlab(tmp_path, kind):
    found = write(
        tmp_path,
        userblock=b"MATLAB 7.3 MAT-file, Platform: GLNXA64" if kind == "block" else b"",
        images=normal(100, 3, 32, 24),
    )
    if kind == "attribute":
        assert axes_of(found) == {}
        with h5py.File(tmp_path / "0.h5", "a") as file:
            file["images"].attrs["MATLAB_class"] = np.bytes_("single")
        found = inspect_files([str(tmp_path / "*.h5")])
    (issue,) = axes_of(found).values()
    assert "in MATLAB the size of the array is 24 × 32 × 3 × rows" in issue.text
    assert advises_windows(found)


def test_other_times_are_no_coordinate(tmp_path):
    for name in ("units__spike_times", "intervals__t", "spike_times", "time_of_arrival"):
        (folder := tmp_path / name).mkdir()
        found = write(folder, acquisition__data=normal(40, 5), **{name: np.arange(5.0)})
        assert axes_of(found) == {}, name


def test_a_coordinate_in_a_group_of_coordinates_counts(tmp_path):
    found = write(tmp_path, fields__u=normal(40, 25), coords__time_s=np.arange(25.0))
    (issue,) = axes_of(found).values()
    assert "'/fields/u' has time along axis 1, whose length is that of '/coords/time_s'" in issue.text


ORDINARY = {
    "a simulation": {"u": normal(30, 2, 4, 4)},
    "a table": {"features": normal(500, 20)},
    "few pictures": {"images": normal(10, 64, 64)},
    "few pictures with colours": {"images": RNG.integers(0, 255, (10, 48, 64, 3), dtype="u1")},
    "a wide table with labels": {"genes": normal(50, 2000), "label": np.zeros(50, "i8")},
    "numbers": {"x": normal(40)},
    "no rows": {"x": normal(0, 4)},
}


@pytest.mark.parametrize("datasets", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_files_have_no_issue(tmp_path, datasets):
    assert axes_of(write(tmp_path, **datasets)) == {}


def test_one_long_file_is_enough(tmp_path):
    write(tmp_path, x=normal(8, 100))
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file["x"] = normal(101, 100)
    assert axes_of(inspect_files([str(tmp_path / "*.h5")])) == {}
