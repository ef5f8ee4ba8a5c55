"""Arguments and options that several commands share, each with its help text."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from typer import Argument, Option

__all__ = [
    "AsJson",
    "BatchSize",
    "Fields",
    "IndexDir",
    "OrderMode",
    "Patterns",
    "Processes",
    "SamplesText",
    "Seed",
    "SeriesText",
    "ShowAll",
]

Patterns = Annotated[list[str], Argument(help="Globs of HDF5 files; '!…' excludes files.")]
Fields = Annotated[
    str | None,
    Option(help="As for train: '{x: images, y: labels}'. By default, the fields that inspect suggests."),
]
SamplesText = Annotated[str | None, Option("--samples", help="As for train: '{kind: windows, length: 4}'.")]
SeriesText = Annotated[
    str | None,
    Option("--series", help="As for train: '{ends: meta/episode_ends}'; file makes each file one series."),
]
BatchSize = Annotated[int, Option(min=1, help="Samples of one rank in one step.")]
Seed = Annotated[int, Option(min=0, help="Seed of splits and orders.")]
Processes = Annotated[
    int | None, Option(min=1, help="Processes that scan files. By default, one for each core.")
]
IndexDir = Annotated[
    str | None, Option(help="Folder of the index. By default, in the user's cache directory.")
]
AsJson = Annotated[bool, Option("--json", help="Print JSON.")]
ShowAll = Annotated[bool, Option("--all", help="List everything, not only the first entries.")]


class OrderMode(str, Enum):
    """The modes of `Shuffle`."""

    auto, full, block, none = "auto", "full", "block", "none"
