"""`h5lightning doctor`: finds what will be slow with these files, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from h5lightning.cli.common_options import (
    AsJson,
    BatchSize,
    Fields,
    OrderMode,
    Patterns,
    Processes,
    SamplesText,
    SeriesText,
)
from h5lightning.cli.report_errors import print_report
from h5lightning.cli.yaml_options import data_options

if TYPE_CHECKING:
    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.doctor import Diagnosis, Finding, Fix


__all__ = ["doctor"]

_MARKS = {"slow": ("✗", "bold red"), "faster": ("!", "yellow"), "fine": ("·", "dim")}
_VERDICTS = {"slow": "will be slow", "faster": "could be faster", "fine": "fine"}
_MOST_FILES = 3


def doctor(
    patterns: Patterns,
    fields: Fields = None,
    samples: SamplesText = None,
    series: SeriesText = None,
    shuffle: Annotated[OrderMode, Option(help="The order of training.")] = OrderMode.auto,
    batch_size: BatchSize = 32,
    num_workers: Annotated[int, Option(min=0, help="Worker processes.")] = 0,
    max_open_files: Annotated[int | None, Option(min=1, help="As in access.max_open_files.")] = None,
    processes: Processes = None,
    float32: Annotated[
        bool,
        Option("--float32", help="Store float64 as float32, of 7 digits, when files are rewritten."),
    ] = False,
    no_measure: Annotated[
        bool, Option("--no-measure", help="Do not read values, do not measure times.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what will be slow with these files, measure what it costs, and print a program that writes better files.

    The exit status is 0 if nothing needs fixing, 1 if something does, and 2 if the files or fields cannot be used.
    """
    from h5lightning.options import Access, Shuffle
    from h5lightning.tools.doctor import diagnose_files

    chosen, layout, division = data_options(fields, samples, series)
    diagnosis = diagnose_files(
        patterns,
        chosen,
        samples=layout,
        series=division,
        shuffle=Shuffle(shuffle.value),
        access=Access(max_open_files=max_open_files),
        batch_size=batch_size,
        num_workers=num_workers,
        processes=processes,
        measure=not no_measure,
        float32=float32,
    )
    print_report(diagnosis, _show, as_json=as_json)
    raise typer.Exit(0 if diagnosis.is_healthy else 1)


def _show(console: Terminal, diagnosis: Diagnosis) -> None:
    from h5lightning.core.formatting import counted

    fields = ", ".join(f"{key}: {path}" for key, path in diagnosis.fields.items())
    console.print(f"{counted(diagnosis.files, 'file')} in {diagnosis.root}", style="bold", soft_wrap=True)
    series = f"; series={diagnosis.series}" if diagnosis.series else ""
    samples = f"; samples={diagnosis.samples}" if diagnosis.samples != "Rows()" else ""
    console.print(f"Fields {{{fields}}}, in {diagnosis.mode} order{samples}{series}")
    for finding in diagnosis.findings:
        _show_finding(console, finding)
    console.print()
    if diagnosis.bad:
        names = ", ".join(file.name for file in diagnosis.bad[:_MOST_FILES])
        console.print(f"{counted(len(diagnosis.bad), 'file')} cannot be read: {names}; 'inspect' says why")
    if diagnosis.is_healthy:
        console.print("Nothing here will be slow.", style="bold green")
    elif diagnosis.fix is not None:
        _show_fix(console, diagnosis.fix)
    elif diagnosis.no_fix:
        console.print(f"{diagnosis.no_fix}.")


def _show_finding(console: Terminal, finding: Finding) -> None:
    from rich.table import Table

    from h5lightning.core.formatting import counted
    from h5lightning.core.terminal import shown

    mark, style = _MARKS[finding.severity]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    title = (f"{_VERDICTS[finding.severity]}: {finding.kind}", style)
    grid.add_row(shown((mark, style)), shown(title, (f", in {counted(finding.files, 'file')}", "dim")))
    grid.add_row("", shown(f"{finding.text}."))
    if finding.measured:
        grid.add_row("", shown((f"Measured: {finding.measured}.", "cyan")))
    grid.add_row("", shown(f"→ {finding.advice}."))
    console.print()
    console.print(grid)


def _show_fix(console: Terminal, fix: Fix) -> None:
    console.print("To write the files again, elsewhere", style="bold")
    console.print_code(fix.python)
    if fix.h5repack:
        console.print()
        console.print("Or, with HDF5's own tools (apt install hdf5-tools; conda install hdf5)", style="bold")
        console.print_code(fix.h5repack)
