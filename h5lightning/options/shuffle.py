"""The order of training samples."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, check_int, check_text, make_plain

__all__ = ["Shuffle"]


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """The order of training samples.

    Args:
        mode: ``full``, a permutation of all samples; ``block``, whole chunks in random order, mixed within a window;
            ``none``, the order of the files; ``auto``, full if single rows can be read, block if whole chunks must be
            decoded.
        window_bytes: decoded bytes that block order mixes at a time, in the whole job. The default is lowered to what
            ``access.cache_bytes`` holds; another value that it cannot hold is an error.
        weights: the field with the weight of each sample. An epoch draws as many samples as there are, with
            replacement. None to deliver each sample once.
        balance: the field with the class of each sample. Samples are drawn with replacement, so that all classes are
            equally likely.
        bucket: ``length:KEY`` for the lengths of the samples of a ragged field, or a field with one number for each
            sample: a batch gets samples of similar length. The samples of 50 steps, in the order that the other options
            say, are sorted by it and divided into batches, which come in random order. Each sample still comes once.
    """

    later: ClassVar[tuple[str, ...]] = ("bucket",)

    mode: str = "auto"
    window_bytes: int = 256 * 1024 * 1024
    weights: str | None = None
    balance: str | None = None
    bucket: str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("shuffle.mode", self.mode, ("auto", "full", "block", "none"))
        check_int("shuffle.window_bytes", self.window_bytes, at_least=1)
        for name in ("weights", "balance", "bucket"):
            check_text(f"shuffle.{name}", getattr(self, name))
        self._check_drawing()

    @property
    def drawn_by(self) -> str | None:
        """The field that sets the probability of a sample; None if each sample is delivered once."""
        return self.weights if self.balance is None else self.balance

    def _check_drawing(self) -> None:
        if self.weights is not None and self.balance is not None:
            raise OptionError(
                f"shuffle.weights={self.weights!r} and shuffle.balance={self.balance!r}: use one of them. For both, "
                "store the product of the weights in a dataset and use it as weights"
            )
        if self.bucket is not None and self.mode == "none":
            raise OptionError(
                f"shuffle.bucket={self.bucket!r} changes the order, but shuffle.mode='none' keeps that of the files: "
                "remove one of them"
            )
        if self.drawn_by is not None and self.mode == "none":
            name = "weights" if self.balance is None else "balance"
            raise OptionError(
                f"shuffle.{name} draws samples at random, but shuffle.mode='none' keeps the order of the files: "
                "remove one of them"
            )
