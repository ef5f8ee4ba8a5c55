"""`h5lightning bench`: how fast these files come in different ways, beside the limits of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from h5lightning.cli.report_errors import print_json, print_to_stderr
from h5lightning.cli.yaml_options import parsed_fields

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.bench import Benchmark
    from h5lightning.tools.bench.timing import Timing


__all__ = ["bench"]


class _Mode(str, Enum):
    auto, full, block, none = "auto", "full", "block", "none"


def bench(
    patterns: Annotated[list[str], typer.Argument(help="Globs of HDF5 files; '!…' leaves files out.")],
    fields: Annotated[
        str | None,
        typer.Option(help="As for train: '{x: images, y: labels}'. Without: what inspect suggests."),
    ] = None,
    shuffle: Annotated[_Mode, typer.Option(help="The order that the rest is compared in.")] = _Mode.auto,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a batch.")] = 32,
    threads: Annotated[list[int] | None, typer.Option(min=0, help="To try; may be repeated.")] = None,
    num_workers: Annotated[list[int] | None, typer.Option(min=1, help="To try; may be repeated.")] = None,
    step_ms: Annotated[float | None, typer.Option(min=0.001, help="How long a training step takes.")] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Empty the page cache before each turn.")] = False,
    seconds: Annotated[float, typer.Option(min=0.01, help="For each way, over all rounds.")] = 2.5,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the orders.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Scanning processes.")] = None,
    plot: Annotated[str | None, typer.Option(metavar="FILE", help="Draw a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare readers, orders, threads and worker processes on these files, and say what to set.

    All take turns, for about a minute in all. Exit code 0, or 2 if the files or fields cannot be used.
    """
    from h5lightning.options.coerce import coerce_fields
    from h5lightning.tools.bench import Budget, bench_files

    if plot is not None:
        _check_picture(plot)
    found = bench_files(
        patterns,
        coerce_fields(parsed_fields(fields)),
        shuffle=shuffle.value,
        batch_size=batch_size,
        threads=threads or (),
        workers=num_workers or (),
        step_s=None if step_ms is None else step_ms / 1000,
        budget=Budget(seconds, rounds, is_cold=cold),
        seed=seed,
        processes=processes,
        # What was asked for goes to standard output, and nothing else.
        announce=print_to_stderr,
    )
    if plot is not None:
        _draw(found, plot)
    if as_json:
        print_json(found.to_plain())
    else:
        from h5lightning.core.terminal import Terminal

        _show(Terminal(), found)


def _check_picture(path: str) -> None:
    """Raise before anything is measured if no picture could be drawn."""
    from h5lightning.plotting import check_picture

    check_picture(path)


def _draw(found: Benchmark, path: str) -> None:
    from h5lightning.plotting import plot_rates

    plot_rates(
        {speed.name: (speed.rate.low, speed.rate.median, speed.rate.high) for speed in found.speeds},
        {limit.name: limit.rate.median for limit in found.limits},
        path,
    )


def _show(console: Terminal, found: Benchmark) -> None:
    from h5lightning.core.formatting import bytes_text, counted

    fields = ", ".join(f"{key}: {path}" for key, path in found.fields.items())
    console.print(f"{counted(found.files, 'file')} in {found.root}", style="bold", soft_wrap=True)
    console.print(
        f"Fields {{{fields}}}: {found.samples:,} samples of {bytes_text(found.sample_bytes)}, in batches of "
        f"{found.batch_size}; page cache {found.cache}; {counted(found.cores, 'core')}"
    )
    console.print(_table(found))
    for note in found.notes:
        console.print(f"· {note}.", style="dim")
    console.print()
    for reason in found.recommendation.reasons:
        console.print(f"→ {reason}.")
    if found.recommendation.options:
        console.print_code(f"Python        H5DataModule(…, {found.recommendation.python})")
        console.print_code(f"Command line  {found.recommendation.command}")


def _table(found: Benchmark) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption_justify="left")
    table.caption = (
        f"Medians of {found.rounds} rounds; ±: half of the span between the slowest and the fastest"
    )
    table.add_column("way", overflow="fold")
    with_steps = found.step_s is not None
    for name in ("samples/s", "±", "MB/s", "ms/batch", "first ms", *(["waits"] if with_steps else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row, style in _rows(found):
        table.add_row(*row, style=style)
    return table


def _rows(found: Benchmark) -> Iterator[tuple[list[str], str]]:
    for number, speed in enumerate(found.speeds):
        waits = [] if speed.waiting is None else [f"{speed.waiting:.0%}"]
        times = [_short(1000 * speed.batch_s), _short(1000 * speed.first_batch_s)]
        figures = [*_figures(speed.rate), _short(found.mb_per_s(speed.rate.median))]
        yield [speed.name, *figures, *times, *waits], "bold" if not number else ""
    for limit in found.limits:
        figures = [*_figures(limit.rate), _short(found.mb_per_s(limit.rate.median))]
        times = [_short(1000 * found.batch_size / limit.rate.median), ""]
        waits = [] if found.step_s is None else [""]
        yield [f"limit: {limit.name}", *figures, *times, *waits], "cyan"


def _figures(rate: Timing) -> list[str]:
    return [_short(rate.median), f"{(rate.high - rate.low) / 2 / rate.median:.0%}"]


def _short(value: float) -> str:
    """Three digits that matter: 0.0123, 1.23, 12.3, 12,300."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"
