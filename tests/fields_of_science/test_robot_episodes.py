"""Episodes of robots as groups and files: each library's own layout, loaded in a few lines and split by episode."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from users import check_user

from h5lightning import Field, H5DataModule, Rows, Windows

pytestmark = pytest.mark.timeout(60)
LENGTHS = (9, 12, 7, 10, 8, 11, 6, 13, 9, 10, 12)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, "u1")


def windows(values: np.ndarray, row: int, steps: range) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a window, those outside repeated from the border, and which of them are outside."""
    rows = row + np.array(steps)
    return values[np.clip(rows, 0, len(values) - 1)], (rows < 0) | (rows >= len(values))


# ── groups of one file ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def robomimic(tmp_path):
    """``data/demo_<i>`` with observations and the next ones; masks say what is for training."""
    with h5py.File(tmp_path / "low_dim.hdf5", "w") as file:
        file.create_group("data").attrs.update(total=sum(LENGTHS), env_args="{}")
        for number, rows in enumerate(LENGTHS):
            demo = file.create_group(f"data/demo_{number}")
            demo.attrs.update(num_samples=rows, model_file="<mujoco/>")
            demo["actions"], demo["states"] = normal(number, rows, 7), normal(100 + number, rows, 32)
            demo["rewards"], demo["dones"] = np.zeros(rows), np.arange(rows) == rows - 1
            for group in ("obs", "next_obs"):
                demo[f"{group}/object"] = normal(200 + number, rows, 10).astype("f8")
                demo[f"{group}/robot0_eef_pos"] = normal(300 + number, rows, 3).astype("f8")
        names = np.array([f"demo_{number}" for number in range(len(LENGTHS))], dtype="S8")
        file["mask/train"], file["mask/valid"] = np.delete(names, [2, 10]), names[[2, 10]]
    return tmp_path / "low_dim.hdf5"


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_robomimic(robomimic, reader):
    dm = H5DataModule(
        str(robomimic),
        fields={
            "obs": Field("data/*/obs/robot0_eef_pos", dtype="float32"),
            "actions": "data/*/actions",
        },
        samples=Windows(4),
        split={"given": {"train": "mask/train", "val": "mask/valid"}},
        batch_size=8, provenance=True, reader=reader,
    )  # fmt: skip
    with h5py.File(robomimic) as file:
        expected = {
            (robomimic.name, name, row): {
                "obs": demo["obs/robot0_eef_pos"][row : row + 4].astype("f4"),
                "actions": demo["actions"][row : row + 4],
            }
            for name, demo in file["data"].items()
            for row in range(len(demo["actions"]) - 3)
        }
    found = check_user(dm, expected)
    assert {series for _, series, _ in found["val"]} == {"demo_2", "demo_10"}


def test_libero_tasks_are_files_of_demonstrations(tmp_path):
    """Images of two cameras and what the task is, as an attribute; several files."""
    for task in range(3):
        with h5py.File(tmp_path / f"task_{task}_demo.hdf5", "w") as file:
            file.create_group("data").attrs.update(problem_info="{}", num_demos=4, task=task)
            for number in range(4):
                rows = LENGTHS[task + number]
                demo = file.create_group(f"data/demo_{number}")
                demo["actions"] = normal(number, rows, 7).astype("f8")
                demo.create_dataset(
                    "obs/agentview_rgb", data=pixels(task, rows, 6, 6, 3), chunks=(1, 6, 6, 3)
                )
                demo["obs/ee_pos"] = normal(50 + task, rows, 3).astype("f8")
    dm = H5DataModule(
        f"{tmp_path}/*.hdf5",
        fields={"image": "data/*/obs/agentview_rgb", "action": "data/*/actions", "task": "attr:task"},
        samples=Windows(3, stride=2),
        split={"by": "series", "val": 0.25, "test": None},
        dtype="float32", provenance=True,
    )  # fmt: skip
    expected = {}
    for task in range(3):
        with h5py.File(tmp_path / f"task_{task}_demo.hdf5") as file:
            for name, demo in file["data"].items():
                for row in range(0, len(demo["actions"]) - 2, 2):
                    expected[f"task_{task}_demo.hdf5", name, row] = {
                        "image": demo["obs/agentview_rgb"][row : row + 3],
                        "action": demo["actions"][row : row + 3].astype("f4"),
                        "task": np.array(task),
                    }
    found = check_user(dm, expected)
    assert found["val"]


