"""`h5lightning inspect`: what files hold, whether they can be trained on, and the code to do so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from h5lightning.catalog import SkippedFile
    from h5lightning.inspecting import Inspection

__all__ = ["inspect"]

_MOST_DATASETS = 24
_MOST_TRAPS = 12
_MOST_FILES = 5
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
    from h5lightning.inspecting import inspect_files

    found = inspect_files(patterns, processes=processes)
    if as_json:
        print(json.dumps(found.to_plain(), indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        _show(Console(highlight=False, markup=False), found, show_all=show_all)
    raise typer.Exit(0 if found.is_usable else 1)


def _show(console: Console, found: Inspection, *, show_all: bool) -> None:
    from h5lightning.quantities import bytes_text, counted

    console.print(
        f"{counted(found.files, 'file')}, {bytes_text(found.file_bytes)}, in {found.root}", style="bold"
    )
    for sentence in found.layout:
        console.print(sentence)
    if found.datasets:
        console.print(_datasets(found, None if show_all else _MOST_DATASETS))
    _show_traps(console, found, None if show_all else _MOST_TRAPS)
    most_files = None if show_all else _MOST_FILES
    _show_files(console, "cannot be read", found.bad, most_files)
    _show_files(console, "left out", found.skipped, most_files)
    for grouping in found.groupings:
        examples = ", ".join(grouping.examples) + (", …" if grouping.values > len(grouping.examples) else "")
        line = f"{grouping.values:,} values of the attribute {grouping.attr!r} are shared by files ({examples}). "
        console.print(line + f"To keep such files in one split: Split(keep_together='attr:{grouping.attr}')")
    _show_code(console, found)


def _datasets(found: Inspection, most: int | None) -> Table:
    from rich import box
    from rich.table import Table

    from h5lightning.quantities import bytes_text

    left_out = len(found.datasets) - len(found.datasets[:most])
    caption = f"{left_out:,} more datasets: --all lists them" if left_out else None
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left", header_style="bold"
    )
    table.add_column("dataset", overflow="fold", style="cyan")
    for name in ("type", "shape", "stored as"):
        table.add_column(name, overflow="fold")
    for name in ("bytes", "files"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used as", style="green")
    for dataset in found.datasets[:most]:
        name = dataset.path + (f" ({dataset.datasets:,})" if dataset.datasets > 1 else "")
        used = "–" if dataset.refusal else ", ".join(dataset.keys)
        size, files = bytes_text(dataset.stored_bytes), f"{dataset.files:,}"
        style = "dim" if dataset.refusal else None
        table.add_row(name, dataset.dtype, dataset.shape, dataset.storage, size, files, used, style=style)
    return table


def _show_traps(console: Console, found: Inspection, most: int | None) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found.traps:
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for trap in found.traps[:most]:
        mark, style = _MARKS[trap.severity]
        grid.add_row(Text(mark, style=style), Text(trap.text))
    console.print(grid)
    if left_out := len(found.traps) - len(found.traps[:most]):
        console.print(f"  {left_out:,} more: --all lists them", style="dim")
    console.print()


def _show_files(console: Console, what: str, files: Sequence[SkippedFile], most: int | None) -> None:
    from h5lightning.quantities import counted

    if not files:
        return
    console.print(f"{counted(len(files), 'file')} {what}:", style="bold")
    for file in files[:most]:
        console.print(f"  {file.name}: {file.reason}", soft_wrap=False)
    if left_out := len(files) - len(files[:most]):
        console.print(f"  {left_out:,} more: --all lists them", style="dim")
    console.print()


def _show_code(console: Console, found: Inspection) -> None:
    if found.code is None:
        console.print("Not usable: ", style="bold red", end="")
        console.print(found.reason)
        return
    console.print("Usable.", style="bold green", end=" ")
    console.print(f"By default, train, val and test are divided by {found.split_by}.")
    for title, code in _sections(found):
        console.print()
        console.print(title, style="bold")
        # As it is: what a terminal wraps can be pasted, what we wrap cannot.
        console.print(code, soft_wrap=True)


def _sections(found: Inspection) -> Iterable[tuple[str, str]]:
    code = found.code
    return (
        () if code is None else (("Python", code.python), ("YAML", code.yaml), ("Command line", code.command))
    )
