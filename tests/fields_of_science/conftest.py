"""Programs of several fields of science: each runs once, in a separate process, and saves files and its readings.

They come with another HDF5 library, warn about each other and take seconds to import, so that no test imports them.
``H5LIGHTNING_FIELDS_PYTHON`` names another interpreter in which they are installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / "programs"
collect_ignore = ["programs"]  # doctests would import them


class Written:
    """The files of one case of a program.

    Args:
        folder: where the program wrote them.
    """

    def __init__(self, folder: Path) -> None:
        (ending,) = {path.suffix for path in folder.iterdir() if path.suffix != ".npz"}
        self.files = folder / f"*{ending}"
        with np.load(folder / "expected.npz") as found:
            self.expected: Mapping[str, np.ndarray] = dict(found)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Written]:
    """A function that returns the files of a case; the test is skipped if a package of the program is not installed."""
    done: dict[tuple[str, ...], Path | str] = {}

    def give(program: str, case: str, *arguments: str) -> Written:
        call = (program, *arguments)
        if call not in done:
            done[call] = run(*call, folder=tmp_path_factory.mktemp(program))
        found = done[call]
        if isinstance(found, str):
            pytest.skip(found)
        return Written(found / case)

    return give


def run(program: str, *arguments: str, folder: Path) -> Path | str:
    """The folder that the program filled, or the package that it lacks."""
    python = os.environ.get("H5LIGHTNING_FIELDS_PYTHON", sys.executable)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))
    }
    done = subprocess.run(
        [python, "-W", "ignore", PROGRAMS / f"{program}.py", folder, *arguments],
        env={**environment, "HOME": str(folder.parent)},
        check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    lacking = re.search(r"^ModuleNotFoundError: No module named '(.+)'$", done.stderr, re.MULTILINE)
    if lacking:
        return f"needs {lacking[1]}: pip install 'h5lightning[fields]'"
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
