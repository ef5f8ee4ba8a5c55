"""Runs the suite on several Pythons, each in an environment of its own, with the versions of constraints.txt.

    python tests/pythons.py 3.10 3.12 3.13                     the whole suite
    python tests/pythons.py 3.13 -- -m 'not slow and not campaign' tests/storage
    python tests/pythons.py --lowest 3.11                      with the lowest versions that pyproject.toml accepts

What follows ``--`` goes to pytest. An interpreter is a version, found on PATH or under pyenv, or a path. Environments
are kept in the folder and used again; a new one downloads some GB for torch, so this is no part of ``.ci/run``. Prints
how each ended; the exit status is 1 if one did not pass.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
Install: TypeAlias = Callable[[str, Path], list[list[str]]]
LOWEST_EXTRAS = ("cli", "codecs", "plot", "plugins")
TOOLS = (
    *("pytest", "pytest-cov", "pytest-timeout", "hypothesis", "nbmake", "ipykernel", "nbstripout"),
    *("editables", "hatchling", "scikit-learn"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite on each Python that is named."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="3.12, or the path of an interpreter")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "outputs" / "pythons", help="of the environments"
    )
    parser.add_argument("--lowest", action="store_true", help="the lowest versions accepted; needs uv")
    options = parser.parse_args(given[:cut])
    install = install_lowest if options.lowest else install_pinned
    prefix = "lowest-" if options.lowest else ""
    found = {python: find_python(python) for python in options.pythons}  # all of them, before hours are spent
    results = {
        python: run_suite(
            path, options.folder.resolve() / f"{prefix}{name_of(path)}", given[cut + 1 :], install
        )
        for python, path in found.items()
    }
    for python, result in results.items():
        sys.stdout.write(f"{python:12} {result}\n")
    return int(set(results.values()) != {"passed"})


def find_python(wanted: str) -> str:
    """The path of an interpreter.

    Args:
        wanted: a version such as 3.12 or 3.12.1, or a path.
    """
    if os.sep in wanted:
        return wanted
    on_path = shutil.which(f"python{wanted}")
    if on_path is not None and _starts(on_path):
        return on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = [*pyenv.glob(f"versions/{wanted}/bin/python"), *pyenv.glob(f"versions/{wanted}.*/bin/python")]
    if not installed:
        raise SystemExit(f"there is no Python {wanted} on PATH or in {pyenv}: install it, or give its path")
    return str(
        max(installed, key=lambda path: [int(part) for part in path.parts[-3].split(".") if part.isdigit()])
    )


def name_of(python: str) -> str:
    """What an environment is called: the version of its interpreter, in full."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def install_pinned(python: str, _environment: Path) -> list[list[str]]:
    """Commands that install what `constraints.txt` pins."""
    return [[python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", ".[test]"]]


def install_lowest(python: str, environment: Path) -> list[list[str]]:
    """Commands that install the lowest version of each dependency, and the newest test tools that go with them."""
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("--lowest needs uv: python -m pip install uv")
    pinned = str(environment / "lowest.txt")
    extras = [word for extra in LOWEST_EXTRAS for word in ("--extra", extra)]
    lowest = ["--resolution", "lowest-direct", *extras, "pyproject.toml", "--output-file", pinned, "--quiet"]
    install = [uv, "pip", "install", "--quiet", "--python", python]
    return [
        [uv, "pip", "compile", "--python", python, *lowest],
        [*install, "-r", pinned],
        [*install, "-c", pinned, *TOOLS],
        [*install, "--no-deps", "-e", "."],
    ]


def run_suite(python: str, environment: Path, pytest_arguments: Sequence[str], install: Install) -> str:
    """Make the environment, unless it is there, and run pytest in it; says how that ended."""
    inside = str(environment / "bin" / "python")
    if not Path(inside).exists() and _call([python, "-m", "venv", str(environment)]):
        return "FAILED: no environment could be made"
    # Each time, since dependencies may have changed.
    if any(_call(command) for command in install(inside, environment)):
        return "FAILED: the dependencies could not be installed"
    # The suite starts h5lightning by its name, too.
    path = os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", "")])
    # Old versions beside new ones warn of each other, which is no fault of ours.
    warnings = ["-o", "filterwarnings=default"] if install is install_lowest else []
    failed = _call([inside, "-m", "pytest", *warnings, *pytest_arguments], {"PATH": path})
    return "FAILED" if failed else "passed"


def _starts(python: str) -> bool:
    """Whether an interpreter runs: pyenv puts names on PATH that stand for versions which are not chosen."""
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def _call(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    sys.stdout.write(f"+ {shlex.join(command)}\n")
    sys.stdout.flush()
    return subprocess.run(
        command, check=False, cwd=ROOT, env={**os.environ, **(environment or {})}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
