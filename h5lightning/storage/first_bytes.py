"""Reads the first image of each file while fields are planned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Access, SingleField
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.encoded_field import Encoded, FirstBytes
from h5lightning.planning.series.axes import row_numbers_of
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.heap.encoded_bytes import encoded_bytes
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["first_bytes_in"]


def first_bytes_in(catalog: Catalog, checksums: ChecksumTable | None, access: Access) -> FirstBytes:
    """What reads the first entry of a field of encoded bytes in some units of a catalog."""

    def first_bytes(key: str, field: SingleField, encoded: Encoded, units: Int64Array) -> Sequence[bytes]:
        forms, found = encoded.forms_in(units), [b""] * len(units)
        leading = row_numbers_of(field).leading
        with HandlePool(access, scanned_files=ScannedFiles(catalog, checksums)) as pool:
            reader = make_reader("auto", pool)
            for number, form in enumerate(encoded.forms):
                which = np.flatnonzero(forms == number)
                if not len(which):
                    continue
                source = DatasetColumn(field.path, field.member, form.dtype, form.row_shape, leading)
                files, every = _files_of(catalog, units[which]), np.arange(len(which))
                rows = np.empty((len(which), *form.row_shape), form.dtype)
                reader.read(files, [ReadRequest(source, np.arange(len(which) + 1), every * 0, every, rows)])
                where = [
                    f"field {key!r} ('/{field.path}') at row 0 of {catalog.where(unit)}"
                    for unit in units[which].tolist()
                ]
                entries = encoded_bytes(
                    pool,
                    files,
                    every,
                    form,
                    rows,
                    where.__getitem__,
                    most_bytes=access.most_padded_bytes,
                )
                for place, entry in zip(which.tolist(), entries[:: len(entries) // len(which)], strict=True):
                    found[place] = entry
            reader.close()
        return found

    return first_bytes


def _files_of(catalog: Catalog, units: Int64Array) -> Sequence[str]:
    """The paths of the files of some ascending units, with the texts that a ``*`` matched."""
    paths = [catalog.unit_path(unit) for unit in units.tolist()]
    matches = catalog.matches
    if matches is None:
        return paths
    return SeriesParts.of_paths(paths, [matches.texts[unit] for unit in units.tolist()], units)
