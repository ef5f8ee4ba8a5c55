"""What an order does, as a short text: equal for orders that deliver the same samples at the same positions."""

from __future__ import annotations

import hashlib

import numpy as np

from h5lightning.planning.sampling.orders import Order

__all__ = ["fingerprint"]

_POSITIONS = 2048  # spread over the epoch


def fingerprint(order: Order) -> str:
    """A text that depends on the seed, the kind of order and its blocks and weights, by what they lead to."""
    positions = np.unique(np.linspace(0, max(0, order.size - 1), _POSITIONS).astype(np.int64))[: order.size]
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.asarray([order.size, order.lanes], dtype="<i8").tobytes())
    digest.update(order.lanes_of(positions).astype("<i8").tobytes())
    for epoch in (0, 1):
        digest.update(order.samples(epoch, positions).astype("<i8").tobytes())
    return digest.hexdigest()
