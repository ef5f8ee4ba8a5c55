"""`H5DataModule`: its options, its setup, its share of the ranks, and how it resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5lightning.datamodule.module import H5DataModule

__all__ = ["H5DataModule"]


def __getattr__(name: str) -> Any:
    # Lightning loads when the class is used, not when another module of this folder is.
    if name == "H5DataModule":
        from h5lightning.datamodule.module import H5DataModule

        return H5DataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
