"""Files and models that more than one test module needs."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from kept_scanners import KeptWorkers

LENGTHS = (40, 25, 33, 10, 52, 18, 27, 36)


@pytest.fixture(autouse=True)
def _no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`seed_everything` leaves its seed in the environment; each test starts without one."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.delenv("PL_GLOBAL_SEED")


@pytest.fixture(autouse=True)
def _no_plugins_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing netCDF4 leaves the folder of its plug-ins, which are of another HDF5, in the environment."""
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "")
    monkeypatch.delenv("HDF5_PLUGIN_PATH")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes and demo data of a test stay in the test's own folder."""
    monkeypatch.setenv("H5LIGHTNING_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    # Made once for all tests: the demo's files never change.
    monkeypatch.setenv("H5LIGHTNING_DATA_DIR", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture(autouse=True)
def _kept_scanners(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan uses a process that is there, except in tests of these processes and of what a scan survives."""
    folder = request.path.parent
    if not {"faults", "scanning"} & {folder.name, folder.parent.name}:
        monkeypatch.setattr("h5lightning.storage.scanning.parallel_scan.ScanWorkers", KeptWorkers)


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """A function that shuts a folder for this process, also for root, who may look anywhere."""
    closed: set[str] = set()
    real = {name: getattr(os, name) for name in ("scandir", "stat", "lstat")}

    def guarded(name: str) -> Callable[..., Any]:
        def call(path: Any = ".", *args: Any, **options: Any) -> Any:
            text = os.path.abspath(path) if isinstance(path, (str, os.PathLike)) else ""
            if os.path.dirname(text) in closed or (name == "scandir" and text in closed):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), text)
            return real[name](path, *args, **options)

        return call

    for name in real:
        monkeypatch.setattr(os, name, guarded(name))
    return lambda folder: closed.add(str(folder))


@pytest.fixture
def ready() -> Iterator[Callable[[Any], Any]]:
    """A function that sets up a DataModule without a Trainer, and tears it down after the test."""
    made = []

    def set_up(dm: Any) -> Any:
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield set_up
    for dm in made:
        dm.teardown()


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    """Sets the soft limit of open files, up to the end of the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def write_files(tmp_path: Path) -> Callable[..., str]:
    """A function that writes files of given lengths and returns their pattern."""

    def write(lengths: Sequence[int] = LENGTHS, folder: str = "runs", **options: Any) -> str:
        directory = tmp_path / folder
        directory.mkdir(exist_ok=True)
        for number, rows in enumerate(lengths):
            write_file(directory / f"run-{number:03}.h5", number, rows, **options)
        return str(directory / "*.h5")

    return write


@pytest.fixture(scope="session")
def write_one() -> Callable[..., None]:
    """`write_file`, for fixtures that outlive a test."""
    return write_file


def write_file(path: Path, number: int, rows: int, options: Mapping[str, Any] | None = None) -> None:
    """One file whose every value says where it is: file number, row, and place in the row."""
    with h5py.File(path, "w") as file:
        x = number * 10_000 + np.arange(rows)[:, None, None] * 10 + np.arange(6).reshape(2, 3) / 10
        file.create_dataset("x", data=x.astype("float32"), **(options or {}))
        file.create_dataset("y", data=(np.arange(rows) + number) % 5)
        file.create_dataset("grid", data=np.full((2, 2), number, dtype="float32"))
        file.attrs["number"] = number
        file.attrs["viscosity"] = np.float32(number / 10)
        file.attrs["machine"] = f"m{number // 2}"
