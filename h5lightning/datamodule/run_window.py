"""The shuffle window of a run: the one given, else that of a checkpoint, else the one that the cache holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from h5lightning.datamodule.setup import PreparedData
from h5lightning.options import Shuffle
from h5lightning.planning.sampling.window_size import is_default_window

__all__ = ["RunWindow"]


class RunWindow:
    """Keeps the order of a resumed run, whatever ``access.cache_bytes`` is by now.

    Args:
        shuffle: what the user asked for.
    """

    def __init__(self, shuffle: Shuffle) -> None:
        self._asked = shuffle
        self._of_checkpoint: int | None = None
        self._is_kept = False

    def shuffle(self, data: PreparedData) -> Shuffle:
        """The shuffle of this run, with its window in bytes."""
        if self._of_checkpoint is not None:
            return dataclasses.replace(self._asked, window_bytes=self._of_checkpoint)
        return data.fitted(self._asked)

    def take_over(self, saved: object, *, is_kept: bool) -> None:
        """Use the window of a saved shuffle, for good or until the next fit, unless one was given."""
        window = saved.get("window_bytes") if isinstance(saved, Mapping) else None
        if is_default_window(self._asked) and isinstance(window, int) and window > 0:
            self._of_checkpoint, self._is_kept = window, is_kept

    def begin_fit(self) -> bool:
        """Drop the window of a checkpoint that an earlier fit resumed; whether there was one."""
        had_one = self._of_checkpoint is not None and not self._is_kept
        if had_one:
            self._of_checkpoint = None
        return had_one
