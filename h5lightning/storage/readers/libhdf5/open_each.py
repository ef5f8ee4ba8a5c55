"""Opens the dataset of a source in each of some files, or parts of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import h5py

from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.libhdf5.dataset_rows import DatasetRows
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["dataset_keys", "dataset_opener", "using_datasets"]

Kind = TypeVar("Kind", bound=DatasetRows)


def using_datasets(
    pool: HandlePool,
    files: Sequence[str],
    source: DatasetColumn,
    kind: type[Kind],
    *,
    sources: Callable[[int, Kind], list[str]],
    use: Callable[[int, Kind], None],
) -> None:
    """Call a function with a dataset of each file.

    Args:
        pool: the open files.
        files: paths of files, or `SeriesParts`.
        source: the dataset or column.
        kind: the class that opens it.
        sources: the other files that what is read lies in.
        use: called with the number of the file, and its dataset.
    """
    is_guarded = pool.access.allow_external is not None
    pool.using_each(
        files.paths if isinstance(files, SeriesParts) else files,
        dataset_keys(files, source),
        dataset_opener(files, source, kind, pool.access),
        use,
        sources=sources if is_guarded else None,
    )


def dataset_opener(
    files: Sequence[str], source: DatasetColumn, kind: type[Kind], access: Access
) -> Callable[[int, h5py.File], Kind]:
    """What opens the dataset in a file, or part, given by its number."""
    texts = files.texts if isinstance(files, SeriesParts) else None

    def opened(number: int, file: h5py.File) -> Kind:
        concrete = source if texts is None else source.at(texts[number])
        return kind.open(file, files[number], concrete, access)

    return opened


def dataset_keys(files: Sequence[str], source: DatasetColumn) -> DatasetColumn | Callable[[int], Hashable]:
    """What names the dataset of a source in each of some files, or parts of them, given by their numbers."""
    if not isinstance(files, SeriesParts) or "*" not in source.path:
        return source
    texts = files.texts
    return lambda number: (source, texts[number])
