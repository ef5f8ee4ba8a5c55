"""From patterns to everything that planning needs: discover, scan, plan fields, count samples.

The one road from the user's arguments to an index; `H5Dataset` and `H5DataModule` both take it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.frozen import Frozen
from h5lightning.core.visible import visible_logger
from h5lightning.errors import ChecksumError, H5LightningError, SchemaError
from h5lightning.options import Access, Field, Samples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.conventions.column_labels import DifferenceOf, check_labels, find_other_labels
from h5lightning.planning.conventions.same_values import check_same, find_others
from h5lightning.planning.field_planning import has_rows, plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.nonconforming_files import find_nonconforming
from h5lightning.planning.sampling import RowLayout
from h5lightning.storage.checksums.verify_files import load_checksums, verify_before_a_run
from h5lightning.storage.discovery import Discovered, discover
from h5lightning.storage.indexing.bad_files import leave_out
from h5lightning.storage.indexing.build_catalog import build_catalog
from h5lightning.storage.scanning import ScanRequest, attribute_names, difference_between, scan_file

__all__ = ["DataSurvey", "Files", "survey"]

_logger = visible_logger(__name__)
Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey(Frozen):
    """All that is known before a split is made; plain arrays, cheap to send to other ranks.

    Args:
        catalog: what the files hold.
        index: the samples.
        fields: the fields of a batch.
        predict_fields: the fields of a batch of ``files.predict``, which may lack some; None without it.
        roles: positions of the files that the user gave to each split; None without a mapping.
        labels: the attribute that keeps files together, of each file, None
            where a file has none; None if none is asked for.
        scanned: files that were opened for this survey; the others were known.
        checksums: what verifies the bytes of the files; None where nobody asked for that.
    """

    catalog: Catalog
    index: SampleIndex
    fields: Fields
    predict_fields: Fields | None
    roles: dict[str, Int64Array] | None
    labels: tuple[str | None, ...] | None
    scanned: int
    checksums: ChecksumTable | None = None

    @property
    def scanned_files(self) -> ScannedFiles:
        """What readers hold files against."""
        return ScannedFiles.of(self.catalog, self.checksums)

    def row_layout(self) -> RowLayout:
        """What must be decoded together, by the field with most bytes."""
        rows = self.fields.row_fields
        largest = max(rows, key=lambda plan: plan.row_bytes)
        by_layout = np.asarray(
            [_chunk_rows(self.catalog, number, largest.path) for number in _layouts(self.catalog)]
        )
        return RowLayout(by_layout[self.catalog.layout_of], sum(plan.row_bytes for plan in rows))


def survey(
    files: Files | Mapping[str, Files],
    fields: Mapping[str, Field] | None,
    samples: Samples,
    *,
    access: Access,
    dtype: str | None = None,
    series: str | None = None,
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
        dtype: the type that floating fields are delivered in.
        series: ``file`` for each file as one series, whatever divides its rows; None for an error then.
        keep_together: ``attr:NAME`` of the attribute that keeps files together, else not looked at.
        index_dir: where the index is kept; None for the user's cache directory.
        processes: processes that scan; None for all cores.

    Raises:
        H5LightningError: anything that is wrong with the files or with what is asked of them.
    """
    found = discover(files)
    kind, _, name = (keep_together or "").partition(":")
    label = f"@{name}" if kind == "attr" else None
    build = build_catalog(
        found,
        _request(fields, label, access, labels=len(found) > 1),
        access=access,
        index_dir=index_dir,
        processes=processes,
    )
    catalog, checksums = build.catalog, None
    if access.verify:
        checksums = load_checksums(found, catalog, files, index_dir)
        damaged = verify_before_a_run(catalog, checksums, threads=processes)
        catalog = leave_out(catalog, damaged, len(found), access, error=ChecksumError)
    if access.on_bad_file == "skip":
        catalog = _without_misfits(found, catalog, fields, access, dtype)
    roles = _roles(found, catalog)
    planned, predicted = _plan(catalog, fields, samples, roles, access=access, dtype=dtype, series=series)
    rows = planned.rows if predicted is None else np.maximum(planned.rows, predicted.rows)
    index = SampleIndex(catalog.root, catalog.names, np.arange(len(catalog), dtype=np.int64), rows, samples)
    return DataSurvey(
        catalog=catalog,
        index=index,
        fields=planned,
        predict_fields=predicted,
        roles=roles,
        labels=_labels(catalog, label) if label is not None else None,
        scanned=build.scanned,
        checksums=checksums,
    )


def _without_misfits(
    found: Discovered,
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    access: Access,
    dtype: str | None,
) -> Catalog:
    """The catalog without the files that differ from most in what is wanted of them."""
    if fields is not None:
        labelled = _labelled(found, catalog)
        misfits = find_nonconforming(catalog, fields, labelled, on_missing=access.on_missing, dtype=dtype)
        catalog = leave_out(catalog, misfits, len(found), access, error=SchemaError)
    told = _differences_between(catalog, access)
    others = find_others(catalog, tuple(access.same), np.arange(len(catalog)), difference_of=told)
    catalog = leave_out(catalog, others, len(found), access, error=SchemaError)
    told = _differences_between(catalog, access)
    others = find_other_labels(catalog, fields or {}, np.arange(len(catalog)), difference_of=told)
    return leave_out(catalog, others, len(found), access, error=SchemaError)


