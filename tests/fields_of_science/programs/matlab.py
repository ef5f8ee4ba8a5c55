"""Files of MATLAB v7.3 by hdf5storage, and what it reads from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hdf5storage
import numpy as np
from saving import joined, write_cases

SAMPLES = 10


def write(path: Path, content: Mapping[str, Any]) -> None:
    hdf5storage.savemat(str(path), dict(content), format="7.3", store_python_metadata=False, appendmat=False)


def read(folder: Path, name: str) -> list[np.ndarray]:
    return [hdf5storage.loadmat(str(path), appendmat=False)[name] for path in sorted(folder.glob("*.mat"))]


def content(number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    return {
        "images": rng.normal(size=(4, 5, SAMPLES)),  # height × width × samples, as MATLAB counts them
        "labels": rng.integers(0, 3, (1, SAMPLES)).astype("u1"),
        "valid": rng.random((1, SAMPLES)) > 0.3,
        "waves": (rng.normal(size=(6, SAMPLES)) + 1j * rng.normal(size=(6, SAMPLES))),
        "note": "recorded at noon",
        "names": np.array(["a", "bb", "ccc"], dtype=object).reshape(1, 3),
        "nothing": np.zeros((0, 0)),
        "options": {"rate": 250.0, "filter": "none"},
    }


def plain(folder: Path) -> Mapping[str, Any]:
    """Axes are reversed in the file, so that samples come first."""
    for number in range(2):
        write(folder / f"{number}.mat", content(number))
    return {
        "images": joined([one.transpose(2, 1, 0) for one in read(folder, "images")]),
        "labels": joined([one.T for one in read(folder, "labels")]),
        "valid": joined([one.T for one in read(folder, "valid")]),
        "waves": joined([one.T for one in read(folder, "waves")]),
    }


def empty(folder: Path) -> Mapping[str, Any]:
    """Empty arrays are stored as their shapes: two numbers that are not rows."""
    for number in range(2):
        arrays = {"x": np.zeros((0, 7)), "y": np.zeros((0, 3), "u1"), "cells": np.zeros((0, 0), object)}
        write(folder / f"{number}.mat", arrays)
    return {"x": joined([one.T for one in read(folder, "x")])}


if __name__ == "__main__":
    write_cases([plain, empty])
