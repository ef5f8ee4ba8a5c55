"""The options that users and configuration set: frozen dataclasses of plain types that check themselves.

Wherever an option is accepted, a mapping with the same keys is accepted too (see `coerce`): Python, Hydra and
LightningCLI share one definition. The classes are not slotted, because LightningCLI reads the ``__dict__`` of defaults.
"""

from __future__ import annotations

from h5lightning.options.access import Access
from h5lightning.options.field import DTYPES, FLOAT_DTYPES, Field, SingleField, single_fields
from h5lightning.options.normalize import Normalize
from h5lightning.options.samples import Rows, Samples, Whole, Windows
from h5lightning.options.series import Series
from h5lightning.options.shuffle import Shuffle
from h5lightning.options.split import Split
from h5lightning.options.table import Table

__all__ = [
    "DTYPES",
    "FLOAT_DTYPES",
    "Access",
    "Field",
    "Normalize",
    "Rows",
    "Samples",
    "Series",
    "Shuffle",
    "SingleField",
    "Split",
    "Table",
    "Whole",
    "Windows",
    "single_fields",
]
