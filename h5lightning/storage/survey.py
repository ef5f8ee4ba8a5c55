"""Survey the data: discover and scan the files, plan the fields, count the samples.

`H5Dataset` and `H5DataModule` both turn the user's arguments into an index here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen
from h5lightning.errors import ChecksumError, MissingFieldError, SchemaError
from h5lightning.options import Access, Field, Table, Whole
from h5lightning.options.coerce import SeriesOption
from h5lightning.options.samples import Samples, SamplesOption, StageSamples
from h5lightning.options.where import Where
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.catalog.group_columns import with_group_columns
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.schema import untyped
from h5lightning.planning.conventions.column_labels import check_labels, find_other_labels
from h5lightning.planning.conventions.same_values import check_same, find_others
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.nonconforming_files import find_nonconforming
from h5lightning.planning.predicted_fields import present_fields
from h5lightning.planning.row_conditions import RowConditions, condition_fields, without_hidden
from h5lightning.planning.sampling import RowLayout
from h5lightning.planning.sampling.chunk_needs import ChunkLayout
from h5lightning.planning.sampling.chunk_rows import box_chunks, chunk_rows, rows_beside, rows_of_chunk
from h5lightning.planning.sampling.decoded_chunks import DecodedChunks
from h5lightning.planning.sections import Section, Sections, fields_of_stages
from h5lightning.planning.series.axes import with_axes, with_positive_axes
from h5lightning.planning.series.join_files import join_files
from h5lightning.planning.series.joined_files import JoinedFiles
from h5lightning.planning.series.leading_axis import with_leading_series
from h5lightning.planning.series.make_index import make_index
from h5lightning.planning.series.row_index import with_known_ends
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.tables.matched_table import MatchedTable
from h5lightning.planning.values.categories import Categories
from h5lightning.storage.checksums.verify_files import load_checksums, verify_before_a_run
from h5lightning.storage.discovery import Discovered, discover
from h5lightning.storage.first_bytes import first_bytes_in
from h5lightning.storage.given_series import read_given
from h5lightning.storage.indexing.build_catalog import build_catalog, leave_out
from h5lightning.storage.scanning.looking_again import (
    attrs_in,
    differences_between,
    names_in,
    unmatched_files,
)
from h5lightning.storage.survey_request import scan_request, with_fields
from h5lightning.storage.survey_table import read_survey_table

__all__ = ["DataSurvey", "Files", "survey"]

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey(Frozen):
    """All that is known before a split is made: plain arrays, cheap to send to other ranks.

    Args:
        catalog: the contents of the files.
        sections: the samples of each stage, and the fields of a batch.
        predict_fields: the fields of a batch of ``files.predict``, which may lack some; None without such files.
        roles: positions of the files of each split, from a mapping of splits; None without a mapping.
        labels: the attribute that keeps units together, for each unit of the catalog, None for one that lacks it. A
            unit is a file, or each match of the ``*``. Of a column of the table, its value for each series. Or the
            values that keep rows together. None if neither was requested.
        scanned: number of files that were opened; the others were taken from the index.
        joined: which files go on where others end; None if the user joins none.
        checksums: verify the bytes of the files; None without ``access.verify``.
        given: the split of each series as the files list it, or a column of the table, with ``split.given``; or the
            names of those of all rows.
        conditions: what leaves rows out, with ``where``.
        table_remarks: sentences for the user about lines of the table that match nothing, and series without a line.
        has_line_series: whether lines of the table are series.
        rows_without_line: the rows that the table leaves out, numbered over the rows of all series; None for none.
    """

    catalog: Catalog
    sections: Sections
    predict_fields: Fields | None
    roles: dict[str, Int64Array] | None
    labels: Labels | None
    scanned: int
    checksums: ChecksumTable | None = None
    joined: JoinedFiles | None = None
    given: GivenSeries | RowValues | None = None
    conditions: RowConditions | None = None
    table_remarks: tuple[str, ...] = ()
    has_line_series: bool = False
    rows_without_line: Bits | None = None

    @property
    def index(self) -> SampleIndex:
        """The samples of training; in each other section, samples of the same files and series."""
        return self.sections["train"].index

    @property
    def fields(self) -> Fields:
        """The fields of a batch of training."""
        return self.sections["train"].fields

    @property
    def scanned_files(self) -> ScannedFiles:
        """The state of the files when they were scanned, for readers to compare."""
        return ScannedFiles(self.catalog, self.checksums)

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> DataSurvey:
        """The same with other categories of fields, such as those of a training; see `Fields.with_classes`."""
        predicted = self.predict_fields and self.predict_fields.with_classes(classes)
        return replace(self, sections=self.sections.with_classes(classes), predict_fields=predicted)

    def row_layout(self) -> RowLayout:
        """The rows that must be decoded together, in the field with most bytes."""
        rows = tuple(plan for plan in self.fields.row_fields if plan.kept is None)
        in_unit = (plan for plan in rows if plan.row_numbers.is_in_unit)
        largest = max(in_unit, key=lambda plan: plan.row_bytes, default=None)
        row_bytes = max(1, sum(plan.row_bytes for plan in rows))
        if largest is None:  # all fields have rows of an index, or in memory
            return RowLayout(np.ones(self.catalog.unit_count, np.int64), row_bytes)
        chunks = chunk_rows(self.catalog, largest, rows_beside)
        return RowLayout(chunks, row_bytes, box_chunks(self.catalog, rows))

    def decoded_chunks(self) -> DecodedChunks:
        """The chunks that training decodes."""
        row_bytes = self.row_layout().row_bytes
        layouts = self.chunk_layouts(self.sections["train"])
        return DecodedChunks(layouts, self.index.rows_of_units, row_bytes)

    def chunk_layouts(self, section: Section) -> tuple[ChunkLayout, ...]:
        """How chunks are decoded, for each column of the fields of a section that has chunks of several rows."""
        samples = section.index.samples
        if isinstance(samples, Whole):
            return ()  # samples share no chunks
        by_column: dict[tuple[str, str | None], ChunkLayout] = {}
        for plan in section.fields.row_fields:
            if not plan.row_numbers.is_in_unit or isinstance(plan, BoxField) or plan.kept is not None:
                continue  # it has few rows, which all series share; its chunks are decoded one by one; or none is read
            layout = ChunkLayout(chunk_rows(self.catalog, plan, rows_of_chunk), plan.row_bytes, plan.span)
            if (layout.chunk_rows > 1).any():
                known = by_column.get((plan.path, plan.member), layout)
                by_column[plan.path, plan.member] = layout.joined(known)
        return tuple(by_column.values())


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
        catalog = _without_damaged(discovered, catalog, checksums, access, threads=processes)
    unmatched = unmatched_files(catalog, request.matched, allow_external=access.allow_external)
    catalog = leave_out(catalog, unmatched, len(discovered), access, error=MissingFieldError)
    catalog = _without_nonconforming(discovered, catalog, fields, access, dtype, series)
    roles = _roles(discovered, catalog)
    of_files = None if beside is None else beside.of_files(catalog, _predict_files(roles))
    if of_files is not None:
        catalog, roles = of_files.catalog, _roles(discovered, of_files.catalog)
        series = of_files.series_option(series)
    # Conditions may leave out the rows that have no category.
    how: Any = {
        "access": access,
        "dtype": dtype,
        "series": series,
        "checksums": checksums,
        "checks_rows": not where,
    }
    planned, predicted = _plan(catalog, said, layouts, roles, **how)
    if said is None and hidden:
        said = _as_planned(planned["train"]) | hidden
        planned, predicted = _plan(catalog, said, layouts, roles, **how)
    rows = planned["train"].rows if predicted is None else np.maximum(planned["train"].rows, predicted.rows)
    named = fields or with_axes(_as_planned(planned["train"]), layouts.train, series)
    catalog = with_leading_series(catalog, named)
    predict = _predict_and_labelled(roles, catalog)[0]
    joined = join_files(catalog, rows, roles, series)
    index = make_index(catalog, rows, layouts.train)
    if joined is not None:
        index = replace(index, runs=joined[0])
    lines = None if of_files is None else of_files.matched(index, catalog, rows, _predict_files(roles))
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


def _without_damaged(
    discovered: Discovered,
    catalog: Catalog,
    checksums: ChecksumTable,
    access: Access,
    *,
    threads: int | None,
) -> Catalog:
    damaged = verify_before_a_run(catalog, checksums, threads=threads)
    return leave_out(catalog, damaged, len(discovered), access, error=ChecksumError)


def _without_nonconforming(
    discovered: Discovered,
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    access: Access,
    dtype: str | None,
    series: SeriesOption,
) -> Catalog:
    """The catalog without the files whose requested contents differ from most, if such files are to be skipped."""
    if access.on_bad_file != "skip":
        return catalog

    def without(bad: Sequence[SkippedFile]) -> Catalog:
        return leave_out(catalog, bad, len(discovered), access, error=SchemaError)

    if fields is not None:
        _, labelled = _predict_and_labelled(_roles(discovered, catalog), catalog)
        differing = find_nonconforming(
            catalog, fields, labelled, on_missing=access.on_missing, dtype=dtype, series=series
        )
        catalog = without(differing)
    explain = differences_between(catalog, locking=access.locking)
    catalog = without(
        find_others(catalog, tuple(access.same), np.arange(catalog.unit_count), difference_of=explain)
    )
    explain = differences_between(catalog, locking=access.locking)
    every = np.arange(catalog.unit_count)
    return without(find_other_labels(catalog, fields or {}, every, difference_of=explain))


def _roles(discovered: Discovered, catalog: Catalog) -> dict[str, Int64Array] | None:
    """The files of each split as positions in the catalog, which lacks the skipped files."""
    if discovered.roles is None:
        return None
    if len(catalog) == len(discovered.names):
        return dict(discovered.roles)
    names = set(catalog.names)
    is_kept = np.asarray([name in names for name in discovered.names])
    position = np.cumsum(is_kept) - 1
    return {role: position[files[is_kept[files]]] for role, files in discovered.roles.items()}


def _predict_files(roles: Mapping[str, Int64Array] | None) -> Int64Array:
    """The files of ``files.predict``."""
    return (roles or {}).get("predict", np.zeros(0, dtype=np.int64))


def _predict_and_labelled(
    roles: Mapping[str, Int64Array] | None, catalog: Catalog
) -> tuple[Int64Array, Int64Array]:
    """The units of ``files.predict``, which may lack fields, and all others, which must have all fields."""
    predict = catalog.units_of(_predict_files(roles))
    is_labelled = np.ones(catalog.unit_count, np.bool_)
    is_labelled[predict] = False
    return predict, np.flatnonzero(is_labelled)


def _plan(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: StageSamples,
    roles: Mapping[str, Int64Array] | None,
    *,
    access: Access,
    dtype: str | None,
    series: SeriesOption,
    checksums: ChecksumTable | None,
    checks_rows: bool,
) -> tuple[dict[str, Fields], Fields | None]:
    """The fields of each stage, and the fields of ``files.predict``, if there are such files."""
    predict, labelled = _predict_and_labelled(roles, catalog)
    difference_of = differences_between(catalog, locking=access.locking)

    def plan(
        files: Int64Array,
        fields: Mapping[str, Field] | None,
        layout: Samples,
        known: Mapping[str, Categories] | None = None,
    ) -> Fields:
        return plan_fields(
            catalog,
            fields,
            layout,
            dtype=dtype,
            series=series,
            on_missing=access.on_missing,
            same=tuple(access.same),
            allow_empty=access.on_bad_file == "skip",
            files=files,
            names_in=lambda unit: names_in(catalog.unit_path(unit)),
            attrs_in=lambda unit, owner: attrs_in(catalog, unit, owner),
            difference_of=difference_of,
            categories=known,
            checks_rows=checks_rows,
            first_bytes=first_bytes_in(catalog, checksums, access),
        )

    only_predict = bool(predict.size) and not labelled.size
    chosen = fields and present_fields(catalog, fields, predict) if only_predict else fields
    units = predict if only_predict else labelled
    planned = fields_of_stages(samples, lambda layout: plan(units, chosen, layout))
    catalog = with_known_ends(catalog, chosen or {}, planned["train"].rows, units)
    predicted = planned["predict"] if only_predict else None
    if predict.size and not only_predict:
        chosen = fields or with_axes(_as_planned(planned["train"]), samples.train, series)
        present, known = present_fields(catalog, chosen, predict), planned["train"].categories()
        predicted = plan(predict, present, samples.of("predict"), known)
        # A model that was trained on one order of columns predicts nonsense on another.
        everything = np.arange(catalog.unit_count)
        check_same(catalog, tuple(access.same), everything, difference_of=difference_of)
        remarks = check_labels(catalog, chosen, everything, difference_of=difference_of)
        trained, told = planned["train"], replace(planned["train"], remarks=remarks)
        planned = {stage: told if one is trained else one for stage, one in planned.items()}
        planned["predict"] = predicted
    return planned, predicted


def _as_planned(planned: Fields) -> dict[str, Field]:
    """The fields that planning chose for a user who named none."""
    return {plan.key: Field(plan.path) for plan in planned.plans}


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
