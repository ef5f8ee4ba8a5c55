"""Survey the data: discover and scan the files, plan the fields, count the samples.

`H5Dataset` and `H5DataModule` both turn the user's arguments into an index here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.visible import visible_logger
from h5lightning.errors import ChecksumError, MissingFieldError, SchemaError
from h5lightning.options import Access, Field, Samples, Series, Whole, single_fields
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.conventions.column_labels import check_labels, find_other_labels
from h5lightning.planning.conventions.same_values import check_same, find_others
from h5lightning.planning.field_planning import has_rows, plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.nonconforming_files import find_nonconforming
from h5lightning.planning.reach import reach_of_units
from h5lightning.planning.sampling import RowLayout
from h5lightning.planning.sampling.chunk_needs import ChunkLayout
from h5lightning.planning.sampling.decoded_chunks import DecodedChunks
from h5lightning.planning.series.join_files import coordinate_path, join_files
from h5lightning.planning.series.joined_files import JoinedFiles
from h5lightning.planning.series.make_index import make_index
from h5lightning.planning.series.names import matched_paths
from h5lightning.planning.series.series_lengths import check_span
from h5lightning.storage.checksums.verify_files import load_checksums, verify_before_a_run
from h5lightning.storage.discovery import Discovered, discover
from h5lightning.storage.indexing.build_catalog import build_catalog, leave_out
from h5lightning.storage.scanning import ScanRequest
from h5lightning.storage.scanning.looking_again import (
    attrs_in,
    differences_between,
    names_in,
    unmatched_files,
)

__all__ = ["DataSurvey", "Files", "survey"]

_logger = visible_logger(__name__)
Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey(Frozen):
    """All that is known before a split is made: plain arrays, cheap to send to other ranks.

    Args:
        catalog: the contents of the files.
        index: the samples.
        fields: the fields of a batch.
        predict_fields: the fields of a batch of ``files.predict``, which may lack some; None without such files.
        roles: positions of the files of each split, from a mapping of splits; None without a mapping.
        labels: the attribute that keeps units together, for each unit of the catalog; None for one that lacks it. A
            unit is a file, or each match of the ``*``. None if no attribute was requested.
        scanned: number of files that were opened; the others were taken from the index.
        joined: which files go on where others end; None if the user joins none.
        checksums: verify the bytes of the files; None without ``access.verify``.
    """

    catalog: Catalog
    index: SampleIndex
    fields: Fields
    predict_fields: Fields | None
    roles: dict[str, Int64Array] | None
    labels: tuple[str | None, ...] | None
    scanned: int
    checksums: ChecksumTable | None = None
    joined: JoinedFiles | None = None

    @property
    def scanned_files(self) -> ScannedFiles:
        """The state of the files when they were scanned, for readers to compare."""
        return ScannedFiles(self.catalog, self.checksums)

    def row_layout(self) -> RowLayout:
        """The rows that must be decoded together, in the field with most bytes."""
        rows = self.fields.row_fields
        largest = max(rows, key=lambda plan: plan.row_bytes)
        return RowLayout(self._chunk_rows(largest.path), sum(plan.row_bytes for plan in rows))

    def decoded_chunks(self) -> DecodedChunks:
        """The chunks that training decodes."""
        row_bytes = self.row_layout().row_bytes
        return DecodedChunks(self.chunk_layouts(self.fields), self.index.rows_of_units, row_bytes)

    def chunk_layouts(self, fields: Fields) -> tuple[ChunkLayout, ...]:
        """How chunks are decoded, for each column of these fields that has chunks of several rows."""
        if isinstance(self.index.samples, Whole):
            return ()  # samples share no chunks
        by_column: dict[tuple[str, str | None], ChunkLayout] = {}
        for plan in fields.row_fields:
            layout = ChunkLayout(self._chunk_rows(plan.path), plan.row_bytes, plan.span)
            if (layout.chunk_rows > 1).any():
                known = by_column.get((plan.path, plan.member), layout)
                by_column[plan.path, plan.member] = layout.joined(known)
        return tuple(by_column.values())

    def _chunk_rows(self, path: str) -> Int64Array:
        """Rows of a dataset that are decoded together, for each unit, ``(units,)``."""
        by_layout = np.asarray([_chunk_rows(layout, path) for layout in self.catalog.layouts])
        return by_layout[self.catalog.layout_of]


def survey(
    files: Files | Mapping[str, Files],
    fields: Mapping[str, Field] | None,
    samples: Samples,
    *,
    access: Access,
    dtype: str | None = None,
    series: SeriesOption = None,
    keep_together: str | None = None,
    index_dir: str | None = None,
    processes: int | None = None,
) -> DataSurvey:
    """Discover, scan and plan.

    Args:
        files: patterns, or patterns for each split.
        fields: sample key → `Field`; None for all eligible datasets.
        samples: how samples lie in a series.
        access: how files are opened and trusted.
        dtype: the type in which floating fields are delivered.
        series: what a series is; ``file`` to treat each file as one, even if its attributes divide its rows.
        keep_together: ``attr:NAME`` of the attribute that keeps files together; other values are ignored here.
        index_dir: directory of the index; None for the user's cache directory.
        processes: scanning processes; None for one on each core.

    Raises:
        H5LightningError: the files or the arguments cannot be used.
    """
    discovered = discover(files)
    label = _group_attribute(keep_together or "")
    request = _request(fields, label, access, series, labels=len(discovered) > 1)
    build = build_catalog(discovered, request, access=access, index_dir=index_dir, processes=processes)
    catalog, checksums = build.catalog, None
    if access.verify:
        checksums = load_checksums(discovered, catalog, files, index_dir)
        catalog = _without_damaged(discovered, catalog, checksums, access, threads=processes)
    unmatched = unmatched_files(catalog, request.matched)
    catalog = leave_out(catalog, unmatched, len(discovered), access, error=MissingFieldError)
    catalog = _without_nonconforming(discovered, catalog, fields, access, dtype, series)
    roles = _roles(discovered, catalog)
    planned, predicted = _plan(catalog, fields, samples, roles, access=access, dtype=dtype, series=series)
    rows = planned.rows if predicted is None else np.maximum(planned.rows, predicted.rows)
    reach = reach_of_units(samples, planned, predicted, _predict_and_labelled(roles, catalog)[0])
    joined = join_files(catalog, rows, roles, series)
    index = make_index(catalog, rows, samples, reach, None if joined is None else joined[0])
    check_span(index)
    return DataSurvey(
        catalog=catalog,
        index=index,
        fields=planned,
        predict_fields=predicted,
        roles=roles,
        labels=_labels(catalog, label) if label is not None else None,
        scanned=build.scanned,
        checksums=checksums,
        joined=None if joined is None else joined[1],
    )


def _group_attribute(keep_together: str) -> str | None:
    kind, _, name = keep_together.partition(":")
    return f"@{name}" if kind == "attr" else None


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


def _request(
    fields: Mapping[str, Field] | None,
    label: str | None,
    access: Access,
    series: SeriesOption,
    *,
    labels: bool,
) -> ScanRequest:
    request = ScanRequest(
        paths=None,
        attrs=() if label is None else (label,),
        allow_external=access.allow_external,
        same=tuple(access.same),
        labels=labels,
        series=series.tables if isinstance(series, Series) else (),
        coordinate=coordinate_path(series, has_matches=bool(matched_paths(fields or {}))),
    )
    if fields is None:
        return request
    parts = [field for _, field in single_fields(fields)]
    paths = dict.fromkeys(field.path for field in parts if field.attr is None)
    attrs = dict.fromkeys(f"{field.path}@{field.attr}" for field in parts if field.attr is not None)
    constants = dict.fromkeys(field.path for field in parts if field.constant)
    return replace(
        request,
        paths=tuple(paths),
        attrs=(*attrs, *request.attrs),
        constants=tuple(constants),
        matched=matched_paths(fields),
    )


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


def _predict_and_labelled(
    roles: Mapping[str, Int64Array] | None, catalog: Catalog
) -> tuple[Int64Array, Int64Array]:
    """The units of ``files.predict``, which may lack fields, and all others, which must have all fields."""
    predict = catalog.units_of((roles or {}).get("predict", np.zeros(0, dtype=np.int64)))
    return predict, np.setdiff1d(np.arange(catalog.unit_count), predict)


def _plan(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: Samples,
    roles: Mapping[str, Int64Array] | None,
    *,
    access: Access,
    dtype: str | None,
    series: SeriesOption,
) -> tuple[Fields, Fields | None]:
    predict, labelled = _predict_and_labelled(roles, catalog)
    difference_of = differences_between(catalog, locking=access.locking)

    def plan(files: Int64Array, fields: Mapping[str, Field] | None) -> Fields:
        return plan_fields(
            catalog,
            fields,
            samples,
            dtype=dtype,
            series=series,
            on_missing=access.on_missing,
            same=tuple(access.same),
            allow_empty=access.on_bad_file == "skip",
            files=files,
            names_in=lambda unit: names_in(catalog.unit_path(unit)),
            attrs_in=lambda unit, owner: attrs_in(catalog.unit_path(unit), owner),
            difference_of=difference_of,
        )

    if not predict.size:
        return plan(labelled, fields), None
    if not labelled.size:
        only = plan(predict, fields and _present(catalog, fields, predict))
        return only, only
    planned = plan(labelled, fields)
    chosen = {plan.key: Field(plan.path) for plan in planned.plans} if fields is None else fields
    predicted = plan(predict, _present(catalog, chosen, predict))
    # A model that was trained on one order of columns predicts nonsense on another.
    everything = np.arange(catalog.unit_count)
    check_same(catalog, tuple(access.same), everything, difference_of=difference_of)
    remarks = check_labels(catalog, chosen, everything, difference_of=difference_of)
    return replace(planned, remarks=remarks), predicted


def _present(catalog: Catalog, fields: Mapping[str, Field], files: Int64Array) -> Mapping[str, Field]:
    """The fields of unlabelled data; all fields if none has rows, so that planning names the missing one."""
    present = {key: field for key, field in fields.items() if _is_in_any(catalog, field, files)}
    if not any(has_rows(field) for field in present.values()):
        return fields
    if lacking := [key for key in fields if key not in present]:
        _logger.info("files.predict lack %s: their batches do not have them", ", ".join(map(repr, lacking)))
    return present


def _is_in_any(catalog: Catalog, field: Field, files: Int64Array) -> bool:
    """Whether any of the files has the field: a field that all of them lack is unlabelled data, not a mistake.

    A list is there if all its datasets are.
    """
    if field.attr is not None:
        return any(f"{field.path}@{field.attr}" in catalog.attrs_of(file) for file in files.tolist())
    return all((catalog.facts_of(part.path)[files, 0] > -2).any() for part in field.parts())


def _labels(catalog: Catalog, label: str) -> tuple[str | None, ...]:
    values = (catalog.attrs_of(unit).get(label) for unit in range(catalog.unit_count))
    return tuple(None if value is None else str(value) for value in values)


def _chunk_rows(layout: Iterable[DatasetSchema], path: str) -> int:
    dataset = next((dataset for dataset in layout if dataset.path == path), None)
    if dataset is None or not dataset.is_decoded_by_chunk or not dataset.chunks:
        return 1
    return dataset.chunks[0]
