"""How data become train, val and test.

Everything here counts rows, never samples: a change of windows moves no row from one split to another. The
result depends on relative names, rows and the seed alone, so that it is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.permutation import derive_key
from h5lightning.errors import OptionError, SplitError
from h5lightning.options import Rows, Samples, Split, Whole
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.by_block import cut_blocks
from h5lightning.planning.splitting.by_file import divide, thin
from h5lightning.planning.splitting.by_row import slice_rows
from h5lightning.planning.splitting.candidates import Roles, SplitPool, participants
from h5lightning.planning.splitting.fractions import Shares
from h5lightning.planning.splitting.split_plan import Draw, Segments, SplitPlan

__all__ = ["Segments", "SplitPlan", "check_samples", "plan_split"]

Parts = dict[str, Segments]


def plan_split(
    index: SampleIndex,
    split: Split,
    *,
    seed: int,
    roles: Roles | None = None,
    labels: Sequence[str | None] | None = None,
) -> SplitPlan:
    """Decide which rows are train, val and test.

    ``by="auto"`` divides files if there are enough: one for each split (and fold), and so that each split gets
    at least half and at most twice its share, whatever ``train`` says; else series by the same rule; else
    every series is cut in blocks.

    Args:
        index: the files and series.
        split: the options; ``manifest`` and ``on_new`` are not looked at.
        seed: used where ``split.seed`` is None.
        roles: numbers of the files of an explicit mapping, by ``train``, ``val``, ``test`` and ``predict``.
            Named splits take exactly these files. The sizes then are shares of the rows of ``train``'s files,
            for splits that are not named. Files of ``predict`` alone never take part.
        labels: with ``keep_together="attr:NAME"``, the value of each file of the index, None where a file
            has none.

    Raises:
        OptionError: options that contradict each other.
        SplitError: a split would be empty, or a file has no group.
    """
    roles = roles or {"train": np.arange(len(index.names), dtype=np.int64)}
    named = {name: Segments.of_files(index, roles[name]) for name in ("val", "test") if name in roles}
    shares = Shares.of(split, named)
    _check_options(split, shares, named)
    pool = SplitPool.of(index, roles, split.keep_together, labels)
    seed = seed if split.seed is None else split.seed
    by, cut = _cut(pool, shares, split, seed) if "train" in roles else ("file", {})
    check_samples(by, index.samples)
    requested = {name: shares.wanted[name] for name in cut}
    return SplitPlan.of(index, by, {**cut, **named}, files=participants(roles), requested=requested)


def check_samples(by: str, samples: Samples) -> None:
    """Raise `OptionError` if samples of this kind cannot be divided like this."""
    if by == "sample" and not isinstance(samples, Rows):
        raise OptionError(
            f"split.by='sample' needs samples of one row, found samples={samples.kind!r}: neighbours in one series "
            "would leak from train into val and test. Use by='file', 'series' or 'block'"
        )
    if by == "block" and isinstance(samples, Whole):
        raise OptionError(
            "split: a sample is a whole series, but there are too few files and series to divide, and by='block' "
            "would cut each series. Add files, or take fewer splits: data.split.test=null"
        )


def _check_options(split: Split, shares: Shares, named: Parts) -> None:
    if not shares.wanted and not named:
        raise OptionError("split: train, val and test are all 0 or None; give one of them a share")
    if split.keep_together is not None and split.by not in ("auto", "file"):
        raise OptionError(
            f"split.keep_together keeps whole files together, so that by={split.by!r} makes no sense with it; "
            "use by='file'"
        )
    if split.by == "sample" and split.order == "path":
        raise OptionError(
            "split.by='sample' draws rows at random, found order='path'; use by='block' or 'file'"
        )
    if split.folds is not None and "val" in named:
        raise OptionError(
            "split.folds makes val from train's files, but 'files' names val; leave one of them out"
        )


# ── dividing by size ─────────────────────────────────────────────────────────────────────────────────


def _cut(pool: SplitPool, shares: Shares, split: Split, seed: int) -> tuple[str, Parts]:
    """How the pool was divided, and the rows of each split that is wanted."""
    if not pool.total:
        raise SplitError(f"split: the files to divide have {len(pool.series)} series, but no rows")
    by, parts = _divide(pool, shares, split, seed)
    if split.gap and by != "block":
        raise OptionError(
            f"split.gap={split.gap} applies to by='block' only, found by={by!r}; set by='block'"
        )
    _check_filled(pool, by, parts, shares, split)
    return by, {name: parts[name] for name in shares.wanted}


def _check_filled(pool: SplitPool, by: str, parts: Parts, shares: Shares, split: Split) -> None:
    left = pool.total - parts["test"].rows if shares.test else pool.total
    if split.folds is not None and left < split.folds:
        raise SplitError(f"split: {left} rows cannot fill {split.folds} folds; use fewer folds or more data")
    for name, share in shares.wanted.items():
        if not parts[name].rows:
            gap = f" and gap={split.gap}" if split.gap else ""
            raise SplitError(
                f"split: {name} ({share:.4g} of {pool.total} rows) gets no row with by={by!r}{gap}; take larger "
                "shares, fewer splits (such as data.split.test=null) or more data"
            )


def _divide(pool: SplitPool, shares: Shares, split: Split, seed: int) -> tuple[str, Parts]:
    by = "file" if split.keep_together is not None else split.by
    for whole in ("file", "series") if by == "auto" else ():
        found = _by_items(pool, whole, shares, split, derive_key("split", seed, whole), must_be_near=True)
        if found is not None:
            return whole, found
    if by in ("auto", "block"):
        return "block", cut_blocks(pool.series, pool.rows, shares, split)
    key = derive_key("split", seed, by)
    if by == "sample":
        return by, _by_rows(pool, shares, split, key)
    found = _by_items(pool, by, shares, split, key, must_be_near=False)
    if found is None:
        raise _too_few(pool, by, shares, split)
    return by, found


def _by_items(
    pool: SplitPool, by: str, shares: Shares, split: Split, key: int, *, must_be_near: bool
) -> Parts | None:
    """The series of each split, or None if there are too few items."""
    item, weights = pool.items(by)
    pieces = divide(weights, shares, split, key)
    if pieces is None or (must_be_near and not pieces.is_near(weights)):
        return None
    members = {name: pieces.members(name) for name in shares.wanted}
    if "train" in members and not shares.train_takes_all:
        rest, target = members["train"], shares.train * pool.total
        members["train"] = rest[thin(weights[rest], target, split.order, derive_key(key, "train"))]
    if "train" in members:
        # Series without rows go with train, so that each file is in the list of some split.
        members["train"] = np.append(members["train"], -1)
    return {name: pool.whole(np.isin(item, chosen)) for name, chosen in members.items()}


def _by_rows(pool: SplitPool, shares: Shares, split: Split, key: int) -> Parts:
    start = np.zeros_like(pool.rows)
    slices = slice_rows(pool.total, shares, split)
    return {name: Segments(pool.series, start, pool.rows, Draw(key, drawn)) for name, drawn in slices.items()}


def _too_few(pool: SplitPool, by: str, shares: Shares, split: Split) -> SplitError:
    """The error for fewer items than splits, with a way out."""
    found = len(pool.items(by)[1])
    noun = "group" if pool.is_grouped else by
    nouns = noun if found == 1 or noun == "series" else f"{noun}s"
    if split.folds is not None:
        wanted = f"{split.folds} folds" + (" and test" if shares.test else "")
        ways = ["fewer folds"]
    else:
        wanted = _listed(list(shares.wanted))
        ways = [f"data.split.{'test' if shares.test else 'val'}=null"]
    if not pool.is_grouped:
        ways.insert(0, "by='block'")
    return SplitError(f"split: {found} {nouns} cannot fill {wanted}; use {', or '.join(ways)}")


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
