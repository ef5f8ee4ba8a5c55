"""The fractions of the rows that train, val and test get."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from h5lightning.options import Split

__all__ = ["Fractions"]

_NOTHING = 1e-9  # a smaller fraction is a rounding error of zero


@dataclass(frozen=True, slots=True)
class Fractions:
    """The fraction of the rows for each split, 0 for a split that does not exist, and how to cut them.

    Args:
        train: at most ``left``.
        val: with folds, the size of one fold.
        test: cut first.
        left: what test and val leave.
        order: ``random``, or ``path`` for contiguous files or series.
        folds: number of folds; None without folds.
        fold: the fold that is val.
        gap: rows between two splits of one series.
        must_be_near: refuse a split that is not between half and twice its fraction.
    """

    train: float
    val: float
    test: float
    left: float
    order: str = "random"
    folds: int | None = None
    fold: int = 0
    gap: int = 0
    must_be_near: bool = False

    @classmethod
    def of(cls, split: Split, named: Collection[str] = ()) -> Fractions:
        """The fractions that ``split`` requests, without the splits whose files are ``named`` explicitly."""
        test = 0.0 if "test" in named else _positive(split.test)
        val = 0.0 if "val" in named else _positive(split.val)
        if split.folds is not None:
            val = (1.0 - test) / split.folds
        left = _positive(1.0 - test - val)
        train = left if split.train is None else min(_positive(split.train), left)
        return cls(train, val, test, left, split.order, split.folds, split.fold or 0, split.gap)

    def without_val(self) -> Fractions:
        """The same test part, and all other rows for train; no folds."""
        left = _positive(1.0 - self.test)
        return Fractions(train=left, val=0.0, test=self.test, left=left, order=self.order)

    @property
    def requested(self) -> dict[str, float]:
        """The splits that must exist, with their fractions."""
        fractions = {"train": self.train, "val": self.val, "test": self.test}
        return {name: fraction for name, fraction in fractions.items() if fraction > 0}

    @property
    def train_takes_all(self) -> bool:
        """Whether train is all that test and val leave."""
        return self.left - self.train <= _NOTHING


def _positive(fraction: float | None) -> float:
    return float(fraction) if fraction is not None and fraction > _NOTHING else 0.0
