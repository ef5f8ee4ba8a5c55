"""How many decoded bytes block order mixes at a time: what was asked for, or what the cache holds."""

from __future__ import annotations

import dataclasses

from h5lightning.options import Shuffle

__all__ = ["DEFAULT_WINDOW_BYTES", "fit_window", "window_bytes_of"]

DEFAULT_WINDOW_BYTES = 256 * 1024 * 1024


def window_bytes_of(shuffle: Shuffle) -> int:
    """The window of a shuffle, whether the cache holds it or not."""
    return DEFAULT_WINDOW_BYTES if shuffle.window_bytes is None else shuffle.window_bytes


def fit_window(shuffle: Shuffle, held_bytes: int | None) -> Shuffle:
    """The same shuffle with the window that was given, or else with one that the cache holds.

    While a window ends, the next one begins: measured, a cache of 1.2 windows decodes each chunk about once. So a
    window of up to five sixths of the cache stays as it is. A shorter one leaves room to decode ahead.

    Args:
        shuffle: what the user asked for.
        held_bytes: the window whose chunks fill the cache; None if all chunks fit into it.
    """
    window = window_bytes_of(shuffle)
    if shuffle.window_bytes is None and held_bytes is not None and 6 * window > 5 * held_bytes:
        window = max(1, 2 * held_bytes // 3)
    return dataclasses.replace(shuffle, window_bytes=window)
