"""Real input, from files to accuracy: handwritten digits in eight files, trained by the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

from h5lightning import H5DataModule

LENGTHS = (310, 150, 270, 95, 402, 180, 220, 170)  # 1,797 images


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The digits that ship with scikit-learn, shuffled, in eight files of unequal length."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    (tmp_path / "digits").mkdir()
    for number, part in enumerate(np.split(order, np.cumsum(LENGTHS)[:-1])):
        with h5py.File(tmp_path / "digits" / f"part-{number}.h5", "w") as file:
            file["images"] = data.images[part].astype("float32")
            file["labels"] = data.target[part]
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_digits_are_recognised(digits: Path) -> None:
    command = ["timeout", "-k", "5", "220", sys.executable, "-m", "h5lightning", "train"]
    done = subprocess.run(
        [*command, "data.files=digits/*.h5", "data.fields={x: images, y: labels}", "model=classifier",
         "trainer.max_epochs=20", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"],
        cwd=digits, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"test acc\s*│\s*([\d.]+)", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.95
    dm = H5DataModule(str(digits / "digits/*.h5"), {"x": "images", "y": "labels"}, seed=0)
    dm.prepare_data()
    dm.setup()
    files = {name: set(paths) for name, paths in dm.splits.items()}
    assert sum(map(len, files.values())) == 8
    assert all(first.isdisjoint(second) for first, second in combinations(files.values(), 2)), json.dumps(
        dm.splits
    )
