"""Datasets, and columns of tables, whose names say that they may divide the rows of others into series."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.schema import Member
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.series.name_roles import roles_of
from h5lightning.storage.scanning.stored_values import blocks_of, blocks_of_columns, can_be_read

__all__ = ["MOST_BYTES", "SeriesCandidate", "candidates_of"]

MOST_BYTES = 64 * 1024 * 1024


@dataclasses.dataclass(slots=True, eq=False)
class SeriesCandidate:
    """Numbers that may divide rows into series.

    Args:
        path: path of the dataset.
        info: the dataset.
        column: the column of a table; None for a dataset of numbers.
    """

    path: str
    info: DatasetInfo
    column: Member | None = None
    _numbers: Int64Array | None = None
    _problem: str | None = None

    @property
    def group(self) -> str:
        """Path of the group, or of the table, in which it lies."""
        return self.path.rpartition("/")[0] if self.column is None else self.path

    @property
    def text(self) -> str:
        """Its name in messages, without a leading slash: ``meta/ends``, ``index[start]``."""
        return self.path if self.column is None else f"{self.path}[{self.column.name}]"

    @property
    def name(self) -> str:
        """The name of the column, or the last part of the path."""
        return self.path.rpartition("/")[2] if self.column is None else self.column.name

    @property
    def roles(self) -> frozenset[str]:
        """The roles that its name allows."""
        return roles_of(self.name)

    @property
    def is_integer(self) -> bool:
        """Whether it holds integers."""
        dtype = self.info.element.dtype if self.column is None else self.column.dtype
        return np.dtype(dtype).kind in "iu"

    @property
    def length(self) -> int:
        """The number of its entries, if each is one number; else 0."""
        return self._entries(1)

    @property
    def pairs(self) -> int:
        """The number of its entries, if each is two numbers; else 0."""
        return self._entries(2)

    @property
    def problem(self) -> str:
        """Why its values are not read, as a phrase about it; empty if they are."""
        if self._problem is None:
            self._problem = _problem(self.info)
        return self._problem

    def numbers(self) -> Int64Array:
        """All of its integers, flat; read once.

        Raises:
            OSError: they are damaged.
        """
        if self._numbers is None:
            self._numbers = np.concatenate([block for _, block in self.blocks()]).astype(np.int64)
        return self._numbers

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Its numbers, flat, in blocks, each with the number of its first row.

        Raises:
            OSError: they are damaged.
        """
        if self.column is None:
            yield from ((start, block.reshape(-1)) for start, block in blocks_of(self.info))
        else:
            name = self.column.name
            yield from (
                (start, block[name].reshape(-1))
                for start, block in blocks_of_columns(self.info, [self.column])
            )

    def _entries(self, numbers: int) -> int:
        shape = self.info.shape or (0,)
        return shape[0] if math.prod(shape[1:]) == numbers else 0


def candidates_of(info: DatasetInfo, path: str) -> list[SeriesCandidate]:
    """The dataset itself, or the columns of a table that may divide rows."""
    element = info.element
    if element.members:
        columns = [member for member in element.members if not member.refusal and not member.shape]
        return [SeriesCandidate(path, info, column) for column in columns if roles_of(column.name)]
    return [] if element.refusal or not info.shape else [SeriesCandidate(path, info)]


def _problem(info: DatasetInfo) -> str:
    if info.element.members:  # only one column is read
        element = dataclasses.replace(info.element, members=())
        info = dataclasses.replace(info, element=element)
    if not can_be_read(info):
        return "is stored in a way that a scan does not decode"
    size = math.prod(info.shape or ()) * max(8, info.itemsize)
    return "takes over 64 MiB" if size > MOST_BYTES else ""
