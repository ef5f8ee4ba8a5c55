"""Datasets, and columns of tables, whose names say that they may divide the rows of others into series."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5s

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.series.name_roles import roles_of
from h5lightning.storage.scanning.stored_values import blocks_of, can_be_read

__all__ = ["MOST_BYTES", "Candidate", "candidates_of"]


MOST_BYTES = 64 * 1024 * 1024


@dataclasses.dataclass(slots=True, eq=False)
class Candidate:
    """Numbers that may divide rows.

    Args:
        path: of the dataset.
        column: the column of a table; empty for a dataset of numbers.
        opened: the dataset.
        dtype: the type of its numbers.
    """

    path: str
    column: str
    opened: DatasetInfo
    dtype: str
    _numbers: Int64Array | None = None
    _problem: str | None = None

    @property
    def group(self) -> str:
        """What it lies in together with others: a group, or a table."""
        return self.path if self.column else self.path.rpartition("/")[0]

    @property
    def text(self) -> str:
        """How it is called in messages, without a leading slash: ``meta/ends``, ``index[start]``."""
        return f"{self.path}[{self.column}]" if self.column else self.path

    @property
    def name(self) -> str:
        """The name of the column, or the last part of the path."""
        return self.column or self.path.rpartition("/")[2]

    @property
    def roles(self) -> frozenset[str]:
        """What its name allows it to be."""
        return roles_of(self.name)

    @property
    def is_integer(self) -> bool:
        """Whether it holds integers."""
        return np.dtype(self.dtype).kind in "iu"

    @property
    def length(self) -> int:
        """How many entries it has, of one number each; 0 where it has others."""
        return self._entries(1)

    @property
    def pairs(self) -> int:
        """How many entries it has, of two numbers each; 0 where it has others."""
        return self._entries(2)

    @property
    def problem(self) -> str:
        """Why its values are not looked at, as what a sentence says of it; empty if they are."""
        if self._problem is None:
            self._problem = _problem(self.opened)
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
        """Its numbers, flat, in blocks, each with the number of its first one.

        Raises:
            OSError: they are damaged.
        """
        if self.column:
            yield 0, _read_column(self.opened, self.column, self.dtype)
        else:
            yield from ((start, block.reshape(-1)) for start, block in blocks_of(self.opened))

    def _entries(self, numbers: int) -> int:
        shape = self.opened.shape or (0,)
        return shape[0] if math.prod(shape[1:]) == numbers else 0


def candidates_of(opened: DatasetInfo, path: str) -> list[Candidate]:
    """The dataset itself, or those of its columns that may divide rows.

    Args:
        opened: the dataset.
        path: its path.
    """
    element = opened.element
    if element.members:
        plain = [member for member in element.members if not member.refusal and not member.shape]
        return [Candidate(path, one.name, opened, one.dtype) for one in plain if roles_of(one.name)]
    return [] if element.refusal or not opened.shape else [Candidate(path, "", opened, element.dtype)]


def _problem(opened: DatasetInfo) -> str:
    if opened.element.members:  # of which only one column is read
        element = dataclasses.replace(opened.element, members=())
        opened = dataclasses.replace(opened, element=element)
    if not can_be_read(opened):
        return "is stored in a way that a scan does not decode"
    size = math.prod(opened.shape or ()) * max(8, opened.itemsize)
    return "takes over 64 MiB" if size > MOST_BYTES else ""


def _read_column(opened: DatasetInfo, column: str, dtype: str) -> npt.NDArray[Any]:
    values = np.empty(opened.shape or (), np.dtype([(column, np.dtype(dtype).newbyteorder("="))]))
    opened.did.read(h5s.ALL, h5s.ALL, values)
    found: npt.NDArray[Any] = values[column].reshape(-1)
    return found
