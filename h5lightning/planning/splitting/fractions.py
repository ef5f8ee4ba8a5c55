"""How much train, val and test should get."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from h5lightning.options import Split

__all__ = ["Shares"]

_NOTHING = 1e-9  # below this a share is what rounding left of zero


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the rows that are divided; 0 for a split that is not wanted.

    Args:
        train: at most ``left``.
        val: with folds, the mean size of the parts.
        test: cut first.
        left: what test and val leave.
    """

    train: float
    val: float
    test: float
    left: float

    @classmethod
    def of(cls, split: Split, named: Collection[str] = ()) -> Shares:
        """The shares that ``split`` asks for, leaving out the splits whose files are named explicitly."""
        test = 0.0 if "test" in named else _share(split.test)
        val = 0.0 if "val" in named else _share(split.val)
        if split.folds is not None:
            val = (1.0 - test) / split.folds
        left = _share(1.0 - test - val)
        train = left if split.train is None else min(_share(split.train), left)
        return cls(train=train, val=val, test=test, left=left)

    def without_val(self) -> Shares:
        """The same test part, and all the rest to train."""
        left = _share(1.0 - self.test)
        return Shares(train=left, val=0.0, test=self.test, left=left)

    @property
    def wanted(self) -> dict[str, float]:
        """The splits that shall exist, with their shares."""
        shares = {"train": self.train, "val": self.val, "test": self.test}
        return {name: share for name, share in shares.items() if share > 0}

    @property
    def train_takes_all(self) -> bool:
        """Whether train is all that test and val leave."""
        return self.left - self.train <= _NOTHING


def _share(value: float | None) -> float:
    return float(value) if value is not None and value > _NOTHING else 0.0
