"""A table beside the files: labels, groups, splits, weights, or stretches of rows, line by line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, check_text, clean_path, make_plain

__all__ = ["Table"]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table beside the files, in CSV or Parquet, each line of which speaks of a file, a series or a row.

    Its columns are fields (``table:COLUMN``), groups (``split.keep_together="table:COLUMN"``), splits
    (``split.given="table:COLUMN"``) and, as fields, weights. Text is in UTF-8, and its first line names the columns. A
    field of a column has the numbers of its ``categories``; else int64 if all are whole numbers, and float32 if not.

    Args:
        path: the file: ``.csv``, ``.tsv`` or ``.parquet``.
        file: the column that names the file of a line: its path below the common directory of the patterns, else its
            name, else its name without suffix; one of them for all lines. None if there is one file, or if lines are
            matched by ``key``.
        series: the column that names the series of a line; None where a line speaks of a whole file or a row.
        key: column → dataset with one value for each row: a line speaks of the row that has its value.
        start: the column with the first row of a line; with ``stop``, each line is a series.
        stop: the column with one past the last row of a line.
        on_missing: what to do with files, series or rows without a line: ``raise``, or ``skip`` to leave them out.

    Raises:
        OptionError: ``start`` without ``stop``, or a key of several columns.
    """

    later: ClassVar[tuple[str, ...]] = ()

    path: str
    file: str | None = None
    series: str | None = None
    key: dict[str, str] | None = None
    start: str | None = None
    stop: str | None = None
    on_missing: str = "raise"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("path", "file", "series", "start", "stop"):
            check_text(f"table.{name}", getattr(self, name))
        check_choice("table.on_missing", self.on_missing, ("raise", "skip"))
        if (self.start is None) != (self.stop is None):
            raise OptionError(
                f"table needs both start and stop, found start={self.start!r}, stop={self.stop!r}"
            )
        if self.key is not None:
            object.__setattr__(self, "key", _key_of(self.key))

    @property
    def key_column(self) -> str | None:
        """The column whose values are those of `key_path`."""
        return next(iter(self.key), None) if self.key else None

    @property
    def key_path(self) -> str | None:
        """The dataset with the key of each row."""
        return next(iter(self.key.values()), None) if self.key else None


def _key_of(key: object) -> dict[str, str]:
    is_one = isinstance(key, Mapping) and len(key) == 1
    pairs = list(key.items()) if is_one and isinstance(key, Mapping) else []
    if not pairs or not all(isinstance(one, str) and one for one in pairs[0]):
        raise OptionError(
            f"table.key must map one column to a dataset with one value for each row, such as {{'id': 'exam_id'}}; "
            f"found {key!r}"
        )
    return {pairs[0][0]: clean_path(pairs[0][1])}
