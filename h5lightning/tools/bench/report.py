"""The result of a benchmark, as plain values for tables, JSON and pictures."""

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
    """How fast different configurations load some files, beside the limits of the machine.

    Args:
        root: the deepest directory that the files have in common.
        files: number of files with data.
        fields: sample key → dataset, column of one, or attribute.
        sample_bytes: decoded bytes of a sample.
        stored_bytes: bytes of the fields in all files.
        measured_samples: samples of the subset that was measured.
        measured_bytes: stored bytes of that subset.
        mode: the shuffle mode of the base: ``full``, ``block`` or ``none``.
        cache: ``warm`` or ``cold``: whether the page cache holds the files when a trial begins.
        rounds: trials of each candidate that count.
        step_s: seconds of a training step; None if none was given.
        speeds: the base configuration first, then those that are compared with it.
        plain: h5py as one would write it by hand, in samples per second; None if h5py cannot read the data.
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
    plain: Timing | None
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]
    recommendation: Recommendation

    def mb_per_s(self, rate: float) -> float:
        """Megabytes of decoded values per second, at ``rate`` samples per second."""
        return rate * self.sample_bytes / 1e6

    def times_plain(self, rate: Timing) -> float | None:
        """How many times as fast as plain h5py, by the medians; None if h5py cannot read the data."""
        return None if self.plain is None else rate.median / self.plain.median

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        plain = dataclasses.asdict(self)
        for speed, found in zip(plain["speeds"], self.speeds, strict=True):
            speed["way"] = speed.pop("config")
            speed["times_plain"] = self.times_plain(found.rate)
        for figures in (*plain["speeds"], *plain["limits"]):
            figures["mb_per_s"] = self.mb_per_s(figures["rate"]["median"])
        recommended = self.recommendation
        plain["recommendation"] |= {"python": recommended.python, "command": recommended.command}
        return plain


def speed_of(
    config: LoaderConfig, name: str, trials: Sequence[Trial], *, batch_size: int, step_s: float | None
) -> Speed:
    """The figures of one configuration, from the trials that count; ``step_s`` is the length of a training step."""
    rate = Timing.of([trial.rate for trial in trials])
    batch_s = batch_size / rate.median
    return Speed(
        config=config,
        name=name,
        rate=rate,
        batch_s=batch_s,
        first_batch_s=Timing.of([trial.first_s for trial in trials]).median,
        waiting=None if step_s is None else waiting(config, batch_s, step_s),
        was_cut=all(trial.was_cut for trial in trials),
    )


def waiting(config: LoaderConfig, batch_s: float, step_s: float) -> float:
    """Share of the time that training steps wait, in [0, 1], if batches are made while they run.

    Args:
        config: without workers and threads, no batch is made ahead.
        batch_s: seconds for a batch.
        step_s: seconds for a step.

    Example:
        >>> waiting(LoaderConfig(), 0.010, 0.005), waiting(LoaderConfig(), 0.004, 0.005)
        (0.5, 0.0)
        >>> waiting(LoaderConfig(threads=0), 0.005, 0.005)
        0.5
    """
    if not config.num_workers and config.threads == 0:
        return batch_s / (batch_s + step_s)
    return max(0.0, 1 - step_s / batch_s)
