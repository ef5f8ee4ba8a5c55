"""Prints the results of a training run as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from h5lightning.core.terminal import Terminal

__all__ = ["Results", "print_results"]

_PERSISTENCE = "_persistence"


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a run.

    Args:
        metrics: logged name → value.
        samples_per_second: training speed of all ranks together; 0 if nothing was trained.
        waiting_share: share of the training time, in [0, 1], spent waiting for data.
        paths: kind of output → its path.
    """

    metrics: Mapping[str, float]
    samples_per_second: float
    waiting_share: float
    paths: Mapping[str, str] = field(default_factory=dict)


def print_results(results: Results, console: Terminal | None = None) -> None:
    """Print the table, and below it the paths, each on one line so that it can be copied."""
    console = console or Terminal()
    table = Table("result", title="h5lightning train", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in _lines(results.metrics).items():
        table.add_row(name, f"{value:.4g}")
    if results.samples_per_second:
        table.add_row("training speed", f"{results.samples_per_second:,.0f} samples/s")
        table.add_row("waiting for data", f"{results.waiting_share:.1%} of the time")
    console.print(table)
    for name, path in results.paths.items():
        # soft_wrap: a path broken over two lines cannot be copied.
        console.print(f"{name}: {path}", soft_wrap=True)


def _lines(metrics: Mapping[str, float]) -> dict[str, float]:
    """Readable name → value; where the error of a forecast "nothing changes" is logged, the ratio to it too."""
    lines = {}
    for name, value in metrics.items():
        lines[_readable(name)] = value
        if (plain := name.removesuffix(_PERSISTENCE)) != name and plain in metrics and value > 0:
            lines["ratio of the two"] = metrics[plain] / value
    return lines


def _readable(name: str) -> str:
    if name.endswith(_PERSISTENCE):
        return f"{_readable(name.removesuffix(_PERSISTENCE))} if nothing changed"
    return name.replace("_", " ")
