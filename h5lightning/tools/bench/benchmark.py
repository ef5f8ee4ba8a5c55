"""The comparison: which ways and limits, over which part of the data, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from h5lightning.core.formatting import bytes_text, counted, share_text
from h5lightning.core.processor import usable_cores
from h5lightning.core.progress import progress_bar
from h5lightning.loading.loader_options import LoaderOptions
from h5lightning.options import Field
from h5lightning.tools.bench.configurations import LoaderConfig, ways_to_try
from h5lightning.tools.bench.limits import DecodeOnce, GatherFromMemory, ReadInOrder, find_stored_rows
from h5lightning.tools.bench.recommend import Limit, recommend
from h5lightning.tools.bench.report import Benchmark, speed_of
from h5lightning.tools.bench.subset import Subset, choose_part
from h5lightning.tools.bench.timing import Candidate, Timing, Trial, in_turn, run_turn, whole_epochs
from h5lightning.tools.bench.training_data import TrainingData, find_training_data
from h5lightning.tools.bench.trials import Source, check_can_evict, contestant, evict

__all__ = ["Budget", "bench_files"]

_MOST_BYTES = 2 << 30  # stored: as much as stays in the page cache of small machines, and is read in a second
_FEWEST_BATCHES = 20
_LONGEST_TURN = 3.0  # times as long as it should be, for an epoch to end
_CALIBRATION_S = 0.5
_STARTING_S = 0.3  # of a turn: opening, starting processes, ending them

_READ = "read in order"
_DECODE = "decode once"
_GATHER = "gather from RAM"
_LIMITS = (_READ, _DECODE, _GATHER)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long is measured.

    Args:
        seconds: for each way, about, over all rounds.
        rounds: turns of each way that count.
        is_cold: put the files out of the page cache before each turn.
    """

    seconds: float = 2.5
    rounds: int = 3
    is_cold: bool = False

    @property
    def turn_s(self) -> float:
        """Seconds of a turn, about."""
        return self.seconds / self.rounds


