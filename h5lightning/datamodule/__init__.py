"""`H5DataModule`: its options, its setup, its share of the ranks, and how it resumes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5lightning.datamodule.module import H5DataModule, SampleLocation

__all__ = ["H5DataModule", "SampleLocation"]


def __getattr__(name: str) -> Any:
    # Lightning loads when the class is used, not when another module of this folder is.
    if name in __all__:
        return getattr(importlib.import_module("h5lightning.datamodule.module"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
