"""How data become train, val and test.

Everything here counts rows, never samples: other windows move no row from one split to another. The result
depends on relative names, rows and the seed alone, so that it is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.core.permutation import derive_key
from h5lightning.errors import OptionError, SplitError
from h5lightning.options import Rows, Samples, Split, Whole
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.file_runs import FileRuns
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.by_file import by_item
from h5lightning.planning.splitting.by_group import by_group
from h5lightning.planning.splitting.by_row import by_block, by_row
from h5lightning.planning.splitting.candidates import Candidates, Fractions, Roles, files_to_split
from h5lightning.planning.splitting.given_split import GivenSeries, given_parts, given_rows
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.splitting.row_groups import RowGroups
from h5lightning.planning.splitting.split_plan import SPLITS, Segments, SplitPlan

__all__ = ["STRATEGIES", "check_samples", "plan_split"]

Parts = dict[str, Segments]

# The values of `Split.by`. A strategy gets the rows to divide, the fraction of each split, and a key that selects
# among equally good results. It returns the rows of each split; None if there are too few items to divide.
STRATEGIES: dict[str, Callable[[Candidates, Fractions, int], Parts | None]] = {
    "file": partial(by_item, "file"),
    "series": partial(by_item, "series"),
    "block": by_block,
    "sample": by_row,
}
_BY_OF_ROWS = ("auto", "sample")  # where rows of one value stay together, wherever they are


def plan_split(
    index: SampleIndex,
    split: Split,
    *,
    seed: int,
    roles: Roles | None = None,
    labels: Labels | None = None,
    given: GivenSeries | RowValues | None = None,
) -> SplitPlan:
    """Decide which rows are train, val and test.

    ``by="auto"`` divides files if there are enough: one for each split (and fold), and each split gets at least
    half and at most twice its fraction, whatever ``train`` is; else series by the same rule; else it cuts every
    series into blocks. Files that go on where others end are one series, which it cuts into blocks.

    Args:
        index: the files and series.
        split: the options, except ``manifest`` and ``on_new``.
        seed: used where ``split.seed`` is None.
        roles: numbers of the files of an explicit mapping, by ``train``, ``val``, ``test`` and ``predict``. Named
            splits take exactly these files. The sizes of other splits are then fractions of the rows of
            ``train``'s files. Files of ``predict`` alone never take part.
        labels: with ``keep_together="attr:NAME"``, the value of each unit of the index, with ``table:COLUMN`` that of
            each series, None where it has none; with ``field:PATH``, or a table of rows, the values of all rows.
        given: with ``split.given``, the split of each series, or the names of those of all rows.

    Raises:
        OptionError: options that contradict each other.
        SplitError: a split would be empty, or a series has no group.
    """
    roles = roles or {"train": np.arange(len(index.names), dtype=np.int64)}
    if split.given is not None:
        return _given_plan(index, split, roles, labels, given)
    named = {name: Segments.of_files(index, roles[name]) for name in ("val", "test") if name in roles}
    fractions = Fractions.of(split, named)
    _check_options(split, fractions, named, by_row=isinstance(labels, RowValues))
    if isinstance(labels, RowValues) and split.by in _BY_OF_ROWS:
        return _plan_of_groups(index, split, fractions, named, seed=seed, roles=roles, values=labels)
    candidates = Candidates.of(index, roles, split, labels)
    seed = seed if split.seed is None else split.seed
    if "train" not in roles:
        by, parts = "file", Parts()
    elif index.runs is not None:
        by, parts = _divide_runs(candidates, fractions, split, seed, index.runs)
    else:
        by, parts = _divide(candidates, fractions, split, seed)
    check_samples(by, index.samples)
    requested = {name: fractions.requested[name] for name in parts}
    return SplitPlan.of(index, by, {**parts, **named}, files=files_to_split(roles), requested=requested)


def _plan_of_groups(
    index: SampleIndex,
    split: Split,
    fractions: Fractions,
    named: Parts,
    *,
    seed: int,
    roles: Roles,
    values: RowValues,
) -> SplitPlan:
    """The plan of rows that stay together by their values; ``named`` are splits whose files are named explicitly."""
    files, keep_together = files_to_split(roles), str(split.keep_together)
    series = Segments.of_files(index, files).series
    groups = RowGroups.of(keep_together, index, series, values)
    role_of = np.full(len(index.names), -1, np.int64)
    for number, name in enumerate(SPLITS):
        role_of[roles.get(name, series[:0])] = number
    role = role_of[index.series_file[series]]
    groups.check_roles(role, "entry of 'files'")
    parts = Parts()
    if "train" in roles:
        if named:
            groups = RowGroups.of(keep_together, index, series[role == SPLITS.index("train")], values)
        parts = _divide_groups(groups, fractions, split, split.seed if split.seed is not None else seed)
    requested = {name: fractions.requested[name] for name in parts}
    by = "group" if parts else "file"
    return SplitPlan.of(index, by, {**parts, **named}, files=files, requested=requested)


def _divide_groups(groups: RowGroups, fractions: Fractions, split: Split, seed: int) -> Parts:
    """The rows of each requested split; see `_divide`."""
    total = len(groups.group)
    if not total:
        raise SplitError(f"split: the files to divide have {len(groups.series)} series, but no rows")
    if split.gap:
        raise OptionError(
            f"split.gap={split.gap} applies to by='block' only, found keep_together: leave one out"
        )
    parts = by_group(groups, fractions, derive_key("split", seed, "group"))
    if parts is None:
        raise _too_few(len(groups), "group", fractions)
    _check_filled(total, "group", parts, fractions)
    return parts


def _given_plan(
    index: SampleIndex,
    split: Split,
    roles: Roles,
    labels: Labels | None,
    given: GivenSeries | RowValues | None,
) -> SplitPlan:
    """The plan of the series that files list."""
    named = [name for name in ("val", "test") if name in roles]
    if named or "train" not in roles:
        raise OptionError(
            f"'files' names {' and '.join(named) or 'no train'}, and split.given divides the files of train: leave one "
            "of them out"
        )
    files = np.sort(roles["train"])
    if isinstance(given, RowValues):
        by, parts = "group", given_rows(index, split, given, files, labels)
    else:
        by, parts = "series", given_parts(index, split, given, files, labels)
    check_samples(by, index.samples)
    return SplitPlan.of(index, by, parts, files=files_to_split(roles), requested={})


def check_samples(by: str, samples: Samples, stage: str = "train") -> None:
    """Raise `OptionError` if samples of this kind, in a stage, cannot be divided like this."""
    where = "samples" if stage == "train" else f"samples.{stage}"
    if by == "sample" and not isinstance(samples, Rows):
        raise OptionError(
            f"split.by='sample' needs samples of one row, found {where}={samples.kind!r}: neighbours in one series "
            "would leak from train into val and test. Use by='file', 'series' or 'block'"
        )
    if by == "block" and isinstance(samples, Whole):
        raise OptionError(
            f"split: a sample is a whole series ({where}='whole'), but there are too few files and series to divide, "
            "and by='block' would cut each series. Add files, or take fewer splits: data.split.test=null"
        )


def _check_options(split: Split, fractions: Fractions, named: Parts, *, by_row: bool) -> None:
    if not fractions.requested and not named:
        raise OptionError(
            "split: train, val and test are all 0 or None; give at least one of them a fraction"
        )
    if by_row and split.by == "block":
        raise OptionError(
            f"split.keep_together={split.keep_together!r} keeps rows of one value together, and by='block' cuts "
            "series in order: leave one of them out"
        )
    if split.keep_together is not None and not by_row and split.by not in ("auto", "file", "series"):
        raise OptionError(
            f"split.keep_together keeps whole files or series together and cannot be combined with by={split.by!r}; "
            "use by='file' or by='series'"
        )
    if split.by == "sample" and split.order == "path" and not by_row:
        raise OptionError(
            "split.by='sample' draws rows at random, found order='path'; use by='block' or 'file'"
        )
    if split.folds is not None and "val" in named:
        raise OptionError(
            "split.folds makes val from train's files, but 'files' names val; leave one of them out"
        )


def _divide_runs(
    candidates: Candidates, fractions: Fractions, split: Split, seed: int, runs: FileRuns
) -> tuple[str, Parts]:
    """As `_divide`, of files that go on where others end: blocks and series are those of runs."""
    if split.by not in ("auto", "series", "block") or candidates.is_grouped:
        return _divide(candidates, fractions, split, seed)
    numbers = np.unique(runs.run[candidates.series])
    of_runs = Candidates(numbers, runs.run_rows[numbers], np.arange(len(numbers)))
    # Files of one run are neighbours in time: single ones of them would leak into each other.
    by = "block" if split.by == "auto" else split.by
    by, parts = _divide(of_runs, fractions, replace(split, by=by), seed)
    pieces = {name: runs.in_files(part.series, part.start, part.stop) for name, part in parts.items()}
    return by, {name: Segments(*piece) for name, piece in pieces.items()}


def _divide(candidates: Candidates, fractions: Fractions, split: Split, seed: int) -> tuple[str, Parts]:
    """The strategy that was used, and the rows of each requested split."""
    if not candidates.total:
        raise SplitError(f"split: the files to divide have {len(candidates.series)} series, but no rows")
    by, parts = _apply_strategy(candidates, fractions, split, seed)
    if split.gap and by != "block":
        raise OptionError(
            f"split.gap={split.gap} applies to by='block' only, found by={by!r}; set by='block'"
        )
    _check_filled(candidates.total, by, parts, fractions)
    return by, {name: parts[name] for name in fractions.requested}


def _apply_strategy(
    candidates: Candidates, fractions: Fractions, split: Split, seed: int
) -> tuple[str, Parts]:
    by = split.by
    if candidates.is_grouped:
        by = "series" if candidates.divides_files or by == "series" else "file"
    if by == "auto":
        near = replace(fractions, must_be_near=True)
        for by in ("file", "series"):
            parts = STRATEGIES[by](candidates, near, derive_key("split", seed, by))
            if parts is not None:
                return by, parts
        by = "block"
    parts = STRATEGIES[by](candidates, fractions, derive_key("split", seed, by))
    if parts is None:
        noun = "group" if candidates.is_grouped else by
        raise _too_few(len(candidates.items(by)[1]), noun, fractions)
    return by, parts


def _check_filled(total: int, by: str, parts: Parts, fractions: Fractions) -> None:
    folds = fractions.folds
    left = total - parts["test"].rows if fractions.test else total
    if folds is not None and left < folds:
        raise SplitError(f"split: {left} rows cannot fill {folds} folds; use fewer folds or more data")
    for name, fraction in fractions.requested.items():
        if not parts[name].rows:
            gap = f" and gap={fractions.gap}" if fractions.gap else ""
            raise SplitError(
                f"split: {name} ({fraction:.4g} of {total} rows) gets no row with by={by!r}{gap}; use larger "
                "fractions, fewer splits (such as data.split.test=null) or more data"
            )


def _too_few(count: int, noun: str, fractions: Fractions) -> SplitError:
    """The error for fewer items than splits, with a way out."""
    if fractions.folds is not None:
        goal = f"{fractions.folds} folds" + (" and test" if fractions.test else "")
        ways = ["fewer folds"]
    else:
        goal = " and ".join(", ".join(fractions.requested).rsplit(", ", 1))
        ways = [f"data.split.{'test' if fractions.test else 'val'}=null"]
    if noun != "group":
        ways.insert(0, "by='block'")
    return SplitError(f"split: {counted(count, noun)} cannot fill {goal}; use {', or '.join(ways)}")