def test_maniskill_has_one_observation_more(tmp_path):
    """``traj_<i>``: T actions, T + 1 observations; what comes next is the observation of step 1."""
    with h5py.File(tmp_path / "trajectory.h5", "w") as file:
        for number, rows in enumerate(LENGTHS):
            made = file.create_group(f"traj_{number}")
            made["actions"], made["obs"] = normal(number, rows, 8), normal(100 + number, rows + 1, 42)
            made["env_states/actors/cube"] = normal(200 + number, rows + 1, 13)
            made["terminated"] = made["success"] = np.arange(rows) == rows - 1
    dm = H5DataModule(
        f"{tmp_path}/trajectory.h5",
        fields={
            "obs": Field("traj_*/obs", steps=(0, 2), extra_rows=1),
            "action": "traj_*/actions",
            "success": "traj_*/success",
        },
        samples=Windows(1), split={"by": "series"}, provenance=True,
    )  # fmt: skip
    with h5py.File(tmp_path / "trajectory.h5") as file:
        expected = {
            ("trajectory.h5", name, row): {
                "obs": made["obs"][row : row + 2],
                "action": made["actions"][row : row + 1],
                "success": made["success"][row : row + 1],
            }
            for name, made in file.items()
            for row in range(len(made["actions"]))
        }
    check_user(dm, expected)


def test_minari(written):
    """Written by Minari: one observation more than actions."""
    files = written("by_minari", "episodes")
    dm = H5DataModule(
        str(files.files),
        fields={
            "obs": Field("episode_*/observations", steps=(0, 2), extra_rows=1),
            "action": "episode_*/actions",
            "reward": Field("episode_*/rewards", dtype="float32"),
        },
        samples=Windows(1),
        split={"by": "series", "val": 0.3, "test": None}, batch_size=4, provenance=True,
    )  # fmt: skip
    read = files.expected
    expected = {
        ("main_data.hdf5", name, row): {
            "obs": read[f"{name}/observations"][row : row + 2],
            "action": read[f"{name}/actions"][row : row + 1],
            "reward": read[f"{name}/rewards"][row : row + 1].astype("f4"),
        }
        for name in (f"episode_{number}" for number in range(3))
        for row in range(len(read[f"{name}/actions"]))
    }
    check_user(dm, expected)


# ── a file for each episode ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def aloha(tmp_path):
    """``episode_<i>.hdf5``: joints of two arms, and raw images of cameras."""
    for number, rows in enumerate(LENGTHS):
        with h5py.File(tmp_path / f"episode_{number}.hdf5", "w") as file:
            file.attrs.update(sim=True, compress=False)
            file["action"], file["observations/qpos"] = (
                normal(number, rows, 14),
                normal(100 + number, rows, 14),
            )
            file["observations/qvel"] = normal(200 + number, rows, 14)
            file.create_dataset(
                "observations/images/cam_high", data=pixels(number, rows, 8, 10, 3), chunks=(1, 8, 10, 3)
            )
    return tmp_path


@pytest.mark.parametrize("pad", ["edge", "zero"])
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_aloha(aloha, pad, reader):
    """Two observations, the last of which is now, and a chunk of actions that is padded at the end."""
    dm = H5DataModule(
        f"{aloha}/*.hdf5",
        fields={
            "image": Field("observations/images/cam_high", steps=(-1, 1)),
            "qpos": Field("observations/qpos", steps=(-1, 1)),
            "action": Field("action", steps=(0, 8)),
            "is_pad": "pad:action",
        },
        samples=Windows(1, pad=pad), provenance=True, reader=reader,
    )  # fmt: skip
    expected = {}
    for number, rows in enumerate(LENGTHS):
        with h5py.File(aloha / f"episode_{number}.hdf5") as file:
            read = {"image": file["observations/images/cam_high"][()], "qpos": file["observations/qpos"][()]}
            read["action"] = file["action"][()]
        for row in range(rows):
            sample = {}
            for key, steps in (("image", range(-1, 1)), ("qpos", range(-1, 1)), ("action", range(8))):
                value, outside = windows(read[key], row, steps)
                if pad == "zero":
                    value[outside] = 0
                sample |= {key: value} | ({"is_pad": outside} if key == "action" else {})
            expected[f"episode_{number}.hdf5", "", row] = sample
    found = check_user(dm, expected)
    assert all(found.values())


def test_joined_datasets_of_an_episode_are_one_tensor(aloha):
    """Positions and speeds side by side."""
    dm = H5DataModule(
        f"{aloha}/*.hdf5",
        fields={"state": Field(["observations/qpos", "observations/qvel"], join="concat"), "action": "action"},
        samples=Rows(), provenance=True,
    )  # fmt: skip
    expected = {}
    for number, rows in enumerate(LENGTHS):
        with h5py.File(aloha / f"episode_{number}.hdf5") as file:
            state = np.concatenate([file["observations/qpos"], file["observations/qvel"]], 1)
            expected |= {
                (f"episode_{number}.hdf5", "", row): {"state": state[row], "action": file["action"][row]}
                for row in range(rows)
            }
    check_user(dm, expected)
