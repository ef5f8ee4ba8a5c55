"""What trains under the pinned Lightning trains under the lowest one that `pyproject.toml` accepts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
# What talks to a Trainer, one process or several.
TESTS = [
    "tests/datamodule/test_module.py",
    "tests/loading/test_sample_weights.py",
    "tests/datamodule/test_lightning_cli.py",
    "tests/multiprocess",
]


def lowest() -> str:
    (found,) = re.findall(r'"lightning>=([\d.]+),', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found if found.count(".") == 2 else f"{found}.0"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Python of a fresh environment in which only Lightning differs from this one. Needs a package index."""
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    found = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    outer = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "zz_outer.pth").write_text("\n".join(outer))
    options = ["--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet"]
    packages = [*(f"{name}=={lowest()}" for name in ("lightning", "pytorch-lightning")), "-e", str(ROOT)]
    subprocess.run([found, "-m", "pip", "install", *options, *packages], check=True, timeout=300)
    return found


def test_the_lowest_lightning(python: Path) -> None:
    # An old Lightning calls jsonargparse in ways that a new one deprecates.
    environment = {**os.environ, "JSONARGPARSE_DEPRECATION_WARNINGS": "off"}
    environment.pop("PYTHONPATH", None)
    asked = [python, "-c", "import lightning; print(lightning.__version__)"]
    found = subprocess.run(asked, env=environment, check=True, capture_output=True, text=True, timeout=300)
    assert found.stdout.strip() == lowest() != version("lightning")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=1400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-8000:]
    assert re.search(r"\d+ passed", done.stdout)
