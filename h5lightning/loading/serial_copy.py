"""Copies between long tensors in one thread.

Torch copies long tensors in several threads, which wait for each other. If other programs or the loader's own threads
keep the cores busy, such a copy takes many times longer than one in a single thread.
"""

from __future__ import annotations

import torch

__all__ = ["THREADED_NUMBERS", "copy_serially"]

THREADED_NUMBERS = 32 * 1024  # torch copies this many numbers or more in several threads


def copy_serially(out: torch.Tensor, values: torch.Tensor) -> None:
    """Copy the values of a contiguous tensor into one of the same size, and convert them to its type."""
    flat, flat_out = values.view(-1), out.view(-1)
    for start in range(0, len(flat), THREADED_NUMBERS // 2):
        part = slice(start, start + THREADED_NUMBERS // 2)
        flat_out[part].copy_(flat[part])
