"""What `inspect` says of series inside of files: its hints work, and its text stays short."""

import re

import h5py
import numpy as np
import pytest
from series_files import (
    demonstrations,
    masked_demonstrations,
    offline_episodes,
    replay_buffer,
    the_well,
    transitions,
)

from h5lightning import Field, H5DataModule, Series, Split, Windows
from h5lightning.tools.inspect import inspect_files

RNG = np.random.default_rng(0)
NAMES = {"Field": Field, "Series": Series, "Split": Split, "Windows": Windows}


def inspected(folder, kind):
    kind(folder)
    return inspect_files([str(folder / "*.h5")], progress=False)


def with_hint(found, hint):
    """The DataModule of the code, with the options that a hint names."""
    text = hint.partition(": ")[2]
    changes = eval(f"dict({text})", dict(NAMES))
    namespace = {}
    exec(found.code.python, namespace)
    module = namespace["dm"]
    given = {key: value for key, value in dict(module.hparams).items() if value is not None}
    dm = H5DataModule(**{**given, "batch_size": 4, **changes})
    dm.prepare_data()
    dm.setup()
    batch = next(iter(dm.train_dataloader()))
    dm.teardown()
    return dm, batch


def without_actions(kind):
    """The same files with a name that says nothing in place of actions."""

    def fill(folder):
        kind(folder)
        (path,) = folder.glob("*.h5")
        with h5py.File(path, "r+") as file:
            paths = []
            file.visit(paths.append)
            for name in paths:
                if name.rpartition("/")[2] in ("action", "actions"):
                    file.move(name, re.sub(r"actions?$", "speed", name))

    return fill


def leading_series(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        file["u"], file["time"] = RNG.random((40, 12), dtype="f4"), np.arange(12.0)


def test_the_hint_of_lists_works(tmp_path):
    found = inspected(tmp_path, without_actions(masked_demonstrations))
    hint = next(hint for hint in found.hints if "given=" in hint)
    assert "split=Split(given={'train': 'mask/train', 'val': 'mask/valid'})" in hint
    dm, _ = with_hint(found, hint)
    sizes = {split.name: split.samples for split in dm.summary().splits}
    assert sizes["train"] == sum(20 + number for number in range(20))
    assert sizes["val"] == sum(20 + number for number in range(20, 30))


def test_lists_of_something_else_are_no_hint(tmp_path):
    without_actions(demonstrations)(tmp_path)
    with h5py.File(tmp_path / "demo.h5", "r+") as file:
        file["mask/train"], file["mask/valid"] = np.asarray([b"red"]), np.asarray([b"blue"])
    found = inspect_files([str(tmp_path / "*.h5")], progress=False)
    assert found.is_usable
    assert not any("given=" in hint for hint in found.hints)


@pytest.mark.parametrize(
    "kind", [leading_series, without_actions(replay_buffer), without_actions(offline_episodes)]
)
def test_the_hint_of_forecasts_works(tmp_path, kind):
    found = inspected(tmp_path, kind)
    hint = next(hint for hint in found.hints if "To predict the next" in hint)
    _, batch = with_hint(found, "x: " + hint.partition("To predict the next ")[2].partition(": ")[2])
    assert (batch["x"].shape[1], batch["y"].shape[1]) == (4, 1)


def test_observations_come_before_what_else_a_trajectory_holds(tmp_path):
    found = inspected(tmp_path, transitions)
    assert {key: dataset.path for dataset in found.datasets for key in dataset.keys} == {
        "obs": "traj_*/obs",
        "actions": "traj_*/actions",
    }
    assert 'Field("traj_*/obs", extra_rows=1)' in found.code.python


def test_flags_are_no_labels(tmp_path):
    found = inspected(tmp_path, offline_episodes)
    assert {key for dataset in found.datasets for key in dataset.keys} == {"observations", "actions"}


def test_coordinates_beside_trajectories_are_no_surprise(tmp_path):
    found = inspected(tmp_path, the_well)
    assert "different lengths" not in {issue.kind for issue in found.traps}
    with h5py.File(tmp_path / "well.h5", "r+") as file:
        file["t0_fields/density"] = np.zeros((5, 12, 8, 8), "f4")
    found = inspect_files([str(tmp_path / "*.h5")], progress=False)
    issue = next(issue for issue in found.traps if issue.kind == "different lengths")
    assert "'/t0_fields/density' 5" in issue.text
    assert "dimensions" not in issue.text


def test_thousands_of_series_are_never_listed(tmp_path):
    """In no text: neither in issues nor in the code, the layout or the hints."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(3000):
            group = file.create_group(f"mol_{number}")
            rows = 2 + number % 5
            group["energy"], group["xyz"] = np.zeros(rows), np.zeros((rows, 3 + number % 4, 3))
            if number % 3 == 0:
                group.create_dataset("e2", data=np.zeros(rows), chunks=(rows,), compression="gzip")
            if number % 7 == 0:
                group.create_dataset("empty", shape=(0, 3), dtype="f4")
    found = inspect_files([str(tmp_path / "*.h5")], progress=False)
    text = repr(found)
    assert len(text) < 12_000
    assert len(set(re.findall(r"mol_\d+", text))) < 20
