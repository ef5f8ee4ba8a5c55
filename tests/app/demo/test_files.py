"""The demo's files: complete or not there, whatever happens while they are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning.app.demo import files as demo_files
from h5lightning.app.demo.files import (
    DATA_DIR_VARIABLE,
    Recipe,
    data_directory,
    demo_pattern,
    ensure_demo_files,
)
from h5lightning.errors import OptionError

SMALL = Recipe(runs=((0.02, 0.055, 9), (0.03, 0.06, 20), (0.05, 0.062, 5)), size=16, warm_up_steps=10)

MAKE = """
import sys
from h5lightning.app.demo.files import Recipe, ensure_demo_files
ensure_demo_files(sys.argv[1], recipe=Recipe(size=32))
"""


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def start_making(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAKE, str(directory)], stderr=subprocess.PIPE, text=True)


def test_the_demo_has_files_of_unequal_length():
    recipe = Recipe()
    assert len(set(recipe.names)) >= 12
    assert len({frames for _, _, frames in recipe.runs}) >= 12


def test_files_hold_frames_and_constants(tmp_path):
    made = ensure_demo_files(tmp_path, recipe=SMALL)
    assert sorted(path.name for path in made.directory.glob("*.h5")) == list(made.names)
    for name, (feed, kill, length) in zip(SMALL.names, SMALL.runs, strict=True):
        with h5py.File(made.directory / name) as file:
            frames = file["frames"]
            assert (frames.shape, frames.dtype) == ((length, 2, 16, 16), np.float32)
            assert (frames.compression, frames.shuffle) == ("gzip", True)
            assert (file.attrs["feed_rate"], file.attrs["kill_rate"]) == (feed, kill)
            assert file.attrs["steps_per_frame"] == SMALL.steps_per_frame
            values = frames[:]
        assert np.isfinite(values).all()
        assert all(np.ptp(frame) > 0 for frame in values), "a frame that was never written"


def test_frames_go_on_from_each_other(tmp_path):
    """A chunk that is written in the wrong place would show as a jump between frames."""
    made = ensure_demo_files(tmp_path, recipe=SMALL)
    with h5py.File(made.directory / SMALL.names[1]) as file:
        frames = file["frames"][:]
    changes = np.square(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    far = np.square(frames[8:] - frames[:-8]).mean(axis=(1, 2, 3))
    assert changes.max() < far.max()


def test_a_second_call_leaves_the_files_alone(tmp_path):
    made = ensure_demo_files(tmp_path, recipe=SMALL)
    before = {path: path.stat().st_mtime_ns for path in made.directory.iterdir()}
    assert ensure_demo_files(str(tmp_path), recipe=SMALL) == made
    assert {path: path.stat().st_mtime_ns for path in made.directory.iterdir()} == before
    assert list(tmp_path.iterdir()) == [made.directory]


def test_the_same_recipe_gives_the_same_values(tmp_path):
    first = ensure_demo_files(tmp_path / "a", recipe=SMALL)
    second = ensure_demo_files(tmp_path / "b", recipe=SMALL)
    for name in first.names:
        with h5py.File(first.directory / name) as one, h5py.File(second.directory / name) as other:
            np.testing.assert_array_equal(one["frames"], other["frames"])


@pytest.mark.parametrize(
    "change", [{"revision": 99}, {"seed": 1}, {"size": 8}], ids=["revision", "seed", "size"]
)
def test_another_recipe_is_made_anew(tmp_path, change):
    first = ensure_demo_files(tmp_path, recipe=SMALL)
    changed = Recipe(**{**vars(SMALL), **change})
    second = ensure_demo_files(tmp_path, recipe=changed)
    assert first.directory != second.directory
    assert first.directory.exists()


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [delete, truncate])
@pytest.mark.parametrize("victim", ["first file", "complete.json"])
def test_damaged_files_are_made_again(tmp_path, damage, victim):
    made = ensure_demo_files(tmp_path, recipe=SMALL)
    expected = {name: data for name, data in contents(made.directory).items() if name.endswith(".h5")}
    damage(made.directory / (made.names[0] if victim == "first file" else victim))
    ensure_demo_files(tmp_path, recipe=SMALL)
    with h5py.File(made.directory / made.names[0]) as file:
        assert file["frames"].shape[0] == 9
    assert contents(made.directory).keys() == expected.keys() | {"complete.json"}
    assert list(tmp_path.iterdir()) == [made.directory]


def test_the_variable_says_where_and_what_is_special_in_globs_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "run [1]"))
    monkeypatch.setattr(demo_files, "Recipe", lambda: SMALL)
    assert data_directory() == tmp_path / "run [1]"
    assert len(list(Path("/").glob(demo_pattern().lstrip("/")))) == len(SMALL.runs)


def test_a_relative_or_home_directory_becomes_absolute(monkeypatch):
    monkeypatch.setenv(DATA_DIR_VARIABLE, "~/data")
    assert data_directory() == Path.home() / "data"
    monkeypatch.setenv(DATA_DIR_VARIABLE, "data")
    assert data_directory() == Path.cwd() / "data"


def test_without_the_variable_the_data_are_not_in_the_working_directory(monkeypatch):
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    assert data_directory().is_absolute()
    assert Path.cwd() not in data_directory().parents


def test_a_directory_that_cannot_be_made_is_an_error_that_names_the_way_out(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(OptionError, match=rf"cannot be written to .*file.*{DATA_DIR_VARIABLE}"):
        ensure_demo_files(tmp_path / "file", recipe=SMALL)


def test_an_abandoned_directory_is_removed_once_it_is_old(tmp_path):
    old, young = tmp_path / ".gray-scott-partial-old", tmp_path / ".gray-scott-partial-young"
    for directory in (old, young):
        directory.mkdir()
        (directory / "some.h5").write_bytes(b"half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    ensure_demo_files(tmp_path, recipe=SMALL)
    assert not old.exists()
    assert young.exists()


@pytest.mark.timeout(90)
def test_processes_at_once_make_one_set_of_files(tmp_path):
    processes = [start_making(tmp_path) for _ in range(3)]
    errors = [process.communicate(timeout=80)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    (directory,) = tmp_path.iterdir()
    assert len(list(directory.glob("*.h5"))) == len(Recipe().runs)


@pytest.mark.timeout(90)
def test_a_killed_process_leaves_nothing_that_looks_like_data(tmp_path):
    process = start_making(tmp_path)
    while not any(tmp_path.rglob("*.h5")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert [path.name[:1] for path in tmp_path.iterdir()] == ["."]
    made = ensure_demo_files(tmp_path, recipe=Recipe(size=32))
    assert len(list(made.directory.glob("*.h5"))) == len(Recipe().runs)
