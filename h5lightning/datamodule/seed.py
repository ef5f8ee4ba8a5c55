"""The seed of a run: the one given, else that of a checkpoint, else that of `seed_everything`."""

from __future__ import annotations

import os

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_int

__all__ = ["RunSeed"]

_VARIABLE = "PL_GLOBAL_SEED"


class RunSeed:
    """The seed of splits, orders and transforms.

    Args:
        given: the option of the user; None for one of the other sources.
    """

    def __init__(self, given: int | None) -> None:
        self._is_given = given is not None
        self._own = given
        self._of_checkpoint: int | None = None  # until the next fit

    @property
    def value(self) -> int:
        """The seed that counts now."""
        if self._of_checkpoint is not None:
            return self._of_checkpoint
        if self._own is None:
            self._own = _seed_of_environment()
        return self._own

    def keep(self, seed: int) -> None:
        """Use the seed of rank 0 from now on."""
        self._own = seed

    def take_over(self, seed: int, *, is_kept: bool) -> bool:
        """Use the seed of a checkpoint, for good or until the next fit; whether that is another one."""
        if self._is_given or seed == self.value:
            return False
        if is_kept:
            self._own = seed
        else:
            self._of_checkpoint = seed
        return True

    def begin_fit(self) -> bool:
        """Drop the seed of a checkpoint that an earlier fit resumed; whether there was one."""
        had_one, self._of_checkpoint = self._of_checkpoint is not None, None
        return had_one


def _seed_of_environment() -> int:
    text = os.environ.get(_VARIABLE, "0")
    if not (text.isascii() and text.isdigit()):
        raise OptionError(
            f"the environment variable {_VARIABLE} must be an integer of at least 0, found {text!r}: unset it, set it "
            "with seed_everything(), or give seed="
        )
    check_int(_VARIABLE, int(text), at_least=0)
    return int(text)
