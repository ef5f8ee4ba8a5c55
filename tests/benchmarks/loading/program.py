"""What is measured over which data, in which order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from h5lightning.tools.bench.timing import Candidate
from loading import cases, meters, peers, races, series, shapes, values
from loading.data import BATCH, Dataset, Workload, filters_here
from loading.limits import evict
from loading.measure import samples_of
from loading.races import THREADS, Race
from loading.report import Report
from loading.scale import Scale, say, written

__all__ = ["PARTS", "measure"]

MIB = 2**20

TUTORIAL = "tutorial (opens the file for every item)"
KEPT_OPEN = "h5py kept open"
UNCACHED = "h5py kept open, data beyond its cache"
BY_CHUNK = "h5py, one chunk at a time"
DECODE = "decode + gather"
IN_ORDER = "preadv in order"
FROM_RAM = "np.take from RAM"


def _race(
    report: Report, race: Race, dataset: Dataset, scale: Scale, candidates: Sequence[Candidate] = ()
) -> None:
    say(f"  {race.name}")
    result = races.run(race, dataset, rounds=scale.rounds, limit_s=scale.limit_s, peers=candidates)
    report.results.append(result)


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────


def contiguous(report: Report, scale: Scale) -> None:
    """4 KiB rows as they are: by hand, peers, workers, from disk, waiting, memory."""
    with written(Workload("contiguous 4 KiB rows", 131_072, 4096), scale) as dataset:
        with _converted(report, dataset, scale) as copies:
            goals = {TUTORIAL: 300, KEPT_OPEN: 12, BY_CHUNK: None, IN_ORDER: None, FROM_RAM: 0.5}
            _race(report, Race("contiguous 4 KiB rows", goals), dataset, scale, copies)
        if copies:
            names = [copy.name for copy in copies]
            report.goals.append(races.against_best(report.results[-1], names, "the best peer", 5))
        workers = Race("4 KiB rows, 2 workers", {"ready tensors, 2 workers": 0.9}, {"num_workers": 2})
        _race(report, workers, dataset, scale)
        cold = {"files read in order": 0.8}
        options = {"shuffle": "block"}
        _race(
            report, Race("4 KiB rows, block order, cold", cold, options, evict, forgets=True), dataset, scale
        )
        report.goals += [meters.waiting(dataset, rounds=scale.rounds), meters.memory(dataset)]


def small_rows(report: Report, scale: Scale) -> None:
    """64-byte rows: what is done for each sample shows."""
    with written(Workload("contiguous 64-byte rows", 8_388_608, 64), scale) as dataset:
        goals = {TUTORIAL: 100, KEPT_OPEN: None, IN_ORDER: None, FROM_RAM: 0.2}
        _race(report, Race("contiguous 64-byte rows", goals), dataset, scale)


def compressed(report: Report, scale: Scale) -> None:
    """Gzip with shuffle: chunks of 32 rows."""
    name = "gzip + shuffle, 32 rows of 4 KiB a chunk"
    with written(Workload(name, 128_000, 4096, chunk_rows=32, filters="gzip+shuffle"), scale) as dataset:
        goals = {UNCACHED: 40, KEPT_OPEN: None, BY_CHUNK: 2, "decode only": None, DECODE: 0.85}
        _race(report, Race(name, goals, forgets=True), dataset, scale)
        report.goals.append(meters.mixing(dataset))
        for ranks, most in ((1, 1.05), (2, 1.25), (4, 1.25)):
            report.goals += meters.amplification(dataset, ranks, most)
        report.goals.append(meters.memory(dataset))


def large_rows(report: Report, scale: Scale) -> None:
    """Rows of 256 KiB and 1 MiB, each a chunk without a filter."""
    for name, rows, row_bytes in (("256 KiB", 4096, MIB // 4), ("1 MiB", 2048, MIB)):
        with written(Workload(f"{name} rows, one a chunk", rows, row_bytes, chunk_rows=1), scale) as dataset:
            race = Race(f"{name} rows, one a chunk", {IN_ORDER: 0.8, KEPT_OPEN: None})
            _race(report, race, dataset, scale)


def codecs(report: Report, scale: Scale) -> None:
    """Other filters than gzip."""
    for filters in filters_here():
        if filters in ("none", "gzip", "gzip+shuffle"):
            continue
        name = f"{filters}, 32 rows of 4 KiB a chunk"
        with written(Workload(name, 64_000, 4096, chunk_rows=32, filters=filters), scale) as dataset:
            _race(report, Race(name, {DECODE: 0.85, BY_CHUNK: None}, forgets=True), dataset, scale)
    if "zstd" not in filters_here():
        report.left_out.append("blosc, lz4, bitshuffle, zstd (hdf5plugin is not installed)")


PARTS: dict[str, Callable[[Report, Scale], None]] = {
    part.__name__: part
    for part in (
        contiguous,
        small_rows,
        compressed,
        large_rows,
        codecs,
        *cases.PARTS,
        *series.PARTS,
        *shapes.PARTS,
        *values.PARTS,
    )
}


@contextmanager
def _converted(report: Report, dataset: Dataset, scale: Scale) -> Iterator[list[Candidate]]:
    """The peers that are installed, over copies of the data set."""
    if not scale.with_peers:
        yield []
        return
    absent = peers.missing()
    report.left_out += [f"{name} (not installed)" for name in absent]
    report.original_bytes = sum(Path(path).stat().st_size for path in dataset.paths)
    with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
        for peer in peers.PEERS:
            if peer.name not in absent:
                say(f"  converting to {peer.name}")
                report.conversions.append(peers.convert(peer, dataset, Path(folder) / peer.library))
        yield [_peer(copy, workers) for copy in report.conversions for workers in (0, 2)]


def _peer(copy: peers.Converted, workers: int) -> Candidate:
    batches = partial(copy.batches, workers=workers)
    return Candidate(f"{copy.peer.name}, {workers} workers", batches, samples_of, counts_start=False)


def measure(parts: Sequence[str], scale: Scale) -> Report:
    """Measure some parts, each over data of its own that are removed in the end."""
    report = Report(
        {
            "batches of": BATCH,
            "rounds": scale.rounds,
            "part of the rows": scale.part,
            "decoding threads of the baselines": THREADS,
        }
    )
    for part in parts:
        PARTS[part](report, scale)
    return report
