"""What a training run ends with: a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from h5lightning.core.terminal import Terminal

__all__ = ["Results", "print_results"]

_PERSISTENCE = "_persistence"


@dataclass(frozen=True, slots=True)
class Results:
    """What is shown when a run ends.

    Args:
        metrics: name as logged → value.
        samples_per_second: in training, all ranks together; 0 if nothing was trained.
        waiting_share: share of the training time, in [0, 1], that went by waiting for data.
        places: what was written → where it lies.
    """

    metrics: Mapping[str, float]
    samples_per_second: float
    waiting_share: float
    places: Mapping[str, str] = field(default_factory=dict)


def print_results(results: Results, console: Terminal | None = None) -> None:
    """Print the table, and below it the places, one a line so that they can be copied."""
    console = console or Terminal()
    table = Table("result", title="h5lightning train", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in _lines(results.metrics).items():
        table.add_row(name, f"{value:.4g}")
    if results.samples_per_second:
        table.add_row("training speed", f"{results.samples_per_second:,.0f} samples/s")
        table.add_row("waiting for data", f"{results.waiting_share:.1%} of the time")
    console.print(table)
    for name, place in results.places.items():
        # soft_wrap: a path broken over two lines cannot be copied.
        console.print(f"{name}: {place}", soft_wrap=True)


def _lines(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics in words; where the error of "nothing changes" is among them, the share of it that is left."""
    lines = {}
    for name, value in metrics.items():
        lines[_in_words(name)] = value
        if (plain := name.removesuffix(_PERSISTENCE)) != name and plain in metrics and value > 0:
            lines["ratio of the two"] = metrics[plain] / value
    return lines


def _in_words(name: str) -> str:
    if name.endswith(_PERSISTENCE):
        return f"{_in_words(name.removesuffix(_PERSISTENCE))} if nothing changed"
    return name.replace("_", " ")
