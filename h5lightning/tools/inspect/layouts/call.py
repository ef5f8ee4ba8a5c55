"""The call that trains on files of a layout, before it is known whether it works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from h5lightning.options import Field, Samples, Series, Shuffle, Split
from h5lightning.options.samples import StageSamples
from h5lightning.tools.overview.infer_fields import keys_of

__all__ = ["Call", "Recognised", "keyed"]

_OPTIONS = ("fields", "samples", "series", "split", "shuffle", "is_precise")


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of a DataModule for files of a layout.

    Args:
        layout: what the samples are, such as ``demonstrations``.
        reason: what was recognised, and from what, as a sentence without its full stop.
        fields: sample key → `Field`.
        samples: how samples lie in a series. One layout for each stage needs files that can be split.
        series: what a series is; None for a file, or a match of the ``*`` in the paths of fields.
        split: what the split keeps together, or where the files list it; None for the default.
        shuffle: the order of training samples; None for the default.
        is_precise: whether float64 must stay: times of a day, and total energies, lose too much as float32.
    """

    layout: str
    reason: str
    fields: Mapping[str, Field]
    samples: Samples | StageSamples
    series: Series | None = None
    split: Split | None = None
    shuffle: Shuffle | None = None
    is_precise: bool = False

    def options(self) -> dict[str, Any]:
        """The arguments of the DataModule, and whether float64 stays."""
        return {name: getattr(self, name) for name in _OPTIONS}


@dataclass(frozen=True, slots=True)
class Recognised:
    """A layout that was recognised, with code that works for these files.

    Args:
        layout: what the samples are, such as ``demonstrations``.
        reason: what was recognised, and from what, as a sentence without its full stop.
        python: Python code that creates ``dm``.
        yaml: the same as a configuration for Hydra.
    """

    layout: str
    reason: str
    python: str
    yaml: str


def keyed(fields: Iterable[Field]) -> dict[str, Field]:
    """The fields by the last parts of their paths: ``data/*/obs/pose`` → pose."""
    listed = list(fields)
    names = [str(field.path).rpartition("/")[2] for field in listed]
    return dict(zip(keys_of(names), listed, strict=True))
