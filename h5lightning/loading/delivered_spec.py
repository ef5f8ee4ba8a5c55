"""The shape and the type in which a model gets each field, and the bytes of a sample."""

from __future__ import annotations

from typing import Any

import torch

from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.fields import FieldPlan, FieldSpec

__all__ = ["delivered_spec", "mean_bytes"]


def delivered_spec(value: Any, read: FieldSpec | None, mode: str | None) -> FieldSpec:
    """The spec of one entry of a batch of one sample.

    Args:
        value: the entry.
        read: the spec of the field of the same key, as it is read; None if there is none.
        mode: how its samples of different shapes are delivered; None if all have one shape.
    """
    classes = read.classes if read is not None else None
    sample = value[0] if mode == "list" and isinstance(value, list) and value else value
    if isinstance(sample, list) and read is not None and mode == "list":
        return read  # the entries of an index
    if mode == BYTES and isinstance(value, list) and isinstance(value[0], (bytes, list)) and read is not None:
        return read
    if not isinstance(sample, torch.Tensor):
        return FieldSpec((), type(value).__name__, classes)
    shape: tuple[int | None, ...] = tuple(sample.shape if mode in ("list", "concat") else sample.shape[1:])
    if read is not None and mode in ("list", "concat", "pad") and len(read.shape) == len(shape):
        pairs = zip(shape, read.shape, strict=True)
        shape = tuple(None if before is None else length for length, before in pairs)
    return FieldSpec(shape, str(sample.dtype).removeprefix("torch."), classes)


def mean_bytes(plan: FieldPlan) -> float:
    """Bytes of one sample of a field as it is delivered, on average."""
    if plan.spec.dtype == BYTES:
        return plan.mean_numbers
    return plan.mean_numbers * float(getattr(torch, plan.spec.dtype).itemsize)
