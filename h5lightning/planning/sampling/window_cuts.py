"""Where the windows of an epoch lie whose samples are bucketed, also after a run was resumed with other steps.

A window is a number of steps of all ranks. A run that is resumed inside of a window finishes it as it was divided; its
own windows begin at the first of its steps after that. For windows of three steps, of 2 samples in one run and of 3 in
the next, which is resumed at 10::

    index            0     6    10 12       22       31
    windows before   ├─────┼─────┤
    own windows                     ├────────┼────────┤
    own steps                  ├──┼──┼──┼──┼──┼──┼──┼──

The indices between the windows of two runs, fewer than a step, are left in the order beneath.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h5lightning.core.arrays import Int64Array

__all__ = ["WINDOW_STEPS", "WindowCut", "WindowCuts"]

WINDOW_STEPS = 50  # of all ranks, in a window


@dataclass(frozen=True, slots=True)
class WindowCut:
    """Windows of equal length, one after the other.

    Args:
        start: index in the epoch at which the first window begins.
        step_samples: samples of one step over all ranks.
    """

    start: int
    step_samples: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.step_samples < 1:
            raise ValueError(f"windows must begin at 0 or later and have samples, found {self}")

    @property
    def length(self) -> int:
        """Samples of a window."""
        return WINDOW_STEPS * self.step_samples

    def starts_of(self, indices: Int64Array) -> Int64Array:
        """First index of the window of each index, ``(N,)``."""
        return indices - (indices - self.start) % self.length


@dataclass(frozen=True, slots=True)
class WindowCuts:
    """The windows of one run in one epoch.

    Args:
        own: the windows of the run.
        begun: those of the run before, up to ``begun_stop``; None if the run began with a window of its own.
        begun_stop: end of the window in which the run before was stopped.
    """

    own: WindowCut
    begun: WindowCut | None = None
    begun_stop: int = 0

    @classmethod
    def of(cls, begun: WindowCut | None, consumed: int, step_samples: int) -> WindowCuts:
        """The windows of a run.

        Args:
            begun: the windows in which the run before was stopped; None for none.
            consumed: samples of the epoch that were consumed before the run.
            step_samples: samples of one step of the run, over all ranks.
        """
        inside = 0 if begun is None else (consumed - begun.start) % begun.length
        if begun is None or not inside:
            return cls(WindowCut(consumed, step_samples))
        stop = consumed - inside + begun.length
        first = stop + (consumed - stop) % step_samples
        return cls(WindowCut(first, step_samples), begun, stop)

    def at(self, consumed: int) -> WindowCut:
        """The windows in which a run is that has consumed so many samples of the epoch."""
        return self.begun if self.begun is not None and consumed < self.begun_stop else self.own

    def starts_of(self, indices: Int64Array) -> Int64Array:
        """First index of the window of each index, ``(N,)``; −1 for an index that lies in no window."""
        starts = np.where(indices < self.own.start, -1, self.own.starts_of(indices))
        if self.begun is None:
            return starts
        is_begun = (indices >= self.begun.start) & (indices < self.begun_stop)
        return np.where(is_begun, self.begun.starts_of(indices), starts)
