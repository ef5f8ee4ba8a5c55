"""How data become train, val and test."""

from __future__ import annotations

import dataclasses
import math

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, check_int, check_share, check_text
from h5lightning.options.plain import make_plain

__all__ = ["Split"]


@dataclasses.dataclass(frozen=True)
class Split:
    """How data become train, val and test.

    Args:
        val: share of all rows for validation; None or 0 for no such split.
        test: share of all rows for testing; None or 0 for no such split.
        train: share of all rows for training; None for what val and test leave.
        by: what is never divided: ``file``, ``series``, ``block`` (each series' rows cut in order),
            ``sample`` (random rows) or ``auto``: file if there are enough, else series, else block.
        order: ``random``, or ``path``: in path order train, val, test.
        keep_together: ``path:REGEX`` (first capture group) or ``attr:NAME``; files that share the value
            are never in two splits.
        gap: rows that are left out between two parts of a series, with ``by="block"``.
        folds: cut what the test part leaves into this many parts.
        fold: the part, counted from 0, that is val.
        seed: None for the seed of the DataModule.
        manifest: path of a saved split to read.
        on_new: what happens to files that the manifest does not know: ``error``, ``train`` or ``split``.
    """

    val: float | None = 0.1
    test: float | None = 0.1
    train: float | None = None
    by: str = "auto"
    order: str = "random"
    keep_together: str | None = None
    gap: int = 0
    folds: int | None = None
    fold: int | None = None
    seed: int | None = None
    manifest: str | None = None
    on_new: str = "error"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("val", "test", "train"):
            check_share(f"split.{name}", getattr(self, name))
        for name in ("keep_together", "manifest"):
            check_text(f"split.{name}", getattr(self, name))
        check_choice("split.by", self.by, ("auto", "file", "series", "block", "sample"))
        check_choice("split.order", self.order, ("random", "path"))
        check_choice("split.on_new", self.on_new, ("error", "train", "split"))
        check_int("split.gap", self.gap, at_least=0)
        if self.seed is not None:
            check_int("split.seed", self.seed, at_least=0)
        self._check_sum()
        self._check_folds()
        self._check_keep_together()

    def _check_sum(self) -> None:
        val = 0.0 if self.folds else (self.val or 0.0)
        shares = {"train": self.train or 0.0, "val": val, "test": self.test or 0.0}
        total = math.fsum(shares.values())
        if total > 1 + 1e-9:
            listed = " + ".join(f"{name} {share:g}" for name, share in shares.items())
            raise OptionError(
                f"split: the shares must sum to at most 1, found {listed} = {total:g}. In Hydra a mapping is "
                "merged with the defaults (val 0.1, test 0.1): data.split.test=null takes one out"
            )

    def _check_folds(self) -> None:
        if self.folds is None and self.fold is None:
            return
        if self.folds is None or self.fold is None:
            raise OptionError(
                f"split: folds and fold go together, found folds={self.folds}, fold={self.fold}"
            )
        check_int("split.folds", self.folds, at_least=2)
        check_int("split.fold", self.fold, at_least=0)
        if self.fold >= self.folds:
            raise OptionError(
                f"split.fold must be below split.folds, found fold={self.fold}, folds={self.folds}"
            )

    def _check_keep_together(self) -> None:
        if self.keep_together is None:
            return
        kind, _, rest = self.keep_together.partition(":")
        if kind not in ("path", "attr") or not rest:
            raise OptionError(
                f"split.keep_together must be 'path:REGEX' or 'attr:NAME', found {self.keep_together!r}"
                + (" ('field:PATH' is not available yet)" if kind == "field" else "")
            )
