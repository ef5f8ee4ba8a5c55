"""Several episodes in one file: windows cross no border unless requested; rows are read as stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from field_files import Request, assert_same, follow

from h5lightning import H5DataModule, Windows
from h5lightning.errors import FieldError, H5LightningError, SchemaError
from h5lightning.options import Field

pytestmark = pytest.mark.timeout(120)
ROWS = 20
BORDERS = (6, 13)  # the first rows of the second and the third episode
LAYOUTS: dict[str, tuple[str, str, Callable[[h5py.File], None]]] = {}


def layout(path: str, table: str) -> Callable[[Callable[[h5py.File], None]], Callable[[h5py.File], None]]:
    """Add a layout: the dataset of the windows, and the dataset that says where episodes end."""

    def add(function: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
        LAYOUTS[function.__name__] = (path, table, function)
        return function

    return add


def values(width: int = 2) -> np.ndarray:
    return np.random.default_rng(width).normal(size=(ROWS, width)).astype("f4") + 3


def ends() -> np.ndarray:
    return np.array([*BORDERS, ROWS])


@layout("pixels", "ep_")
def stable_worldmodel(file):
    """Flat columns, lengths and offsets of episodes."""
    file["pixels"] = (values(12).reshape(ROWS, 2, 2, 3) * 20).astype("u1")
    file["action"] = values()
    file["ep_len"] = np.diff([0, *ends()]).astype("i4")
    file["ep_offset"] = np.array([0, *BORDERS])


@layout("observations", "timeouts")
def d4rl(file):
    """Two kinds of ends: of the task, and of the time limit."""
    file["observations"], file["actions"], file["rewards"] = values(4), values(), values(1)[:, 0]
    file["terminals"], file["timeouts"] = np.arange(ROWS) == BORDERS[0] - 1, np.arange(ROWS) == BORDERS[1] - 1


@layout("action", "dones")
def dones_in_floats(file):
    file["action"] = values()
    file["dones"] = np.isin(np.arange(ROWS), ends() - 1).astype("f4")


@layout("obs", "is_last")
def rlds(file):
    file["obs"], file["is_first"] = values(), np.isin(np.arange(ROWS), [0, *BORDERS])
    file["is_last"] = np.isin(np.arange(ROWS), ends() - 1)


@layout("data/action", "meta/episode_ends")
def diffusion_policy(file):
    """Like the zarr files of diffusion policies: groups data and meta."""
    file["data/action"], file["data/state"] = values(), values(5)
    file["meta/episode_ends"] = ends()


@layout("INSTRUMENT/det/image/data", "INDEX/det/image/")
def european_xfel(file):
    """Trains of frames: the first frame of each train, and its number of frames."""
    file["INSTRUMENT/det/image/data"] = values(9).reshape(ROWS, 3, 3)
    file["INDEX/trainId"] = np.arange(1000, 1003, dtype="u8")
    file["INDEX/det/image/first"] = np.array([0, *BORDERS], "u8")
    file["INDEX/det/image/count"] = np.diff([0, *ends()]).astype("u8")


@layout("pixels/count", "indexes/bin1_offset")
def cooler(file):
    """Pixels of a matrix, row by row."""
    file["pixels/bin1_id"] = np.repeat([0, 1, 2], np.diff([0, *ends()]))
    file["pixels/bin2_id"], file["pixels/count"] = np.arange(ROWS) % 3, np.arange(ROWS, dtype="i4")
    file["bins/start"] = np.arange(3) * 1000
    file["indexes/bin1_offset"], file["indexes/chrom_offset"] = np.array([0, *ends()]), np.array([0, 3])


@layout("points", "indptr")
def clouds_of_points(file):
    file["points"], file["indptr"] = values(3), np.array([0, *ends()])


@layout("events/t", "events/t_index")
def events_that_lie_end_to_end(file):
    file["events/t"] = values(1)[:, 0]
    file["events/t_index"] = ends()


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, str, str]:
    path, table, fill = LAYOUTS[request.param]
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            fill(file)
    return str(tmp_path / "*.h5"), path, table


def stored(files: str, path: str) -> list[np.ndarray]:
    found = []
    for name in sorted(Path(files).parent.glob("*.h5")):
        with h5py.File(name) as file:
            found.append(file[path][()])
    return found


def windows_of(parts: list[np.ndarray], length: int) -> np.ndarray:
    """All windows of each file, whatever it holds."""
    return np.stack(
        [part[start : start + length] for part in parts for start in range(len(part) - length + 1)]
    )


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
def test_single_rows_are_read_as_stored(made):
    files, path, _ = made
    for reader in ("auto", "h5py"):
        assert_same(Request.of(files, path).read(reader=reader)[path], np.concatenate(stored(files, path)))


@pytest.mark.parametrize("made", LAYOUTS, indirect=True)
def test_windows_over_borders_are_refused_and_the_advice_works(made):
    files, path, table = made
    request = Request.of(files, path, samples=Windows(4))
    error = request.refused(table, "series")
    assert isinstance(error, (FieldError, SchemaError))
    found = follow(request, error)
    assert {"decode=stored", "series=file"} <= set(found)
    for values_found in found.values():
        assert_same(values_found[path], windows_of(stored(files, path), 4))


@pytest.mark.parametrize("made", ["stable_worldmodel"], indirect=True)
def test_the_datamodule_refuses_and_follows_the_same_advice(made):
    files, path, _ = made
    options = {"samples": Windows(4), "split": {"val": None, "test": None}, "shuffle": {"mode": "none"}}
    with pytest.raises(H5LightningError, match="ep_"):
        H5DataModule(files, {"x": path}, **options).setup("fit")
    module = H5DataModule(files, {"x": Field(path)}, series="file", batch_size=100, **options)
    module.setup("fit")
    (batch,) = module.train_dataloader()
    module.teardown("fit")
    assert_same(batch["x"].numpy(), windows_of(stored(files, path), 4))


@pytest.mark.parametrize("made", ["diffusion_policy", "d4rl"], indirect=True)
def test_inspect_says_where_episodes_end(made):
    files, _, table = made
    report = json.dumps(inspect(files))
    assert "series=" in report or "series:" in report or "episode" in report
    assert table.rpartition("/")[2] in report


def inspect(files: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "h5lightning", "inspect", files, "--json"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


def test_episodes_of_minari_are_read_one_at_a_time(written):
    files = written("by_minari", "episodes")
    for path, expected in files.expected.items():
        assert_same(Request.of(files.files, path).read()[path], expected)
    path = "episode_1/actions"
    got = Request.of(files.files, path, samples=Windows(3)).read()[path]
    assert_same(got, windows_of([files.expected[path]], 3))


def test_observations_of_minari_have_one_more_row_which_is_reported(written):
    files = written("by_minari", "episodes")
    with pytest.raises(SchemaError, match=r"8 rows|7 rows"):
        Request.of(files.files, "episode_0/observations", "episode_0/actions").read()


def test_trajectories_of_the_well_are_rows_and_inspect_says_so(tmp_path):
    """``(n_trajectories, time, x, y)``: a window along the first axis would mix trajectories."""
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.hdf5", "w") as file:
            file.attrs.update(dataset_name="gray_scott", n_spatial_dims=2, n_trajectories=3)
            file.attrs["simulation_parameters"] = np.array(["F", "k"], dtype=h5py.string_dtype())
            time = file.create_dataset("dimensions/time", data=np.arange(5.0))
            time.attrs["sample_varying"] = False
            fields = file.create_group("t0_fields")
            fields.attrs["field_names"] = np.array(["A"], dtype=h5py.string_dtype())
            made = fields.create_dataset(
                "A", data=np.arange(3 * 5 * 4 * 4, dtype="f4").reshape(3, 5, 4, 4) + number
            )
            made.attrs.update(dim_varying=[True, True], sample_varying=True, time_varying=True)
            file.create_group("t1_fields").attrs["field_names"] = np.array([], dtype=h5py.string_dtype())
            mask = file.create_dataset(
                "boundary_conditions/x_periodic/mask", data=np.array([True, False, False, True])
            )
            mask.attrs["time_varying"] = False
            file["scalars/F"] = 0.014
    files = str(tmp_path / "*.hdf5")
    with h5py.File(tmp_path / "0.hdf5") as first, h5py.File(tmp_path / "1.hdf5") as second:
        expected = np.concatenate([first["t0_fields/A"][()], second["t0_fields/A"][()]])
    assert_same(Request.of(files, "t0_fields/A").read()["t0_fields/A"], expected)
    report = json.dumps(inspect(files))
    assert "trajector" in report
    assert '"kind": "windows"' not in report


def test_buckets_of_seisbench_are_recognised(tmp_path):
    """Traces are stored in blocks of one shape, padded with zeros; a table beside the file describes them."""
    for number in range(2):
        with h5py.File(tmp_path / f"chunk{number}.hdf5", "w") as file:
            for bucket in range(2):
                traces = values(24).reshape(ROWS, 3, 8)[: 4 + bucket]
                traces[:, :, 6:] = 0
                file[f"data/bucket{bucket}"] = traces
            file["data_format/dimension_order"] = "NCW"
            file["data_format/sampling_rate"] = 100
    found = inspect(str(tmp_path / "*.hdf5"))
    assert not found["usable"]
    assert "SeisBench" in json.dumps(found)
