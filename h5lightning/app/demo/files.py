"""Makes the files of the demo once, in the user's data directory, all of them or none.

Sixteen runs of the Gray-Scott system with different constants and of unequal length, one file each.
Dataset ``frames`` holds ``u`` and ``v`` as channels, ``(T, 2, 64, 64)`` float32, in compressed chunks of
eight frames; the constants are attributes of the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import platformdirs

from h5lightning.app.demo.gray_scott import FloatArray, GrayScott, initial_state, simulate
from h5lightning.core.progress import progress_bar
from h5lightning.errors import OptionError

__all__ = ["DATA_DIR_VARIABLE", "DemoFiles", "Recipe", "data_directory", "demo_pattern", "ensure_demo_files"]

DATA_DIR_VARIABLE = "H5LIGHTNING_DATA_DIR"

_REVISION = 1  # raise it with every change of the code that changes the files
_CHUNK_FRAMES = 8
_PARTIAL = ".gray-scott-partial-"
_ABANDONED_S = 3600.0

# Feed rate, kill rate, frames. They show most patterns of Pearson's map: waves, chaos, dividing spots,
# worms, labyrinths. Where a pattern settles early, the run is short.
_RUNS = (
    (0.018, 0.051, 140),
    (0.018, 0.055, 132),
    (0.022, 0.051, 136),
    (0.022, 0.055, 124),
    (0.022, 0.059, 118),
    (0.026, 0.053, 96),
    (0.026, 0.057, 88),
    (0.026, 0.059, 104),
    (0.030, 0.055, 60),
    (0.030, 0.059, 72),
    (0.030, 0.062, 110),
    (0.034, 0.061, 84),
    (0.038, 0.061, 78),
    (0.042, 0.061, 92),
    (0.050, 0.062, 82),
    (0.058, 0.062, 114),
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines the contents of the files."""

    runs: tuple[tuple[float, float, int], ...] = _RUNS
    size: int = 64  # grid points along each side
    spots: int = 3  # disturbed squares at the start of a run
    warm_up_steps: int = 160  # before the first frame; the edges of the squares dissolve
    steps_per_frame: int = 20
    seed: int = 0
    revision: int = _REVISION

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each file."""
        return tuple(f"feed{feed:.3f}-kill{kill:.3f}.h5" for feed, kill, _ in self.runs)

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change with the recipe."""
        return hashlib.blake2b(repr(dataclasses.astuple(self)).encode(), digest_size=4).hexdigest()


@dataclasses.dataclass(frozen=True)
class DemoFiles:
    """The sorted names of the files; their directory holds no other file that ends in ``.h5``."""

    directory: Path
    names: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """A glob that matches exactly these files."""
        return str(Path(glob.escape(str(self.directory))) / "*.h5")


def data_directory() -> Path:
    """The directory that the environment variable H5LIGHTNING_DATA_DIR names, else the user's data directory."""
    chosen = os.environ.get(DATA_DIR_VARIABLE) or platformdirs.user_data_dir("h5lightning")
    return Path(chosen).expanduser().absolute()


def ensure_demo_files(directory: str | Path | None = None, *, recipe: Recipe | None = None) -> DemoFiles:
    """Make the files of the demo unless they exist.

    Several processes may call it at once: the files appear together by one atomic rename, the first process
    wins, and a process that is killed leaves nothing that a later call would take for data. Another recipe
    gets another directory.

    Args:
        directory: parent of the directory of the files; None for `data_directory`.
        recipe: what to make; None for the recipe of the demo.

    Raises:
        OptionError: the directory cannot be written to.
    """
    recipe = recipe or Recipe()
    home = Path(directory).absolute() if directory is not None else data_directory()
    target = home / f"gray-scott-{recipe.fingerprint}"
    if not _is_complete(target):
        try:
            _make(target, recipe)
        except OSError as error:
            raise OptionError(
                f"the files of the demo cannot be written to {home}: {error}. Set {DATA_DIR_VARIABLE} to a "
                "writable directory with 100 MB free"
            ) from error
    return DemoFiles(target, tuple(sorted(recipe.names)))


def demo_pattern() -> str:
    """A glob of the demo's files, for configurations; makes the files unless they exist."""
    return ensure_demo_files().pattern


def _make(target: Path, recipe: Recipe) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=target.parent) as partial:
        made = Path(partial) / target.name
        made.mkdir()
        _write(made, recipe)
        sizes = {name: (made / name).stat().st_size for name in recipe.names}
        (made / "complete.json").write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        _publish(made, target)


def _publish(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError:
        if _is_complete(target):  # another process was faster
            return
        for file in sorted(made.iterdir(), key=lambda file: file.suffix == ".json"):
            file.replace(target / file.name)


def _is_complete(directory: Path) -> bool:
    """Whether all files have the size that they were written with; the list of sizes is written last."""
    try:
        sizes = json.loads((directory / "complete.json").read_text(encoding="utf-8"))
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _remove_abandoned(home: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for partial in home.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(partial)


def _write(directory: Path, recipe: Recipe) -> None:
    runs = [GrayScott(feed, kill) for feed, kill, _ in recipe.runs]
    lengths = [frames for _, _, frames in recipe.runs]
    state = initial_state(len(runs), recipe.size, spots=recipe.spots, seed=recipe.seed)
    state = next(islice(simulate(state, runs, steps=recipe.warm_up_steps), 1, None))
    simulated = islice(simulate(state, runs, steps=recipe.steps_per_frame), max(lengths))
    with contextlib.ExitStack() as stack:
        datasets = [
            _create(stack, directory / name, run, frames, recipe)
            for name, run, frames in zip(recipe.names, runs, lengths, strict=True)
        ]
        advance = stack.enter_context(progress_bar("simulating the demo's data", max(lengths)))
        for start, chunk in _chunked(simulated):
            for run, dataset in enumerate(datasets):
                stop = min(start + len(chunk), lengths[run])
                if start < stop:
                    dataset[start:stop] = chunk[: stop - start, run]
            advance(len(chunk))


def _create(
    stack: contextlib.ExitStack, path: Path, run: GrayScott, frames: int, recipe: Recipe
) -> h5py.Dataset:
    # Not through `HandlePool`, which only reads: this file is new.
    file = stack.enter_context(h5py.File(path, "x", locking=False))
    file.attrs.update(dataclasses.asdict(run))
    file.attrs["steps_per_frame"] = recipe.steps_per_frame
    file.attrs["units"] = np.bytes_("dimensionless, as in Pearson (1993)")
    dataset = file.create_dataset(
        "frames",
        shape=(frames, 2, recipe.size, recipe.size),
        dtype=np.float32,
        chunks=(min(_CHUNK_FRAMES, frames), 2, recipe.size, recipe.size),
        compression="gzip",
        shuffle=True,
    )
    dataset.attrs["channels"] = np.array([b"u", b"v"])
    return dataset


def _chunked(frames: Iterator[FloatArray]) -> Iterator[tuple[int, FloatArray]]:
    """Number of the first frame and ``(frames, runs, 2, H, W)`` of each chunk."""
    start = 0
    while chunk := list(islice(frames, _CHUNK_FRAMES)):
        yield start, np.stack(chunk)
        start += len(chunk)