def _request(
    fields: Mapping[str, Field] | None, label: str | None, access: Access, *, labels: bool
) -> ScanRequest:
    of_files = (label,) if label is not None else ()
    allowed, same = access.allow_external, tuple(access.same)
    if fields is None:
        return ScanRequest(paths=None, attrs=of_files, allow_external=allowed, same=same, labels=labels)
    paths = dict.fromkeys(field.path for field in fields.values() if field.attr is None)
    attrs = dict.fromkeys(f"{field.path}@{field.attr}" for field in fields.values() if field.attr is not None)
    constants = dict.fromkeys(field.path for field in fields.values() if field.constant)
    return ScanRequest(
        paths=tuple(paths),
        attrs=(*attrs, *of_files),
        allow_external=allowed,
        same=same,
        constants=tuple(constants),
        labels=labels,
    )


def _roles(found: Discovered, catalog: Catalog) -> dict[str, Int64Array] | None:
    """The roles as positions in the catalog, which lacks the files that were skipped."""
    if found.roles is None:
        return None
    if len(catalog) == len(found.names):
        return dict(found.roles)
    kept = set(catalog.names)
    position = np.cumsum([name in kept for name in found.names]) - 1
    is_kept = np.asarray([name in kept for name in found.names])
    return {role: position[files[is_kept[files]]] for role, files in found.roles.items()}


def _labelled(found: Discovered, catalog: Catalog) -> Int64Array:
    """The files that must have all fields."""
    predict = (_roles(found, catalog) or {}).get("predict", np.zeros(0, dtype=np.int64))
    return np.setdiff1d(np.arange(len(catalog)), predict)


def _plan(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: Samples,
    roles: Mapping[str, Int64Array] | None,
    *,
    access: Access,
    dtype: str | None,
    series: str | None,
) -> tuple[Fields, Fields | None]:
    predict = (roles or {}).get("predict", np.zeros(0, dtype=np.int64))
    others = np.setdiff1d(np.arange(len(catalog)), predict)
    difference_of = _differences_between(catalog, access)

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
            names_in=lambda file: _names_in(catalog.path(file)),
            attrs_in=lambda file, owner: _attrs_in(catalog.path(file), owner),
            difference_of=difference_of,
        )

    if not predict.size:
        return plan(others, fields), None
    if not others.size:
        only = plan(predict, fields and _present(catalog, fields, predict))
        return only, only
    planned = plan(others, fields)
    chosen = {plan.key: Field(plan.path) for plan in planned.plans} if fields is None else fields
    predicted = plan(predict, _present(catalog, chosen, predict))
    # A model that was trained on one order of columns predicts nonsense on another.
    everything = np.arange(len(catalog))
    check_same(catalog, tuple(access.same), everything, difference_of=difference_of)
    remarks = check_labels(catalog, chosen, everything, difference_of=difference_of)
    return replace(planned, remarks=remarks), predicted


def _present(catalog: Catalog, fields: Mapping[str, Field], files: Int64Array) -> Mapping[str, Field]:
    """The fields of unlabelled data; all of them where none has rows, so that planning names what is missing."""
    found = {key: field for key, field in fields.items() if _is_somewhere(catalog, field, files)}
    if not any(has_rows(field) for field in found.values()):
        return fields
    if lacking := [key for key in fields if key not in found]:
        _logger.info("files.predict lack %s: their batches are without", ", ".join(map(repr, lacking)))
    return found


def _is_somewhere(catalog: Catalog, field: Field, files: Int64Array) -> bool:
    """Whether any of the files has the field: one that all of them lack is unlabelled data, not a mistake."""
    if field.attr is not None:
        return any(f"{field.path}@{field.attr}" in catalog.attrs_of(file) for file in files.tolist())
    return bool((catalog.facts_of(field.path)[files, 0] > -2).any())


def _differences_between(catalog: Catalog, access: Access) -> DifferenceOf:
    """Explains an error by looking into both files."""
    return lambda file, expected, source: difference_between(
        catalog.path(file), catalog.path(expected), source, locking=access.locking
    )


def _names_in(path: str) -> list[str]:
    try:
        return [dataset.path for dataset in scan_file(path, ScanRequest(None, most_chunks=0)).datasets]
    except H5LightningError:
        return []  # this only helps to explain another error


def _attrs_in(path: str, owner: str) -> list[str]:
    try:
        return attribute_names(path, owner)
    except H5LightningError:
        return []  # likewise


def _labels(catalog: Catalog, label: str) -> tuple[str | None, ...]:
    values = (catalog.attrs_of(file).get(label) for file in range(len(catalog)))
    return tuple(None if value is None else str(value) for value in values)


def _layouts(catalog: Catalog) -> range:
    return range(len(catalog.layouts))


def _chunk_rows(catalog: Catalog, layout: int, path: str) -> int:
    found = next((dataset for dataset in catalog.layouts[layout] if dataset.path == path), None)
    if found is None or not found.is_decoded_by_chunk or not found.chunks:
        return 1
    return found.chunks[0]
