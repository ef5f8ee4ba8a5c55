"""Results as Markdown for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from h5lightning.tools.bench.timing import Timing, Trial
from loading.markdown import mib, number, table
from loading.peers import Converted
from loading.races import Goal, Measured, Result
from loading.scaling import Point, in_order, median_goal
from loading.scaling_table import long_table

__all__ = ["Report", "machine", "versions"]

_PACKAGES = ("h5lightning", "torch", "lightning", "numpy", "h5py", "deflate", "imagecodecs", "hdf5plugin")
_TIMES_CACHE = 4  # data that are so many times as large as the cache are gathered from memory
_PEERS = ("litdata", "webdataset", "datasets", "tensorstore", "pylance")


@dataclass(slots=True)
class Report:
    """All that was found, in the order of measuring.

    Args:
        settings: how it was measured.
        results: races.
        scaling: races of the table in which one factor changes at a time.
        goals: goals of other measurements.
        conversions: copies in other formats.
        original_bytes: what the data set that was converted takes on disk.
        left_out: what was not measured, with the reason.
    """

    settings: Mapping[str, Any]
    results: list[Result] = field(default_factory=list)
    scaling: list[tuple[Point, Result]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    conversions: list[Converted] = field(default_factory=list)
    original_bytes: int = 0
    left_out: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Tables with machine and versions."""
        parts = [_facts(self.settings), *map(_race, self.results)]
        parts += [long_table(in_order(self.scaling))] if self.scaling else []
        if self.conversions:
            parts.append(self._conversions())
        parts.append(_goals(self.every_goal()))
        parts += [f"Left out: {'; '.join(self.left_out)}."] if self.left_out else []
        return "\n\n".join(parts) + "\n"

    def plain(self) -> dict[str, Any]:
        """The same and every single round, as JSON knows it."""
        return {
            "machine": machine(),
            "versions": versions(),
            "settings": dict(self.settings),
            "races": {
                result.name: _plain_race(result)
                for result in [*self.results, *(result for _, result in self.scaling)]
            },
            "conversions": {
                found.peer.name: {"seconds": found.seconds, "stored_bytes": found.stored_bytes}
                for found in self.conversions
            },
            "original_bytes": self.original_bytes,
            "goals": [_plain_goal(goal) for goal in self.every_goal()],
            "left_out": self.left_out,
        }

    def every_goal(self) -> list[Goal]:
        """Goals of races, then of other measurements."""
        scaled = [result for _, result in in_order(self.scaling)]
        median = [median_goal(scaled)] if scaled else []
        return [goal for result in [*self.results, *scaled] for goal in result.goals] + median + self.goals

    def _conversions(self) -> str:
        rows = [["HDF5, as it is", "0", mib(self.original_bytes)]]
        rows += [
            [found.peer.name, f"{found.seconds:.1f}", mib(found.stored_bytes)] for found in self.conversions
        ]
        return "### Conversion\n\n" + table(["format", "seconds", "MiB on disk"], rows)


# ── machine ──────────────────────────────────────────────────────────────────────────────────────────


def machine() -> dict[str, Any]:
    """Processor, memory and system, and how busy it is just now."""
    return {
        "processor": _found("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.processor(),
        "cores": os.cpu_count(),
        "cache_mib": _cache_mib(),
        "memory_gib": round(int(_found("/proc/meminfo", r"MemTotal:\s*(\d+)") or 0) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str]:
    """Installed packages that matter."""
    installed = {found.name.lower(): found.version for found in distributions()}
    found = {name: installed[name] for name in _PACKAGES + _PEERS if name in installed}
    return {"python": platform.python_version(), **found}


def _cache_mib() -> float:
    """The processor's largest cache; 0 if the system does not say."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    kib = [int(path.read_text(encoding="ascii").strip().removesuffix("K")) for path in sizes]
    return max(kib, default=0) / 1024


def _found(path: str, pattern: str) -> str | None:
    try:
        match = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return match[1] if match else None


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────


def _facts(settings: Mapping[str, Any]) -> str:
    line = "{processor}, {cores} cores, {cache_mib:g} MiB of cache, {memory_gib} GiB, {system}; load at the end {load}"
    hardware = line.format(**machine())
    packages = ", ".join(f"{package} {number}" for package, number in versions().items())
    chosen = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"## Loading\n\n{hardware}.\n{packages}.\n{chosen}."


def _race(result: Result) -> str:
    rows = [_candidate(name, epochs, result.sample_bytes) for name, epochs in result.epochs.items()]
    header = ["way", "samples/s", "lowest – highest", "MB/s", "CPU µs a sample", "first batch, ms"]
    return f"### {result.name}\n\n{_data(result.workload)}\n\n" + table(header, rows)


def _data(workload: Measured) -> str:
    """How large the data are, beside the processor's cache: what fits into it is faster than memory."""
    cache_bytes = machine()["cache_mib"] * 2**20
    text = f"{workload.files} files, {workload.rows:,} rows, {mib(workload.size)} MiB of data"
    if not cache_bytes:
        return f"{text}."
    times = workload.size / cache_bytes
    warning = (
        ""
        if times >= _TIMES_CACHE
        else ": too little, gathers from RAM come from the cache; not to be quoted"
    )
    return f"{text}, {number(times)} times the processor's last cache{warning}."


def _candidate(name: str, epochs: Sequence[Trial], sample_bytes: int) -> list[str]:
    rate = Timing.of([epoch.rate for epoch in epochs])
    first_s = Timing.of([epoch.first_s for epoch in epochs]).median
    ends = f"{number(rate.low)} – {number(rate.high)}"
    return [
        name,
        number(rate.median),
        ends,
        number(rate.median * sample_bytes / 1e6),
        number(Timing.of([epoch.cpu_us for epoch in epochs]).median),
        number(1000 * first_s),
    ]


def _goals(goals: Iterable[Goal]) -> str:
    rows = [
        [
            goal.what,
            ("≥ " if goal.at_least else "≤ ") + number(goal.target),
            number(goal.reached.median),
            f"{number(goal.reached.low)} – {number(goal.reached.high)}",
            "yes" if goal.is_reached else "no",
        ]
        for goal in goals
    ]
    return "### Goals\n\n" + table(["", "goal", "reached", "lowest – highest", ""], rows)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def _plain_race(result: Result) -> dict[str, Any]:
    return {
        name: {
            "samples_per_s": [epoch.rate for epoch in epochs],
            "first_batch_s": [epoch.first_s for epoch in epochs],
            "cpu_us": [epoch.cpu_us for epoch in epochs],
            "samples": [epoch.samples for epoch in epochs],
        }
        for name, epochs in result.epochs.items()
    }


def _plain_goal(goal: Goal) -> dict[str, Any]:
    return {
        "what": goal.what,
        "goal": goal.target,
        "at_least": goal.at_least,
        "reached": goal.reached.median,
        "lowest": goal.reached.low,
        "highest": goal.reached.high,
        "is_reached": goal.is_reached,
    }
