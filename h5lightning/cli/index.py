"""`h5lightning index`: scans files before a training job needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from h5lightning.cli.common_options import AsJson, IndexDir, Patterns, Processes, SeriesText
from h5lightning.cli.report_errors import print_json, print_lines
from h5lightning.cli.yaml_options import parsed_fields, parsed_yaml

if TYPE_CHECKING:
    from h5lightning.options import Access
    from h5lightning.planning.catalog.catalog import Catalog

__all__ = ["index"]


def index(
    patterns: Patterns,
    fields: Annotated[
        str | None, Option(help="As for train: '{x: images, y: labels}'. By default, all datasets.")
    ] = None,
    series: SeriesText = None,
    index_dir: IndexDir = None,
    processes: Processes = None,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Leave out files that cannot be read.")] = False,
    checksum: Annotated[
        bool, Option("--checksum", help="Read all files, and store checksums for access.verify.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Scan files and store their structure, so that a training job starts at once. Only new files are opened.

    Give the fields of the job: the index holds only those. Checksums cover whole files, whatever the fields; they
    stay valid until the size or the time of modification of a file changes.
    """
    from h5lightning.options import Access

    access = Access(on_bad_file="skip", max_bad_fraction=1) if skip_bad else Access()
    where = {"index_dir": index_dir, "processes": processes}
    division = parsed_yaml("series", series, "{axis: 0}")
    result = _scan(patterns, parsed_fields(fields), division, checksum=checksum, access=access, **where)
    if as_json:
        print_json(result)
    else:
        print_lines(_lines(result))


def _scan(
    patterns: list[str], fields: Any, series: Any, *, checksum: bool, access: Access, **where: Any
) -> dict[str, Any]:
    from h5lightning.storage.indexing.catalog_store import CatalogStore

    # Checksums need no fields, so that the datasets may differ in length.
    is_chosen = fields is not None or series is not None or not checksum
    where_from = {"access": access, **where}
    scan = _survey(patterns, fields, series, **where_from) if is_chosen else _catalog(patterns, **where_from)
    catalog, scanned, rows = scan
    return {
        "root": catalog.root,
        "files": len(catalog),
        "scanned": scanned,
        "bytes": int(catalog.stamps[:, 0].sum()),
        "rows": rows,
        "extents": {
            "datasets": catalog.extents.known,
            "chunks": catalog.extents.chunks,
            "bytes": catalog.extents.nbytes,
        },
        "skipped": [{"file": skipped.name, "reason": skipped.reason} for skipped in catalog.skipped],
        "index_dir": CatalogStore(where["index_dir"]).directory,
        "checksums": _checksums(catalog, **where) if checksum else None,
    }


def _survey(
    patterns: list[str], fields: Any, series: Any, access: Access, **where: Any
) -> tuple[Catalog, int, int | None]:
    """The catalog, how many files were scanned, and how many rows there are."""
    from h5lightning.options.coerce import coerce_fields, coerce_series
    from h5lightning.storage.survey import survey
    from h5lightning.tools.overview.field_lookup import samples_for

    division = coerce_series(series)
    samples = samples_for(None, division)
    surveyed = survey(patterns, coerce_fields(fields), samples, access=access, series=division, **where)
    return surveyed.catalog, surveyed.scanned, len(surveyed.index)


def _catalog(patterns: list[str], access: Access, **where: Any) -> tuple[Catalog, int, int | None]:
    """The same for all datasets, which may differ in length: without a number of rows."""
    from h5lightning.storage.discovery import discover
    from h5lightning.storage.indexing.build_catalog import build_catalog
    from h5lightning.storage.scanning import ScanRequest

    files = discover(patterns)
    built = build_catalog(files, ScanRequest(None, labels=len(files) > 1), access=access, **where)
    return built.catalog, built.scanned, None


def _checksums(catalog: Catalog, **where: Any) -> dict[str, int]:
    from h5lightning.storage.checksums.make_checksums import make_checksums

    made = make_checksums(catalog, **where)
    return {"files": len(made.table), "made": made.hashed, "blocks": len(made.table.hashes)}


def _lines(result: dict[str, Any]) -> list[str]:
    from h5lightning.core.formatting import bytes_text, counted

    files, scanned, extents = result["files"], result["scanned"], result["extents"]
    rows = "" if result["rows"] is None else f"{result['rows']:,} rows, "
    return [
        f"{counted(files, 'file')} in {result['root']}: {scanned:,} scanned, {files - scanned:,} unchanged",
        f"{rows}{bytes_text(result['bytes'])}",
        f"{extents['chunks']:,} chunks of {extents['datasets']:,} datasets, in a map of {bytes_text(extents['bytes'])}",
        *(f"left out {skipped['file']}: {skipped['reason']}" for skipped in result["skipped"]),
        *([] if result["checksums"] is None else [_checksums_line(result["checksums"])]),
        f"index in {result['index_dir']}",
    ]


def _checksums_line(checksums: dict[str, int]) -> str:
    files, made = checksums["files"], checksums["made"]
    return f"checksums of {files:,} files: {made:,} made, {files - made:,} known"
