"""Survey the data: discover and scan the files, plan the fields, count the samples.

`H5Dataset` and `H5DataModule` both turn the user's arguments into an index here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from h5lightning.errors import MissingFieldError
from h5lightning.options import Access, Field, Table
from h5lightning.options.coerce import SeriesOption
from h5lightning.options.samples import SamplesOption, StageSamples
from h5lightning.options.where import Where
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.group_columns import with_group_columns
from h5lightning.planning.catalog.roles import predict_and_labelled, predict_files
from h5lightning.planning.catalog.schema import untyped
from h5lightning.planning.row_conditions import RowConditions, condition_fields, without_hidden
from h5lightning.planning.sections import Sections
from h5lightning.planning.series.axes import with_axes, with_positive_axes
from h5lightning.planning.series.join_files import join_files
from h5lightning.planning.series.leading_axis import with_leading_series
from h5lightning.planning.series.make_index import make_index
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.tables.matched_table import MatchedTable
from h5lightning.storage.checksums.verify_files import load_checksums
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.discovery import discover
from h5lightning.storage.given_series import read_given
from h5lightning.storage.indexing.build_catalog import build_catalog, leave_out
from h5lightning.storage.planned_stages import PlanOptions, as_planned, plan_stages
from h5lightning.storage.scanning.looking_again import unmatched_files
from h5lightning.storage.survey_request import scan_request, with_fields
from h5lightning.storage.survey_table import read_survey_table
from h5lightning.storage.usable_files import roles_in, without_damaged, without_nonconforming

__all__ = ["Files", "survey"]

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def survey(
    files: Files | Mapping[str, Files],
    fields: Mapping[str, Field] | None,
    samples: SamplesOption,
    *,
    access: Access,
    dtype: str | None = None,
    series: SeriesOption = None,
    table: Table | None = None,
    keep_together: str | None = None,
    given: Mapping[str, str] | str | None = None,
    where: Where | None = None,
    index_dir: str | None = None,
    processes: int | None = None,
) -> DataSurvey:
    """Discover, scan and plan.

    Args:
        files: patterns, or patterns for each split.
        fields: sample key → `Field`; None for all eligible datasets.
        samples: how samples lie in a series, in all stages or in each.
        access: how files are opened and trusted.
        dtype: the type in which floating fields are delivered.
        series: what a series is; ``file`` to treat each file as one, even if its attributes divide its rows.
        table: the table beside the files.
        keep_together: ``attr:NAME`` of the attribute that keeps files together, ``field:PATH`` of the dataset that
            keeps rows together, or ``table:COLUMN``; other values are ignored here.
        given: split → path of the dataset that lists its series, or ``table:COLUMN``.
        where: key of a field, or path → which rows count.
        index_dir: directory of the index; None for the user's cache directory.
        processes: scanning processes; None for one on each core.

    Raises:
        H5LightningError: the files or the arguments cannot be used.
    """
    discovered, layouts = discover(files), StageSamples.all_of(samples)
    hidden = condition_fields(where, fields, layouts)
    said = fields and {**fields, **hidden}
    beside = read_survey_table(table, said, series, given=given, keep_together=keep_together)
    fields = said and with_axes(said, layouts.train, series)
    label = _group_attribute(keep_together or "")
    grouped = _grouped_by_row(keep_together or "")
    request = scan_request(fields, label, grouped, access, series, labels=len(discovered) > 1)
    request = with_fields(request, with_axes(hidden, layouts.train, series), table)
    build = build_catalog(discovered, request, access=access, index_dir=index_dir, processes=processes)
    catalog = with_group_columns(build.catalog, request.kept_values)
    checksums = None
    fields = fields and with_positive_axes(fields, catalog)
    if access.verify:
        checksums = load_checksums(discovered, catalog, files, index_dir)
        catalog = without_damaged(discovered, catalog, checksums, access, threads=processes)
    unmatched = unmatched_files(catalog, request.matched, allow_external=access.allow_external)
    catalog = leave_out(catalog, unmatched, len(discovered), access, error=MissingFieldError)
    catalog = without_nonconforming(discovered, catalog, fields, access, dtype, series)
    roles = roles_in(discovered, catalog)
    of_files = None if beside is None else beside.of_files(catalog, predict_files(roles))
    if of_files is not None:
        catalog, roles = of_files.catalog, roles_in(discovered, of_files.catalog)
        series = of_files.series_option(series)
    how = PlanOptions(access, dtype, series, checksums, checks_rows=not where)
    planned, predicted = plan_stages(catalog, said, layouts, roles, how)
    if said is None and hidden:
        said = as_planned(planned["train"]) | hidden
        planned, predicted = plan_stages(catalog, said, layouts, roles, how)
    rows = planned["train"].rows if predicted is None else np.maximum(planned["train"].rows, predicted.rows)
    named = fields or with_axes(as_planned(planned["train"]), layouts.train, series)
    catalog = with_leading_series(catalog, named)
    predict = predict_and_labelled(roles, catalog)[0]
    joined = join_files(catalog, rows, roles, series)
    index = make_index(catalog, rows, layouts.train)
    if joined is not None:
        index = replace(index, runs=joined[0])
    lines = None if of_files is None else of_files.matched(index, catalog, rows, predict_files(roles))
    if lines is not None:
        index = lines.index
        planned, predicted = lines.planned(planned, predicted, layouts, dtype)
    conditions = where and RowConditions.of(where, planned["train"], predicted, predict)
    planned, predicted = without_hidden(hidden, planned, predicted)
    sections = Sections.of(index, layouts, planned, predicted, predict)
    divided = None if lines is None else lines.given()
    if isinstance(given, Mapping):
        train = np.arange(len(catalog)) if roles is None else roles.get("train", np.zeros(0, np.int64))
        divided = read_given(given, sections["train"].index, np.sort(train), access, processes)
    return DataSurvey(
        catalog=catalog,
        sections=sections,
        predict_fields=predicted,
        roles=roles,
        labels=_labels(catalog, label, grouped, lines),
        scanned=build.scanned,
        checksums=checksums,
        given=divided,
        joined=None if joined is None else joined[1],
        conditions=conditions or None,
        table_remarks=() if lines is None else lines.remarks,
        has_line_series=of_files is not None and of_files.parts is not None,
        rows_without_line=None if lines is None else lines.rows_without_line(),
    )


def _group_attribute(keep_together: str) -> str | None:
    kind, _, name = keep_together.partition(":")
    return f"@{name}" if kind == "attr" else None


def _grouped_by_row(keep_together: str) -> str | None:
    kind, _, name = keep_together.partition(":")
    return name.strip("/") if kind == "field" else None


def _labels(
    catalog: Catalog, label: str | None, grouped: str | None, table: MatchedTable | None
) -> Labels | None:
    """The value of an attribute for each unit, those of a dataset for rows, or of a column of the table."""
    if grouped is not None:
        return catalog.row_values.get(grouped)
    if label is None:
        return None if table is None else table.labels()
    attrs, number_of = catalog.distinct_attrs
    values = [untyped(each.get(label)) for each in attrs]
    texts = [None if value is None else str(value) for value in values]
    return tuple([texts[number] for number in number_of.tolist()])
