"""`h5lightning check`: verifies on these files what training relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from h5lightning.cli.common_options import (
    AsJson,
    BatchSize,
    Fields,
    Patterns,
    Processes,
    SamplesText,
    Seed,
    SeriesText,
    ShowAll,
)
from h5lightning.cli.report_errors import print_report
from h5lightning.cli.yaml_options import parsed_yaml

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.check import CheckReport, CheckResult


__all__ = ["check"]

_MOST_FAILURES = 20
_EXAMPLES = {
    "fields": "{x: images}",
    "samples": "{length: 4}",
    "split": "{val: 0.2}",
    "shuffle": "{balance: y}",
    "access": "{on_missing: fill}",
    "series": "{axis: 0}",
}


def check(
    patterns: Patterns,
    fields: Fields = None,
    samples: SamplesText = None,
    split: Annotated[str | None, Option(help="As for train: '{val: 0.2, by: file}'.")] = None,
    shuffle: Annotated[str | None, Option(help="As for train: block, or '{balance: y}'.")] = None,
    access: Annotated[str | None, Option(help="As for train: '{on_missing: fill}'.")] = None,
    dtype: Annotated[str | None, Option(help="As for train: float32.")] = None,
    series: SeriesText = None,
    batch_size: BatchSize = 32,
    ranks: Annotated[str | None, Option(help="Numbers of ranks. By default, 1,2,3,4,8.")] = None,
    workers: Annotated[str, Option(help="Numbers of worker processes to start.")] = "0,2",
    epochs: Annotated[int, Option(min=1, help="Epochs to check.")] = 2,
    batches: Annotated[int, Option(min=1, help="Batches to read per loader and epoch.")] = 4,
    samples_per_file: Annotated[int, Option(min=1, help="Samples to read with both readers.")] = 16,
    seed: Seed = 0,
    finite: Annotated[bool, Option("--finite", help="Read all values; report NaN and infinity.")] = False,
    processes: Processes = None,
    as_json: AsJson = False,
    show_all: ShowAll = False,
) -> None:
    """Verify, before a long run, that training will deliver each sample of these files exactly once.

    It goes through whole epochs for several numbers of ranks, starts loaders with and without worker processes, reads
    samples of every file with both readers, and looks at attributes that say what stored numbers stand for.

    The exit status is 0 if all checks passed, 1 if one failed, and 2 if the files or options cannot be used.
    """
    from h5lightning.tools.check import CheckSettings, check_files

    settings = CheckSettings(
        None if ranks is None else parsed_yaml("ranks", f"[{ranks}]", "1,2,4"),
        parsed_yaml("workers", f"[{workers}]", "1,2,4"),
        epochs=epochs,
        batch_size=batch_size,
        batches=batches,
        samples_per_file=samples_per_file,
        finite=finite,
    )
    texts = {"fields": fields, "samples": samples, "split": split, "shuffle": shuffle, "access": access}
    texts["series"] = series
    run = _run_options(patterns, texts, dtype=dtype, seed=seed)
    report = check_files(patterns, **run, settings=settings, processes=processes, progress=not as_json)
    print_report(report, partial(_show, most=None if show_all else _MOST_FAILURES), as_json=as_json)
    raise typer.Exit(0 if report.has_passed else 1)


def _run_options(patterns: list[str], texts: Mapping[str, str | None], **options: Any) -> dict[str, Any]:
    """The options of a run: those that were given as YAML, and the others."""
    from h5lightning.datamodule.options import DataModuleOptions

    values = {name: parsed_yaml(name, text, _EXAMPLES[name]) for name, text in texts.items()}
    options |= {name: value for name, value in values.items() if value is not None}
    read = DataModuleOptions(**{"files": patterns, **options})
    return {name: getattr(read, name) for name in options}


def _show(console: Terminal, report: CheckReport, most: int | None) -> None:
    from h5lightning.cli.rich_output import print_marked

    console.print(_table(report.results))
    failed = [result for result in report.results if not result.has_passed]
    for result in failed:
        console.print(f"FAILED: {result.name}", style="bold")
        print_marked(console, [("✗", "bold red", failure) for failure in result.failures], most)
    if report.has_passed:
        console.print("All checks passed.", style="bold green")
    else:
        console.print(f"{len(failed)} of {len(report.results)} checks failed.", style="bold red")


def _table(results: Sequence[CheckResult]) -> Table:
    from h5lightning.cli.rich_output import empty_table
    from h5lightning.core.terminal import shown, stacked

    table = empty_table("check", "scope", "result")
    for result in results:
        mark = ("✓", "green") if result.has_passed else (f"✗ {len(result.failures):,}", "bold red")
        notes = [shown((result.note, "dim"))] if result.note else []
        table.add_row(shown(result.name), stacked(shown(result.scope), *notes), shown(mark))
    return table
