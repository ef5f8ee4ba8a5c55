"""Apply a saved split to the series of an index.

A series is known by its file and its name; where series have no names, by its number in the file.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.formatting import counted, listed
from h5lightning.core.permutation import derive_key
from h5lightning.errors import ManifestError, OptionError
from h5lightning.options import Split
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.candidates import Roles, files_to_split, several_groups
from h5lightning.planning.splitting.groups import Groups, Labels
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.new_files import KnownSeries, place_new_rows, place_new_series
from h5lightning.planning.splitting.plan_split import check_samples
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["apply_manifest"]

_MOST_NAMES = 5


def apply_manifest(
    manifest: Manifest,
    index: SampleIndex,
    split: Split,
    *,
    seed: int,
    roles: Roles | None = None,
    labels: Labels | None = None,
) -> SplitPlan:
    """The split of the files of an index as the manifest says.

    Files and series in the manifest stay in their split. ``split.on_new`` says what happens to new files, and to new
    series of known files; they are divided by the fractions of the manifest.

    Args:
        manifest: the saved split.
        index: the current files.
        split: ``on_new``, and for new files ``order``, ``gap``, ``keep_together`` and ``seed``.
        seed: used where ``split.seed`` is None.
        roles: numbers of the files of an explicit mapping; only ``train`` and ``predict`` may be named.
        labels: with ``keep_together="attr:NAME"``, the value of each unit of the index.

    Raises:
        ManifestError: a file or series of the manifest is missing or has other rows, or new ones are an error.
        OptionError: options that contradict the manifest.
    """
    roles = roles or {"train": np.arange(len(index.names), dtype=np.int64)}
    _check_options(manifest, split, roles, is_by_row=isinstance(labels, RowValues))
    check_samples(manifest.plan.by, index.samples)
    files = files_to_split(roles)
    saved = _saved_numbers(manifest, index, files)
    number = _current_numbers(manifest, index, files[saved >= 0], saved[saved >= 0])
    plan = manifest.plan
    parts = {name: _sorted(part, number[part.series]) for name, part in plan.parts.items()}
    series = Segments.of_files(index, files).series
    is_known = np.zeros(len(index.series_rows), dtype=np.bool_)
    is_known[number] = True
    new = series[~is_known[series]]
    if new.size or np.any(saved < 0):
        _check_new(manifest, index, files[saved < 0], new, split)
    if new.size:
        key = derive_key("split", seed if split.seed is None else split.seed, "new")
        known = KnownSeries(plan, parts, np.sort(number))
        if plan.by == "group":
            rows = _row_groups(split, index, series, labels)
            added = place_new_rows(known, new, rows, split, key)
        else:
            groups = _groups(split, manifest, index, series, labels)
            added = place_new_series(index, known, new, split, key, groups)
        joined = {name: _joined(parts.get(name), added[name]) for name in SPLITS}
        parts = {name: part for name, part in joined.items() if name in parts or len(part)}
    return SplitPlan.of(index, plan.by, parts, files=files, requested=plan.requested)


def _groups(
    split: Split, manifest: Manifest, index: SampleIndex, series: Int64Array, labels: Labels | None
) -> Groups | None:
    if split.keep_together is None:
        return None
    groups = Groups.of(split.keep_together, index, series, labels)
    pair = groups.divided_file(index)
    if pair is not None and manifest.plan.by == "file":
        raise several_groups(split.keep_together, index, groups, pair)
    return groups


def _row_groups(split: Split, index: SampleIndex, series: Int64Array, labels: Labels | None) -> RowGroups:
    if not isinstance(labels, RowValues) or split.keep_together is None:
        raise ManifestError(
            "the manifest keeps rows of one value together, and there are new files or series: say which dataset has "
            "the values, as the split that was saved did: data.split.keep_together=field:PATH"
        )
    return RowGroups.of(split.keep_together, index, series, labels)


def _check_options(manifest: Manifest, split: Split, roles: Roles, *, is_by_row: bool) -> None:
    named = [name for name in ("val", "test") if name in roles]
    if named:
        raise OptionError(
            f"'files' names {' and '.join(named)}, and split.manifest divides the files too: leave one of them out"
        )
    if split.folds is not None:
        raise OptionError(
            "split.manifest holds one split, it cannot be cut in folds; leave out folds or manifest"
        )
    if manifest.plan.by == "group" and split.keep_together is not None and not is_by_row:
        raise OptionError(
            f"split.keep_together={split.keep_together!r} keeps files or series together, but the manifest keeps rows "
            "of one value together; use 'field:PATH', or a column of a table of rows, or leave it out"
        )
    if split.keep_together is not None and manifest.plan.by not in ("file", "series", "group"):
        raise OptionError(
            "split.keep_together keeps files or series together, but the manifest is by "
            f"{manifest.plan.by!r}; leave it out"
        )


def _saved_numbers(manifest: Manifest, index: SampleIndex, files: Int64Array) -> Int64Array:
    """The number of each file in the manifest, -1 for new ones."""
    numbers = {name: number for number, name in enumerate(manifest.index.names)}
    saved = np.asarray([numbers.pop(index.names[file], -1) for file in files.tolist()], dtype=np.int64)
    if numbers:
        raise ManifestError(
            f"the manifest lists {_listed(list(numbers))} that the patterns do not find. Put them back, or save "
            "the split again without manifest"
        )
    return saved


def _current_numbers(
    manifest: Manifest, index: SampleIndex, files: Int64Array, saved: Int64Array
) -> Int64Array:
    """The series of the index that each series of the manifest is now, ``(saved series,)``.

    Args:
        manifest: the saved split.
        index: the current files.
        files: the known files.
        saved: their numbers in the manifest.
    """
    old = manifest.index
    if (index.series_names is None) != (old.series_names is None) and len(saved):
        saved_how, how = ("had no names", "have") if old.series_names is None else ("had names", "have none")
        raise ManifestError(
            f"the manifest was saved when the series of its files {saved_how}, now they {how}, so that the split no "
            "longer fits. Save it again without manifest"
        )
    number = np.full(len(old.series_rows), -1, dtype=np.int64)
    is_same = np.diff(index.first_series)[files] == np.diff(old.first_series)[saved]
    series, saved_series = _series_of(index, files[is_same]), _series_of(old, saved[is_same])
    number[saved_series] = series
    if not _have_same_names(index, series, old, saved_series):
        is_same[:] = False
    # In Python only where a file has other series than before, or lists them in another order.
    for file, saved_file in zip(files[~is_same].tolist(), saved[~is_same].tolist(), strict=True):
        names = _names_of(index, file)
        current = {name: position for position, name in enumerate(names)}
        found = [current.get(name, -1) for name in _names_of(old, saved_file)]
        first = int(index.first_series[file])
        first_saved = int(old.first_series[saved_file])
        number[first_saved : first_saved + len(found)] = [first + one if one >= 0 else -1 for one in found]
    _check_rows(manifest, index, number)
    return number


def _series_of(index: SampleIndex, files: Int64Array) -> Int64Array:
    """The series of files, file after file."""
    return flat_positions(index.first_series[files], np.diff(index.first_series)[files])


def _have_same_names(index: SampleIndex, series: Int64Array, old: SampleIndex, saved: Int64Array) -> bool:
    if index.series_names is None or old.series_names is None:
        return index.series_names is old.series_names
    return index.series_names.take(series) == old.series_names.take(saved)


def _names_of(index: SampleIndex, file: int) -> list[tuple[str, int]]:
    """The names of the series of a file, or their numbers; and how many before have the same name."""
    times: Counter[str] = Counter()
    found = []
    for name in _texts_of(index, file):
        found.append((name, times[name]))
        times[name] += 1
    return found


def _texts_of(index: SampleIndex, file: int) -> list[str]:
    first, stop = index.first_series[file : file + 2].tolist()
    if index.series_names is not None:
        return list(index.series_names.take(np.arange(first, stop)))
    return [str(number) for number in range(stop - first)]


def _check_rows(manifest: Manifest, index: SampleIndex, number: Int64Array) -> None:
    """Raise `ManifestError` for series that are gone or have other rows."""
    old = manifest.index
    gone = np.flatnonzero(number < 0)
    rows = index.series_rows[number]
    changed = np.flatnonzero((rows != old.series_rows) & (number >= 0))
    if not gone.size and not changed.size:
        return
    texts = [f"{old.where(one)} is gone" for one in gone[:_MOST_NAMES].tolist()]
    texts += [
        f"{old.where(one)} had {old.series_rows[one]} rows and has {rows[one]}"
        for one in changed[: _MOST_NAMES - len(texts)].tolist()
    ]
    raise ManifestError(
        f"the manifest was saved when {counted(gone.size + changed.size, 'series')} had other rows or names, so that "
        f"the split no longer fits: {listed(texts, _MOST_NAMES, total=gone.size + changed.size, separator='; ')}. Save "
        "it again without manifest"
    )


def _sorted(part: Segments, series: Int64Array) -> Segments:
    order = np.lexsort((part.start, series))
    if part.subset is not None and np.any(np.diff(order) < 0):
        raise ManifestError("the manifest draws rows from files in another order than that of their paths")
    if part.members is None or np.all(np.diff(order) > 0):
        return Segments(series[order], part.start[order], part.stop[order], part.subset, part.members)
    return Segments.merged([(part, series)])


def _check_new(
    manifest: Manifest, index: SampleIndex, files: Int64Array, new: Int64Array, split: Split
) -> None:
    """Raise `ManifestError` if new files, or new series of known files, are an error."""
    texts = [_listed([index.names[file] for file in files.tolist()])] if files.size else []
    others = new[~np.isin(index.series_file[new], files)]
    if others.size:
        names = [index.where(series) for series in others[:_MOST_NAMES].tolist()]
        texts.append(f"{counted(others.size, 'series')} ({listed(names, _MOST_NAMES, total=others.size)})")
    if manifest.plan.by == "sample":
        raise ManifestError(
            f"the manifest divides single rows of its files and does not list {' and '.join(texts)}. Save the split "
            "again without manifest"
        )
    if split.on_new == "error":
        raise ManifestError(
            f"the manifest does not list {' and '.join(texts)}. Add them with data.split.on_new=train or =split, or "
            "exclude files with a pattern that begins with '!'"
        )


def _joined(old: Segments | None, added: Segments) -> Segments:
    """The runs of both, which have no series in common."""
    if old is None:
        return added
    if old.members is not None or added.members is not None:
        return Segments.merged([(old, old.series), (added, added.series)])
    series = np.concatenate([old.series, added.series])
    order = np.argsort(series, kind="stable")
    start = np.concatenate([old.start, added.start])[order]
    return Segments(series[order], start, np.concatenate([old.stop, added.stop])[order])


def _listed(names: list[str]) -> str:
    return f"{counted(len(names), 'file')} ({listed(names, _MOST_NAMES)})"
