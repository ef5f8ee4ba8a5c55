"""Files that hold series, as robotics, simulations and reinforcement learning write them."""

import h5py
import numpy as np

RNG = np.random.default_rng(0)


def demonstrations(folder):
    with h5py.File(folder / "demo.h5", "w") as file:
        for number in range(30):
            file[f"data/demo_{number}/actions"] = RNG.random((20 + number, 7))
            file[f"data/demo_{number}/obs/pose"] = RNG.random((20 + number, 6))


def masked_demonstrations(folder):
    """As robomimic writes them: lists of names say which demonstrations are train and val."""
    demonstrations(folder)
    with h5py.File(folder / "demo.h5", "r+") as file:
        file["mask/train"] = np.asarray([f"demo_{number}".encode() for number in range(20)])
        file["mask/valid"] = np.asarray([f"demo_{number}".encode() for number in range(20, 30)])
        for number in range(30):
            # Larger than the observations, and one row later.
            file[f"data/demo_{number}/next_obs/pose"] = RNG.random((20 + number, 60))


def transitions(folder):
    """As ManiSkill writes them: one observation more than actions."""
    with h5py.File(folder / "traj.h5", "w") as file:
        for number in range(12):
            file[f"traj_{number}/actions"] = RNG.random((20 + number, 4), dtype="f4")
            file[f"traj_{number}/obs"] = RNG.random((21 + number, 6), dtype="f4")
            file[f"traj_{number}/env_states/cube"] = RNG.random((21 + number, 13), dtype="f4")


def packed_series(folder):
    with h5py.File(folder / "packed.h5", "w") as file:
        for number in range(12):
            file[f"rec_{number}/t"] = RNG.integers(0, 99, (30, 4)).astype("i2")
            file[f"rec_{number}/t"].attrs["scale_factor"] = np.float32(0.5)


def the_well(folder):
    with h5py.File(folder / "well.h5", "w") as file:
        file["t0_fields/pressure"] = RNG.random((6, 12, 8, 8), dtype="f4")
        file["t1_fields/velocity"] = RNG.random((6, 12, 8, 8, 2), dtype="f4")
        file["dimensions/time"], file["dimensions/x"] = np.linspace(0, 1, 12), np.linspace(0, 1, 8)
        file["scalars/Re"] = RNG.random(6)


def replay_buffer(folder):
    with h5py.File(folder / "buffer.h5", "w") as file:
        file["data/state"], file["data/action"] = (
            RNG.random((600, 5), dtype="f4"),
            RNG.random((600, 2), dtype="f4"),
        )
        file["meta/episode_ends"] = [200, 350, 600]


def offline_episodes(folder):
    """As D4RL writes them: flags say where episodes end, and that they were cut."""
    with h5py.File(folder / "d4rl.h5", "w") as file:
        file["observations"], file["actions"] = (
            RNG.random((600, 5), dtype="f4"),
            RNG.random((600, 2), dtype="f4"),
        )
        file["terminals"] = np.arange(600) % 100 == 99
        file["timeouts"] = np.zeros(600, bool)
