"""Trials of loader configurations and machine limits, over a subset of the data that fits the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.core.process_local import usable_cores
from h5lightning.core.progress import progress_bar
from h5lightning.loading.loader import default_threads
from h5lightning.options import Whole, Windows
from h5lightning.tools.bench.configurations import LoaderConfig, configs_to_try
from h5lightning.tools.bench.limits import DecodeOnce, GatherFromMemory, ReadInOrder, find_measured_bytes
from h5lightning.tools.bench.plain_h5py import PlainH5py, PlainSeries
from h5lightning.tools.bench.timing import Budget, Candidate, Trial, run_trial, run_trials, whole_epochs
from h5lightning.tools.bench.training_data import Subset, TrainingData, choose_subset
from h5lightning.tools.bench.trials import Source, evict, make_candidate

__all__ = ["DECODE", "GATHER", "PLAIN", "READ", "Comparison"]

PLAIN = "plain h5py"
READ = "read in order"
DECODE = "decode once"
GATHER = "gather from RAM"

_MOST_BYTES = 2 << 30  # stored: as much as stays in the page cache of small machines, and is read in a second
_FEWEST_BATCHES = 20
_LONGEST_TRIAL = 3.0  # times its planned length, for an epoch to end
_CALIBRATION_S = 0.5
_FEWEST_SERIES = 2
_FEWEST_WINDOWS = 8  # one after the other
_NEARLY_ALL = 0.7
_STARTING_S = 0.3  # of a trial: opening files, starting and ending processes


class Comparison:
    """The candidates and the subset of the data that they load.

    Args:
        data: the trainable data.
        base: the configuration that the others are compared with.
        fixed: arguments of `H5DataModule` that are the same for all configurations.
        budget: how long to measure.
    """

    def __init__(
        self, data: TrainingData, base: LoaderConfig, fixed: Mapping[str, Any], budget: Budget
    ) -> None:
        self.data = data
        self.base = base
        self.fixed = fixed
        self.budget = budget
        self.threads = default_threads()
        self.subset = self._fitting_subset()
        self.source = self._source_of(self.subset)
        dm = self.source.data_module(base, data.mode(base.shuffle))
        self.samples = len(dm.train_dataset or ())
        self.measured = find_measured_bytes(
            self._measured_datasets(),
            share=1.0 if data.splits_by == "series" else self.subset.share,
            samples=self.samples,
        )
        self._plain = self._plain_h5py()
        self.why_no_plain = self._why_no_comparison() or self._plain.why_not()

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        return int(self.fixed["batch_size"])

    def configs(self, threads: Sequence[int], workers: Sequence[int]) -> dict[str, LoaderConfig]:
        """The configurations that are compared, by their names in tables."""
        configs = configs_to_try(
            self.base,
            mode=self.data.mode(self.base.shuffle),
            cores=usable_cores(),
            auto_threads=self.threads,
            has_direct="direct" in self.data.readers,
            has_blocks=not self.data.is_whole,
            threads=threads,
            workers=workers,
        )
        direct, mode = " + ".join(self.data.readers), self.data.mode("auto")
        return {config.label(mode=mode, direct=direct, threads=self.threads): config for config in configs}

    def run(
        self, configs: Mapping[str, LoaderConfig], *, announce: Callable[[str], None], progress: bool
    ) -> dict[str, list[Trial]]:
        """Trials of all configurations and limits."""
        rounds, trial_s = self.budget.rounds, self.budget.trial_s
        candidates = [self._candidate(name, config) for name, config in configs.items()]
        candidates += [] if self.why_no_plain else [self._timed(PLAIN, self._plain)]
        candidates += (limits := self._limits())
        trials = (rounds + 1) * len(candidates)
        about_s = 5 * round(trials * (1.3 * trial_s + _STARTING_S) / 5)
        ways = counted(len(candidates) - len(limits), "way")
        announce(
            f"{ways} to load and {counted(len(limits), 'limit')} of the machine, {counted(rounds, 'round')} each "
            f"after one to warm up: about {max(5, about_s)} s"
        )
        with progress_bar("measuring", trials, is_enabled=progress) as advance:
            return run_trials(
                candidates,
                rounds=rounds,
                limit_s=_LONGEST_TRIAL * trial_s,
                patience_s=2 * _LONGEST_TRIAL * trial_s,
                advance=advance,
            )

    def read_once(self) -> int | None:
        """Read the measured bytes once, after emptying the page cache for cold trials.

        Returns:
            The bytes that came from a device; None where the system does not say.
        """
        if self.budget.is_cold:
            evict(self.source.files, syncs=True)
        before = _device_bytes()
        for _ in ReadInOrder(self.measured)():
            pass
        after = _device_bytes()
        return None if before is None or after is None else after - before

    def _fitting_subset(self) -> Subset:
        """As much as loads in a trial: an epoch must end in it, because its beginning decodes ahead."""
        data = self.data
        total = int(data.rows.sum())
        most = total * min(1.0, _MOST_BYTES / max(1, data.stored_bytes))
        subset = largest = self._choose(most)
        for _ in range(2):  # the second time, the page cache is warm
            rate = self._rate_in_order(subset)
            samples = max(rate * self.budget.trial_s, _FEWEST_BATCHES * self.batch_size)
            rows = samples * total / max(1, data.samples)
            subset = largest if rows >= most else self._choose(rows)
        return subset

    def _choose(self, rows: float) -> Subset:
        chunk_rows, is_divisible = self.data.chunk_rows, self.data.splits_by != "file"
        samples = self.data.arguments["samples"]
        if isinstance(samples, Windows):
            # Windows along several axes are many for each row, and some must fit into a part of a file.
            rows = max(rows, _FEWEST_WINDOWS * samples.span_rows)
        subset = choose_subset(
            self.data.rows, max(1, int(rows)), chunk_rows=chunk_rows, is_divisible=is_divisible
        )
        if self.data.splits_by != "series" or subset.share == 1:
            return subset
        series = int(self.data.series_of_files[subset.files].sum())
        count = max(_FEWEST_SERIES, math.ceil(subset.share * series))
        return replace(subset, share=count / series if count < _NEARLY_ALL * series else 1.0)

    def _measured_datasets(self) -> dict[str, list[str]]:
        """The datasets of each measured file."""
        data, share = self.data, self.subset.share
        files = self.subset.files.tolist()
        return {data.catalog.path(file): data.datasets_of(file, share) for file in files}

    def _rate_in_order(self, subset: Subset) -> float:
        """Samples per second in the order of the files, where the beginning of an epoch is like the rest."""
        source, config = self._source_of(subset), replace(self.base, shuffle="none")
        candidate = make_candidate("", source, config, "none", least_s=0, is_cold=False)
        return run_trial(candidate, 0, _CALIBRATION_S).rate

    def _source_of(self, subset: Subset) -> Source:
        data, cache_bytes = self.data, self.fixed["access"].cache_bytes
        files = [data.catalog.path(file) for file in subset.files.tolist()]
        fraction = subset.share * int(data.rows[subset.files].sum()) / max(1, int(data.rows.sum()))
        # Where all decoded data fit into the cache, they stay there, as in training.
        full_cache_bytes = cache_bytes if data.decoded_bytes <= cache_bytes else int(fraction * cache_bytes)
        by = "series" if data.splits_by == "series" else "block"
        return Source(files, self.fixed, subset.share, data.decoded_bytes > 0, full_cache_bytes, by)

    def _candidate(self, name: str, config: LoaderConfig) -> Candidate:
        mode, budget = self.data.mode(config.shuffle), self.budget
        return make_candidate(name, self.source, config, mode, least_s=budget.trial_s, is_cold=budget.is_cold)

    def _limits(self) -> list[Candidate]:
        measured = self.measured
        limits: dict[str, Callable[[int], Iterator[float]]] = {}
        if measured.ranges:
            limits[READ] = ReadInOrder(measured)
        if measured.is_decoded and not measured.only_hdf5:
            limits[DECODE] = DecodeOnce(measured, threads=self.threads)
        limits[GATHER] = GatherFromMemory(
            self.data.sample_bytes,
            samples=self.samples,
            batch_size=self.batch_size,
            seed=self.fixed["seed"],
        )
        return [self._timed(name, limit) for name, limit in limits.items()]

    def _timed(self, name: str, samples: Callable[[int], Iterator[float]]) -> Candidate:
        """A candidate that yields numbers of samples in place of batches."""
        is_cold = self.budget.is_cold
        prepare: Callable[[], object] = partial(evict, self.source.files) if is_cold else lambda: None
        epochs = partial(whole_epochs, samples, least_s=0.0 if is_cold else self.budget.trial_s)
        return Candidate(name, epochs, float, prepare)

    def _plain_h5py(self) -> PlainH5py:
        return PlainH5py(
            self._plain_series(),
            self.data.columns,
            self.fixed["access"],
            batch_size=self.batch_size,
            seed=self.fixed["seed"],
            samples=self.data.arguments["samples"],
        )

    def _why_no_comparison(self) -> str:
        """Why nobody would write this by hand in a few lines; empty if one would."""
        fields, samples = self.fixed["fields"] or {}, self.data.arguments["samples"]
        if isinstance(samples, Windows) and (samples.pad or any(field.steps for field in fields.values())):
            return "windows with steps or padding take more than a few lines"
        if any(field.boxes is not None for field in self.data.stored):
            return "rows along another axis than the first, and windows along several axes, take more than a few lines"
        if any(field.index_rows for field in self.data.stored):
            return "rows that an index divides take more than a few lines"
        if samples.jitter:
            return "windows whose starts are drawn anew in each epoch take more than a few lines"
        if samples.take is not None:
            return "rows that are drawn of each series take more than a few lines"
        # Of whole series, it makes a list.
        is_list = isinstance(samples, Whole)
        if any(
            field.ragged not in (("error", "list") if is_list else ("error",)) for field in fields.values()
        ):
            return "samples of different shapes take more than a few lines"
        leading = {field.leading for field in self.data.stored}
        return "some fields have an axis of series, and others have none" if len(leading) > 1 else ""

    def _plain_series(self) -> PlainSeries:
        """The series of the measured files; of a share of the data, about as many rows as training reads."""
        data, index, share = self.data, self.data.index, self.subset.share
        if index is None:
            rows = data.rows[self.subset.files]
            if not data.is_whole:
                rows = np.maximum(1, rows * share).astype(np.int64)
            return PlainSeries.of_files(dict(zip(self.source.files, rows.tolist(), strict=True)))
        numbers = {name: number for number, name in enumerate(index.names)}
        names = [data.catalog.names[file] for file in self.subset.files.tolist()]
        ranges = [index.first_series[numbers[name] : numbers[name] + 2].tolist() for name in names]
        if data.splits_by == "series":
            ranges = [(first, first + math.ceil(share * (stop - first))) for first, stop in ranges]
        series = np.concatenate([np.arange(first, stop) for first, stop in ranges])
        rows = index.series_rows[series]
        if data.splits_by != "series":
            rows = np.ceil(rows * share).astype(np.int64)
        starts = np.zeros_like(index.series_rows) if index.series_start is None else index.series_start
        return PlainSeries(
            self.source.files,
            np.arange(len(names)).repeat([stop - first for first, stop in ranges]),
            starts[series],
            rows,
            None if index.unit_texts is None else index.unit_texts.take(index.units[series]),
            is_leading=any(field.leading > 1 for field in data.stored),
        )


def _device_bytes() -> int | None:
    """Bytes that this process read from devices; None where the system does not say."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            counters = dict(line.split(": ") for line in file.read().splitlines())
    except OSError:
        return None
    return int(counters["read_bytes"])
