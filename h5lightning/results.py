"""What a training run ends with: a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

__all__ = ["Results", "print_results"]


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


def print_results(results: Results, console: Console | None = None) -> None:
    """Print the table, and below it the places, one a line so that they can be copied."""
    console = console or Console()
    table = Table("result", title="h5lightning train", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in results.metrics.items():
        table.add_row(name.replace("_", " "), f"{value:.4g}")
    if results.samples_per_second:
        table.add_row("training speed", f"{results.samples_per_second:,.0f} samples/s")
        table.add_row("waiting for data", f"{results.waiting_share:.1%} of the time")
    console.print(table)
    for name, place in results.places.items():
        # soft_wrap: a path broken over two lines cannot be copied.
        console.print(f"{name}: {place}", soft_wrap=True, highlight=False, markup=False)
