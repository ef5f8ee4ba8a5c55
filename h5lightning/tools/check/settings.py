"""The extent of the checks: numbers of ranks, workers, epochs, batches and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.datamodule.options import MOST_PROCESSES
from h5lightning.errors import OptionError
from h5lightning.options.checks import LARGEST_INT, check_choice, check_int

__all__ = ["CheckSettings"]

_DEFAULT_RANKS = (1, 2, 3, 4, 8)


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The extent of the checks.

    Args:
        ranks: numbers of ranks; None for those of 1, 2, 3, 4 and 8 that the samples suffice for.
        workers: numbers of worker processes of the loaders to start.
        epochs: number of epochs.
        batch_size: samples of one rank in one step.
        tail: ``drop`` or ``repeat``, as in the DataModule.
        drop_last: as in the DataModule.
        batches: batches to take from each loader.
        samples_per_file: samples of each file to read with both readers.
        resumptions: number of epochs to interrupt at random steps.
        finite: read every value, and look for NaN and infinity.
    """

    ranks: Sequence[int] | None = None
    workers: Sequence[int] = (0, 2)
    epochs: int = 2
    batch_size: int = 32
    tail: str = "drop"
    drop_last: bool = False
    batches: int = 4
    samples_per_file: int = 16
    resumptions: int = 20
    finite: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "batches", "samples_per_file", "resumptions"):
            check_int(name, getattr(self, name), at_least=1)
        check_choice("tail", self.tail, ("drop", "repeat"))
        for name, numbers, least, most in (
            ("ranks", self.ranks, 1, LARGEST_INT),
            ("workers", self.workers, 0, MOST_PROCESSES),
        ):
            if numbers is not None and not numbers:
                raise OptionError(f"{name} must list at least one number")
            for number in numbers or ():
                check_int(name, number, at_least=least, at_most=most)

    def ranks_for(self, samples: int) -> tuple[int, ...]:
        """The requested numbers of ranks, or those of the default that ``samples`` suffice for."""
        if self.ranks is not None:
            return tuple(self.ranks)
        needed = self.batch_size if self.drop_last else 1
        return tuple(ranks for ranks in _DEFAULT_RANKS if ranks * needed <= max(samples, needed))
