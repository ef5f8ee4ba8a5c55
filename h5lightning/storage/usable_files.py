"""Leave out files that are damaged or differ from most, and say which of the others belong to which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import ChecksumError, SchemaError
from h5lightning.options import Access, Field
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.roles import predict_and_labelled
from h5lightning.planning.conventions.column_labels import find_other_labels
from h5lightning.planning.conventions.same_values import find_others
from h5lightning.planning.nonconforming_files import find_nonconforming
from h5lightning.storage.checksums.verify_files import verify_before_a_run
from h5lightning.storage.discovery import Discovered
from h5lightning.storage.indexing.build_catalog import leave_out
from h5lightning.storage.scanning.looking_again import differences_between

__all__ = ["roles_in", "without_damaged", "without_nonconforming"]


def without_damaged(
    discovered: Discovered,
    catalog: Catalog,
    checksums: ChecksumTable,
    access: Access,
    *,
    threads: int | None,
) -> Catalog:
    """The catalog without the files whose bytes differ from their checksums, if such files are to be skipped."""
    damaged = verify_before_a_run(catalog, checksums, threads=threads)
    return leave_out(catalog, damaged, len(discovered), access, error=ChecksumError)


def without_nonconforming(
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
        _, labelled = predict_and_labelled(roles_in(discovered, catalog), catalog)
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


def roles_in(discovered: Discovered, catalog: Catalog) -> dict[str, Int64Array] | None:
    """The files of each split as positions in the catalog, which lacks the skipped files."""
    if discovered.roles is None:
        return None
    if len(catalog) == len(discovered.names):
        return dict(discovered.roles)
    names = set(catalog.names)
    is_kept = np.asarray([name in names for name in discovered.names])
    position = np.cumsum(is_kept) - 1
    return {role: position[files[is_kept[files]]] for role, files in discovered.roles.items()}
