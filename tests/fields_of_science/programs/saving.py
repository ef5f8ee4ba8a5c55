"""A folder for each case of a program: its files, and what the reader of the field reads from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Case = Callable[[Path], Mapping[str, Any]]


def write_cases(cases: Sequence[Case]) -> None:
    """Let each case write its files, and save what it returns: dataset → values of all files, in the order of paths."""
    out = Path(sys.argv[1])
    for case in cases:
        folder = out / case.__name__
        folder.mkdir()
        values = {path: np.asarray(found) for path, found in case(folder).items()}
        np.savez(folder / "expected.npz", **values)


def joined(parts: Sequence[Any]) -> np.ndarray:
    """The values of all files, one after the other."""
    return np.concatenate([np.asarray(part) for part in parts])
