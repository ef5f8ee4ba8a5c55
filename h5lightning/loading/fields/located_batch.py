"""Where the samples of a batch are: their units, sorted, and their rows in them.

A unit is a file, or one match of the ``*`` in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import once
from h5lightning.planning.borders import Borders, Room
from h5lightning.planning.draws import SampleDraws
from h5lightning.planning.index import SampleIndex
from h5lightning.storage.readers.series_parts import Picked, SeriesParts, chosen_parts

__all__ = ["FilePaths", "LocatedBatch"]

_MOST_PATHS = 131_072  # about 150 bytes each


@dataclass(frozen=True, eq=False)
class LocatedBatch:
    """The samples of a batch, sorted by unit and row.

    Args:
        units: numbers of their units in the catalog, ``(units,)``.
        paths: the paths of their files; `SeriesParts` if a ``*`` matched them.
        borders: where the samples of each unit begin, and the last ones end, ``(units + 1,)``.
        rows: first row of each sample in its unit, ``(N,)``.
        slots: its index in the batch, ``(N,)``.
        index: the index of the samples.
        ids: their numbers in the index, ascending, ``(N,)``.
        room: the rows around each of them beyond which steps are padding; None if samples are neither padded nor drawn.
        draws: what is drawn for each sample; None where nothing is drawn.
        others: where their windows begin along the axes beside that of the rows, ``(N, axes)``; None for none.
    """

    units: Int64Array
    paths: Sequence[str]
    borders: Int64Array
    rows: Int64Array
    slots: Int64Array
    index: SampleIndex
    ids: Int64Array
    room: Room | None = None
    draws: SampleDraws | None = None
    others: Int64Array | None = None

    @classmethod
    def of(
        cls,
        ids: Int64Array,
        paths: FilePaths,
        borders: Borders | None = None,
        draws: SampleDraws | None = None,
    ) -> LocatedBatch:
        """Locate samples by their numbers in the index, ``(N,)``; with borders, padded or drawn ones."""
        # Ids count unit by unit, row by row.
        slots = np.argsort(ids)
        ids = ids[slots]
        index = paths.index
        units, starts, rows, cells = index.locate_ascending(ids)
        room, others = None, None
        if borders is not None:
            room = borders.room(ids, draws)
            others = room.others
            if room.shift is not None:
                rows = rows + room.shift
        elif index.grid is not None and cells is not None:
            others = index.grid.starts(units.repeat(starts[1:] - starts[:-1]), cells)
        return cls(units, paths.of(units), starts, rows, slots, index, ids, room, draws, others)

    @property
    def sizes(self) -> Int64Array:
        """Samples of each unit, ``(units,)``."""
        return self.borders[1:] - self.borders[:-1]

    @property
    def series_starts(self) -> Int64Array:
        """The first row in its unit of the series of each sample, ``(N,)``."""
        starts = self.index.series_start
        return np.zeros(len(self.ids), np.int64) if starts is None else starts[self.series]

    @property
    def series_numbers(self) -> Int64Array:
        """The number in its unit of the series of each sample, ``(N,)``."""
        series, units = self.series, self.index.units
        if self.index.numbers_in_units is not None:
            return self.index.numbers_in_units[series]
        return series - units.searchsorted(units[series])

    @property
    def series_rows(self) -> Int64Array:
        """Rows of the series of each sample, ``(N,)``."""
        return self.index.series_rows[self.series]

    @property
    def sample_units(self) -> Int64Array:
        """The unit of each sample, ``(N,)``."""
        return self.units.repeat(self.sizes)

    def drawn(self, take: int) -> tuple[Int64Array, Int64Array]:
        """Rows drawn of each series, and how many each sample has; see `SampleDraws.rows`."""
        if take not in self._drawn:
            draws = self.draws or SampleDraws()
            self._drawn[take] = draws.rows(self.ids, self.series_rows, take)
        return self._drawn[take]

    def of_units(self, parts: Int64Array) -> LocatedBatch:
        """The samples of some units, given by their ascending indices in `units`; slots are numbered anew."""
        sizes = self.sizes[parts]
        which = flat_positions(self.borders[parts], sizes)
        slots = np.empty(len(which), np.int64)
        slots[np.argsort(self.slots[which])] = np.arange(len(which))
        return replace(
            self,
            units=self.units[parts],
            paths=chosen_parts(self.paths, parts.tolist()),
            borders=np.concatenate([[0], np.cumsum(sizes)]),
            rows=self.rows[which],
            slots=slots,
            ids=self.ids[which],
            room=None if self.room is None else self.room.of(which),
            others=None if self.others is None else self.others[which],
        )

    @once
    def kept(self) -> dict[object, object]:
        """What readers have found out about these samples, by reader; one thread reads a batch."""
        return {}

    @once
    def _drawn(self) -> dict[int, tuple[Int64Array, Int64Array]]:
        """The rows that were drawn, which all fields share."""
        return {}

    def where(self, part: int, row: int | None = None) -> str:
        """A unit for messages, ``series 'demo_1' of /x/a.h5``; ``row 4 of`` it, counted in its series as `locate` does.

        Args:
            part: index of the unit in `units`.
            row: a row of the unit; None for the unit as a whole.
        """
        index, unit = self.index, int(self.units[part])
        series, stop = index.units.searchsorted([unit, unit + 1]).tolist()
        name = ""
        if row is not None and index.series_start is not None:
            series += int(index.series_start[series:stop].searchsorted(row, side="right")) - 1
            row -= int(index.series_start[series])
            name = index.series_name(series)
        elif stop - series == 1:
            name = index.series_name(series)
        elif index.unit_texts is not None:
            name = index.unit_texts[unit]
        place = f"series {name!r} of {self.paths[part]}" if name else self.paths[part]
        return place if row is None else f"row {row} of {place}"

    @once
    def series(self) -> Int64Array:
        """The number in the index of the series of each sample, ``(N,)``."""
        # As `SampleIndex.locate`, which checks the ids once more.
        series: Int64Array = self.index.first_id.searchsorted(self.ids, side="right") - 1
        return series


class FilePaths:
    """The paths of the files of an index, cached, since making a path takes longer than reading a row."""

    def __init__(self, index: SampleIndex) -> None:
        self.index = index
        self._kept: dict[int, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.index,)

    def of(self, units: Int64Array) -> Sequence[str]:
        """The path of the file of each unit, with the text that a ``*`` matched."""
        index = self.index
        if index.unit_texts is None:
            return self._of_files(units.tolist())
        files = index.unit_files[units]
        is_first = np.ones(len(files), np.bool_)
        np.not_equal(files[1:], files[:-1], out=is_first[1:])
        paths = self._of_files(files[is_first].tolist())
        return SeriesParts(paths, is_first.cumsum() - 1, Picked(index.unit_texts, units), units)

    def _of_files(self, files: Sequence[int]) -> list[str]:
        kept = self._kept
        try:
            return [kept[file] for file in files]
        except KeyError:
            if len(kept) > _MOST_PATHS:
                # A new dict: another thread may be reading the old one, to which nothing but paths is added.
                kept = self._kept = {}
            for file in files:
                if file not in kept:
                    kept[file] = self.index.path(file)
            return [kept[file] for file in files]
