"""How data become train, val and test."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from h5lightning.errors import OptionError
from h5lightning.options.checks import (
    check_choice,
    check_fraction,
    check_int,
    check_text,
    did_you_mean,
    make_plain,
)

__all__ = ["GIVEN_NAMES", "Split"]


@dataclasses.dataclass(frozen=True)
class Split:
    """How data become train, val and test.

    Args:
        val: fraction of all rows for validation; None or 0 for no such split.
        test: fraction of all rows for testing; None or 0 for no such split.
        train: fraction of all rows for training; None for all other rows.
        by: unit that goes to one split as a whole: ``file``, ``series``, ``block`` (the rows of each series, cut in
            order), ``sample`` (random rows), or ``auto``: file if there are enough, else series, else block.
        order: ``random``, or ``path`` to assign files to train, val and test in path order.
        keep_together: ``path:REGEX`` (first capture group, in the path of the file) or ``attr:NAME`` (of the matched
            object of a series, of what lies above it, else of the file); ``field:PATH`` (a dataset with one value for
            each row: rows of one value go to one split, and a window counts only if all its rows are in one part) or
            ``table:COLUMN`` (of the table beside the files). What has the same value goes to one split.
        gap: with ``by="block"``, rows left out between two parts of a series.
        folds: number of parts into which the rows outside of the test split are cut.
        fold: the part, counted from 0, that is val.
        seed: None for the seed of the DataModule.
        manifest: path of a saved split to read.
        on_new: what to do with files, and series of known files, that are not in the manifest: ``error``, ``train`` or
            ``split``.
        given: split → path of the dataset that lists its series, in each file: names as text (``demo_3``, or what the
            ``*`` matched), or numbers. Keys are ``train``, ``val`` (also ``valid``, ``validation``, ``dev``) and
            ``test``. Or ``table:COLUMN``: the column of the table beside the files that has these names. Series, or
            rows, in no list are unused. ``val`` and ``test`` then have no defaults; giving other sizes is an error.
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
    given: dict[str, str] | str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("val", "test", "train"):
            check_fraction(f"split.{name}", getattr(self, name))
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
        if self.given is not None:
            self._read_given(self.given)

    def _read_given(self, given: object) -> None:
        """Give the keys their common names, and check that nothing else says what goes where."""
        is_table = isinstance(given, str) and given.startswith("table:") and given != "table:"
        paths = given if is_table else _given_paths(given)
        if not paths:  # a configuration that lists nothing
            object.__setattr__(self, "given", None)
            return
        for name in ("train", "folds", "fold", "manifest"):
            if getattr(self, name) is not None:
                raise OptionError(
                    f"split.given says where each series goes, found {name}={getattr(self, name)!r} too: leave one out"
                )
        for name in ("val", "test"):
            if getattr(self, name) not in (None, 0, getattr(Split, name)):
                raise OptionError(
                    f"split.given says where each series goes, found {name}={getattr(self, name)!r} too: leave it out"
                )
            object.__setattr__(self, name, None)
        if self.by not in ("auto", "series"):
            raise OptionError(f"split.given divides whole series, found by={self.by!r}; leave it out")
        if self.gap:
            raise OptionError(
                f"split.gap={self.gap} applies to by='block' only, found split.given; leave one out"
            )
        object.__setattr__(self, "given", paths)

    def _check_sum(self) -> None:
        val = 0.0 if self.folds else (self.val or 0.0)
        fractions = {"train": self.train or 0.0, "val": val, "test": self.test or 0.0}
        total = math.fsum(fractions.values())
        if total > 1 + 1e-9:
            terms = " + ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())
            raise OptionError(
                f"split: the fractions must sum to at most 1, found {terms} = {total:g}. In Hydra a mapping is "
                "merged with the defaults (val 0.1, test 0.1): data.split.test=null removes one"
            )

    def _check_folds(self) -> None:
        if self.folds is None and self.fold is None:
            return
        if self.folds is None or self.fold is None:
            raise OptionError(f"split needs both folds and fold, found folds={self.folds}, fold={self.fold}")
        check_int("split.folds", self.folds, at_least=2)
        check_int("split.fold", self.fold, at_least=0)
        if self.fold >= self.folds:
            raise OptionError(
                f"split.fold must be below split.folds, found fold={self.fold}, folds={self.folds}"
            )

    def _check_keep_together(self) -> None:
        if self.keep_together is None:
            return
        kind, _, rule = self.keep_together.partition(":")
        if kind not in ("path", "attr", "field", "table") or not rule:
            raise OptionError(
                "split.keep_together must be 'path:REGEX', 'attr:NAME', 'field:PATH' or 'table:COLUMN', found "
                f"{self.keep_together!r}"
            )


# What a split may be called in `given` → its name.
GIVEN_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}


def _given_paths(given: object) -> dict[str, str]:
    """Split → path, from a mapping with any of the names of splits."""
    if not isinstance(given, Mapping):
        raise OptionError(
            "split.given must map train, val and test to datasets that list their series, such as "
            f"{{'train': 'mask/train'}}; found {given!r}"
        )
    paths: dict[str, str] = {}
    for key, path in given.items():
        if key not in GIVEN_NAMES:
            raise OptionError(f"split.given has no split {key!r}{did_you_mean(key, GIVEN_NAMES)}")
        if path is None:  # no such split: how a configuration removes an entry
            continue
        if not isinstance(path, str) or not path.strip("/"):
            raise OptionError(f"split.given.{key} must be the path of a dataset, found {path!r}")
        if GIVEN_NAMES[key] in paths:
            raise OptionError(f"split.given names {GIVEN_NAMES[key]} twice, found {dict(given)!r}")
        paths[GIVEN_NAMES[key]] = path.strip("/")
    return paths
