"""Describe as text how one saved split differs from another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["explain_moves"]

_MOST_NAMES = 3


def explain_moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """List the files that moved, came, went or changed between two splits, each as `Manifest.to_json` writes it."""
    before, after = _splits_of_files(old), _splits_of_files(new)
    common = [name for name in new["rows"] if name in old["rows"]]
    kept = [name for name in common if old["rows"][name] == new["rows"][name]]
    changed = (
        f"{name}: {sum(old['rows'][name])}, now {sum(new['rows'][name])}"
        for name in common
        if old["rows"][name] != new["rows"][name]
    )
    texts = [f"it was by {old['by']!r} and is by {new['by']!r}"] if old["by"] != new["by"] else []
    texts += _moves(before, after, kept)
    texts += _group("has other rows", "have other rows", changed)
    texts += _group("is new", "are new", _labelled(after, (name for name in after if name not in before)))
    texts += _group("is gone", "are gone", _labelled(before, (name for name in before if name not in after)))
    return "; ".join(texts) or "its series have other names"


SplitsOfFiles = dict[str, dict[str, Any]]  # file → split → all rows (None), or the part that is in the split


def _splits_of_files(plain: Mapping[str, Any]) -> SplitsOfFiles:
    splits: SplitsOfFiles = {name: {} for name in plain["rows"]}
    for split, part in plain["splits"].items():
        if "runs" in part:
            for name, runs in part["runs"].items():
                splits[name][split] = runs
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
    return texts + _group("is divided at other rows", "are divided at other rows", recut)


def _label(splits: Mapping[str, Any]) -> str:
    return " and ".join(splits) or "no split"


def _labelled(splits: SplitsOfFiles, names: Iterable[str]) -> Iterable[str]:
    return (f"{name} in {_label(splits[name])}" for name in names)


def _group(verb: str, verbs: str, names: Iterable[str]) -> list[str]:
    """``2 files went from train to test (a.h5, b.h5)``, as a list of one text, or of none."""
    listed = list(names)
    if not listed:
        return []
    more = f", … {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    count = f"1 file {verb}" if len(listed) == 1 else f"{len(listed)} files {verbs}"
    return [f"{count} ({', '.join(listed[:_MOST_NAMES])}{more})"]
