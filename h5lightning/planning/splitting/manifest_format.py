"""The format of a saved split, in a manifest or a checkpoint: it does not depend on the directory of the files.

A file is identified by its name relative to the root, a series by its name in its file, else by its number there. As
JSON::

    {"format": "h5lightning split", "version": 1, "by": "file",
     "requested": {"train": 0.8, "val": 0.1, "test": 0.1},
     "rows": {"a.h5": [120], "b.h5": [80], …},                   rows of each series
     "series": {"a.h5": ["demo_0"], …},                          only if series have names
     "splits": {"train": {"files": ["a.h5", …]}, …},
     "skipped": {"c.h5": "…"}}                                  only if files were left out; nothing reads it

Instead of whole ``files``, a split may have ``runs``, ``{"a.h5": [[series, start, stop], …]}``, or ``slices`` of the
random order of the rows of ``files`` that ``key`` selects.

Version 2 has what keeps a million series small, and is written only where it is needed: names that differ in a number
are ``"numbered_series": {"name": "demo_*", "digits": 1, "numbers": {"a.h5": [[0, 50]], …}}`` instead of ``series``, and
a split may have whole ``series``, ``{"a.h5": [[0, 4], [7, 9]]}``. Both are ranges, whose ends do not count; those of
splits are the positions of the series in ``rows``.

Version 3 has sets of rows, where rows of one value stay together: ``"members": {"a.h5": [[series, start, stop], …]}``.
Instead of many runs of one file there is a text: a bit for each of its rows, series after series, the first row in the
lowest bit of the first byte, compressed by zlib, in base64.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.sample_numbers import to_numbers
from h5lightning.core.string_table import StringTable
from h5lightning.errors import ManifestError
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.selection import RandomSubset
from h5lightning.planning.splitting.manifest_members import members_from_json, members_to_json
from h5lightning.planning.splitting.numbered_names import NumberedNames
from h5lightning.planning.splitting.overlap import shared_rows
from h5lightning.planning.splitting.plan_split import STRATEGIES
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["Manifest"]

_FORMAT = "h5lightning split"
_VERSIONS = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class Manifest:
    """A split and the files that were split.

    Args:
        index: the files that take part and their series; without a root, in rows.
        plan: the split of this index.
    """

    index: SampleIndex
    plan: SplitPlan

    @classmethod
    def of(cls, plan: SplitPlan, index: SampleIndex) -> Manifest:
        """The manifest of a plan, with the part of the index that it covers."""
        series = Segments.of_files(index, plan.files).series
        names = index.series_names
        portable = SampleIndex(
            root="",
            names=index.names.take(plan.files),
            series_file=np.searchsorted(plan.files, index.series_file[series]),
            series_rows=index.series_rows[series],
            samples=Rows(),
            series_names=None if names is None else names.take(series),
        )
        parts = {
            name: replace(part, series=np.searchsorted(series, part.series))
            for name, part in plan.parts.items()
        }
        return cls(portable, _plan(portable, plan.by, parts, plan.requested))

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain types, for JSON."""
        index, names = self.index, list(self.index.names)
        series = _names_to_json(index)
        splits = {name: _part_to_json(part, index, names) for name, part in self.plan.parts.items()}
        is_second = "numbered_series" in series or any("series" in part for part in splits.values())
        is_third = any("members" in part for part in splits.values())
        return {
            "format": _FORMAT,
            "version": 3 if is_third else 2 if is_second else 1,
            "by": self.plan.by,
            "requested": dict(self.plan.requested),
            "rows": _lists(index, index.series_rows.tolist()),
            **series,
            "splits": splits,
        }

    @classmethod
    def from_json(cls, plain: object, source: str) -> Manifest:
        """Read a mapping that `to_json` made.

        Args:
            plain: the mapping.
            source: its origin, for errors.

        Raises:
            ManifestError: the mapping has the wrong form or version, or contradicts itself.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != _FORMAT:
            raise ManifestError(f"{source} is not a split saved by h5lightning: it has no format {_FORMAT!r}")
        if plain.get("version") not in _VERSIONS:
            raise ManifestError(
                f"{source} has version {plain.get('version')!r}, expected 1, 2 or 3: it was saved by another "
                "release of h5lightning. Save the split again with this one"
            )
        try:
            index = _index_from_json(plain)
            numbers = {name: number for number, name in enumerate(index.names)}
            parts = {
                name: _part_from_json(part, index, numbers, keep_empty=name == "train")
                for name, part in plain["splits"].items()
            }
            requested = {str(name): float(fraction) for name, fraction in plain["requested"].items()}
            _check(index, plain["by"], parts, requested)
            return cls(index, _plan(index, plain["by"], parts, requested))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise ManifestError(f"{source} is damaged: {type(error).__name__}: {error}") from error


def _plan(
    index: SampleIndex, by: str, parts: Mapping[str, Segments], requested: Mapping[str, float]
) -> SplitPlan:
    files = np.arange(len(index.names), dtype=np.int64)
    return SplitPlan.of(index, by, parts, files=files, requested=requested)


def _lists(index: SampleIndex, values: list[Any]) -> dict[str, list[Any]]:
    """File → the values of its series."""
    edges = index.first_series.tolist()
    return {name: values[edges[file] : edges[file + 1]] for file, name in enumerate(index.names)}


def _names_to_json(index: SampleIndex) -> dict[str, Any]:
    """The names of the series, as ranges of numbers if they are natural numbers beside the same text."""
    if index.series_names is None:
        return {}
    numbered = NumberedNames.of(index.series_names) if len(index.series_names) > len(index.names) else None
    if numbered is None:
        return {"series": _lists(index, list(index.series_names))}
    files = np.arange(len(index.names))
    numbers = _ranges_to_json(numbered.numbers, index.series_file, files, list(index.names))
    return {"numbered_series": {"name": numbered.name, "digits": numbered.digits, "numbers": numbers}}


def _ranges_to_json(
    numbers: Int64Array, file: Int64Array, files: Int64Array, names: list[str]
) -> dict[str, list[list[int]]]:
    """File → numbers as ranges, for those of ``files``; ``file`` ascends."""
    opens = np.flatnonzero((np.diff(numbers, prepend=-2) != 1) | (np.diff(file, prepend=-1) != 0))
    closes = np.append(opens[1:], len(numbers))[: len(opens)]
    ranges = np.stack([numbers[opens], numbers[closes - 1] + 1], axis=1).tolist()
    edges = np.searchsorted(file[opens], [*files.tolist(), len(names)]).tolist()
    return {names[one]: ranges[edges[i] : edges[i + 1]] for i, one in enumerate(files.tolist())}


def _numbers_from_json(ranges: Iterable[Any]) -> Int64Array:
    """The numbers of ranges, one after the other."""
    starts, stops = to_numbers(_flat(ranges), "ranges").reshape(-1, 2).T
    if np.any(stops < starts) or np.any(starts < 0):
        raise ValueError("a range of series ends before it begins")
    return flat_positions(starts, stops - starts)


def _part_to_json(part: Segments, index: SampleIndex, names: list[str]) -> dict[str, Any]:
    files = part.files(index)
    listed = [names[file] for file in files.tolist()]
    if part.subset is not None:
        slices = np.stack([part.subset.slices.starts, part.subset.slices.stops], axis=1)
        return {"key": str(part.subset.key), "slices": slices.tolist(), "files": listed}
    if part.members is not None:
        return {"members": members_to_json(part, index)}
    whole = Segments.of_files(index, files)
    if all(np.array_equal(getattr(part, name), getattr(whole, name)) for name in ("series", "start", "stop")):
        return {"files": listed}
    file = index.series_file[part.series]
    series = part.series - index.first_series[file]
    if not part.start.any() and np.array_equal(part.stop, index.series_rows[part.series]):
        return {"series": _ranges_to_json(series, file, files, names)}
    runs = np.stack([series, part.start, part.stop], axis=1)
    edges = [*np.searchsorted(file, files).tolist(), len(part)]
    return {"runs": {name: runs[edges[i] : edges[i + 1]].tolist() for i, name in enumerate(listed)}}


def _part_from_json(
    plain: Mapping[str, Any], index: SampleIndex, numbers: Mapping[str, int], *, keep_empty: bool
) -> Segments:
    if "runs" in plain:
        return _runs_from_json(plain["runs"], index, numbers)
    if "series" in plain:
        return _series_from_json(plain["series"], index, numbers)
    if "members" in plain:
        return members_from_json(plain["members"], index, numbers, keep_empty=keep_empty)
    files = np.asarray(sorted(numbers[name] for name in plain["files"]), dtype=np.int64)
    whole = Segments.of_files(index, files)
    if "key" not in plain:
        return whole
    starts, stops = (
        to_numbers([edge for start, stop in plain["slices"] for edge in (start, stop)], "rows")
        .reshape(-1, 2)
        .T
    )
    return Segments(
        whole.series, whole.start, whole.stop, RandomSubset(int(plain["key"]), SampleRanges(starts, stops))
    )


def _series_from_json(ranges: Mapping[str, Any], index: SampleIndex, numbers: Mapping[str, int]) -> Segments:
    counts = np.diff(index.first_series)
    series = [np.zeros(0, dtype=np.int64)]
    for name, listed in ranges.items():
        positions, file = _numbers_from_json(listed), numbers[name]
        if positions.size and positions.max() >= counts[file]:
            raise ValueError("a range names a series that its file does not have")
        series.append(positions + index.first_series[file])
    return Segments.of_series(index, np.sort(np.concatenate(series)))


def _runs_from_json(runs: Mapping[str, Any], index: SampleIndex, numbers: Mapping[str, int]) -> Segments:
    first = index.first_series
    flat = [
        number
        for name, listed in runs.items()
        for series, start, stop in listed
        for number in (numbers[name], series, start, stop)
    ]
    file, series, start, stop = to_numbers(flat, "rows").reshape(-1, 4).T
    series = first[file] + series
    if np.any(series < first[file]) or np.any(series >= first[file + 1]):
        raise ValueError("a run names a series that its file does not have")
    if np.any(start < 0) or np.any(stop < start) or np.any(stop > index.series_rows[series]):
        raise ValueError("a run lies outside of its series")
    order = np.lexsort((start, series))
    return Segments(series[order], start[order], stop[order])


def _index_from_json(plain: Mapping[str, Any]) -> SampleIndex:
    rows: Mapping[str, list[int]] = plain["rows"]
    counts = np.asarray([len(listed) for listed in rows.values()], dtype=np.int64)
    return SampleIndex(
        root="",
        names=StringTable.of(rows),
        series_file=np.repeat(np.arange(len(rows)), counts),
        series_rows=to_numbers(_flat(rows.values()), "rows"),
        samples=Rows(),
        series_names=_names_from_json(plain, rows),
    )


def _names_from_json(plain: Mapping[str, Any], rows: Mapping[str, list[int]]) -> StringTable | None:
    if "numbered_series" in plain:
        numbered = plain["numbered_series"]
        numbers = [_numbers_from_json(numbered["numbers"][file]) for file in rows]
        joined = np.concatenate([np.zeros(0, dtype=np.int64), *numbers])
        names = NumberedNames(numbered["name"], numbered["digits"], joined).names()
    elif "series" in plain:
        names = StringTable.of(_flat(plain["series"][file] for file in rows))
    else:
        return None
    if len(names) != sum(map(len, rows.values())):
        raise ValueError(f"{len(names)} series have names")
    return names


def _flat(lists: Iterable[list[Any]]) -> list[Any]:
    return [item for listed in lists for item in listed]


def _check(
    index: SampleIndex, by: str, parts: Mapping[str, Segments], requested: Mapping[str, float]
) -> None:
    """Raise `ValueError` if a split is unknown, or a row is in two splits."""
    known = [*STRATEGIES, "group"]
    if by not in known:  # a damaged file may hold a list, which has no hash
        raise ValueError(f"'by' must be one of {', '.join(known)}, found {by!r}")
    if index.series_rows.min(initial=0) < 0:
        raise ValueError(f"a series has {index.series_rows.min()} rows")
    for name in (*parts, *requested):
        if name not in SPLITS or name not in parts:
            raise ValueError(f"{name!r} is not one of its splits")
    subsets = [part for part in parts.values() if part.subset is not None]
    every = [part for part in parts.values() if part.subset is None] + subsets[:1]
    if any(part.members is not None for part in every):
        for pair in itertools.combinations(every, 2):
            if shared_rows(*pair, index):
                raise ValueError("rows are in two splits")
    else:
        _check_runs(index, every)
    _check_subsets(index, subsets)


def _check_runs(index: SampleIndex, parts: list[Segments]) -> None:
    series, start, stop = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, dtype=np.int64)])
        for name in ("series", "start", "stop")
    )
    order = np.lexsort((stop, start, series))
    series, start, stop = series[order], start[order], stop[order]
    overlaps = np.flatnonzero((series[1:] == series[:-1]) & (start[1:] < stop[:-1]))
    if overlaps.size:
        raise ValueError(
            f"rows of {index.names[int(index.series_file[series[overlaps[0]]])]} are in two splits"
        )


def _check_subsets(index: SampleIndex, parts: list[Segments]) -> None:
    subsets = [part.subset for part in parts if part.subset is not None]
    if not subsets:
        return
    if len({subset.key for subset in subsets}) > 1 or any(
        not np.array_equal(part.series, parts[0].series) for part in parts
    ):
        raise ValueError("splits are drawn from different rows, or with different keys")
    starts = np.concatenate([subset.slices.starts for subset in subsets])
    stops = np.concatenate([subset.slices.stops for subset in subsets])
    order = np.argsort(starts, kind="stable")
    rows = int(index.series_rows[parts[0].series].sum())
    if np.any(starts[order][1:] < stops[order][:-1]) or starts.min() < 0 or stops.max() > rows:
        raise ValueError(f"the slices of the {rows} rows overlap, or reach beyond them")
