"""Arguments of a DataModule for these files, held against the planner that the DataModule itself uses."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from h5lightning.catalog import Catalog
from h5lightning.discovery import discover
from h5lightning.errors import H5LightningError, OptionError, SplitError
from h5lightning.fields import plan_fields
from h5lightning.index import SampleIndex
from h5lightning.inspecting.guessing import Guess
from h5lightning.options import Access, Field, Samples, Split
from h5lightning.splitting import plan_split

__all__ = ["Suggestion", "suggest"]

Int64Array = npt.NDArray[np.int64]

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
        split_by: what that keeps whole.
        dtype: ``float32`` where something is stored as float64; else None.
        access: what must be accepted of the files.
        is_categorical: whether ``y`` numbers classes; None without ``y``.
    """

    files: tuple[str, ...]
    fields: Mapping[str, Field] | None
    samples: Samples
    split: Split
    split_by: str
    dtype: str | None
    access: Access
    is_categorical: bool | None


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
    dtype = "float32" if any(_is_float64(entry.schema.dtype) for entry in guess.entries) else None
    planned = plan_fields(
        chosen,
        guess.fields,
        guess.samples,
        dtype=dtype,
        on_missing=access.on_missing,
        allow_empty=access.on_bad_file == "skip",
    )
    index = SampleIndex(chosen.root, chosen.names, np.arange(len(chosen)), planned.rows, guess.samples)
    split, by = _split(index)
    return Suggestion(
        files, guess.fields, guess.samples, split, by, dtype, access, is_categorical=guess.is_categorical
    )


def _is_float64(dtype: str) -> bool:
    return dtype[1:] == "f8"


def _access(catalog: Catalog, guess: Guess, kept: Int64Array) -> Access:
    def in_kept(files: Int64Array) -> bool:
        return bool(np.isin(files, kept).any())

    rowless = any(in_kept(entry.files[entry.rows == 0]) for entry in guess.entries)
    unwritten = any(in_kept(entry.files[entry.missing > 0]) for entry in guess.entries)
    return Access(
        on_bad_file="skip" if catalog.skipped or rowless else "raise",
        on_missing="fill" if unwritten else "raise",
    )


def _split(index: SampleIndex) -> tuple[Split, str]:
    """The default split, or what of it is possible with so few rows, and what it keeps whole."""
    possible = ((split, by) for split in _SPLITS if (by := _split_by(index, split)))
    return next(possible, (_ALL_FOR_TRAINING, "file"))


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
    """Patterns, and the files that they leave: without the few that differ from most."""
    short = _shortened(patterns)
    everything = np.arange(len(catalog))
    others = np.setdiff1d(everything, guess.files)
    if not others.size or others.size > min(_MOST_LEFT_OUT, len(catalog) // 2):
        return short, everything
    excluding = (*short, *(_exclusion(catalog.path(file), short[0]) for file in others.tolist()))
    left = {catalog.path(file) for file in guess.files.tolist()}
    bad = {os.path.join(catalog.root, skipped.name) for skipped in catalog.skipped}
    return (excluding, guess.files) if _matches(excluding) - bad == left else (short, everything)


def _shortened(patterns: Sequence[str]) -> tuple[str, ...]:
    """One pattern in place of the many paths that a shell makes of one."""
    if len(patterns) <= _FEW_PATTERNS or any(glob.has_magic(text) or text[:1] == "!" for text in patterns):
        return tuple(patterns)
    folders = {os.path.dirname(text) for text in patterns}
    endings = {os.path.splitext(text)[1] for text in patterns}
    if len(endings) > 1 or len({os.path.isabs(text) for text in patterns}) > 1:
        return tuple(patterns)
    names = f"*{endings.pop()}" if len(folders) == 1 else f"**/*{endings.pop()}"
    pattern = os.path.join(glob.escape(os.path.commonpath(folders)), names)
    return (pattern,) if _matches((pattern,)) == _matches(patterns) else tuple(patterns)


def _exclusion(path: str, beside: str) -> str:
    return f"!{glob.escape(path if os.path.isabs(beside) else os.path.relpath(path))}"


def _matches(patterns: Sequence[str]) -> set[str]:
    try:
        found = discover(list(patterns))
    except H5LightningError:
        return set()
    return {found.path(file) for file in range(len(found))}
