"""Apply a saved split to the files of an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.formatting import counted, listed
from h5lightning.core.permutation import derive_key
from h5lightning.errors import ManifestError, OptionError
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.candidates import Roles, files_to_split
from h5lightning.planning.splitting.groups import group_files
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.new_files import place_new_files
from h5lightning.planning.splitting.plan_split import check_samples
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
    labels: Sequence[str | None] | None = None,
) -> SplitPlan:
    """The split of the files of an index as the manifest says.

    Files in the manifest stay in their split. ``split.on_new`` says what happens to new files; they are divided by
    the fractions of the manifest.

    Args:
        manifest: the saved split.
        index: the current files.
        split: ``on_new``, and for new files ``order``, ``gap``, ``keep_together`` and ``seed``.
        seed: used where ``split.seed`` is None.
        roles: numbers of the files of an explicit mapping; only ``train`` and ``predict`` may be named.
        labels: with ``keep_together="attr:NAME"``, the value of each file of the index.

    Raises:
        ManifestError: a file of the manifest is missing or has other rows, or new files are an error.
        OptionError: options that contradict the manifest.
    """
    roles = roles or {"train": np.arange(len(index.names), dtype=np.int64)}
    _check_options(manifest, split, roles)
    check_samples(manifest.plan.by, index.samples)
    files = files_to_split(roles)
    saved = _saved_numbers(manifest, index, files)
    old, new = files[saved >= 0], files[saved < 0]
    parts = _renumbered(manifest, index, old, saved[saved >= 0])
    plan = SplitPlan.of(index, manifest.plan.by, parts, files=old, requested=manifest.plan.requested)
    if not new.size:
        return plan
    _check_new(manifest, index, new, split)
    groups = None
    if split.keep_together is not None:
        groups = group_files(split.keep_together, index.names, files, labels)
    key = derive_key("split", seed if split.seed is None else split.seed, "new")
    added = place_new_files(index, plan, new, split, key, groups)
    joined = {name: _joined(parts.get(name), added[name]) for name in SPLITS}
    parts = {name: part for name, part in joined.items() if name in parts or len(part)}
    return SplitPlan.of(index, plan.by, parts, files=files, requested=plan.requested)


def _check_options(manifest: Manifest, split: Split, roles: Roles) -> None:
    named = [name for name in ("val", "test") if name in roles]
    if named:
        raise OptionError(
            f"'files' names {' and '.join(named)}, and split.manifest divides the files too: leave one of them out"
        )
    if split.folds is not None:
        raise OptionError(
            "split.manifest holds one split, it cannot be cut in folds; leave out folds or manifest"
        )
    if split.keep_together is not None and manifest.plan.by != "file":
        raise OptionError(
            f"split.keep_together keeps files together, but the manifest is by {manifest.plan.by!r}; leave it out"
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


def _renumbered(
    manifest: Manifest, index: SampleIndex, files: Int64Array, saved: Int64Array
) -> dict[str, Segments]:
    """The parts of the manifest, for ascending ``files`` with the numbers ``saved`` in it, in series of the index."""
    series, sizes = _series_of(index, files)
    saved_series, saved_sizes = _series_of(manifest.index, saved)
    changed = files[sizes != saved_sizes]
    if not changed.size:
        differs = index.series_rows[series] != manifest.index.series_rows[saved_series]
        differs |= _names(index, series) != _names(manifest.index, saved_series)
        changed = np.unique(index.series_file[series[differs]])
    if changed.size:
        raise ManifestError(
            f"the manifest was saved when {_listed([index.names[file] for file in changed.tolist()])} had other "
            "rows or series, so that the split no longer fits. Save it again without manifest"
        )
    number = np.zeros(len(saved_series), dtype=np.int64)
    number[saved_series] = series
    return {name: _sorted(part, number[part.series]) for name, part in manifest.plan.parts.items()}


def _series_of(index: SampleIndex, files: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The series of files, file after file, and the number of series of each."""
    sizes = np.diff(index.first_series)[files]
    return flat_positions(index.first_series[files], sizes), sizes


def _names(index: SampleIndex, series: Int64Array) -> npt.NDArray[np.object_]:
    if index.series_names is None:
        return np.full(len(series), "", dtype=object)
    names = np.empty(len(index.series_names), dtype=object)
    names[:] = list(index.series_names)
    return names[series]


def _sorted(part: Segments, series: Int64Array) -> Segments:
    order = np.lexsort((part.start, series))
    if part.subset is not None and np.any(np.diff(order) < 0):
        raise ManifestError("the manifest draws rows from files in another order than that of their paths")
    return Segments(series[order], part.start[order], part.stop[order], part.subset)


def _check_new(manifest: Manifest, index: SampleIndex, new: Int64Array, split: Split) -> None:
    names = _listed([index.names[file] for file in new.tolist()])
    if manifest.plan.by == "sample":
        raise ManifestError(
            f"the manifest divides single rows of its files and does not list {names}. Save the split again "
            "without manifest"
        )
    if split.on_new == "error":
        raise ManifestError(
            f"the manifest does not list {names}. Add them with data.split.on_new=train or =split, or exclude "
            "them with a pattern that begins with '!'"
        )


def _joined(old: Segments | None, added: Segments) -> Segments:
    """The runs of both, which have no series in common."""
    if old is None:
        return added
    series = np.concatenate([old.series, added.series])
    order = np.argsort(series, kind="stable")
    start = np.concatenate([old.start, added.start])[order]
    return Segments(series[order], start, np.concatenate([old.stop, added.stop])[order])


def _listed(names: list[str]) -> str:
    return f"{counted(len(names), 'file')} ({listed(names, _MOST_NAMES)})"
