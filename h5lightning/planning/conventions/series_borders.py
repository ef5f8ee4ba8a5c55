"""Windows that would cross the borders of series: an error before training starts. Opens no file."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Field, Samples, Windows
from h5lightning.planning.catalog.annotations import SeriesTable
from h5lightning.planning.catalog.catalog import Catalog

__all__ = ["check_series_borders", "evidence_text"]


_WORDS = {
    "ends": "has the ends of series that tile its {rows} rows",
    "offsets": "has the offsets of series that tile its {rows} rows",
    "starts": "has the first rows of series that tile its {rows} rows",
    "lengths": "has the lengths of series that tile its {rows} rows",
    "starts and lengths": "have the first rows and the lengths of series that tile its {rows} rows",
    "starts and ends": "have the first rows and the ends of series that tile its {rows} rows",
    "flags": "says that series begin or end among its {rows} rows",
    "runs": "has runs of equal numbers, one for each series of its {rows} rows",
}


def check_series_borders(
    catalog: Catalog, key: str, field: Field, samples: Samples, files: Int64Array, *, series: str | None
) -> None:
    """Raise if windows of a field would hold rows of two series, such as episodes.

    Args:
        catalog: what the files hold.
        key: the sample key of the field.
        field: the field, which has rows.
        samples: how samples lie in a series.
        files: the files that are used, ascending.
        series: ``file`` where each file is one series, whatever divides its rows.

    Raises:
        UnsupportedFieldError: windows of more than one row, in a file in which something divides the rows.
    """
    is_crossing = isinstance(samples, Windows) and samples.span_rows > 1
    if not is_crossing or series is not None or field.decode == "stored":
        return
    has_series = np.asarray([bool(said.series) for said in catalog.annotations])
    said = catalog.annotations_of(field.path)[files]
    divided = files[(said >= 0) & has_series[said]]
    if not divided.size:
        return
    file = int(divided[0])
    table = catalog.annotations[int(catalog.annotations_of(field.path)[file])].series[0]
    rows = int(catalog.facts_of(field.path)[file, 0])
    alone = f", {field.text(decode='stored')} does so for this field" if field.decode is None else ""
    others = f" (and {counted(divided.size - 1, 'more file')} likewise)" if divided.size > 1 else ""
    raise UnsupportedFieldError(
        f"field {key!r}: '/{field.path}' in {catalog.path(file)} holds several series, such as episodes, one after the "
        f"other: {evidence_text(table, rows)}{others}. {samples!r} would cross their borders, and put the end of "
        "one and the beginning of the next into one sample. Single rows (samples=Rows()) are fine; "
        f"write each series to a file of its own; or accept it: series='file' makes each file one series{alone}"
    )


def evidence_text(table: SeriesTable, rows: int | None = None) -> str:
    """What divides rows, such as ``'/ep_len' has the lengths of series that tile its 400 rows``.

    Args:
        table: what divides them.
        rows: how many there are; None for whatever number.
    """
    paths = " and ".join(f"'/{path}'" for path in table.paths[:2])
    words = _WORDS[table.kind].format(rows="" if rows is None else f"{rows:,}").replace("  ", " ")
    if len(table.paths) > 1:
        words = words.replace("has ", "have ", 1).replace("says ", "say ", 1)
    return f"{paths} {words}"
