"""HDF5 files as batches for PyTorch Lightning: fast, exact, resumable.

The public types, from the outside in::

    H5DataModule            files, fields, samples, split → the loaders for fit, validate, test and predict
    ├── Split               how rows are divided into train, val and test, without leakage
    ├── Shuffle             the order of training samples
    ├── Access              how files are opened and trusted
    ├── Table               labels, groups and splits in a table beside the files
    ├── Normalize           how numbers are normalised, by statistics of the rows of train
    └── H5Dataset           the samples as a torch Dataset; read_batch(positions) → {key: (N, …) tensor}
        ├── Field           one entry of a sample: a dataset, steps of a window of it, or an attribute
        ├── Rows, Windows, Whole    the layout of samples in a series
        ├── Series          what a series is, where it is not a whole file
        └── SampleIndex     the location of each sample: locate(ids) → file, series, row
    errors                  all errors, as one tree under H5LightningError

A *file* holds one or more *series*. A series is a run of *rows* along axis 0. A *sample* is the model's input: a row, a
window of rows, or a whole series.

Importing this package imports none of these names. Each is loaded at first use, so that Hydra applications and
``--help`` do not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5lightning import errors
    from h5lightning.datamodule.module import H5DataModule
    from h5lightning.errors import H5LightningError
    from h5lightning.loading.h5_dataset import H5Dataset
    from h5lightning.options import (
        Access,
        Field,
        Normalize,
        Rows,
        Series,
        Shuffle,
        Split,
        Table,
        Whole,
        Windows,
    )
    from h5lightning.planning.index import SampleIndex

__all__ = [
    "Access",
    "Field",
    "H5DataModule",
    "H5Dataset",
    "H5LightningError",
    "Normalize",
    "Rows",
    "SampleIndex",
    "Series",
    "Shuffle",
    "Split",
    "Table",
    "Whole",
    "Windows",
    "errors",
]

__version__ = "0.1.0"

_HOME = {
    "H5DataModule": "h5lightning.datamodule.module",
    "H5Dataset": "h5lightning.loading.h5_dataset",
    "H5LightningError": "h5lightning.errors",
    "SampleIndex": "h5lightning.planning.index",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("h5lightning.errors")
    if name not in __all__:
        raise AttributeError(f"module 'h5lightning' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME.get(name, "h5lightning.options")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
