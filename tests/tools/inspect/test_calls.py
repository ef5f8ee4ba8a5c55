"""For each layout, `inspect` prints a program: it runs as printed, and its batches are those that the field uses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import layout_files
import numpy as np
import pytest
from composing import arguments_of, composed

from h5lightning.tools.inspect import inspect_files

pytestmark = pytest.mark.timeout(300)
RNG = np.random.default_rng(0)
N = 32  # the default size of a batch

# What `inspect` calls the layout, and the shape of each entry of the first batch; None where it differs from batch to
# batch. "list" stands for a list of N tensors.
EXPECTED = {
    "robomimic": (
        "demonstrations",
        {
            "agentview_image": (N, 2, 12, 12, 3),
            "robot0_eef_pos": (N, 2, 3),
            "robot0_gripper_qpos": (N, 2, 2),
            "actions": (N, 16, 7),
            "is_pad": (N, 16),
        },
    ),
    "libero": (
        "demonstrations",
        {
            "agentview_rgb": (N, 2, 8, 8, 3),
            "eye_in_hand_rgb": (N, 2, 8, 8, 3),
            "joint_states": (N, 2, 7),
            "actions": (N, 16, 7),
            "is_pad": (N, 16),
        },
    ),
    "minari": ("demonstrations", {"observations": (N, 2, 17), "actions": (N, 16, 6), "is_pad": (N, 16)}),
    "maniskill": (
        "demonstrations",
        {
            "rgb": (N, 2, 8, 8, 3),
            "qpos": (N, 2, 9),
            "qvel": (N, 2, 9),
            "actions": (N, 16, 8),
            "is_pad": (N, 16),
        },
    ),
    "aloha": (
        "episodes, one for each file",
        {
            "left_wrist": (N, 1, 12, 16, 3),
            "top": (N, 1, 12, 16, 3),
            "qpos": (N, 1, 14),
            "qvel": (N, 1, 14),
            "action": (N, 40, 14),
            "is_pad": (N, 40),
        },
    ),
    "aloha_of_jpeg": (
        "episodes, one for each file",
        {"top": (N, 1, 16, 24, 3), "qpos": (N, 1, 14), "action": (N, 40, 14), "is_pad": (N, 40)},
    ),
    "diffusion_policy": (
        "a replay buffer",
        {"img": (N, 2, 8, 8, 3), "state": (N, 2, 5), "action": (N, 16, 2), "is_pad": (N, 16)},
    ),
    "stable_worldmodel": (
        "a replay buffer",
        {"pixels": (N, 2, 8, 8, 3), "proprio": (N, 2, 4), "action": (N, 16, 2), "is_pad": (N, 16)},
    ),
    "d4rl": ("a replay buffer", {"observations": (N, 2, 17), "actions": (N, 16, 6), "is_pad": (N, 16)}),
    "well": (
        "trajectories of The Well",
        {"x": (N, 4, 8, 6, 4), "y": (N, 1, 8, 6, 4), "time": (N, 5)},
    ),
    "pdebench": ("trajectories", {"x": (N, 4, 32), "y": (N, 1, 32), "time": (N, 5), "grid_x": (N, 32)}),
    "pdebench_groups": (
        "trajectories",
        {"x": (N, 4, 8, 8, 2), "y": (N, 1, 8, 8, 2), "time": (N, 5), "grid_x": (N, 8), "grid_y": (N, 8)},
    ),
    "fastmri": ("slices of MRI scans", {"kspace": "list", "reconstruction_rss": (N, 16, 16), "max": (N,)}),
    "bags": (
        "bags of patches",
        {"features": (None, 32), "coords": (None, 2), "length": (10,)},
    ),
    "trident": (
        "bags of patches",
        {"features": (None, 64), "coords": (None, 2), "length": (10,)},
    ),
    "nwb_units": ("rows of unequal length", {"spike_times": (None,), "quality": (N,), "length": (N,)}),
    "point_clouds": ("rows of unequal length", {"points": (None, 3), "labels": (N,), "length": (N,)}),
    "anakin": (
        "molecules",
        {
            "numbers": (None,),
            "coordinates": (None, 3),
            "energy": (N,),
            "forces": (None, 3),
            "length": (N,),
        },
    ),
    "h5md": ("frames of particles", {"position": (N, 10, 10, 3), "velocity": (N, 10, 10, 3)}),
    "particles_of_several_systems": (
        "frames of particles",
        {"position": (None, 3), "velocity": (None, 3), "length": (N,)},
    ),
    "em_volume": ("crops of volumes", {"raw": (4, 64, 64, 64), "neuron_ids": (4, 64, 64, 64)}),
    "several_volumes": ("crops of volumes", {"raw": (3, 2, 40, 64, 64), "label": (3, 40, 64, 64)}),
    "ct_volumes": ("crops of volumes", {"volume": (10, 40, 64, 64), "label": (10,)}),
    "matlab": ("recordings", {"eeg": (N, 128, 19)}),
    "matlab_of_columns": ("samples in columns", {"x": (N, 30), "y": (N, 1)}),
    "recordings": ("recordings", {"signal": (N, 19, 128)}),
}

# One more line for a printed program: the shapes of the first batch of an epoch, all of which is read.
LOOP = """
dm.prepare_data(); dm.setup("fit"); batches = [
    {key: [len(value)] if isinstance(value, list) else list(value.shape) for key, value in batch.items()}
    for batch in dm.train_dataloader()]
