"""What a comparison found, as plain values for tables, JSON and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.recommend import Limit, Recommendation, Speed
from h5lightning.tools.bench.timing import Timing, Trial

__all__ = ["Benchmark", "speed_of", "waiting"]


@dataclasses.dataclass(frozen=True, slots=True)
class Benchmark:
    """How fast the ways to load some files are, beside the limits of the machine.

    Args:
        patterns: what was asked for.
        root: the deepest directory that they have in common.
        files: files with data.
        fields: sample key → dataset, column of one, or attribute.
        samples: of all files.
        sample_bytes: decoded.
        stored_bytes: what the fields take in all files.
        measured_samples: of the part that was measured.
        measured_bytes: what that takes in its files.
        batch_size: samples in a batch.
        mode: what the order comes to: ``full``, ``block`` or ``none``.
        cache: ``warm`` or ``cold``: whether the page cache holds the files when a turn begins.
        cores: processors.
        rounds: turns of each that count.
        step_s: seconds of a training step; None if none was given.
        speeds: of each way, the one that the others are compared with first.
        limits: of this machine, with the same files.
        notes: what to know to judge the figures.
        recommendation: what to set.
    """

    patterns: tuple[str, ...]
    root: str
    files: int
    fields: Mapping[str, str]
    samples: int
    sample_bytes: int
    stored_bytes: int
    measured_samples: int
    measured_bytes: int
    batch_size: int
    mode: str
    cache: str
    cores: int
    rounds: int
    step_s: float | None
    speeds: tuple[Speed, ...]
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]
    recommendation: Recommendation

    def mb_per_s(self, rate: float) -> float:
        """Megabytes of decoded values a second, at so many samples a second."""
        return rate * self.sample_bytes / 1e6

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        plain = dataclasses.asdict(self)
        for found in (*plain["speeds"], *plain["limits"]):
            found["mb_per_s"] = self.mb_per_s(found["rate"]["median"])
        plain["recommendation"] |= {
            "python": self.recommendation.python,
            "command": self.recommendation.command,
        }
        return plain


def speed_of(
    way: LoaderConfig, name: str, turns: Sequence[Trial], *, batch_size: int, step_s: float | None
) -> Speed:
    """The figures of one way.

    Args:
        way: the options.
        name: the way in words.
        turns: those that count.
        batch_size: samples in a batch.
        step_s: seconds of a training step; None if none was given.
    """
    rate = Timing.of([turn.rate for turn in turns])
    batch_s = batch_size / rate.median
    return Speed(
        way=way,
        name=name,
        rate=rate,
        batch_s=batch_s,
        first_batch_s=Timing.of([turn.first_s for turn in turns]).median,
        waiting=None if step_s is None else waiting(way, batch_s, step_s),
        was_cut=all(turn.was_cut for turn in turns),
    )


def waiting(way: LoaderConfig, batch_s: float, step_s: float) -> float:
    """Share of the time that training steps wait, in [0, 1], if batches are made while they run.

    Args:
        way: without workers and threads, nothing is made ahead.
        batch_s: seconds that a batch takes.
        step_s: seconds that a step takes.

    Example:
        >>> waiting(Way(), 0.010, 0.005), waiting(Way(), 0.004, 0.005), waiting(Way(threads=0), 0.005, 0.005)
        (0.5, 0.0, 0.5)
    """
    if not way.num_workers and way.threads == 0:
        return batch_s / (batch_s + step_s)
    return max(0.0, 1 - step_s / batch_s)
