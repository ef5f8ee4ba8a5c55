"""The order of training samples."""

from __future__ import annotations

import dataclasses

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, check_int, check_text
from h5lightning.options.plain import make_plain

__all__ = ["Shuffle"]


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """The order of training samples.

    Args:
        mode: ``full``, a permutation of all samples; ``block``, whole chunks in random order, mixed inside
            a window; ``none``, the order of the files; ``auto``, full where a row can be read alone, block
            where a chunk must be decoded whole.
        window_bytes: decoded bytes that are mixed with each other in block order, for the whole job.
        weights: the field whose value is a sample's weight: samples are drawn with replacement, as many in an
            epoch as there are; None for each sample once.
        balance: the field whose value is a sample's class: likewise, with all classes equally likely.
    """

    mode: str = "auto"
    window_bytes: int = 256 * 1024 * 1024
    weights: str | None = None
    balance: str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("shuffle.mode", self.mode, ("auto", "full", "block", "none"))
        check_int("shuffle.window_bytes", self.window_bytes, at_least=1)
        for name in ("weights", "balance"):
            check_text(f"shuffle.{name}", getattr(self, name))
        self._check_drawing()

    @property
    def drawn_by(self) -> str | None:
        """The field that says how likely a sample is to be drawn; None where each sample comes once."""
        return self.weights if self.balance is None else self.balance

    def _check_drawing(self) -> None:
        if self.weights is not None and self.balance is not None:
            raise OptionError(
                f"shuffle.weights={self.weights!r} and shuffle.balance={self.balance!r}: give one of them. For both, "
                "write the product of the weights to a field of its own"
            )
        if self.drawn_by is not None and self.mode == "none":
            name = "weights" if self.balance is None else "balance"
            raise OptionError(
                f"shuffle.{name} draws samples at random, shuffle.mode='none' keeps the order of the files: leave one "
                "out"
            )
