"""All kinds of cases, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comparing import datasets, distributed_loops, disturbances, plain_loops, states, trainers
from comparing.case import Case

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of case.

    Args:
        run: does everything; raises `DisagreementError`.
        weight: how often it is drawn.
        has_ranks: whether it starts several ranks.
    """

    run: Callable[[Case], None]
    weight: int
    has_ranks: bool = False


KINDS: dict[str, Kind] = {
    "values": Kind(plain_loops.values, 12),
    "plain": Kind(plain_loops.plain, 14),
    "shares": Kind(plain_loops.shares, 8),
    "trainer": Kind(trainers.trainer, 12),
    "resume": Kind(trainers.resume, 12),
    "state": Kind(states.state, 8),
    "several": Kind(states.several, 1),
    "dataset": Kind(datasets.dataset, 6),
    "numbers": Kind(datasets.numbers, 2),
    "interrupts": Kind(disturbances.interrupts, 4),
    "threads": Kind(disturbances.threads, 3),
    "closing": Kind(disturbances.closing, 3),
    "closed_meanwhile": Kind(disturbances.closed_meanwhile, 3),
    "copies": Kind(disturbances.copies, 4),
    "rewritten": Kind(disturbances.rewritten, 6),
    "held_open": Kind(disturbances.held_open, 2),
    "dist": Kind(distributed_loops.dist, 5, has_ranks=True),
    "ddp": Kind(distributed_loops.ddp, 5, has_ranks=True),
    "ddp_resume": Kind(distributed_loops.ddp_resume, 3, has_ranks=True),
    "fabric": Kind(distributed_loops.fabric, 3, has_ranks=True),
    "accelerate": Kind(distributed_loops.accelerate, 2, has_ranks=True),
}
