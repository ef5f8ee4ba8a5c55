"""What a saved split says, and whether it is a split of the series as the contract wants it."""

from __future__ import annotations

import base64
import itertools
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from h5lightning.errors import OptionError, SplitError
from judging.contract import Contract, Part
from judging.disagreement import DisagreementError, expect
from judging.divisions import RefusedError

__all__ = ["Parts", "check_split", "is_possible_refusal", "saved_parts"]

Parts = dict[str, dict[int, list[Part]]]  # split → number of a series → its parts


def saved_parts(path: str, contract: Contract) -> tuple[str, Parts | None]:
    """How a saved split was made, and the rows of each split; None for rows drawn at random."""
    with open(path, encoding="utf-8") as file:
        plain = json.load(file)
    numbers: dict[str, list[int]] = {}
    for number, one in enumerate(contract.series):
        numbers.setdefault(os.path.basename(contract.paths[one.file]), []).append(number)
    for name, rows in plain["rows"].items():
        expect(
            f"rows of series in the manifest, {name}",
            rows,
            [contract.series[n].rows for n in numbers.get(name, [])],
        )
    parts: Parts = {}
    for split, saved in plain["splits"].items():
        if "slices" in saved:
            return plain["by"], None
        parts[split] = {}
        for name in saved.get("files", ()):
            parts[split] |= {number: [(0, contract.series[number].rows)] for number in numbers.get(name, [])}
        for name, ranges in saved.get("series", {}).items():
            chosen = [numbers[name][place] for first, stop in ranges for place in range(first, stop)]
            parts[split] |= {number: [(0, contract.series[number].rows)] for number in chosen}
        for name, runs in (saved.get("runs", {}) | saved.get("members", {})).items():
            if isinstance(runs, str):
                runs = _from_bits(runs, plain["rows"][name])  # noqa: PLW2901
            for series, start, stop in runs:
                parts[split].setdefault(numbers[name][series], []).append((start, stop))
    return plain["by"], parts


def _from_bits(text: str, rows: list[int]) -> list[tuple[int, int, int]]:
    """Runs of rows, as series, first row and one past the last one, from a bit for each row of a file."""
    packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    bits = [int(byte) >> place & 1 for byte in packed for place in range(8)]
    found, first = list[tuple[int, int, int]](), 0
    for series, count in enumerate(rows):
        own = [0, *bits[first : first + count], 0]
        borders = [row for row in range(count + 1) if own[row] != own[row + 1]]
        found += [(series, start, stop) for start, stop in zip(borders[::2], borders[1::2], strict=True)]
        first += count
    return found


def check_split(by: str, parts: Parts, contract: Contract) -> None:
    """Nothing is in two splits, nothing is lost, and each split has what was asked for."""
    split = contract.case.split
    _check_disjoint(parts, contract)
    if split.get("given"):
        with_rows = {(one.file, one.name) for one in contract.series if one.rows}
        wanted = {
            name: [one for one in own if one in with_rows] for name, own in given_members(contract).items()
        }
        expect("series of the given splits", _members(parts, contract), wanted)
        return
    if is_by_row(contract):
        _check_groups(parts, contract)
        return
    if split.get("by", "auto") != "auto":
        expect("how it was split", by, split["by"])
    wanted = {name for name in ("val", "test") if split.get(name)} | {"train"}
    expect("names of the splits", set(parts), wanted)
    for name in parts:
        if not any(stop > start for own in parts[name].values() for start, stop in own):
            raise DisagreementError(f"rows of {name}", 0, "some")
    if by == "block":
        _check_blocks(parts, contract)
        return
    _check_whole(by, parts, contract)


def is_by_row(contract: Contract) -> bool:
    """Whether rows of one series may be in several splits, by what they belong to."""
    kind = str(contract.case.split.get("keep_together")).partition(":")[0]
    return kind == "field" or (kind == "table" and bool((contract.case.table or {}).get("key")))


def _check_groups(parts: Parts, contract: Contract) -> None:
    owners: dict[Any, set[str]] = {}
    for name, own in parts.items():
        for number, pieces in own.items():
            for row in (row for start, stop in pieces for row in range(start, stop)):
                owners.setdefault(contract.group_of(number, row), set()).add(name)
    for group, names in owners.items():
        if len(names) > 1:
            raise DisagreementError(f"splits that group {group!r} is in", names, "one")
    wanted = {name for name in ("val", "test") if contract.case.split.get(name)} | {"train"}
    expect("names of the splits", set(parts), wanted)
    expect("splits with a group", set().union(*owners.values()), wanted)


def _check_disjoint(parts: Parts, contract: Contract) -> None:
    gap = contract.case.split.get("gap", 0)
    is_given = bool(contract.case.split.get("given"))
    for number, one in enumerate(contract.series):
        taken = sorted(part for own in parts.values() for part in own.get(number, []) if part[1] > part[0])
        for before, after in itertools.pairwise(taken):
            if before[1] > after[0]:
                raise DisagreementError(f"rows of series {number} in two splits", taken, "each once")
        if not gap and not is_given:
            expect(f"rows of series {number} in some split", sum(b - a for a, b in taken), one.rows)


