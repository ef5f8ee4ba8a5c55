"""Numbers and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from h5lightning.tools.bench.timing import Timing

__all__ = ["mib", "number", "spread", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is flush left, the others flush right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def number(value: float) -> str:
    """Three digits that matter: 0.0123, 1.23, 12.3, 123, 12,300."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def spread(timing: Timing) -> str:
    """The median, with the lowest and the highest."""
    return f"{number(timing.median)} ({number(timing.low)} – {number(timing.high)})"


def mib(count: int) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:,.0f}"
