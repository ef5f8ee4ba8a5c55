"""Windows that would cross the borders of series: an error before training starts. Opens no file."""

from __future__ import annotations

from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Samples, Series, SingleField, Windows
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.annotations import SeriesTable
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.conventions.error_parts import where

__all__ = ["check_series_borders", "evidence_text", "series_option"]

# The options of `Series` that say what a table of a kind does.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "ends": ("ends",),
    "offsets": ("offsets",),
    "lengths": ("lengths",),
    "starts and lengths": ("starts", "lengths"),
    "starts and ends": ("starts", "stops"),
    "flags": ("flags",),
    "runs": ("runs",),
}
_NUMBERS = {
    "ends": "the ends",
    "offsets": "the offsets",
    "starts": "the first rows",
    "lengths": "the lengths",
    "starts and lengths": "the first rows and the lengths",
    "starts and ends": "the first rows and the ends",
}


def check_series_borders(
    catalog: Catalog,
    key: str,
    field: SingleField,
    samples: Samples,
    files: Int64Array,
    *,
    series: SeriesOption,
) -> None:
    """Raise if windows of a field would hold rows of two series, such as episodes.

    If the user says what a series is, nothing else divides rows; with ``"file"``, each file is one.

    Raises:
        UnsupportedFieldError: windows span several rows, and a file divides its rows into series.
    """
    has_others = field.steps is not None and field.steps != (0, 1)
    is_crossing = isinstance(samples, Windows) and (samples.span_rows > 1 or has_others)
    if not is_crossing or series is not None or field.decode == "stored":
        return
    has_series = np.asarray([bool(annotations.series) for annotations in catalog.annotations])
    annotation_of = catalog.annotations_of(field.path)
    numbers = annotation_of[files]
    divided = files[(numbers >= 0) & has_series[numbers]]
    if not divided.size:
        return
    file = int(divided[0])
    table = catalog.annotations[int(annotation_of[file])].series[0]
    rows = int(catalog.facts_of(field.path)[file, 0])
    alone = f", or {field.text(decode='stored')} for this field alone" if field.decode is None else ""
    raise UnsupportedFieldError(
        f"{where(catalog, file, key, field)} holds several series, such as episodes, one after the other: "
        f"{evidence_text(table, rows)}{catalog.more(divided)}. {samples!r} would cross their borders, so that a sample "
        f"could hold the end of one series and the beginning of the next. {_remedy(table)}; or accept such samples: "
        f"series='file' makes each file one series{alone}"
    )


def series_option(table: SeriesTable) -> Series | None:
    """The option that makes series of what a table says; None if there is none."""
    names = _OPTIONS.get(table.kind)
    if names is None or not table.is_plain:
        return None
    paths = [path.replace("[", "/").removesuffix("]") for path in table.paths]
    if table.kind == "flags":
        return Series(flags=paths)
    options: dict[str, Any] = dict(zip(names, paths, strict=True))
    return Series(**options)


def _remedy(table: SeriesTable) -> str:
    option = series_option(table)
    if option is None:
        return "Use single rows (samples=Rows()); or write each series to its own file"
    return f"series={option.text()} keeps windows inside of them. Or use single rows (samples=Rows())"


def evidence_text(table: SeriesTable, rows: int | None = None) -> str:
    """What divides rows, such as ``'/ep_len' has the lengths of series that tile its 400 rows``."""
    paths = " and ".join(f"'/{path}'" for path in table.paths[:2])
    is_plural = len(table.paths) > 1
    has, count = "have" if is_plural else "has", "" if rows is None else f"{rows:,} "
    if table.kind == "flags":
        return f"{paths} {'say' if is_plural else 'says'} that series begin or end among its {count}rows"
    if table.kind == "runs":
        return f"{paths} {has} runs of equal numbers, one for each series of its {count}rows"
    return f"{paths} {has} {_NUMBERS[table.kind]} of series that tile its {count}rows"
