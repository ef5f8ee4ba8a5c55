"""Suggest arguments of a DataModule for some files, and check them with the planner of the DataModule."""

from __future__ import annotations

import dataclasses
import glob
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import H5LightningError, OptionError, SchemaError, SplitError
from h5lightning.options import Access, Field, Samples, Series, Shuffle, Split
from h5lightning.options.samples import StageSamples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.series.make_index import make_index
from h5lightning.planning.splitting.plan_split import plan_split
from h5lightning.planning.splitting.split_plan import SplitPlan
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.discovery import discover
from h5lightning.storage.discovery.patterns import escape
from h5lightning.storage.survey import survey
from h5lightning.tools.overview.infer_fields import InferredFields

__all__ = ["Suggestion", "suggest", "suggest_options"]

_MAX_LEFT_OUT = 8
_FEW_PATTERNS = 3
# Changes of a split, tried in this order: there may be too few rows for all its parts.
_FEWER: tuple[Mapping[str, Any], ...] = ({}, {"test": None})
_ALL_FOR_TRAINING = Split(val=None, test=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Suggestion:
    """Arguments of a DataModule that work.

    Args:
        files: patterns.
        fields: sample key → `Field`; None for all datasets.
        samples: how samples lie in a series, in all stages or in each.
        split: the division of the data.
        split_by: what the split keeps whole; empty if there are too few rows to divide.
        dtype: ``float32`` if something would be float64; else None.
        access: which problems of the files must be accepted.
        is_categorical: whether ``y`` numbers classes; None without ``y``.
        left_out: names of files that the patterns leave out.
        series: what divides the rows of a file into series; None for nothing.
        lists: split → dataset that lists its series by their names; empty if there are none.
        shuffle: the order of training samples; None for the default.
    """

    files: tuple[str, ...]
    fields: Mapping[str, Field] | None
    samples: Samples | StageSamples
    split: Split
    split_by: str
    dtype: str | None
    access: Access
    is_categorical: bool | None = None
    left_out: tuple[str, ...] = ()
    series: Series | None = None
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shuffle: Shuffle | None = None


def suggest(patterns: Sequence[str], catalog: Catalog, inferred: InferredFields) -> Suggestion:
    """Turn inferred fields into arguments, and check that they work.

    Args:
        patterns: the patterns of the user.
        catalog: the files; ``skipped`` lists those that cannot be read.
        inferred: what a sample is made of.

    Raises:
        H5LightningError: the arguments do not work; the message says why.
    """
    files, kept = _files(patterns, catalog, inferred)
    chosen = catalog.take(kept)
    access = _access(catalog, inferred, kept)
    planned, index = _planned(files, chosen, inferred, access)
    split, by = _split(lambda split: plan_split(index, split, seed=0), index, Split())
    return Suggestion(
        files=files,
        fields=inferred.fields,
        samples=inferred.samples,
        series=inferred.series,
        lists=_working_lists(files, inferred, access),
        split=split,
        split_by=by,
        dtype=_dtype(planned),
        access=access,
        is_categorical=inferred.is_categorical,
        left_out=tuple(catalog.names[file] for file in np.setdiff1d(np.arange(len(catalog)), kept).tolist()),
    )


def suggest_options(
    patterns: Sequence[str],
    catalog: Catalog,
    *,
    fields: Mapping[str, Field],
    samples: Samples | StageSamples,
    series: Series | None = None,
    split: Split | None = None,
    shuffle: Shuffle | None = None,
    is_precise: bool = False,
) -> Suggestion | None:
    """Check that these options work for all files that can be read; None if they do not.

    Args:
        patterns: the patterns of the user.
        catalog: the files; ``skipped`` lists those that cannot be read.
        fields: sample key → `Field`.
        samples: how samples lie in a series. If it differs by stage, the files must be divided.
        series: what divides the rows of a file into series.
        split: what is kept together, or where the files list the split; sizes may become smaller.
        shuffle: the order of training samples.
        is_precise: whether values in float64 are delivered so; else as float32.
    """
    files, access, requested = _shortened(patterns), _access_to(catalog, len(catalog)), split or Split()
    try:
        surveyed = survey(
            files,
            fields,
            samples,
            access=access,
            series=series,
            keep_together=requested.keep_together,
            given=requested.given,
        )
        divided, by = _split_of_survey(surveyed, requested)
    except H5LightningError:
        return None
    if not by and (isinstance(samples, StageSamples) or requested.given):
        return None
    return Suggestion(
        files=files,
        fields=fields,
        samples=samples,
        series=series,
        split=divided,
        split_by=by,
        dtype=None if is_precise else _dtype(surveyed.fields),
        access=access,
        shuffle=shuffle,
    )


def _planned(
    files: Sequence[str], catalog: Catalog, inferred: InferredFields, access: Access
) -> tuple[Fields, SampleIndex]:
    """The fields and the samples, as the DataModule plans them."""
    fields, samples = inferred.fields, inferred.samples
    given = (fields or {}).values()
    if inferred.series is not None or any("*" in field.path or field.categories for field in given):
        # Series inside of files, and categories, are found by a scan that looks for them.
        surveyed = survey(files, fields, samples, access=access, series=inferred.series)
        return surveyed.fields, surveyed.index
    allow_empty = access.on_bad_file == "skip"
    planned = plan_fields(catalog, fields, samples, on_missing=access.on_missing, allow_empty=allow_empty)
    return planned, make_index(catalog, planned.rows, samples)


def _dtype(fields: Fields) -> str | None:
    """The type of delivery, if something would be float64; else None."""
    return "float32" if any(plan.spec.dtype == "float64" for plan in fields.plans) else None


def _working_lists(files: Sequence[str], inferred: InferredFields, access: Access) -> Mapping[str, str]:
    """The lists, if they name series of these files."""
    if not inferred.lists:
        return {}
    try:
        survey(files, inferred.fields, inferred.samples, access=access, given=inferred.lists)
    except H5LightningError:
        return {}
    return inferred.lists


def _access(catalog: Catalog, inferred: InferredFields, kept: Int64Array) -> Access:
    rowless = np.concatenate([dataset.files[dataset.rows == 0] for dataset in inferred.datasets])
    is_skipping = bool(np.isin(rowless, kept).any())
    is_filling = bool(np.isin(_files_with_gaps(inferred), kept).any())
    return dataclasses.replace(
        _access_to(catalog, len(kept), is_skipping=is_skipping), on_missing="fill" if is_filling else "raise"
    )


def _access_to(catalog: Catalog, kept: int, *, is_skipping: bool = False) -> Access:
    bad = len(catalog.skipped)
    return Access(
        on_bad_file="skip" if is_skipping or bad else "raise",
        # Rounded up to hundredths: people paste it.
        max_bad_fraction=max(Access.max_bad_fraction, math.ceil(100 * bad / (bad + kept)) / 100),
    )


def _split_of_survey(surveyed: DataSurvey, requested: Split) -> tuple[Split, str]:
    """As `_split`, with what the files say of groups and of given splits."""

    def plan(split: Split) -> SplitPlan:
        return plan_split(surveyed.index, split, seed=0, labels=surveyed.labels, given=surveyed.given)

    return _split(plan, surveyed.index, requested)


def _split(plan: Callable[[Split], SplitPlan], index: SampleIndex, requested: Split) -> tuple[Split, str]:
    """The requested split, or a smaller one if there are few rows, and what it keeps whole."""
    splits = (requested if requested.given else dataclasses.replace(requested, **fewer) for fewer in _FEWER)
    possible = ((split, by) for split in splits if (by := _split_by(plan, index, split)))
    return next(possible, (_ALL_FOR_TRAINING, ""))


def _split_by(plan_of: Callable[[Split], SplitPlan], index: SampleIndex, split: Split) -> str:
    """What the split keeps whole; empty if it is not possible."""
    try:
        plan = plan_of(split)
        for name in plan.parts:
            plan.selection(name, index)
    except (SplitError, OptionError):
        return ""
    return plan.by


def _files(
    patterns: Sequence[str], catalog: Catalog, inferred: InferredFields
) -> tuple[tuple[str, ...], Int64Array]:
    """Patterns and the files that they match: all but a few that differ or have chunks that were never written."""
    short = _shortened(patterns)
    everything = np.arange(len(catalog))
    complete = np.setdiff1d(inferred.files, _files_with_gaps(inferred))
    for kept in (complete, inferred.files):
        left_out = np.setdiff1d(everything, kept)
        if 0 < left_out.size <= min(_MAX_LEFT_OUT, len(catalog) // 2):
            paths = [catalog.path(file) for file in left_out.tolist()]
            excluding = (*short, *(_exclusion(path, short[0]) for path in paths))
            if _matches(short) - _matches(excluding) == set(paths):
                return excluding, kept
    if left_out.size:
        raise SchemaError(
            f"{left_out.size:,} of {len(catalog):,} files differ from the others. Write them like the others, or "
            "leave them out with patterns that begin with '!'"
        )
    return short, everything


def _files_with_gaps(inferred: InferredFields) -> Int64Array:
    """The files with chunks that were never written."""
    return np.unique(np.concatenate([dataset.files[dataset.missing > 0] for dataset in inferred.datasets]))


def _shortened(patterns: Sequence[str]) -> tuple[str, ...]:
    """One pattern in place of the many paths that a shell makes of it."""
    if len(patterns) <= _FEW_PATTERNS or any(
        glob.has_magic(text) or text[:1] in ("!", "@") for text in patterns
    ):
        return tuple(patterns)
    folders = {os.path.dirname(text) for text in patterns}
    endings = {os.path.splitext(text)[1] for text in patterns}
    if len(endings) > 1 or len({os.path.isabs(text) for text in patterns}) > 1:
        return tuple(patterns)
    names = f"*{endings.pop()}" if len(folders) == 1 else f"**/*{endings.pop()}"
    # A path of a file is no pattern; otherwise it may hold variables, which stay.
    quote = escape if all(map(os.path.isfile, patterns)) else glob.escape
    pattern = os.path.join(quote(os.path.commonpath(folders)), names)
    return (pattern,) if _matches((pattern,)) == _matches(patterns) else tuple(patterns)


def _exclusion(path: str, relative_to: str) -> str:
    return f"!{escape(path if os.path.isabs(relative_to) else os.path.relpath(path))}"


def _matches(patterns: Sequence[str]) -> set[str]:
    try:
        files = discover(list(patterns))
    except H5LightningError:
        return set()
    return {files.path(file) for file in range(len(files))}
