"""What files hold, with the questions that layouts ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.frozen import once
from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = ["StoredFiles", "last_part"]


@dataclass(frozen=True, eq=False)
class StoredFiles:
    """What all files hold.

    Args:
        datasets: the datasets without bookkeeping.
        files: number of files.
        attrs: the attributes that all files have, each one number or one text, with the values of the first file.
        is_matlab: whether MATLAB wrote the files.
    """

    datasets: Sequence[DatasetSummary]
    files: int
    attrs: Mapping[str, Any]
    is_matlab: bool

    @once
    def arrays(self) -> tuple[DatasetSummary, ...]:
        """The datasets of numbers with rows that are in each file, the largest first."""
        found = [dataset for dataset in self._everywhere if dataset.schema.shape]
        return tuple(sorted(found, key=lambda dataset: -dataset.weight))

    @once
    def bytes_of_rows(self) -> tuple[DatasetSummary, ...]:
        """The datasets in each file whose rows are bytes of variable length, such as images."""
        return tuple(
            dataset
            for dataset in self.datasets
            if dataset.schema.is_in_heap
            and len(dataset.schema.shape) == 1
            and not dataset.is_pattern
            and dataset.files.size == self.files
        )

    @once
    def single_numbers(self) -> tuple[DatasetSummary, ...]:
        """The datasets that hold one number in each file."""
        return tuple(dataset for dataset in self._everywhere if not dataset.schema.shape)

    @once
    def largest(self) -> DatasetSummary | None:
        """The array with most bytes that is not named as labels."""
        return next((array for array in self.arrays if not is_label(array.path)), None)

    def at(self, path: str) -> DatasetSummary | None:
        """The array of this path; None if not all files have one."""
        return next((array for array in self.arrays if array.path == path), None)

    def equally_long(self, one: DatasetSummary, other: DatasetSummary) -> bool:
        """Whether two arrays have equally many rows in each file."""
        return np.array_equal(one.rows_by_file(self.files), other.rows_by_file(self.files))

    def labels_beside(self, array: DatasetSummary) -> list[DatasetSummary]:
        """The other arrays with a row for each row of this one that are named as labels."""
        return [
            other
            for other in self.arrays
            if other is not array and is_label(other.path) and self.equally_long(other, array)
        ]

    def is_alike(self, array: DatasetSummary) -> bool:
        """Whether its rows have one type and one shape in all files."""
        return array.files_alike().size == self.files

    @once
    def _everywhere(self) -> tuple[DatasetSummary, ...]:
        return tuple(
            dataset
            for dataset in self.datasets
            if dataset.is_usable and not dataset.schema.members and dataset.files.size == self.files
        )


def last_part(dataset: DatasetSummary) -> frozenset[str]:
    """The words of the name of a dataset, without those of its groups."""
    return words_of(dataset.path.rpartition("/")[2])
