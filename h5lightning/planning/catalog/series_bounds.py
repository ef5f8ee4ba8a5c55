"""The series that tables divide the rows of units into: flat arrays, unit after unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import EqualByValue, Frozen, once
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.plain_arrays import arrays_of, little_endian, plain_of

__all__ = ["SeriesBounds"]

_NO_NAMES = StringTable(np.zeros(0, np.uint8), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class SeriesBounds(EqualByValue, Frozen):
    """The series of units, as tables in their files say.

    Args:
        counts: series of each unit, ``(units,)``.
        totals: rows that the tables of each unit speak of, ``(units,)``: the end of the last series.
        starts: first row of each series in its unit, ``(series,)``, ascending in each unit.
        rows: rows of each series, ``(series,)``.
        problems: why the tables of a unit cannot be used, as a sentence about it, ``(units,)``; empty if they can.
        names: the value of the rows of each series, ``(series,)``; None if series have only numbers.
    """

    counts: Int64Array
    totals: Int64Array
    starts: Int64Array
    rows: Int64Array
    problems: StringTable
    names: StringTable | None = None

    def __post_init__(self) -> None:
        series = int(self.counts.sum())
        named = series if self.names is None else len(self.names)
        sizes = [len(self.totals), len(self.problems), len(self.starts), len(self.rows), named]
        if sizes != [len(self.counts)] * 2 + [series] * 3:
            raise ValueError(f"{len(self.counts)} units with {series} series: found parts of {sizes}")

    @classmethod
    def of_unit(
        cls, starts: Int64Array, rows: Int64Array, total: int, names: StringTable | None = None
    ) -> SeriesBounds:
        """The series of one unit."""
        counts, totals = np.asarray([len(starts)]), np.asarray([total])
        return cls(counts, totals, starts, rows, StringTable.of([""]), names)

    @classmethod
    def broken(cls, problem: str) -> SeriesBounds:
        """One unit whose tables cannot be used."""
        none = np.zeros(0, np.int64)
        return cls(np.zeros(1, np.int64), np.zeros(1, np.int64), none, none, StringTable.of([problem]))

    @classmethod
    def joined(cls, parts: Sequence[SeriesBounds]) -> SeriesBounds:
        """The units of all parts, one after the other; a part without names has no series if another one has names."""
        if len(parts) == 1:
            return parts[0]
        arrays = ([getattr(part, name) for part in parts] for name in ("counts", "totals", "starts", "rows"))
        none = np.zeros(0, np.int64)
        counts, totals, starts, rows = (np.concatenate([none, *each]) for each in arrays)
        names = None
        if any(part.names is not None for part in parts):
            names = StringTable.concatenated([part.names or _NO_NAMES for part in parts])
        return cls(
            counts, totals, starts, rows, StringTable.concatenated([part.problems for part in parts]), names
        )

    @once
    def first_series(self) -> Int64Array:
        """First series of each unit, ``(units + 1,)``; the last entry is the number of series."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])

    @once
    def unit_of(self) -> Int64Array:
        """The unit of each series, ``(series,)``, ascending."""
        return np.arange(len(self.counts)).repeat(self.counts)

    @once
    def rows_in_series(self) -> Int64Array:
        """Rows of each unit that lie in a series, ``(units,)``."""
        sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.rows)])
        of_units: Int64Array = sums[self.first_series[1:]] - sums[self.first_series[:-1]]
        return of_units

    def take(self, units: Int64Array) -> SeriesBounds:
        """The series of some units, in that order."""
        series = flat_positions(self.first_series[units], self.counts[units])
        return SeriesBounds(
            self.counts[units],
            self.totals[units],
            self.starts[series],
            self.rows[series],
            self.problems.take(units),
            None if self.names is None else self.names.take(series),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of series."""
        return self.starts.nbytes + self.rows.nbytes + (0 if self.names is None else self.names.blob.nbytes)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of all parts by name, little-endian."""
        arrays = {f"series_{name}": getattr(self, name) for name in ("counts", "totals", "starts", "rows")}
        arrays |= {"series_problem_bytes": self.problems.blob, "series_problem_ends": self.problems.ends}
        if self.names is not None:
            arrays |= {"series_name_bytes": self.names.blob, "series_name_ends": self.names.ends}
        return little_endian(arrays)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SeriesBounds | None:
        """The series in the arrays that `arrays` returned, among others; None if there are none."""
        if "series_counts" not in arrays:
            return None
        named = "series_name_ends" in arrays
        return cls(
            arrays["series_counts"],
            arrays["series_totals"],
            arrays["series_starts"],
            arrays["series_rows"],
            StringTable(arrays["series_problem_bytes"], arrays["series_problem_ends"]),
            StringTable(arrays["series_name_bytes"], arrays["series_name_ends"]) if named else None,
        )

    def to_plain(self) -> dict[str, str]:
        """A mapping for JSON."""
        return plain_of(self.arrays())

    @classmethod
    def from_plain(cls, plain: Mapping[str, str] | None) -> SeriesBounds | None:
        """The series that `to_plain` wrote; None for None."""
        return None if plain is None else cls.from_arrays(arrays_of(plain))
