"""`h5lightning bench`: measures how fast files are read with different options, beside the limits of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from typer import Option

from h5lightning.cli.common_options import (
    AsJson,
    BatchSize,
    Fields,
    OrderMode,
    Patterns,
    Processes,
    SamplesText,
    Seed,
    SeriesText,
)
from h5lightning.cli.report_errors import print_report, print_to_stderr
from h5lightning.cli.yaml_options import data_options

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.bench import Benchmark
    from h5lightning.tools.bench.timing import Timing


__all__ = ["bench"]

_PLAIN = "plain h5py"


def bench(
    patterns: Patterns,
    fields: Fields = None,
    samples: SamplesText = None,
    series: SeriesText = None,
    shuffle: Annotated[
        OrderMode, Option(help="Order used when the other options are compared.")
    ] = OrderMode.auto,
    batch_size: BatchSize = 32,
    threads: Annotated[list[int] | None, Option(min=0, help="Reading threads to try; repeatable.")] = None,
    num_workers: Annotated[list[int] | None, Option(min=1, help="Processes to try; repeatable.")] = None,
    step_ms: Annotated[float | None, Option(min=0.001, help="Milliseconds of a training step.")] = None,
    cold: Annotated[bool, Option("--cold", help="Empty the page cache before each measurement.")] = False,
    seconds: Annotated[float, Option(min=0.01, help="Seconds for each configuration in all.")] = 2.5,
    rounds: Annotated[int, Option(min=1, help="Measurements of each configuration.")] = 3,
    seed: Seed = 0,
    processes: Processes = None,
    plot: Annotated[str | None, Option(metavar="FILE", help="Draw the results to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare readers, orders, threads and worker processes on these files, and recommend options.

    By default, this takes about a minute. The exit status is 0, or 2 if the files or fields cannot be used.
    """
    from h5lightning.tools.bench import Budget, bench_files

    if plot is not None:
        from h5lightning.plotting import check_picture

        check_picture(plot)  # before anything is measured
    chosen, layout, division = data_options(fields, samples, series)
    benchmark = bench_files(
        patterns,
        chosen,
        samples=layout,
        series=division,
        shuffle=shuffle.value,
        batch_size=batch_size,
        threads=threads or (),
        workers=num_workers or (),
        step_s=None if step_ms is None else step_ms / 1000,
        budget=Budget(seconds, rounds, is_cold=cold),
        seed=seed,
        processes=processes,
        # Standard output holds the result alone.
        announce=print_to_stderr,
    )
    if plot is not None:
        _draw(benchmark, plot)
    print_report(benchmark, _show, as_json=as_json)


def _draw(benchmark: Benchmark, path: str) -> None:
    from h5lightning.plotting import plot_rates

    rates = {speed.name: speed.rate for speed in benchmark.speeds}
    rates |= {} if benchmark.plain is None else {_PLAIN: benchmark.plain}
    plot_rates(
        {name: (rate.low, rate.median, rate.high) for name, rate in rates.items()},
        {limit.name: limit.rate.median for limit in benchmark.limits},
        path,
    )


def _show(console: Terminal, benchmark: Benchmark) -> None:
    from h5lightning.core.formatting import bytes_text, counted

    fields = ", ".join(f"{key}: {path}" for key, path in benchmark.fields.items())
    console.print(f"{counted(benchmark.files, 'file')} in {benchmark.root}", style="bold", soft_wrap=True)
    console.print(
        f"Fields {{{fields}}}: {benchmark.samples:,} samples of {bytes_text(benchmark.sample_bytes)}, in batches of "
        f"{benchmark.batch_size}; page cache {benchmark.cache}; {counted(benchmark.cores, 'core')}"
    )
    console.print(_table(benchmark))
    for note in benchmark.notes:
        console.print(f"· {note}.", style="dim")
    console.print()
    for reason in benchmark.recommendation.reasons:
        console.print(f"→ {reason}.")
    if benchmark.recommendation.options:
        console.print_code(f"Python        H5DataModule(…, {benchmark.recommendation.python})")
        console.print_code(f"Command line  {benchmark.recommendation.command}")


def _table(benchmark: Benchmark) -> Table:
    from h5lightning.cli.rich_output import empty_table
    from h5lightning.core.formatting import counted

    table = empty_table("way")
    rounds = counted(benchmark.rounds, "round")
    table.caption = f"Medians of {rounds}; ±: half of the span between the slowest and the fastest"
    table.caption += "" if benchmark.plain is None else f"; ×: times {_PLAIN}"
    ratios = [] if benchmark.plain is None else ["×"]
    waits = [] if benchmark.step_s is None else ["waits"]
    for name in ("samples/s", "±", *ratios, "MB/s", "ms/batch", "first ms", *waits):
        table.add_column(name, justify="right", no_wrap=True)
    for row, style in _rows(benchmark):
        table.add_row(*row, style=style)
    return table


def _rows(benchmark: Benchmark) -> Iterator[tuple[list[str], str]]:
    for number, speed in enumerate(benchmark.speeds):
        waits = [] if speed.waiting is None else [f"{speed.waiting:.0%}"]
        row = [speed.name, *_figures(benchmark, speed.rate), _short(1000 * speed.first_batch_s), *waits]
        yield row, "bold" if not number else ""
    empty = [""] if benchmark.step_s is None else ["", ""]
    if benchmark.plain is not None:
        yield [_PLAIN, *_figures(benchmark, benchmark.plain), *empty], "magenta"
    for limit in benchmark.limits:
        yield [f"limit: {limit.name}", *_figures(benchmark, limit.rate), *empty], "cyan"


def _figures(benchmark: Benchmark, rate: Timing) -> list[str]:
    times_plain = benchmark.times_plain(rate)
    return [
        _short(rate.median),
        f"{(rate.high - rate.low) / 2 / rate.median:.0%}",
        *([] if times_plain is None else [_short(times_plain)]),
        _short(benchmark.mb_per_s(rate.median)),
        _short(1000 * benchmark.batch_size / rate.median),
    ]


def _short(value: float) -> str:
    """Three significant digits: 0.0123, 1.23, 12.3, 12,300, 1.23e+07."""
    return f"{float(f'{value:.3g}'):,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"
