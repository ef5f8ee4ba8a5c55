"""`h5lightning verify`: are all bytes of these files what they were?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from h5lightning.cli.report_errors import print_json

if TYPE_CHECKING:
    from h5lightning.storage.checksums.verify_files import Verification

__all__ = ["verify"]


def verify(
    patterns: Annotated[list[str], typer.Argument(help="Globs of HDF5 files; '!…' leaves files out.")],
    index_dir: Annotated[str | None, typer.Option(help="Where the checksums are kept.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that read.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read all bytes of files and compare them with the checksums that `h5lightning index --checksum` made.

    Exit code 0 if all are as they were, 1 if one is damaged, was rewritten, is gone, cannot be read or has no
    checksums, 2 if there are no checksums or files at all.
    """
    from h5lightning.storage.checksums.verify_files import verify_files

    found = verify_files(patterns, index_dir=index_dir, threads=threads, progress=not as_json)
    if as_json:
        print_json(found.to_plain())
    else:
        _show(found)
    raise typer.Exit(1 if found.bad else 0)


def _show(found: Verification) -> None:
    from rich import box
    from rich.filesize import decimal
    from rich.table import Table

    from h5lightning.core.formatting import counted
    from h5lightning.core.terminal import Terminal, shown

    console = Terminal()
    if found.bad:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name in ("file", "state", "what"):
            table.add_column(name, overflow="fold")
        for one in found.bad:
            table.add_row(one.name, shown((one.state, "bold red")), one.reason)
        console.print(table)
    read = f"{counted(len(found.verdicts), 'file')} in {found.root}, {decimal(found.checked_bytes)}"
    if found.bad:
        console.print(f"{read}: {len(found.bad):,} not as they were.", style="bold red", soft_wrap=True)
    else:
        console.print(f"{read}: all bytes are as they were.", style="bold green", soft_wrap=True)