def bench_files(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None = None,
    *,
    shuffle: str = "auto",
    batch_size: int = 32,
    threads: Sequence[int] = (),
    workers: Sequence[int] = (),
    step_s: float | None = None,
    effort: Budget | None = None,
    seed: int = 0,
    processes: int | None = None,
    announce: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> Benchmark:
    """Load the files in different ways, in turns, and say which one to take.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        shuffle: the order of training that readers, threads and workers are compared in.
        batch_size: samples in a batch.
        threads: numbers of threads to try; empty for those that make sense here.
        workers: numbers of worker processes, likewise.
        step_s: seconds of a training step, for the share of time that it would wait.
        effort: how long is measured.
        seed: of the orders.
        processes: scanning processes for many files; None for one on each core.
        announce: told beforehand what is measured, and how long it takes.
        progress: show a bar where somebody watches.

    Raises:
        DiscoveryError: patterns that cannot be used, or match nothing.
        FieldError: a field that no file holds, or files that hold nothing to train on.
        OptionError: cold reads are asked for, and this system cannot empty its page cache.
    """
    effort = effort or Budget()
    if effort.is_cold:
        check_can_evict()
    data = find_training_data(patterns, fields, processes=processes, progress=progress)
    with tempfile.TemporaryDirectory(prefix="h5lightning-bench-") as index_dir:
        fixed = {**data.arguments, "batch_size": batch_size, "seed": seed, "index_dir": index_dir}
        comparison = _Comparison(data, LoaderConfig(shuffle=shuffle), fixed, effort)
        ways = comparison.ways(threads, workers)
        turns = comparison.run(ways, announce=announce, progress=progress)
    return comparison.report(patterns, ways, turns, step_s)


class _Comparison:
    """What takes turns, over which part of the data.

    Args:
        data: what can be trained on.
        base: the way that the others are compared with.
        fixed: arguments of `H5DataModule` that are the same for all ways.
        effort: how long is measured.
    """

    def __init__(
        self, data: TrainingData, base: LoaderConfig, fixed: Mapping[str, Any], effort: Budget
    ) -> None:
        self._data = data
        self._base = base
        self._fixed = fixed
        self._effort = effort
        self._threads = LoaderOptions().reading_threads
        self._batch_size = int(fixed["batch_size"])
        self._part = self._calibrated()
        self._source = self._source_of(self._part)
        dm = self._source.data_module(base, data.mode(base.shuffle))
        self._samples = len(dm.train_dataset or ())
        self._stored = find_stored_rows(
            self._source.files, data.datasets, share=self._part.share, samples=self._samples
        )
        self._came_from_device: int | None = None

    # ── which part ───────────────────────────────────────────────────────────────────────────────────

    def _source_of(self, part: Subset) -> Source:
        data, cache_bytes = self._data, self._fixed["access"].cache_bytes
        files = [data.catalog.path(file) for file in part.files.tolist()]
        part_of_all = part.share * int(data.rows[part.files].sum()) / max(1, int(data.rows.sum()))
        # What all fits stays, as in training.
        fits = data.decoded_bytes <= cache_bytes
        kept = cache_bytes if fits else int(part_of_all * cache_bytes)
        return Source(files, self._fixed, part.share, data.decoded_bytes > 0, kept)

    def _choose(self, rows: float) -> Subset:
        height, is_divisible = self._data.chunk_rows, not self._data.is_whole
        return choose_part(self._data.rows, max(1, int(rows)), chunk_rows=height, is_divisible=is_divisible)

    def _calibrated(self) -> Subset:
        """As much as is loaded in a turn: an epoch must end in it, since its beginning decodes ahead."""
        data = self._data
        total = int(data.rows.sum())
        most = total * min(1.0, _MOST_BYTES / max(1, data.stored_bytes))
        part = largest = self._choose(most)
        for _ in range(2):  # the second time the page cache is warm
            samples = max(self._rate_in_order(part) * self._effort.turn_s, _FEWEST_BATCHES * self._batch_size)
            rows = samples * total / max(1, data.samples)
            part = largest if rows >= most else self._choose(rows)
        return part

    def _rate_in_order(self, part: Subset) -> float:
        """Samples a second in the order of the files, where the beginning is like the rest."""
        source, way = self._source_of(part), replace(self._base, shuffle="none")
        return run_turn(contestant("", source, way, "none", least_s=0, is_cold=False), 0, _CALIBRATION_S).rate

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────

    def ways(self, threads: Sequence[int], workers: Sequence[int]) -> dict[str, LoaderConfig]:
        """The ways that are compared, by what tables call them."""
        found = ways_to_try(
            self._base,
            mode=self._data.mode(self._base.shuffle),
            cores=usable_cores(),
            auto_threads=self._threads,
            has_direct="direct" in self._data.readers,
            has_blocks=not self._data.is_whole,
            threads=threads,
            workers=workers,
        )
        direct, auto = " + ".join(self._data.readers), self._data.mode("auto")
        return {way.words(mode=auto, direct=direct, threads=self._threads): way for way in found}

    def run(
        self, ways: Mapping[str, LoaderConfig], *, announce: Callable[[str], None], progress: bool
    ) -> dict[str, list[Trial]]:
        """Turns of all ways and limits."""
        effort, turn_s = self._effort, self._effort.turn_s
        contestants = [self._loading(name, way) for name, way in ways.items()] + self._limits()
        turns = (effort.rounds + 1) * len(contestants)
        about_s = 5 * round(turns * (1.3 * turn_s + _STARTING_S) / 5)
        announce(
            f"{counted(len(ways), 'way')} to load and {counted(len(contestants) - len(ways), 'limit')} of the machine, "
            f"{effort.rounds} turns each after one to warm up: about {max(5, about_s)} s"
        )
        self._fill_cache()
        with progress_bar("measuring", turns, is_wanted=progress) as advance:
            return in_turn(
                contestants,
                rounds=effort.rounds,
                limit_s=_LONGEST_TURN * turn_s,
                patience_s=2 * _LONGEST_TURN * turn_s,
                advance=advance,
            )

    def _loading(self, name: str, way: LoaderConfig) -> Candidate:
        least_s, is_cold = self._effort.turn_s, self._effort.is_cold
        mode = self._data.mode(way.shuffle)
        return contestant(name, self._source, way, mode, least_s=least_s, is_cold=is_cold)

    def _limits(self) -> list[Candidate]:
        stored, is_cold = self._stored, self._effort.is_cold
        found: dict[str, Callable[[int], Iterator[float]]] = {}
        if stored.extents:
            found[_READ] = ReadInOrder(stored)
        if stored.is_decoded and not stored.only_hdf5:
            found[_DECODE] = DecodeOnce(stored, threads=self._threads)
        found[_GATHER] = GatherFromMemory(
            self._data.sample_bytes,
            samples=self._samples,
            batch_size=self._batch_size,
            seed=self._fixed["seed"],
        )
        prepare: Callable[[], object] = partial(evict, self._source.files) if is_cold else lambda: None
        least_s = 0.0 if is_cold else self._effort.turn_s
        return [
            Candidate(name, partial(_repeated, limit, least_s), float, prepare)
            for name, limit in found.items()
        ]

    def _fill_cache(self) -> None:
        """Read what is measured once; for cold reads, to see whether it comes from a device."""
        if self._effort.is_cold:
            evict(self._source.files, syncs=True)
        before = _device_bytes()
        if self._stored.extents:
            for _ in ReadInOrder(self._stored)():
                pass
        after = _device_bytes()
        self._came_from_device = None if before is None or after is None else after - before

    # ── what comes out ───────────────────────────────────────────────────────────────────────────────

    def report(
        self,
        patterns: Sequence[str],
        ways: Mapping[str, LoaderConfig],
        turns: Mapping[str, Sequence[Trial]],
        step_s: float | None,
    ) -> Benchmark:
        """The figures, and what to set."""
        data, mode = self._data, self._data.mode(self._base.shuffle)
        size = self._batch_size
        speeds = [
            speed_of(way, name, turns[name], batch_size=size, step_s=step_s) for name, way in ways.items()
        ]
        limits = [
            Limit(name, Timing.of([turn.rate for turn in turns[name]])) for name in _LIMITS if name in turns
        ]
        # In other orders the beginning of an epoch is like the rest.
        blocks = [speed for speed in speeds if data.mode(speed.way.shuffle) == "block"]
        cut = "; ".join(speed.name for speed in blocks if speed.was_cut)
        return Benchmark(
            patterns=tuple(patterns),
            root=data.catalog.root,
            files=len(data.catalog),
            fields=_words_of(data.arguments["fields"]) or {path: path for path in data.datasets},
            samples=data.samples,
            sample_bytes=sum(data.sample_bytes),
            stored_bytes=data.stored_bytes,
            measured_samples=self._samples,
            measured_bytes=self._stored.stored_bytes,
            batch_size=size,
            mode=mode,
            cache="cold" if self._effort.is_cold else "warm",
            cores=usable_cores(),
            rounds=self._effort.rounds,
            step_s=step_s,
            speeds=tuple(speeds),
            limits=tuple(limits),
            notes=(
                *self._notes(),
                *([f"Too slow for a whole epoch, whose beginning decodes ahead: {cut}"] if cut else []),
            ),
            recommendation=recommend(speeds, mode=mode, limit=self._bound(limits), step_s=step_s),
        )

    def _bound(self, limits: Sequence[Limit]) -> Limit | None:
        """The limit that loading meets first, of those that apply; None if decoding could not be measured."""
        if self._stored.only_hdf5:
            return None
        names = {_GATHER, _DECODE} | ({_READ} if self._effort.is_cold else set())
        return min((one for one in limits if one.name in names), key=lambda one: one.rate.median)

    def _notes(self) -> Iterator[str]:
        data, part, stored_bytes = self._data, self._part, self._stored.stored_bytes
        if not part.is_all(len(data.catalog)):
            rows = "" if part.share == 1 else f", the first {share_text(round(part.share, 3))} of their rows"
            yield (
                f"Measured over {len(part.files):,} of {counted(len(data.catalog), 'file')}{rows}: "
                f"{bytes_text(stored_bytes)} of {bytes_text(data.stored_bytes)}, as much as a turn reads"
            )
        if data.left_out:
            yield f"{counted(data.left_out, 'file')} left out: 'h5lightning inspect' says why"
        yield from self._notes_on_decoding()
        came = self._came_from_device
        if self._effort.is_cold and came is not None and came < stored_bytes / 2:
            yield (
                f"Not cold: after the files were put out of the page cache, {bytes_text(came)} of "
                f"{bytes_text(stored_bytes)} came from a device. Their file system keeps them"
            )

    def _notes_on_decoding(self) -> Iterator[str]:
        data, cache_bytes = self._data, self._fixed["access"].cache_bytes
        if self._stored.only_hdf5:
            yield f"No limit of decoding is known here: {self._stored.only_hdf5}"
        if not data.decoded_bytes:
            return
        yield "Each epoch starts with nothing decoded; to start worker processes counts, since they decode ahead"
        if data.decoded_bytes <= cache_bytes:
            yield (
                f"All decoded values ({bytes_text(data.decoded_bytes)}) fit into cache_bytes: with num_workers=0, only "
                "the first epoch of a training decodes them"
            )
        elif not self._part.is_all(len(data.catalog)):
            yield (
                f"In full order cache_bytes was {bytes_text(self._source.full_cache_bytes)}: the same share of what is "
                f"measured as {bytes_text(cache_bytes)} of all data"
            )


def _repeated(limit: Callable[[int], Iterator[float]], least_s: float, number: int) -> Iterator[float]:
    return whole_epochs(limit, number, least_s)


def _device_bytes() -> int | None:
    """Bytes that this process read from devices; None where the system does not tell."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            found = dict(line.split(": ") for line in file.read().splitlines())
    except OSError:
        return None
    return int(found["read_bytes"])


def _words_of(fields: Mapping[str, Field] | None) -> dict[str, str]:
    """The fields as people write them."""
    words = {}
    for key, field in (fields or {}).items():
        column = f"[{field.member}]" if field.member else ""
        words[key] = f"attr:{field.attr}" if field.attr else f"{field.path}{column}"
    return words
