"""What a scan finds in files that hold one series in each match of a ``*``, put together match by match."""

import dataclasses
import os

import h5py
import numpy as np

from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.catalog.match_table import MatchTable
from h5lightning.planning.catalog.source_files import SourceTable
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.readers.series_parts import SeriesParts
from h5lightning.storage.scanning.describe_file import describe_file
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["parts_of", "scan_series", "write_series"]


def scan_series(files, fields, *, allow_external=None):
    """The catalog of some files in one folder.

    Args:
        files: path of each file → what the ``*`` matches in it.
        fields: paths of the fields; they may hold a ``*``.
        allow_external: see `Access`.
    """
    schemas, counts = [], []
    for path, texts in files.items():
        counts.append(len(texts))
        for text in texts:
            named = {field.replace("*", text, 1): field for field in fields}
            request = ScanRequest(tuple(named), allow_external=allow_external)
            schema = describe_file(path, request, ValueReader(reads_text=True))
            datasets = tuple(dataclasses.replace(one, path=named[one.path]) for one in schema.datasets)
            schemas.append(dataclasses.replace(schema, datasets=datasets))
    every = [text for texts in files.values() for text in texts]
    units = Catalog.of(
        "/", [str(number) for number in range(len(every))], np.zeros((len(every), 4), np.int64), schemas
    )
    firsts = np.cumsum([0, *counts])[:-1]
    sources = [schemas[first].sources if count else () for first, count in zip(firsts, counts, strict=True)]
    catalog = dataclasses.replace(
        units,
        root=os.path.dirname(next(iter(files))),
        names=StringTable.of(os.path.basename(path) for path in files),
        stamps=np.asarray([stamp(os.stat(path)) for path in files], np.int64),
        sources=SourceTable.of(sources),
        matches=MatchTable("*", np.asarray(counts), StringTable.of(every)),
    )
    return ScannedFiles(catalog)


def parts_of(files, chosen=None):
    """All `SeriesParts` of some files, in their order, or those with some numbers."""
    paths = [path for path, texts in files.items() for _ in texts]
    texts = [text for texts in files.values() for text in texts]
    every = SeriesParts.of_paths(paths, texts, np.arange(len(paths)))
    return every if chosen is None else every.of(chosen)


def write_series(path, series):
    """Write a file: path of a dataset → its values, or a function that makes it in the open file."""
    with h5py.File(path, "w") as file:
        for name, values in series.items():
            if callable(values):
                values(file, name)
            else:
                file.create_dataset(name, data=values)
