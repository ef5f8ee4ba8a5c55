"""A split that is written down: read it again, apply it to the files of today, say what has changed."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.core.atomic_write import replace_file
from h5lightning.core.permutation import derive_key
from h5lightning.errors import ManifestError, OptionError
from h5lightning.options import Split
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.candidates import Roles, participants
from h5lightning.planning.splitting.groups import group_files, group_labels
from h5lightning.planning.splitting.manifest_diff import explain_moves
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.new_files import place_new_files
from h5lightning.planning.splitting.plan_split import check_samples
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = [
    "Manifest",
    "apply_manifest",
    "describe_difference",
    "from_plain_split",
    "load_manifest",
    "save_manifest",
    "to_plain_split",
]


_MOST_NAMES = 5


# ── in a file ────────────────────────────────────────────────────────────────────────────────────────


def save_manifest(
    plan: SplitPlan, index: SampleIndex, path: str, skipped: Iterable[SkippedFile] = ()
) -> None:
    """Write a split as JSON that people can read: relative names, rows, and what is in each split.

    Args:
        plan: which rows are train, val and test.
        index: the files and their rows.
        path: where the JSON shall lie.
        skipped: files that were left out, listed with the reasons for whoever reads it.

    Raises:
        OSError: the file cannot be written.
    """
    left_out = {one.name: one.reason for one in skipped}
    plain = Manifest.of(plan, index).to_json() | ({"skipped": left_out} if left_out else {})
    replace_file(path, (_indented(plain) + "\n").encode())


def load_manifest(path: str) -> Manifest:
    """Read a split that `save_manifest` wrote.

    Raises:
        ManifestError: the file cannot be read, is no saved split or one of another version, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            plain = json.loads(file.read())
    except OSError as error:
        raise ManifestError(f"the manifest {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest {path} is not JSON: {error}") from error
    return Manifest.from_json(plain, f"the manifest {path}")


