"""Save a split as a manifest or in a checkpoint, read it again, and describe what has changed."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from h5lightning.core.atomic_write import replace_file
from h5lightning.core.formatting import counted, listed
from h5lightning.errors import ManifestError
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.split_plan import SplitPlan

__all__ = [
    "Manifest",
    "describe_difference",
    "explain_moves",
    "from_plain_split",
    "load_manifest",
    "save_manifest",
    "to_plain_split",
]

_MOST_NAMES = 3

SplitsOfFiles = dict[str, dict[str, Any]]  # file → split → all rows (None), or the part that is in the split


def save_manifest(
    plan: SplitPlan, index: SampleIndex, path: str, skipped: Iterable[SkippedFile] = ()
) -> None:
    """Write a split as readable JSON: relative names, rows, and the files of each split.

    Args:
        plan: which rows are train, val and test.
        index: the files and their rows.
        path: the file to write.
        skipped: files that were left out; they are listed with the reasons.

    Raises:
        OSError: the file cannot be written.
    """
    left_out = {one.name: one.reason for one in skipped}
    plain = Manifest.of(plan, index).to_json() | ({"skipped": left_out} if left_out else {})
    replace_file(path, (_indented(plain) + "\n").encode())


def load_manifest(path: str) -> Manifest:
    """Read a split that `save_manifest` wrote.

    Raises:
        ManifestError: the file cannot be read, is damaged, or is no saved split of this version.
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
    """JSON with one entry of a mapping or one name per line, and lists of numbers on one line."""
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


def to_plain_split(plan: SplitPlan, index: SampleIndex) -> dict[str, Any]:
    """A split as a few plain values, compressed, for a checkpoint."""
    text = json.dumps(Manifest.of(plan, index).to_json(), separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    return {"fingerprint": plan.fingerprint, "zlib_base64": packed}


def from_plain_split(plain: Mapping[str, Any]) -> Manifest:
    """Read a split that `to_plain_split` packed.

    Raises:
        ManifestError: it is damaged or has another version.
    """
    try:
        unpacked = json.loads(zlib.decompress(base64.b64decode(plain["zlib_base64"])))
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise ManifestError(f"the split in the checkpoint is damaged: {error!r}") from error
    return Manifest.from_json(unpacked, "the split in the checkpoint")


def describe_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Describe which files moved, came or went from one split to another.

    Args:
        old: a split as `to_plain_split` packs it.
        new: another one.

    Returns:
        Text for an error or a log; empty if the splits are equal.

    Raises:
        ManifestError: one of them is damaged or has another version.
    """
    if old.get("fingerprint") == new.get("fingerprint"):
        return ""
    return explain_moves(from_plain_split(old).to_json(), from_plain_split(new).to_json())


def explain_moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """List the files that moved, came, went or changed between two splits, each as `Manifest.to_json` writes it."""
    before, after = _splits_of_files(old), _splits_of_files(new)
    common = [name for name in new["rows"] if name in old["rows"]]
    kept = [name for name in common if old["rows"][name] == new["rows"][name]]
    changed = (
        f"{name}: {_size(old['rows'][name], new['rows'][name])}, now {_size(new['rows'][name], old['rows'][name])}"
        for name in common
        if old["rows"][name] != new["rows"][name]
    )
    texts = [f"it was by {old['by']!r} and is by {new['by']!r}"] if old["by"] != new["by"] else []
    texts += _moves(before, after, kept)
    texts += _group("has other rows", "have other rows", changed)
    texts += _group("is new", "are new", _labelled(after, (name for name in after if name not in before)))
    texts += _group("is gone", "are gone", _labelled(before, (name for name in before if name not in after)))
    return "; ".join(texts) or "its series have other names"


def _size(rows: list[int], other: list[int]) -> str:
    """The rows of a file; also its series if another state of the file has more or fewer of them."""
    return f"{sum(rows)}" if len(rows) == len(other) else f"{sum(rows)} in {counted(len(rows), 'series')}"


def _splits_of_files(plain: Mapping[str, Any]) -> SplitsOfFiles:
    splits: SplitsOfFiles = {name: {} for name in plain["rows"]}
    for split, part in plain["splits"].items():
        kind = next((one for one in ("runs", "series", "members") if one in part), None)
        if kind is not None:
            for name, rows in part[kind].items():
                splits[name][split] = rows
        else:
            slices = (part["key"], part["slices"]) if "key" in part else None
            for name in part["files"]:
                splits[name][split] = slices
    return splits


def _moves(before: SplitsOfFiles, after: SplitsOfFiles, names: Iterable[str]) -> list[str]:
    moved: dict[tuple[str, str], list[str]] = {}
    recut = []
    for name in names:
        source, target = _label(before[name]), _label(after[name])
        if source != target:
            moved.setdefault((source, target), []).append(name)
        elif before[name] != after[name]:
            recut.append(name)
    texts = []
    for (source, target), files in moved.items():
        verb = f"went from {source} to {target}"
        texts += _group(verb, verb, files)
    return texts + _group("is divided in another way", "are divided in another way", recut)


def _label(splits: Mapping[str, Any]) -> str:
    return " and ".join(splits) or "no split"


def _labelled(splits: SplitsOfFiles, names: Iterable[str]) -> Iterable[str]:
    return (f"{name} in {_label(splits[name])}" for name in names)


def _group(verb: str, verbs: str, names: Iterable[str]) -> list[str]:
    """``2 files went from train to test (a.h5, b.h5)``, as a list of one text, or of none."""
    files = list(names)
    count = f"{counted(len(files), 'file')} {verb if len(files) == 1 else verbs}"
    return [f"{count} ({listed(files, _MOST_NAMES)})"] if files else []
