"""Tables and lists that several commands print. Import it when a command runs: it imports rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from h5lightning.core.terminal import Terminal, shown

__all__ = ["empty_table", "print_marked"]


def empty_table(*columns: str, style: str = "") -> Table:
    """A table with a line below its header, and columns whose texts may wrap; the style is of the first column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", style=style if number == 0 else "")
    return table


def print_marked(console: Terminal, marked: Sequence[tuple[str, str, str]], most: int | None = None) -> None:
    """Print paragraphs behind marks: (mark, its style, paragraph); the first ``most``, then how many are left out."""
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
