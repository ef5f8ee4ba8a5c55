"""Episodes of an offline data set by Minari, and what it reads from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from saving import write_cases

STEPS = (7, 5, 6)


def episodes(folder: Path) -> Mapping[str, Any]:
    os.environ["MINARI_DATASETS_PATH"] = str(folder.parent / "minari")
    buffers = []
    for number, steps in enumerate(STEPS):
        rng = np.random.default_rng(number)
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=list(rng.normal(size=(steps + 1, 4)).astype("f4")),
                actions=list(rng.normal(size=(steps, 2)).astype("f4")),
                rewards=list(rng.normal(size=steps)),
                terminations=[False] * (steps - 1) + [True],
                truncations=[False] * steps,
            )
        )
    made = minari.create_dataset_from_buffers(
        "test/episodes-v0", buffer=buffers,
        observation_space=gym.spaces.Box(-np.inf, np.inf, (4,), np.float32),
        action_space=gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
    )  # fmt: skip
    found: dict[str, Any] = {}
    for episode in made.iterate_episodes():
        name = f"episode_{episode.id}"
        found[f"{name}/observations"], found[f"{name}/actions"] = episode.observations, episode.actions
        found[f"{name}/rewards"], found[f"{name}/terminations"] = episode.rewards, episode.terminations
    (data,) = (folder.parent / "minari").rglob("*.hdf5")
    shutil.copy(data, folder / "main_data.hdf5")
    return found


if __name__ == "__main__":
    write_cases([episodes])
