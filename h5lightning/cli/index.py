"""`h5lightning index`: scan files before a job needs them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from h5lightning.cli.field_option import parsed_fields

__all__ = ["index"]


def index(
    patterns: Annotated[list[str], typer.Argument(help="Globs of HDF5 files; '!…' leaves files out.")],
    fields: Annotated[
        str | None, typer.Option(help="As for train: '{x: images, y: labels}'. Without: all datasets.")
    ] = None,
    index_dir: Annotated[str | None, typer.Option(help="Where the index is kept.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Scanning processes.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Scan files and keep what they hold, so that a training job starts at once. Only new files are opened.

    Give the fields of the job: an index holds what was asked for.
    """
    from h5lightning.options import Access

    access = Access(on_bad_file="skip" if skip_bad else "raise")
    found = _scan(patterns, parsed_fields(fields), access=access, index_dir=index_dir, processes=processes)
    print(json.dumps(found, indent=2) if as_json else _in_words(found))


def _scan(patterns: list[str], fields: Any, **options: Any) -> dict[str, Any]:
    from h5lightning.coercion import coerce_fields
    from h5lightning.index_store import IndexStore
    from h5lightning.options import Rows
    from h5lightning.surveying import survey

    found = survey(patterns, coerce_fields(fields), Rows(), **options)
    catalog = found.catalog
    return {
        "root": catalog.root,
        "files": len(catalog),
        "scanned": found.scanned,
        "bytes": int(catalog.stamps[:, 0].sum()),
        "rows": len(found.index),
        "extents": {
            "datasets": catalog.extents.known,
            "chunks": catalog.extents.chunks,
            "bytes": catalog.extents.nbytes,
        },
        "skipped": [{"file": skipped.name, "reason": skipped.reason} for skipped in catalog.skipped],
        "index_dir": IndexStore(options["index_dir"]).directory,
    }


def _in_words(found: dict[str, Any]) -> str:
    from rich.filesize import decimal

    known, extents = found["files"] - found["scanned"], found["extents"]
    lines = [
        f"{found['files']:,} files under {found['root']}: {found['scanned']:,} scanned, {known:,} known",
        f"{found['rows']:,} rows, {decimal(found['bytes'])}",
        f"{extents['chunks']:,} chunks of {extents['datasets']:,} datasets, in a map of {decimal(extents['bytes'])}",
        *(f"left out {skipped['file']}: {skipped['reason']}" for skipped in found["skipped"]),
        f"index in {found['index_dir']}",
    ]
    return "\n".join(lines)
