"""What `import h5lightning` costs and brings in, each in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)

HEAVY = ("numpy", "torch", "h5py", "lightning", "hydra", "omegaconf", "rich", "typer")
CHEAP_MODULES = ("h5lightning", "h5lightning.errors", "h5lightning.options")
HYDRA_SIDE = ("h5lightning.config", "h5lightning.hydra_plugin")


def brought_in(statement: str, *names: str, cwd: Path | None = None) -> set[str]:
    """Those of ``names`` that are in sys.modules after ``statement``."""
    program = f"import sys\n{statement}\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=cwd
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", CHEAP_MODULES)
def test_import_brings_in_nothing_heavy(module):
    assert brought_in(f"import {module}", *HEAVY) == set()


@pytest.mark.parametrize("module", HYDRA_SIDE)
def test_what_hydra_apps_import_brings_in_no_torch(module):
    assert brought_in(f"import {module}", "torch", "lightning", "h5py", "numpy") == set()


def test_the_purity_test_can_fail(tmp_path):
    (tmp_path / "impure.py").write_text("import numpy\n")
    assert brought_in("import impure", *HEAVY, cwd=tmp_path) == {"numpy"}


def test_import_adds_less_than_a_tenth_of_a_second():
    # Processor time: what others do on the machine does not count.
    program = "import time; t = time.process_time(); import h5lightning; print(time.process_time() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True) for _ in range(3)
    ]
    assert min(float(run.stdout) for run in runs) < 0.1


def test_planning_needs_no_torch_and_no_h5py():
    statement = "import h5lightning; h5lightning.SampleIndex; h5lightning.Split()"
    assert brought_in(statement, "torch", "h5py", "lightning", "numpy") == {"numpy"}


def test_every_public_name_loads():
    program = "import h5lightning; [getattr(h5lightning, name) for name in h5lightning.__all__]"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_public_names_are_sorted_and_listed_by_dir():
    import h5lightning

    assert h5lightning.__all__ == sorted(h5lightning.__all__)
    assert set(h5lightning.__all__) <= set(dir(h5lightning))


def test_an_unknown_name_is_an_attribute_error():
    import h5lightning

    with pytest.raises(AttributeError, match="has no attribute 'H5Datamodule'"):
        _ = h5lightning.H5Datamodule
