"""Episodes in flat columns: tables of ends, offsets and lengths, flags, and runs of equal values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from users import check_user

from h5lightning import Field, H5DataModule, Series, Windows

pytestmark = pytest.mark.timeout(60)
LENGTHS = (6, 9, 3, 8, 7, 10, 5, 12)
ENDS = np.cumsum(LENGTHS)
STARTS = ENDS - LENGTHS
ROWS = int(ENDS[-1])


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def episodes(
    length: int, read: Callable[[str, slice], dict[str, Any]], *names: str, label=str
) -> dict[Any, Any]:
    """Each window of each episode of some files."""
    return {
        (name, label(number), row): read(name, slice(start + row, start + row + length))
        for name in names
        for number, (start, rows) in enumerate(zip(STARTS.tolist(), LENGTHS, strict=True))
        for row in range(rows - length + 1)
    }


@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_replay_buffer_of_diffusion_policy(tmp_path, reader):
    """``data/*`` and ``meta/episode_ends``: two observations, a horizon of actions, padded at both ends."""
    with h5py.File(tmp_path / "pusht.h5", "w") as file:
        file.create_dataset("data/action", data=normal(0, ROWS, 2), chunks=(16, 2), compression="gzip")
        file.create_dataset("data/img", data=normal(1, ROWS, 4, 4, 3), chunks=(4, 4, 4, 3))
        file["meta/episode_ends"] = ENDS
    dm = H5DataModule(
        f"{tmp_path}/pusht.h5",
        fields={"obs": Field("data/img", steps=(-1, 1)), "action": Field("data/action", steps=(-1, 7))},
        series=Series(ends="meta/episode_ends"),
        samples=Windows(1, pad="edge"), split={"by": "series", "val": 0.2, "test": 0.2},
        provenance=True, reader=reader,
    )  # fmt: skip
    with h5py.File(tmp_path / "pusht.h5") as file:
        images, actions = file["data/img"][()], file["data/action"][()]
    expected = {}
    for number, (start, end) in enumerate(zip(STARTS, ENDS, strict=True)):
        for row in range(start, end):
            rows = [np.clip(row + np.arange(*steps), start, end - 1) for steps in ((-1, 1), (-1, 7))]
            expected["pusht.h5", str(number), int(row - start)] = {
                "obs": images[rows[0]], "action": actions[rows[1]],
            }  # fmt: skip
    found = check_user(dm, expected)
    assert all(found.values())


@pytest.mark.parametrize(
    "series",
    [
        Series(starts="ep_offset", lengths="ep_len"),
        Series(starts="ep_offset", stops="ep_stop"),
        Series(offsets="indptr"),
        Series(ends="ep_stop"),
    ],
    ids=["starts and lengths", "starts and stops", "offsets", "ends"],
)
def test_flat_columns_of_stable_worldmodel(tmp_path, series):
    for number in range(2):
        with h5py.File(tmp_path / f"data_{number}.h5", "w") as file:
            file["pixels"], file["action"] = (
                (normal(number, ROWS, 4, 4, 3) * 40 + 99).astype("u1"),
                normal(9, ROWS, 2),
            )
            file["ep_len"], file["ep_offset"] = np.array(LENGTHS, "i4"), STARTS
            file["ep_stop"], file["indptr"] = ENDS, np.array([0, *ENDS])
    dm = H5DataModule(
        f"{tmp_path}/*.h5",
        fields={"pixels": "pixels", "action": "action"},
        series=series, samples=Windows(4), split={"by": "series"}, provenance=True,
    )  # fmt: skip

    def read(name: str, rows: slice) -> dict[str, Any]:
        with h5py.File(tmp_path / name) as file:
            return {"pixels": file["pixels"][rows], "action": file["action"][rows]}

    found = check_user(dm, episodes(4, read, "data_0.h5", "data_1.h5"))
    assert all(found.values())


def test_flags_of_d4rl(tmp_path):
    """An episode ends where the task does, or where its time is over."""
    with h5py.File(tmp_path / "hopper.hdf5", "w") as file:
        file["observations"], file["actions"], file["rewards"] = (
            normal(0, ROWS, 11),
            normal(1, ROWS, 3),
            normal(2, ROWS),
        )
        is_end = np.isin(np.arange(ROWS), ENDS - 1)
        file["terminals"], file["timeouts"] = (
            is_end & (np.arange(ROWS) % 2 == 0),
            is_end & (np.arange(ROWS) % 2 == 1),
        )
        file["metadata/algorithm"] = "SAC"
    dm = H5DataModule(
        f"{tmp_path}/hopper.hdf5",
        fields={"obs": Field("observations", steps=(0, 2)), "action": Field("actions", steps=(0, 1))},
        series=Series(flags=["terminals", "timeouts"]),
        samples=Windows(2), split={"by": "series"}, provenance=True,
    )  # fmt: skip

    def read(name: str, rows: slice) -> dict[str, Any]:
        with h5py.File(tmp_path / name) as file:
            return {"obs": file["observations"][rows], "action": file["actions"][rows][:1]}

    check_user(dm, episodes(2, read, "hopper.hdf5"))


def test_runs_of_episode_numbers(tmp_path):
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["x"], file["episode_id"] = normal(0, ROWS, 5), np.repeat(np.arange(len(LENGTHS)) * 7, LENGTHS)
    dm = H5DataModule(
        f"{tmp_path}/table.h5",
        fields={"x": "x"},
        series=Series(runs="episode_id"), samples=Windows(3, stride=1), split={"by": "series"}, provenance=True,
    )  # fmt: skip

    def read(name: str, rows: slice) -> dict[str, Any]:
        with h5py.File(tmp_path / name) as file:
            return {"x": file["x"][rows]}

    check_user(dm, episodes(3, read, "table.h5", label=lambda number: str(number * 7)))
