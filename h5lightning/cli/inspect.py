"""`h5lightning inspect`: what files hold, whether they can be trained on, and the code to do so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from h5lightning.cli.report_errors import print_json
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
    patterns: Annotated[list[str], typer.Argument(help="Globs of HDF5 files; '!…' leaves files out.")],
    processes: Annotated[int | None, typer.Option(min=1, help="Scanning processes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="List all datasets, traps and bad files.")] = False,
) -> None:
    """Show what files hold, what to beware of, and code to train on them.

    Exit code 0 if a DataModule can use the files, 1 if it cannot, 2 if there are no such files.
    """
    from h5lightning.tools.inspect import inspect_files

    found = inspect_files(patterns, processes=processes)
    if as_json:
        print_json(found.to_plain())
    else:
        from h5lightning.core.terminal import Terminal

        _show(Terminal(), found, show_all=show_all)
    raise typer.Exit(0 if found.is_usable else 1)


def _show(console: Terminal, found: Inspection, *, show_all: bool) -> None:
    from h5lightning.core.formatting import bytes_text, counted

    size = bytes_text(found.file_bytes)
    console.print(f"{counted(found.files, 'file')}, {size}, in {found.root}", style="bold", soft_wrap=True)
    for sentence in found.layout:
        console.print(sentence)
    if found.datasets:
        console.print(_datasets(found, None if show_all else _MOST_DATASETS))
    marked = [(*_MARKS[trap.severity], trap.text) for trap in found.traps]
    _show_list(console, marked, None if show_all else _MOST_TRAPS)
    for what, files in (("cannot be read", found.bad), ("left out", found.skipped)):
        if files:
            console.print(f"{counted(len(files), 'file')} {what}", style="bold")
            reasons = [("✗", "bold red", _reason(file)) for file in files]
            _show_list(console, reasons, None if show_all else _MOST_FILES)
    _show_verdict(console, found)


def _datasets(found: Inspection, most: int | None) -> Table:
    from rich import box
    from rich.table import Table

    listed = found.datasets[:most]
    hidden = len(found.datasets) - len(listed)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption_justify="left")
    table.caption = f"{hidden:,} more: --all lists them" if hidden else None
    names = ("dataset", "type", "shape", "stored as", "read by")
    for name, style in zip(names, ("cyan", *[""] * 4), strict=True):
        table.add_column(name, overflow="fold", style=style)
    # A column that says the same in each line says nothing.
    differs = any(dataset.files != found.files for dataset in found.datasets)
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


def _show_list(console: Terminal, marked: Sequence[tuple[str, str, str]], most: int | None) -> None:
    """Paragraphs behind marks, each with its style."""
    from rich.table import Table

    from h5lightning.core.terminal import shown

    if not marked:
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for mark, style, text in marked[:most]:
        grid.add_row(shown((mark, style)), shown(text))
    if hidden := len(marked) - len(marked[:most]):
        grid.add_row("", shown((f"{hidden:,} more: --all lists them", "dim")))
    console.print(grid)
    console.print()


def _reason(file: SkippedFile) -> str:
    """The reason, which names the file."""
    return file.reason if visible(file.name) in file.reason else f"{file.name} {file.reason}"


def _show_verdict(console: Terminal, found: Inspection) -> None:
    from h5lightning.core.terminal import shown

    if found.code is None:
        console.print(shown(("Not usable: ", "bold red"), found.reason))
        return
    console.print(shown(("Usable", "bold green"), _conditions(found)))
    for title, code in (
        ("Python", found.code.python),
        ("YAML, for any Hydra application", found.code.yaml),
        ("Command line", found.code.command),
    ):
        console.print()
        console.print(title, style="bold")
        console.print_code(code)
    if found.hints:
        console.print()
        _show_list(console, [("→", "cyan", hint) for hint in found.hints], None)


def _conditions(found: Inspection) -> str:
    from h5lightning.core.formatting import counted

    without = len(found.left_out) + len(found.bad)
    words = f" without {counted(without, 'file')}" if without else ""
    split = (
        f"split by {found.split_by}"
        if found.split_by
        else "all for training, since there is too little to split"
    )
    return f"{words}, {split}."
