"""Arguments of a DataModule for these files, held against the planner that the DataModule itself uses."""

from __future__ import annotations

import dataclasses
import glob
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import H5LightningError, OptionError, SchemaError, SplitError
from h5lightning.options import Access, Field, Samples, Split
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.plan_split import plan_split
from h5lightning.storage.discovery import discover
from h5lightning.storage.discovery.patterns import escape
from h5lightning.tools.overview.guess_fields import Guess

__all__ = ["Suggestion", "suggest"]


_MOST_LEFT_OUT = 8
_FEW_PATTERNS = 3
_SPLITS = (Split(), Split(test=None))
_ALL_FOR_TRAINING = Split(val=None, test=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Suggestion:
    """Arguments of a DataModule that work.

    Args:
        files: patterns.
        fields: sample key → `Field`; None for all datasets.
        samples: how samples lie in a file.
        split: how the rows are divided.
        split_by: what that keeps whole; empty where there is too little to divide.
        dtype: ``float32`` where something would be float64; else None.
        access: what must be accepted of the files.
        is_categorical: whether ``y`` numbers classes; None without ``y``.
        left_out: names of files that the patterns leave out.
    """

    files: tuple[str, ...]
    fields: Mapping[str, Field] | None
    samples: Samples
    split: Split
    split_by: str
    dtype: str | None
    access: Access
    is_categorical: bool | None
    left_out: tuple[str, ...]


def suggest(patterns: Sequence[str], catalog: Catalog, guess: Guess) -> Suggestion:
    """Turn a guess into arguments, and make sure that they work.

    Args:
        patterns: what the user named.
        catalog: what the files hold, with those that could not be read as ``skipped``.
        guess: what a sample is made of.

    Raises:
        H5LightningError: the guess does not work; the message says why.
    """
    files, kept = _files(patterns, catalog, guess)
    chosen = catalog.take(kept)
    access = _access(catalog, guess, kept)
    planned = plan_fields(
        chosen,
        guess.fields,
        guess.samples,
        on_missing=access.on_missing,
        allow_empty=access.on_bad_file == "skip",
    )
    index = SampleIndex(chosen.root, chosen.names, np.arange(len(chosen)), planned.rows, guess.samples)
    split, by = _split(index)
    return Suggestion(
        files=files,
        fields=guess.fields,
        samples=guess.samples,
        split=split,
        split_by=by,
        dtype="float32" if any(plan.spec.dtype == "float64" for plan in planned.plans) else None,
        access=access,
        is_categorical=guess.is_categorical,
        left_out=tuple(catalog.names[file] for file in np.setdiff1d(np.arange(len(catalog)), kept).tolist()),
    )


def _access(catalog: Catalog, guess: Guess, kept: Int64Array) -> Access:
    rowless = np.concatenate([entry.files[entry.rows == 0] for entry in guess.entries])
    is_skipping = bool(catalog.skipped) or bool(np.isin(rowless, kept).any())
    is_filling = bool(np.isin(_unwritten(guess), kept).any())
    bad = len(catalog.skipped)
    return Access(
        on_bad_file="skip" if is_skipping else "raise",
        # In hundredths, not one too few: it is pasted.
        max_bad_fraction=max(Access.max_bad_fraction, math.ceil(100 * bad / (bad + len(kept))) / 100),
        on_missing="fill" if is_filling else "raise",
    )


def _split(index: SampleIndex) -> tuple[Split, str]:
    """The default split, or what of it is possible with so few rows, and what it keeps whole."""
    possible = ((split, by) for split in _SPLITS if (by := _split_by(index, split)))
    return next(possible, (_ALL_FOR_TRAINING, ""))


def _split_by(index: SampleIndex, split: Split) -> str:
    """What the split keeps whole; empty if it is not possible."""
    try:
        plan = plan_split(index, split, seed=0)
        for name in plan.parts:
            plan.selection(name, index)
    except (SplitError, OptionError):
        return ""
    return plan.by


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────


def _files(patterns: Sequence[str], catalog: Catalog, guess: Guess) -> tuple[tuple[str, ...], Int64Array]:
    """Patterns, and the files that they leave: without the few that differ, or were not written in full."""
    short = _shortened(patterns)
    everything = np.arange(len(catalog))
    complete = np.setdiff1d(guess.files, _unwritten(guess))
    for kept in (complete, guess.files):
        others = np.setdiff1d(everything, kept)
        if 0 < others.size <= min(_MOST_LEFT_OUT, len(catalog) // 2):
            excluding = (*short, *(_exclusion(catalog.path(file), short[0]) for file in others.tolist()))
            if _matches(short) - _matches(excluding) == {catalog.path(file) for file in others.tolist()}:
                return excluding, kept
    if others.size:
        raise SchemaError(
            f"{others.size:,} of {len(catalog):,} files differ from the others. Write them like the others, or "
            "leave them out with patterns that begin with '!'"
        )
    return short, everything


def _unwritten(guess: Guess) -> Int64Array:
    return np.unique(np.concatenate([entry.files[entry.missing > 0] for entry in guess.entries]))


def _shortened(patterns: Sequence[str]) -> tuple[str, ...]:
    """One pattern in place of the many paths that a shell makes of one."""
    if len(patterns) <= _FEW_PATTERNS or any(glob.has_magic(text) or text[:1] == "!" for text in patterns):
        return tuple(patterns)
    folders = {os.path.dirname(text) for text in patterns}
    endings = {os.path.splitext(text)[1] for text in patterns}
    if len(endings) > 1 or len({os.path.isabs(text) for text in patterns}) > 1:
        return tuple(patterns)
    names = f"*{endings.pop()}" if len(folders) == 1 else f"**/*{endings.pop()}"
    # What names a file is no pattern; in what does not, variables were typed.
    taken_as = escape if all(map(os.path.isfile, patterns)) else glob.escape
    pattern = os.path.join(taken_as(os.path.commonpath(folders)), names)
    return (pattern,) if _matches((pattern,)) == _matches(patterns) else tuple(patterns)


def _exclusion(path: str, beside: str) -> str:
    return f"!{escape(path if os.path.isabs(beside) else os.path.relpath(path))}"


def _matches(patterns: Sequence[str]) -> set[str]:
    try:
        found = discover(list(patterns))
    except H5LightningError:
        return set()
    return {found.path(file) for file in range(len(found))}