def _indented(value: object, margin: str = "") -> str:
    """JSON with each entry of a mapping and each name on a line of its own, and numbers on one line."""
    inner = margin + " "
    if isinstance(value, dict) and value:
        entries = [f"{json.dumps(key)}: {_indented(item, inner)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list) and value and isinstance(value[0], str):
        entries = [json.dumps(item) for item in value]
        brackets = "[]"
    else:
        return json.dumps(value)
    lines = ",\n".join(inner + entry for entry in entries)
    return f"{brackets[0]}\n{lines}\n{margin}{brackets[1]}"


# ── in a checkpoint ──────────────────────────────────────────────────────────────────────────────────


def to_plain_split(plan: SplitPlan, index: SampleIndex) -> dict[str, Any]:
    """A split as a few plain values, compressed: what a checkpoint keeps."""
    text = json.dumps(Manifest.of(plan, index).to_json(), separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    return {"fingerprint": plan.fingerprint, "zlib_base64": packed}


def from_plain_split(plain: Mapping[str, Any]) -> Manifest:
    """The split that `to_plain_split` packed.

    Raises:
        ManifestError: it is of another version, or damaged.
    """
    return Manifest.from_json(_unpacked(plain), "the split in the checkpoint")


def describe_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Which files moved, came or went from one split to another.

    Args:
        old: a split as `to_plain_split` packs it.
        new: another one.

    Returns:
        Words for an error or a log; empty if the splits are equal.

    Raises:
        ManifestError: one of them is of another version, or damaged.
    """
    if old.get("fingerprint") == new.get("fingerprint"):
        return ""
    return explain_moves(from_plain_split(old).to_json(), from_plain_split(new).to_json())


def _unpacked(plain: Mapping[str, Any]) -> object:
    try:
        return json.loads(zlib.decompress(base64.b64decode(plain["zlib_base64"])))
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise ManifestError(f"the split in the checkpoint is damaged: {error!r}") from error


# ── applied to files ─────────────────────────────────────────────────────────────────────────────────


def apply_manifest(
    manifest: Manifest,
    index: SampleIndex,
    split: Split,
    *,
    seed: int,
    roles: Roles | None = None,
    labels: Sequence[str | None] | None = None,
) -> SplitPlan:
    """The saved split of the files of an index.

    Files that the manifest knows stay where they are. What happens to others says ``split.on_new``; the
    shares that they are divided by are those of the manifest.

    Args:
        manifest: the saved split.
        index: the files of today.
        split: ``on_new``, and for new files ``order``, ``gap``, ``keep_together`` and ``seed``.
        seed: used where ``split.seed`` is None.
        roles: numbers of the files of an explicit mapping; only ``train`` and ``predict`` may be named.
        labels: with ``keep_together="attr:NAME"``, the value of each file of the index.

    Raises:
        ManifestError: a known file is missing or has other rows, or new files are an error.
        OptionError: options that contradict the manifest.
    """
    roles = roles or {"train": np.arange(len(index.names), dtype=np.int64)}
    _check_options(manifest, split, roles)
    check_samples(manifest.plan.by, index.samples)
    files = participants(roles)
    saved = _saved_numbers(manifest, index, files)
    parts = _renumbered(manifest, index, files[saved >= 0], saved[saved >= 0])
    new = files[saved < 0]
    plan = SplitPlan.of(
        index, manifest.plan.by, parts, files=files[saved >= 0], requested=manifest.plan.requested
    )
    if not new.size:
        return plan
    _check_new(manifest, index, new, split)
    groups = _groups(index, files, split.keep_together, labels)
    key = derive_key("split", seed if split.seed is None else split.seed, "new")
    added = place_new_files(index, plan, new, split, key, groups)
    together = {name: _together(parts.get(name), added[name]) for name in SPLITS}
    parts = {name: part for name, part in together.items() if name in parts or len(part)}
    return SplitPlan.of(index, plan.by, parts, files=files, requested=plan.requested)


def _check_options(manifest: Manifest, split: Split, roles: Roles) -> None:
    named = [name for name in ("val", "test") if name in roles]
    if named:
        raise OptionError(
            f"'files' names {' and '.join(named)}, and split.manifest says the same: leave one out"
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
            f"the manifest knows {_some(list(numbers))} that the patterns do not find. Put them back, or save "
            "the split again without manifest"
        )
    return saved


def _renumbered(
    manifest: Manifest, index: SampleIndex, files: Int64Array, saved: Int64Array
) -> dict[str, Segments]:
    """The parts of the manifest in the numbers of the index.

    Args:
        manifest: the saved split.
        index: the files of today.
        files: the known files, ascending, ``(known,)``.
        saved: the number of each in the manifest, ``(known,)``.
    """
    here, sizes = _series_of(index, files)
    there, saved_sizes = _series_of(manifest.index, saved)
    changed = files[sizes != saved_sizes]
    if not changed.size:
        differs = index.series_rows[here] != manifest.index.series_rows[there]
        differs |= _names(index, here) != _names(manifest.index, there)
        changed = np.unique(index.series_file[here[differs]])
    if changed.size:
        raise ManifestError(
            f"the manifest was saved when {_some([index.names[file] for file in changed.tolist()])} had other "
            "rows or series: a split cannot be kept over that. Save it again without manifest"
        )
    number = np.zeros(len(there), dtype=np.int64)
    number[there] = here
    return {name: _sorted(part, number[part.series]) for name, part in manifest.plan.parts.items()}


def _series_of(index: SampleIndex, files: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The series of files, file after file, and how many each has."""
    first = np.searchsorted(index.series_file, files)
    sizes = np.searchsorted(index.series_file, files, side="right") - first
    before = np.cumsum(sizes) - sizes
    return np.repeat(first - before, sizes) + np.arange(int(sizes.sum())), sizes


def _names(index: SampleIndex, series: Int64Array) -> npt.NDArray[np.object_]:
    if index.series_names is None:
        return np.full(len(series), "", dtype=object)
    names = np.empty(len(index.series_names), dtype=object)
    names[:] = list(index.series_names)
    return names[series]


def _sorted(part: Segments, series: Int64Array) -> Segments:
    order = np.lexsort((part.start, series))
    if part.draw is not None and np.any(np.diff(order) < 0):
        raise ManifestError("the manifest draws rows from files in another order than that of their paths")
    return Segments(series[order], part.start[order], part.stop[order], part.draw)


def _check_new(manifest: Manifest, index: SampleIndex, new: Int64Array, split: Split) -> None:
    names = _some([index.names[file] for file in new.tolist()])
    if manifest.plan.by == "sample":
        raise ManifestError(
            f"the manifest draws single rows of its files and does not know {names}. Save the split again "
            "without manifest"
        )
    if split.on_new == "error":
        raise ManifestError(
            f"the manifest does not know {names}. Take them with data.split.on_new=train or =split, or exclude "
            "them with a pattern that begins with '!'"
        )


def _groups(
    index: SampleIndex, files: Int64Array, keep_together: str | None, labels: Sequence[str | None] | None
) -> Int64Array | None:
    """The group of each file of the index, -1 for files that take no part; None without groups."""
    if keep_together is None:
        return None
    groups = np.full(len(index.names), -1, dtype=np.int64)
    groups[files] = group_files(group_labels(keep_together, index.names, files, labels))
    return groups


def _together(known: Segments | None, added: Segments) -> Segments:
    """The runs of both; a series is in one of them only."""
    if known is None:
        return added
    series = np.concatenate([known.series, added.series])
    order = np.argsort(series, kind="stable")
    start = np.concatenate([known.start, added.start])[order]
    return Segments(series[order], start, np.concatenate([known.stop, added.stop])[order])


def _some(names: list[str]) -> str:
    more = f", … {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{len(names)} file{'s' if len(names) > 1 else ''} ({', '.join(names[:_MOST_NAMES])}{more})"