def _check_blocks(parts: Parts, contract: Contract) -> None:
    split, total = contract.case.split, sum(one.rows for one in contract.series)
    order = {"train": 0, "val": 1, "test": 2}
    for number in range(len(contract.series)):
        own = sorted((part, order[name]) for name in parts for part in parts[name].get(number, []))
        own = [(part, place) for part, place in own if part[1] > part[0]]
        expect(f"order of the splits in series {number}", [p for _, p in own], sorted(p for _, p in own))
        for (before, _), (after, _) in itertools.pairwise(own):
            if after[0] - before[1] < split.get("gap", 0):
                raise DisagreementError(f"gap in series {number}", own, split.get("gap"))
    for name, slack in (("test", 1), ("val", 2)):
        rows = sum(stop - start for own in parts.get(name, {}).values() for start, stop in own)
        goal = (split.get(name) or 0) * total
        if goal and abs(rows - goal) > slack and not split.get("gap"):
            raise DisagreementError(f"rows of {name} of {total}", rows, goal)


def _check_whole(by: str, parts: Parts, contract: Contract) -> None:
    owners: dict[Any, set[str]] = {}
    for name, own in parts.items():
        for number, pieces in own.items():
            one = contract.series[number]
            if one.rows:
                expect(f"rows of series {number} in {name}", pieces, [(0, one.rows)])
                owners.setdefault(_item(by, number, contract), set()).add(name)
    for item, names in owners.items():
        if len(names) > 1:
            raise DisagreementError(f"splits that {item} is in", names, "one")


def _item(by: str, number: int, contract: Contract) -> Any:
    """What must stay together with a series."""
    one, rule = contract.series[number], contract.case.split.get("keep_together")
    if rule and rule.startswith("table:"):
        return contract.group_of(number, 0)
    if rule:
        return _mark(contract, number)
    return one.file if by == "file" else number


def _mark(contract: Contract, number: int) -> str:
    one = contract.series[number]
    first = next(iter(contract.rows_fields.values())).paths[0]
    before, _, after = first.partition("*")
    name = contract.case.split["keep_together"].removeprefix("attr:")
    return str(contract.files.attribute(one.file, before + one.text + after.split("/")[0], name))


def _members(parts: Parts, contract: Contract) -> dict[str, list[tuple[int, str]]]:
    return {
        name: [
            (contract.series[n].file, contract.series[n].name) for n in sorted(own) if contract.series[n].rows
        ]
        for name, own in parts.items()
    }


def given_members(contract: Contract) -> dict[str, list[tuple[int, str]]]:
    """The series of each split that datasets of names say.

    Raises:
        RefusedError: a name is in two splits, or no series has it.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    if isinstance(contract.case.split["given"], str):
        for number, one in enumerate(contract.series):
            found.setdefault(contract.given_split(number), []).append((one.file, one.name))
        return found
    for split, path in contract.case.split["given"].items():
        found[split] = []
        for file in range(len(contract.paths)):
            names = [str(name) for name in contract.files.get(file, path)]
            series = [one for one in contract.series if one.file == file]
            if set(names) - {one.name for one in series}:
                raise RefusedError("a name that no series has")
            found[split] += [(file, one.name) for one in series if one.name in names]
    every = [one for members in found.values() for one in members]
    if len(every) > len(set(every)):
        raise RefusedError("a name in two splits")
    if not all(found.values()):
        raise RefusedError("a split without a series")
    return found


def is_possible_refusal(error: Exception, contract: Contract) -> bool:
    """Whether the splits that are asked for may be impossible, with data that are right."""
    if not isinstance(error, (SplitError, OptionError)):
        return False
    return _may_lack_samples(contract) if "no sample" in str(error) else _may_be_too_few(contract)


def _may_lack_samples(contract: Contract) -> bool:
    """Whether rows of a split may be too few for a sample."""
    split, every = contract.case.split, set(contract.case.stage_samples.values())
    if split.get("given"):
        numbers = {(one.file, one.name): number for number, one in enumerate(contract.series)}
        members = given_members(contract)
        parts = {
            name: {numbers[one]: [(0, contract.series[numbers[one]].rows)] for one in own}
            for name, own in members.items()
        }
        return not all(contract.ids_of(name, own) for name, own in parts.items())
    if is_by_row(contract) or contract.case.where:
        return True
    if split.get("by", "auto") in ("block", "auto"):
        some_lack = any(not contract.others(one, samples) for samples in every for one in contract.series)
        return (
            some_lack
            or any(max(*samples.lengths, *samples.strides) > 1 for samples in every)
            or _has_steps(contract)
        )
    return any(
        not (contract.starts(one, samples) and contract.others(one, samples))
        for samples in every
        for one in contract.series
        if one.rows
    )


def _has_steps(contract: Contract) -> bool:
    return any(field.steps for field in contract.fields.values())


def _may_be_too_few(contract: Contract) -> bool:
    """Whether there may be too few items, or rows."""
    split: Mapping[str, Any] = contract.case.split
    if split.get("given"):
        try:
            members = given_members(contract)
        except RefusedError:
            return True
        with_rows = {(one.file, one.name) for one in contract.series if one.rows}
        return not all(with_rows.intersection(own) for own in members.values())
    wanted = [share for name in ("val", "test") if (share := split.get(name))]
    if not wanted:
        return False
    with_rows = [number for number, one in enumerate(contract.series) if one.rows]
    if is_by_row(contract):
        rows = [(number, row) for number in with_rows for row in range(contract.series[number].rows)]
        return len({contract.group_of(*one) for one in rows}) < len(wanted) + 1
    by = "file" if split.get("keep_together") else split.get("by", "auto")
    if by in ("file", "series"):
        return len({_item(by, number, contract) for number in with_rows}) < len(wanted) + 1
    if by == "auto" and contract.case.stage_samples["train"].kind == "whole":
        return True  # no way to cut series, and the shares of whole ones may be far from what was asked for
    total = sum(one.rows for one in contract.series)
    return bool(total * min(wanted) < 4 + 3 * split.get("gap", 0) * len(contract.series))
