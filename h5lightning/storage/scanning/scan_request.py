"""What a scan looks for in a file, and what it returns for one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from h5lightning.errors import H5LightningError
from h5lightning.planning.catalog.file_schema import FileSchema

__all__ = ["DIFFERENCE", "Outcome", "ScanRequest", "ValueScope"]

# The key of a comparison's result among the attributes, whose names all contain an ``@``.
DIFFERENCE = "difference"

# What is kept of values: of each row, only which ones occur, or only text.
ValueScope: TypeAlias = Literal["rows", "lists", "texts"]

# An error is a value here: one bad file does not end the scan of the others.
Outcome: TypeAlias = FileSchema | H5LightningError


@dataclasses.dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to look for in a file.

    Args:
        paths: paths of datasets; None for all datasets.
        attrs: attributes, written ``object@name``, or ``@name`` for those of the file.
        most_chunks: locate the stored values of datasets with at most this many chunks; 0 for none.
        allow_external: the directory in which files with values of other files may lie; None to follow no link.
        same: paths of datasets whose values must be equal in all files; the scan reads them for their digest.
        constants: paths of datasets without a sample axis, whose first axis may have labels too.
        matched: the paths with a ``*`` of fields with rows: each text for which one of them exists is a unit of its
            own, and other paths may hold a ``*`` too; empty to describe the file as one unit.
        labels: whether to look for labels of columns; those of a single file can be compared with nothing.
        series: the tables that divide rows into series, as `Series.tables` writes them.
        coordinate: the coordinate of the rows, whose ends and step say which files go on where others end.
        compared: another file, a source in it, and the source in this file: only the difference between both is looked
            for.
        lists: paths of datasets that list series: only their values are read, as `read_series_lists` does.
        indexes: paths of datasets that divide others into rows of unequal length; they may hold the ``*``.
        row_values: names of datasets whose values are read and kept: ``path``, ``path[column]`` of a table, or the path
            of a group that is a column of AnnData; they may hold the ``*``.
        row_lists: the same, of which several numbers a row, such as those of a label image, keep only what occurs.
        row_texts: the same, of which only text and columns of AnnData are kept, since numbers are known by themselves.
    """

    paths: tuple[str, ...] | None
    attrs: tuple[str, ...] = ()
    most_chunks: int = 4_000_000
    allow_external: str | None = None
    same: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    labels: bool = True
    series: tuple[str, ...] = ()
    coordinate: str | None = None
    compared: tuple[str, str, str] | None = None
    lists: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    row_values: tuple[str, ...] = ()
    row_lists: tuple[str, ...] = ()
    row_texts: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ScanRequest:
        """The request that was written as JSON; other keys are ignored."""
        names = [item.name for item in dataclasses.fields(cls) if item.name in plain]
        return cls(**{name: _as_tuple(plain[name]) for name in names})

    @property
    def kept_values(self) -> dict[str, ValueScope]:
        """Names of datasets whose values are read → what is kept of them."""
        every: dict[ValueScope, tuple[str, ...]] = {
            "rows": self.row_values,
            "lists": self.row_lists,
            "texts": self.row_texts,
        }
        kept: dict[str, ValueScope] = {}
        for what, names in every.items():
            for name in names:
                kept.setdefault(name, what)
        return kept


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
