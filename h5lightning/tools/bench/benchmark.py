"""The benchmark: measure, then report and recommend."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from h5lightning.core.formatting import bytes_text, counted, share_text
from h5lightning.core.process_local import usable_cores
from h5lightning.options import Field, Samples
from h5lightning.options.coerce import SeriesOption
from h5lightning.tools.bench.comparison import DECODE, GATHER, PLAIN, READ, Comparison
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.recommend import Limit, Speed, recommend
from h5lightning.tools.bench.report import Benchmark, speed_of
from h5lightning.tools.bench.timing import Budget, Timing, Trial
from h5lightning.tools.bench.training_data import find_training_data
from h5lightning.tools.bench.trials import check_can_evict

__all__ = ["bench_files"]


def bench_files(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None = None,
    *,
    samples: Samples | None = None,
    series: SeriesOption = None,
    shuffle: str = "auto",
    batch_size: int = 32,
    threads: Sequence[int] = (),
    workers: Sequence[int] = (),
    step_s: float | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    processes: int | None = None,
    announce: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> Benchmark:
    """Load the files with different options, in rounds, and recommend what to set.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        samples: how samples lie in a series; None for rows, or for what is suggested with the fields.
        series: what a series is; None for a file, for a match of a ``*``, or for what is suggested with the fields.
        shuffle: the order in which readers, threads and workers are compared.
        batch_size: samples in a batch.
        threads: numbers of threads to try; empty to choose them.
        workers: numbers of worker processes to try; empty to choose them.
        step_s: seconds of a training step, for the share of time that it would wait.
        budget: how long to measure.
        seed: seed of the orders.
        processes: scanning processes for many files; None for one on each core.
        announce: called once before the trials, with a sentence on what is measured and how long it takes.
        progress: show a progress bar if stderr is a terminal.

    Raises:
        H5LightningError: the patterns, the fields or the files cannot be used.
        OptionError: the trials should be cold, and this system cannot empty its page cache.
    """
    budget = budget or Budget()
    if budget.is_cold:
        check_can_evict()
    data = find_training_data(
        patterns, fields, samples=samples, series=series, processes=processes, progress=progress
    )
    with tempfile.TemporaryDirectory(prefix="h5lightning-bench-") as index_dir:
        fixed = {**data.arguments, "batch_size": batch_size, "seed": seed, "index_dir": index_dir}
        comparison = Comparison(data, LoaderConfig(shuffle=shuffle), fixed, budget)
        configs = comparison.configs(threads, workers)
        device_bytes = comparison.read_once()
        trials = comparison.run(configs, announce=announce, progress=progress)
    speeds = [
        speed_of(config, name, trials[name], batch_size=batch_size, step_s=step_s)
        for name, config in configs.items()
    ]
    return _report(comparison, patterns, speeds, trials, device_bytes, step_s)


def _report(
    comparison: Comparison,
    patterns: Sequence[str],
    speeds: Sequence[Speed],
    trials: Mapping[str, Sequence[Trial]],
    device_bytes: int | None,
    step_s: float | None,
) -> Benchmark:
    data, budget = comparison.data, comparison.budget
    mode, limits = data.mode(comparison.base.shuffle), _limits(trials)
    notes = (
        *_notes(comparison, device_bytes),
        _note_on_plain(comparison),
        *_notes_on_decoding(comparison),
        *_cut_note(comparison, speeds),
    )
    return Benchmark(
        patterns=tuple(patterns),
        root=data.catalog.root,
        files=len(data.catalog),
        fields=_field_texts(data.arguments["fields"]) or {path: path for path in data.datasets},
        samples=data.samples,
        sample_bytes=sum(data.sample_bytes),
        stored_bytes=data.stored_bytes,
        measured_samples=comparison.samples,
        measured_bytes=comparison.measured.stored_bytes,
        batch_size=comparison.batch_size,
        mode=mode,
        cache="cold" if budget.is_cold else "warm",
        cores=usable_cores(),
        rounds=budget.rounds,
        step_s=step_s,
        speeds=tuple(speeds),
        plain=Timing.of([trial.rate for trial in trials[PLAIN]]) if PLAIN in trials else None,
        limits=tuple(limits),
        notes=notes,
        recommendation=recommend(speeds, mode=mode, limit=_bound(comparison, limits), step_s=step_s),
    )


def _limits(trials: Mapping[str, Sequence[Trial]]) -> list[Limit]:
    return [
        Limit(name, Timing.of([trial.rate for trial in trials[name]]))
        for name in (READ, DECODE, GATHER)
        if name in trials
    ]


def _bound(comparison: Comparison, limits: Sequence[Limit]) -> Limit | None:
    """The limit that loading meets first, of those that apply; None if decoding could not be measured."""
    if comparison.measured.only_hdf5:
        return None
    names = {GATHER, DECODE} | ({READ} if comparison.budget.is_cold else set())
    return min((limit for limit in limits if limit.name in names), key=lambda limit: limit.rate.median)


def _notes(comparison: Comparison, device_bytes: int | None) -> Iterator[str]:
    data, subset, stored_bytes = comparison.data, comparison.subset, comparison.measured.stored_bytes
    if not subset.is_all(len(data.catalog)):
        rows = "" if subset.share == 1 else f", the first {share_text(round(subset.share, 3))} of their rows"
        yield (
            f"Measured over {len(subset.files):,} of {counted(len(data.catalog), 'file')}{rows}: "
            f"{bytes_text(stored_bytes)} of {bytes_text(data.stored_bytes)}, as much as a turn reads"
        )
    if data.left_out:
        yield f"{counted(data.left_out, 'file')} left out: 'h5lightning inspect' says why"
    if comparison.budget.is_cold and device_bytes is not None and device_bytes < stored_bytes / 2:
        yield (
            f"Not cold: after the files were put out of the page cache, {bytes_text(device_bytes)} of "
            f"{bytes_text(stored_bytes)} came from a device. Their file system caches them"
        )


def _note_on_plain(comparison: Comparison) -> str:
    if comparison.why_no_plain:
        return f"No comparison with plain h5py: {comparison.why_no_plain}"
    return (
        "Plain h5py is what one would write by hand: one thread, files kept open, in full order, a sorted selection "
        "in each file for each batch, and stored values as they are"
    )


def _notes_on_decoding(comparison: Comparison) -> Iterator[str]:
    data, cache_bytes = comparison.data, comparison.fixed["access"].cache_bytes
    if comparison.measured.only_hdf5:
        yield f"The limit of decoding is unknown: {comparison.measured.only_hdf5}"
    if not data.decoded_bytes:
        return
    yield "Each epoch starts with nothing decoded, and the start of worker processes counts, since they decode ahead"
    if data.decoded_bytes <= cache_bytes:
        yield (
            f"All decoded values ({bytes_text(data.decoded_bytes)}) fit into cache_bytes: with num_workers=0, only the "
            "first epoch of a training decodes them"
        )
    elif not comparison.subset.is_all(len(data.catalog)):
        yield (
            f"In full order, cache_bytes was {bytes_text(comparison.source.full_cache_bytes)}: the same share of the "
            f"measured data as {bytes_text(cache_bytes)} is of all data"
        )


def _cut_note(comparison: Comparison, speeds: Sequence[Speed]) -> Iterator[str]:
    """In block order, the beginning of an epoch is not like the rest."""
    mode = comparison.data.mode
    cut = [speed.name for speed in speeds if speed.was_cut and mode(speed.config.shuffle) == "block"]
    if cut:
        yield f"Too slow for a whole epoch, whose beginning decodes ahead: {'; '.join(cut)}"


def _field_texts(fields: Mapping[str, Field] | None) -> dict[str, str]:
    """The fields as users write them."""
    texts = {}
    for key, field in (fields or {}).items():
        parts = (f"{part.path}[{part.member}]" if part.member else part.path for part in field.parts())
        texts[key] = f"attr:{field.attr}" if field.attr else ", ".join(parts) or str(field.path)
    return texts
