"""How one saved split differs from another, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["explain_moves"]

_MOST_NAMES = 3


def explain_moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Which files moved, came, went or changed between two splits, each as `Manifest.to_json` writes it."""
    before, after = _places(old), _places(new)
    same = {name: old["rows"][name] == rows for name, rows in new["rows"].items() if name in old["rows"]}
    kept = [name for name, is_same in same.items() if is_same]
    found = [f"it was by {old['by']!r} and is by {new['by']!r}"] if old["by"] != new["by"] else []
    found += _moves(before, after, kept)
    found += _group(
        "has other rows",
        "have other rows",
        (
            f"{name}: {sum(old['rows'][name])}, now {sum(new['rows'][name])}"
            for name in same
            if not same[name]
        ),
    )
    found += _group("is new", "are new", _labelled(after, (name for name in after if name not in before)))
    found += _group("is gone", "are gone", _labelled(before, (name for name in before if name not in after)))
    return "; ".join(found) or "its series have other names"


Places = dict[str, dict[str, Any]]  # file → split → all of it (None), or which part of it


def _places(plain: Mapping[str, Any]) -> Places:
    places: Places = {name: {} for name in plain["rows"]}
    for split, part in plain["splits"].items():
        if "runs" in part:
            for name, runs in part["runs"].items():
                places[name][split] = runs
        else:
            drawn = (part["key"], part["slices"]) if "key" in part else None
            for name in part["files"]:
                places[name][split] = drawn
    return places


def _moves(before: Places, after: Places, names: Iterable[str]) -> list[str]:
    moved: dict[tuple[str, str], list[str]] = {}
    recut = []
    for name in names:
        ways = _label(before[name]), _label(after[name])
        if ways[0] != ways[1]:
            moved.setdefault(ways, []).append(name)
        elif before[name] != after[name]:
            recut.append(name)
    found = []
    for (source, target), listed in moved.items():
        verb = f"went from {source} to {target}"
        found += _group(verb, verb, listed)
    return found + _group("is divided at other rows", "are divided at other rows", recut)


def _label(splits: Mapping[str, Any]) -> str:
    return " and ".join(splits) or "no split"


def _labelled(places: Places, names: Iterable[str]) -> Iterable[str]:
    return (f"{name} in {_label(places[name])}" for name in names)


def _group(verb: str, verbs: str, names: Iterable[str]) -> list[str]:
    """``2 files went from train to test (a.h5, b.h5)``, as a list of one text, or of none."""
    listed = list(names)
    if not listed:
        return []
    more = f", … {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    count = f"1 file {verb}" if len(listed) == 1 else f"{len(listed)} files {verbs}"
    return [f"{count} ({', '.join(listed[:_MOST_NAMES])}{more})"]
