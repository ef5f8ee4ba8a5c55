"""Measured speeds → the options to set. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from h5lightning.core.formatting import share_text, time_text
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.timing import Timing

__all__ = ["Limit", "Recommendation", "Speed", "recommend"]

_CLEARLY = 1.1  # ratio of medians; in addition, each round must be faster than each round of the other
_ALIKE = 0.95
_SCATTERED = 0.5  # range of the rounds as a fraction of their median
_BUSY = "The rounds differ much, as on a machine that does something else: measure again, or raise --seconds"
_SHORT_WAIT = 0.02  # of the time: too little to notice


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one configuration loads.

    Args:
        config: the options.
        name: the configuration as text.
        rate: samples per second.
        batch_s: seconds for a batch: a training step of at least this length does not wait.
        first_batch_s: seconds until the first batch.
        waiting: share of the time, in [0, 1], that training steps of the given length wait; None without a length.
        was_cut: whether no trial read a whole epoch of the measured subset.
    """

    config: LoaderConfig
    name: str
    rate: Timing
    batch_s: float
    first_batch_s: float
    waiting: float | None = None
    was_cut: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """The best that this machine can do in one operation, in samples per second."""

    name: str
    rate: Timing


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The options to set.

    Args:
        options: options of `H5DataModule` that should differ from the defaults.
        reasons: sentences without their full stop.
    """

    options: dict[str, Any]
    reasons: tuple[str, ...]

    @property
    def python(self) -> str:
        """As arguments of `H5DataModule`; empty if there are none."""
        return ", ".join(f"{name}={_quoted(value)}" for name, value in self.options.items())

    @property
    def command(self) -> str:
        """As arguments of `h5lightning train`; empty if there are none."""
        return " ".join(f"data.{name}={value}" for name, value in self.options.items())


def recommend(
    speeds: Sequence[Speed], *, mode: str, limit: Limit | None, step_s: float | None = None
) -> Recommendation:
    """The configuration to use. An order without a shuffle is never recommended.

    Args:
        speeds: the base configuration first, then those that are compared with it.
        mode: the shuffle mode of the base: ``full``, ``block`` or ``none``.
        limit: the limit that loading meets first; None if it could not be measured.
        step_s: seconds of a training step; None if unknown.
    """
    base = speeds[0]
    if base.was_cut and mode == "block":
        return Recommendation(
            {}, (f"'{base.name}' had no time for a whole epoch: raise --seconds to compare",)
        )
    rivals = [speed for speed in speeds[1:] if speed.config.shuffle == base.config.shuffle]
    clearly = [speed for speed in rivals if _is_clearly_faster(speed, base)]
    is_enough = base.waiting is not None and base.waiting <= _SHORT_WAIT
    best = base if is_enough or not clearly else max(clearly, key=lambda speed: speed.rate.median)
    reasons = [_choice(base, best, step_s if is_enough else None)]
    better_mixed = _complete_shuffle(speeds, mode, best)
    if better_mixed is not None:
        best = better_mixed
        reasons.append(f"A complete shuffle costs nothing here: '{best.name}' is as fast")
    reasons += [_against(best, limit)] if limit is not None else []
    reasons += [] if is_enough else [_steps(best, step_s)]
    reasons += [_BUSY] if base.rate.high - base.rate.low > _SCATTERED * base.rate.median else []
    return Recommendation(best.config.options(), tuple(reasons))


def _is_clearly_faster(speed: Speed, base: Speed) -> bool:
    return speed.rate.low > base.rate.high and speed.rate.median >= _CLEARLY * base.rate.median


def _complete_shuffle(speeds: Sequence[Speed], mode: str, best: Speed) -> Speed | None:
    """The configuration with a full permutation, if it mixes better and is no slower, or steps do not wait for it."""
    full = next((speed for speed in speeds[1:] if speed.config.shuffle == "full"), None)
    if mode != "block" or full is None or best is not speeds[0]:
        return None
    is_waited_for = full.waiting is None or full.waiting > _SHORT_WAIT
    return full if full.rate.median >= _ALIKE * best.rate.median or not is_waited_for else None


def _choice(base: Speed, best: Speed, short_step_s: float | None) -> str:
    if best is not base:
        times = best.rate.median / base.rate.median
        return f"'{best.name}' is {times:.2g} times as fast as '{base.name}'"
    if short_step_s is not None:
        return f"Nothing to change: '{base.name}' keeps ahead of steps of {time_text(short_step_s)}"
    return f"Nothing to change: no other way is clearly faster than '{base.name}'"


def _against(best: Speed, limit: Limit) -> str:
    share = best.rate.median / limit.rate.median
    return f"It reaches {share_text(round(share, 2))} of a limit of this machine: {limit.name}"


def _steps(best: Speed, step_s: float | None) -> str:
    if step_s is None or best.waiting is None:
        return f"A training step of at least {time_text(best.batch_s)} does not wait for it"
    if best.waiting <= _SHORT_WAIT:
        return f"A training step of {time_text(step_s)} does not wait for it"
    return (
        f"Training steps of {time_text(step_s)} wait for {share_text(round(best.waiting, 3))} of the time: a batch "
        f"takes {time_text(best.batch_s)}"
    )


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
