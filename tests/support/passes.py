"""Passes over loaders as lists that can be compared."""

from __future__ import annotations

import torch

__all__ = ["WAYS", "epoch_of", "ids_of", "noise", "numbers_of"]

WAYS = {
    "threads": {},
    "when asked for": {"threads": 0},
    "workers": {"num_workers": 2},
    "persistent workers": {"num_workers": 2, "persistent_workers": True},
}


def noise(sample, info):
    return {**sample, "noise": torch.rand((), generator=info.generator), "epoch": info.epoch}


def epoch_of(batches) -> list:
    return [
        (batch["sample_id"].tolist(), batch["noise"].tolist(), batch["epoch"].tolist()) for batch in batches
    ]


def ids_of(batches) -> list[list[int]]:
    return [batch["sample_id"].tolist() for batch in batches]


def numbers_of(epoch) -> set[int]:
    return {number for batch in epoch for number in batch[2]}