"""
RUN_ALL = """
import json, pathlib, sys, traceback
found = {}
for path in map(pathlib.Path, sys.argv[1:]):
    namespace = {}
    try:
        exec(path.read_text(), namespace)
        found[path.stem] = namespace["batches"][0]
        namespace["dm"].teardown()
    except Exception:
        found[path.stem] = traceback.format_exc()
print(json.dumps(found))
"""


def inspect(folder):
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "h5lightning", "inspect", str(folder / "*")],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def program_of(printed):
    """The name of the layout, and the program below it."""
    found = re.search(r"^Python, for ([^\n]+)\n(.+?)\n\nYAML", printed, re.MULTILINE | re.DOTALL)
    return (None, printed) if found is None else found.groups()


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the command prints for each layout."""
    texts = {}
    for name in EXPECTED:
        folder = tmp_path_factory.mktemp(name)
        getattr(layout_files, name)(folder)
        texts[name] = inspect(folder)
    return texts


@pytest.fixture(scope="module")
def ran(printed, tmp_path_factory):
    """The shapes of the first batch of each program, or its error; all of them run in one other process."""
    folder, paths = tmp_path_factory.mktemp("programs"), []
    for name, text in printed.items():
        layout, program = program_of(text)
        if layout is not None:
            (folder / f"{name}.py").write_text(program + LOOP)
            paths.append(str(folder / f"{name}.py"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_ALL, *paths],
        check=True, capture_output=True, text=True, timeout=200, cwd=folder,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", EXPECTED)
def test_the_call_of_a_layout_runs_as_printed(name, printed, ran):
    layout, expected = EXPECTED[name]
    found, program = program_of(printed[name])
    assert found == layout, program
    shapes = ran[name]
    assert isinstance(shapes, dict), shapes
    for key, shape in expected.items():
        said = (N,) if shape == "list" else shape
        found = tuple(None if one is None else size for size, one in zip(shapes.pop(key), said, strict=True))
        assert found == said, key
    assert set(shapes) <= {"is_repeat"}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_configuration_says_the_same(name, printed):
    _, program = program_of(printed[name])
    after = printed[name].partition("YAML, for any Hydra application\n")[2]
    yaml = re.split(r"\n\n(?=Command line|→)", after)[0]
    namespace = {}
    exec(program, namespace)
    assert arguments_of(composed(yaml)) == arguments_of(namespace["dm"])


@pytest.mark.parametrize("name", EXPECTED)
def test_the_program_is_short(name, printed):
    layout, program = program_of(printed[name])
    assert layout is not None
    assert len(program.splitlines()) <= 16
    assert max(map(len, program.splitlines())) <= 130


def test_every_layout_is_tested():
    assert set(EXPECTED) == set(layout_files.__all__)


# ── what only looks alike ────────────────────────────────────────────────────────────────────────────


def images_with_masks(file, number):
    file["images"], file["masks"] = RNG.random((40, 16, 16), dtype="f4"), np.zeros((40, 16, 16), "u1")


def images_of_raw_pixels(file, number):
    file["raw"], file["label"] = RNG.integers(0, 255, (40, 16, 16), "u1"), np.zeros(40, "i8")


def features_over_time(file, number):
    file["features"], file["time"] = RNG.random((30 + number, 16), dtype="f4"), np.arange(30 + number) / 10


def features_of_equal_length(file, number):
    file["features"], file["coords"] = RNG.random((30, 16), dtype="f4"), RNG.random((30, 2))


def actions_without_observations(file, number):
    file["action"], file["price"] = np.arange(50) % 3, RNG.random((50, 4), dtype="f4")


def an_index_that_is_none(file, number):
    file["x"], file["x_index"] = RNG.random((50, 3), dtype="f4"), np.arange(50)


def offsets_in_space(file, number):
    file["points"], file["offsets"] = RNG.random((50, 3), dtype="f4"), RNG.random((50, 3), dtype="f4")
    file["labels"] = np.arange(50) % 3


def features_in_lines(file, number):
    file["x"], file["y"] = RNG.random((20, 4000), dtype="f4"), np.arange(20) % 2


def signals_with_labels(file, number):
    file["signals"], file["labels"] = RNG.random((20, 4000), dtype="f4"), np.arange(20) % 2
    file.attrs["fs"] = 100.0


def a_table_of_coordinates(file, number):
    file["coordinates"], file["atomic_numbers"] = RNG.random((40, 3), dtype="f4"), np.ones(40, "u1")


def kspace_of_numbers(file, number):
    file["kspace"], file["reconstruction"] = (
        RNG.random((9, 8, 8), dtype="f4"),
        RNG.random((9, 8, 8), dtype="f4"),
    )


def particles_without_frames(file, number):
    file["particles/a/position/value"] = RNG.random((50, 3), dtype="f4")
    file["particles/a/position/step"] = 3


def few_slices(file, number):
    file["volume"], file["label"] = RNG.random((3, 64, 64), dtype="f4"), number % 2


@pytest.mark.parametrize(
    "fill",
    [
        images_with_masks, images_of_raw_pixels, features_over_time, features_of_equal_length,
        actions_without_observations, an_index_that_is_none, offsets_in_space, features_in_lines, signals_with_labels,
        a_table_of_coordinates, kspace_of_numbers, particles_without_frames, few_slices,
    ],
)  # fmt: skip
def test_files_that_only_look_alike_get_no_such_call(tmp_path, fill):
    for number in range(12):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            fill(file, number)
    found = inspect_files([str(tmp_path / "*.h5")], progress=False)
    assert found.call is None
    assert found.is_usable, found.reason


def test_names_of_files_say_nothing(tmp_path):
    for number in range(12):
        path = tmp_path / f"data_demo_{number}_fastmri_kspace_episode.hdf5"
        with h5py.File(path, "w") as file:
            file["x"] = RNG.random((30, 4), dtype="f4")
    assert inspect_files([str(tmp_path / "*.hdf5")], progress=False).call is None


def test_a_table_that_does_not_tile_the_rows_makes_no_replay_buffer(tmp_path):
    layout_files.diffusion_policy(tmp_path)
    (path,) = Path(tmp_path).iterdir()
    with h5py.File(path, "r+") as file:
        file["meta/episode_ends"][-1] += 1
    assert inspect_files([str(path)], progress=False).call is None


def test_lists_of_something_else_make_no_split(tmp_path):
    layout_files.robomimic(tmp_path)
    (path,) = Path(tmp_path).iterdir()
    with h5py.File(path, "r+") as file:
        del file["mask"]
        file["mask/train"], file["mask/valid"] = np.asarray([b"red"]), np.asarray([b"blue"])
    found = inspect_files([str(path)], progress=False)
    assert found.call.layout == "demonstrations"
    assert "given" not in found.call.python


def test_bytes_that_are_no_images_are_not_decoded(tmp_path):
    layout_files.aloha_of_jpeg(tmp_path)
    for path in Path(tmp_path).iterdir():
        with h5py.File(path, "r+") as file:
            file["observations/images/top"][0] = np.arange(100, dtype="u1")
    found = inspect_files([str(tmp_path / "*")], progress=False)
    assert found.call.layout == "episodes, one for each file"
    assert "decode" not in found.call.python
