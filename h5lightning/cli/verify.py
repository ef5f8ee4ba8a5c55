"""`h5lightning verify`: compares all bytes of files with their checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from h5lightning.cli.common_options import AsJson, IndexDir, Patterns
from h5lightning.cli.report_errors import print_report

if TYPE_CHECKING:
    from h5lightning.core.terminal import Terminal
    from h5lightning.storage.checksums.verify_files import Verification

__all__ = ["verify"]


def verify(
    patterns: Patterns,
    index_dir: IndexDir = None,
    threads: Annotated[int | None, Option(min=1, help="Threads that read files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read all bytes of files and compare them with the checksums that `h5lightning index --checksum` stored.

    The exit status is 0 if all files are unchanged, 1 if a file is damaged, rewritten, missing, unreadable or without
    checksums, and 2 if there are no checksums or no files.
    """
    from h5lightning.storage.checksums.verify_files import verify_files

    verification = verify_files(patterns, index_dir=index_dir, threads=threads, progress=not as_json)
    print_report(verification, _show, as_json=as_json)
    raise typer.Exit(1 if verification.bad else 0)


def _show(console: Terminal, verification: Verification) -> None:
    from h5lightning.cli.rich_output import empty_table
    from h5lightning.core.formatting import bytes_text, counted
    from h5lightning.core.terminal import shown

    if verification.bad:
        table = empty_table("file", "state", "what")
        for verdict in verification.bad:
            table.add_row(verdict.name, shown((verdict.state, "bold red")), verdict.reason)
        console.print(table)
    files = counted(len(verification.verdicts), "file")
    read = f"{files} in {verification.root}, {bytes_text(verification.checked_bytes)}"
    if verification.bad:
        console.print(f"{read}: {len(verification.bad):,} failed.", style="bold red", soft_wrap=True)
    else:
        console.print(f"{read}: all bytes are unchanged.", style="bold green", soft_wrap=True)
