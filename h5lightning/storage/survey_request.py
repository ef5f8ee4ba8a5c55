"""What a survey looks for in files: the datasets and attributes of the fields, and what divides their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from h5lightning.options import Access, Field, Series, Table, single_fields
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.row_values import values_name
from h5lightning.planning.series.join_files import coordinate_path
from h5lightning.planning.series.names import matched_paths
from h5lightning.storage.scanning import ScanRequest

__all__ = ["scan_request", "with_fields"]


def scan_request(
    fields: Mapping[str, Field] | None,
    label: str | None,
    grouped: str | None,
    access: Access,
    series: SeriesOption,
    *,
    labels: bool,
) -> ScanRequest:
    """The request of a survey.

    Args:
        fields: sample key → `Field`; None for all datasets.
        label: the attribute that keeps series together, ``@name``; None for none.
        grouped: the dataset whose values keep rows together, as `values_name` writes it; None for none.
        access: which other files and datasets the scan may or must look at.
        series: what a series is.
        labels: whether to look for labels of columns.

    Raises:
        OptionError: fields and ``series`` do not go together.
    """
    request = ScanRequest(
        paths=None,
        attrs=() if label is None else (label,),
        allow_external=access.allow_external,
        same=tuple(access.same),
        labels=labels,
        series=series.tables if isinstance(series, Series) else (),
        coordinate=coordinate_path(series, has_matches=bool(matched_paths(fields or {}))),
        row_values=() if grouped is None else (grouped,),
    )
    if fields is None:
        return request
    parts, matched = [field for _, field in single_fields(fields)], matched_paths(fields)
    paths = dict.fromkeys(field.path for field in parts if field.attr is None)
    attrs = dict.fromkeys(f"{field.path}@{field.attr}" for field in parts if field.attr is not None)
    constants = dict.fromkeys(field.path for field in parts if field.constant and field.index is None)
    indexes = dict.fromkeys(field.index for field in parts if field.index is not None)
    coded = [field for field in parts if field.categories is not None and field.attr is None]
    values = dict.fromkeys(
        values_name(field.path, field.member) for field in coded if field.categories is True
    )
    texts = dict.fromkeys(values_name(field.path, field.member) for field in coded if _lists_values(field))
    return replace(
        request,
        paths=tuple(paths),
        attrs=(*attrs, *request.attrs),
        constants=tuple(constants),
        indexes=tuple(indexes),
        row_lists=tuple(values),
        row_texts=tuple(texts),
        matched=matched,
        labels=request.labels or bool(matched),
    )


def with_fields(request: ScanRequest, fields: Mapping[str, Field], table: Table | None) -> ScanRequest:
    """The request, with what further fields need that are no part of a batch, and the rows that a table matches."""
    keys = () if table is None or table.key_path is None else (table.key_path,)
    parts = [field for _, field in single_fields(fields)]
    paths = [field.path for field in parts if field.attr is None]
    attrs = [f"{field.path}@{field.attr}" for field in parts if field.attr is not None]
    texts = [
        values_name(field.path, field.member)
        for field in parts
        if field.attr is None and _lists_values(field)
    ]
    return replace(
        request,
        paths=None if request.paths is None else tuple(dict.fromkeys([*request.paths, *paths])),
        attrs=tuple(dict.fromkeys([*request.attrs, *attrs])),
        row_values=tuple(dict.fromkeys([*request.row_values, *keys])),
        row_texts=tuple(dict.fromkeys([*request.row_texts, *texts])),
    )


def _lists_values(field: Field) -> bool:
    """Whether its categories are a list: numbers of a dataset are then known without reading rows, others are not."""
    return isinstance(field.categories, tuple)
