"""`h5lightning inspect`: shows what files hold, whether they can be trained on, and the code to do so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import typer

from h5lightning.cli.common_options import AsJson, Patterns, Processes, ShowAll
from h5lightning.cli.report_errors import print_report
from h5lightning.core.visible import visible

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.planning.catalog.catalog import SkippedFile
    from h5lightning.tools.inspect import DatasetReport, Inspection


__all__ = ["inspect"]

_MOST_DATASETS = 24
_MOST_TRAPS = 12
_MOST_FILES = 3
_MARKS = {"problem": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}


def inspect(
    patterns: Patterns,
    processes: Processes = None,
    as_json: AsJson = False,
    show_all: ShowAll = False,
) -> None:
    """Show what files hold, possible problems, and code to train on them.

    The exit status is 0 if a DataModule can use the files, 1 if it cannot, and 2 if no file matches.
    """
    from h5lightning.tools.inspect import inspect_files

    inspection = inspect_files(patterns, processes=processes)
    print_report(inspection, partial(_show, show_all=show_all), as_json=as_json)
    raise typer.Exit(0 if inspection.is_usable else 1)


def _show(console: Terminal, inspection: Inspection, *, show_all: bool) -> None:
    from h5lightning.cli.rich_output import print_marked
    from h5lightning.core.formatting import bytes_text, counted

    size = bytes_text(inspection.file_bytes)
    console.print(
        f"{counted(inspection.files, 'file')}, {size}, in {inspection.root}", style="bold", soft_wrap=True
    )
    for sentence in inspection.layout:
        console.print(sentence)
    if inspection.datasets:
        console.print(_datasets(inspection, None if show_all else _MOST_DATASETS))
    marked = [(*_MARKS[trap.severity], trap.text) for trap in inspection.traps]
    print_marked(console, marked, None if show_all else _MOST_TRAPS)
    for what, files in (("cannot be read", inspection.bad), ("left out", inspection.skipped)):
        if files:
            console.print(f"{counted(len(files), 'file')} {what}", style="bold")
            reasons = [("✗", "bold red", _reason(file)) for file in files]
            print_marked(console, reasons, None if show_all else _MOST_FILES)
    _show_verdict(console, inspection)


def _datasets(inspection: Inspection, most: int | None) -> Table:
    from h5lightning.cli.rich_output import empty_table

    listed = inspection.datasets[:most]
    hidden = len(inspection.datasets) - len(listed)
    table = empty_table("dataset", "type", "shape", "stored as", "read by", style="cyan")
    table.caption = f"{hidden:,} more: --all lists them" if hidden else None
    # Left out where each line would say the same.
    differs = any(dataset.files != inspection.files for dataset in inspection.datasets)
    for name in ("bytes", *(["files"] if differs else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used as", style="green")
    for dataset in listed:
        table.add_row(*_cells(dataset, with_files=differs), style="dim" if dataset.refusal else None)
    return table


def _cells(dataset: DatasetReport, *, with_files: bool) -> Iterator[str]:
    from h5lightning.core.formatting import bytes_text

    yield dataset.path + (f" ({dataset.datasets:,})" if dataset.datasets > 1 else "")
    readers = ", ".join(dict.fromkeys(reading.reader for reading in dataset.read_by))
    yield from (dataset.dtype, dataset.shape, dataset.storage, readers or "–")
    yield bytes_text(dataset.stored_bytes)
    if with_files:
        yield f"{dataset.files:,}"
    yield "–" if dataset.refusal else ", ".join(dataset.keys)


def _reason(file: SkippedFile) -> str:
    """The reason, with the name of the file."""
    return file.reason if visible(file.name) in file.reason else f"{file.name} {file.reason}"


def _show_verdict(console: Terminal, inspection: Inspection) -> None:
    from h5lightning.cli.rich_output import print_marked
    from h5lightning.core.terminal import shown

    if not inspection.is_usable:
        console.print(shown(("Not usable: ", "bold red"), inspection.reason))
        return
    console.print(shown(("Usable", "bold green"), _conditions(inspection)))
    for title, code in _codes(inspection):
        console.print()
        console.print(title, style="bold")
        console.print_code(code)
    if inspection.hints:
        console.print()
        print_marked(console, [("→", "cyan", hint) for hint in inspection.hints])


def _codes(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """Titles and code. The models of the command line need single rows, or whole files, of ``x`` and ``y``."""
    call, code = inspection.call, inspection.code
    if call is not None:
        yield f"Python, for {call.layout}", call.python
        yield "YAML, for any Hydra application", call.yaml
    elif code is not None:
        yield "Python", code.python
        yield "YAML, for any Hydra application", code.yaml
    if code is not None:
        yield (
            "Command line" if call is None else "Command line, for a first look at x and y alone",
            code.command,
        )


def _conditions(inspection: Inspection) -> str:
    from h5lightning.core.formatting import counted

    without = len(inspection.left_out) + len(inspection.bad)
    condition = f" without {counted(without, 'file')}" if without else ""
    split = (
        f"split by {inspection.split_by}"
        if inspection.split_by
        else "all for training, since there is too little to split"
    )
    return f"{condition}, {split}."
