"""`h5lightning check`: what training relies on, proven on these files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h5lightning.cli.report_errors import print_json
from h5lightning.cli.yaml_options import parsed_fields, parsed_yaml

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.check import CheckReport, CheckResult


__all__ = ["check"]

_MOST_FAILURES = 20


def check(
    patterns: Annotated[list[str], typer.Argument(help="Globs of HDF5 files; '!…' leaves files out.")],
    fields: Annotated[
        str | None,
        typer.Option(help="As for train: '{x: images, y: labels}'. Without: what inspect suggests."),
    ] = None,
    samples: Annotated[str | None, typer.Option(help="As for train: '{kind: windows, length: 4}'.")] = None,
    split: Annotated[str | None, typer.Option(help="As for train: '{val: 0.2, by: file}'.")] = None,
    shuffle: Annotated[str | None, typer.Option(help="As for train: block, or '{balance: y}'.")] = None,
    access: Annotated[str | None, typer.Option(help="As for train: '{on_missing: fill}'.")] = None,
    dtype: Annotated[str | None, typer.Option(help="As for train: float32.")] = None,
    series: Annotated[
        str | None, typer.Option(help="As for train: file, for each file as one series.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of one rank in one step.")] = 32,
    ranks: Annotated[str | None, typer.Option(help="Numbers of ranks. Without: 1,2,3,4,8.")] = None,
    workers: Annotated[str, typer.Option(help="Numbers of worker processes, really started.")] = "0,2",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.")] = 2,
    batches: Annotated[int, typer.Option(min=1, help="Batches of each real loader and epoch.")] = 4,
    samples_per_file: Annotated[int, typer.Option(min=1, help="Samples that both readers read.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of splits and orders.")] = 0,
    finite: Annotated[bool, typer.Option("--finite", help="Read all values; find NaN, infinity.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Scanning processes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="List all failures.")] = False,
) -> None:
    """Prove, before the expensive run, that each sample of these files will come exactly once.

    Goes through whole epochs for several numbers of ranks, starts real loaders with and without worker processes,
    reads samples of every file with both readers, and holds them against what the file says that its numbers mean.

    Exit code 0 if all checks passed, 1 if one failed, 2 if the files or options cannot be used.
    """
    from h5lightning.tools.check import CheckSettings, check_files

    settings = CheckSettings(
        ranks=None if ranks is None else _numbers("ranks", ranks),
        workers=_numbers("workers", workers),
        epochs=epochs,
        batch_size=batch_size,
        batches=batches,
        samples_per_file=samples_per_file,
        finite=finite,
    )
    run = _run_options(fields, samples, split, shuffle, access, series)
    found = check_files(
        patterns,
        **run,
        dtype=dtype,
        seed=seed,
        settings=settings,
        processes=processes,
        progress=not as_json,
    )
    if as_json:
        print_json(found.to_plain())
    else:
        _show(found, None if show_all else _MOST_FAILURES)
    raise typer.Exit(0 if found.has_passed else 1)


def _run_options(
    fields: str | None,
    samples: str | None,
    split: str | None,
    shuffle: str | None,
    access: str | None,
    series: str | None,
) -> dict[str, Any]:
    """The options of a run from what the user wrote."""
    from h5lightning.options import Access, Shuffle, Split
    from h5lightning.options.coerce import check_series, coerce, coerce_fields, coerce_samples

    check_series(series)
    order = parsed_yaml("shuffle", shuffle, "{balance: y}")
    layout = parsed_yaml("samples", samples, "{length: 4}")
    return {
        "fields": coerce_fields(parsed_fields(fields)),
        "samples": None if layout is None else coerce_samples(layout),
        "split": coerce(Split, parsed_yaml("split", split, "{val: 0.2}"), "split"),
        "shuffle": coerce(Shuffle, {"mode": order} if isinstance(order, str) else order, "shuffle"),
        "access": coerce(Access, parsed_yaml("access", access, "{on_missing: fill}"), "access"),
        "series": series,
    }


def _numbers(name: str, text: str) -> Any:
    """Numbers as in 1,2,4."""
    return parsed_yaml(name, f"[{text}]", "1,2,4")


def _show(found: CheckReport, most: int | None) -> None:
    from h5lightning.core.terminal import Terminal

    console = Terminal()
    console.print(_table(found.results))
    failed = [result for result in found.results if not result.has_passed]
    for result in failed:
        _show_failures(console, result, most)
    if found.has_passed:
        console.print("All checks passed.", style="bold green")
    else:
        console.print(f"{len(failed)} of {len(found.results)} checks failed.", style="bold red")


def _table(results: Sequence[CheckResult]) -> Table:
    from rich import box
    from rich.table import Table

    from h5lightning.core.terminal import shown, stacked

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("check", "over", "result"):
        table.add_column(name, overflow="fold")
    for result in results:
        mark = ("✓", "green") if result.has_passed else (f"✗ {len(result.failures):,}", "bold red")
        notes = [shown((result.note, "dim"))] if result.note else []
        table.add_row(shown(result.name), stacked(shown(result.scope), *notes), shown(mark))
    return table


def _show_failures(console: Terminal, result: CheckResult, most: int | None) -> None:
    from rich.table import Table

    from h5lightning.core.terminal import shown

    console.print(f"FAILED: {result.name}", style="bold")
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for failure in result.failures[:most]:
        grid.add_row(shown(("✗", "bold red")), shown(failure))
    if hidden := len(result.failures) - len(result.failures[:most]):
        grid.add_row("", shown((f"{hidden:,} more: --all lists them", "dim")))
    console.print(grid)
    console.print()
