"""How many decoded bytes block order mixes at a time: what was asked for, or what the cache holds."""

from __future__ import annotations

import dataclasses

from h5lightning.options import Shuffle

__all__ = ["fit_window", "is_default_window"]


def is_default_window(shuffle: Shuffle) -> bool:
    """Whether the window may be lowered: hyperparameters and written configurations contain the default too."""
    return shuffle.window_bytes == Shuffle().window_bytes


def fit_window(shuffle: Shuffle, held_bytes: int | None) -> Shuffle:
    """The same shuffle with the window that was given, or else with one that the cache holds.

    While a window ends, the next one begins: measured, a cache of 1.2 windows decodes each chunk about once. So a
    window of up to five sixths of the cache stays as it is. A shorter one leaves room to decode ahead.

    Args:
        shuffle: what the user asked for.
        held_bytes: the window whose chunks fill the cache; None if all chunks fit into it.
    """
    if held_bytes is None or not is_default_window(shuffle) or 6 * shuffle.window_bytes <= 5 * held_bytes:
        return shuffle
    return dataclasses.replace(shuffle, window_bytes=max(1, 2 * held_bytes // 3))
