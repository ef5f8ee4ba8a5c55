"""Random sets of files: every row of one dataset says which file and row it is, all others follow from it."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from comparing.storage import Storage, draw_storage, values, write_dataset

__all__ = ["NUMBER", "Column", "FileSet", "draw_files"]

NUMBER = "number"  # the field that says where a row lies
_ROWS_APART = 256  # more than any file has
_DTYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "b1", "c8", "c16")
_NUMBER_DTYPES = ("<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">i8", ">u8", "<f4", ">f4", "<f8", ">f8")


@dataclass(frozen=True)
class Column:
    """A dataset that all files hold.

    Args:
        path: where it lies.
        dtype: NumPy type string of the elements; of a compound, pairs of name and type.
        shape: shape of one row; of the whole dataset where it is a constant.
        storage: how it is stored.
        role: ``number``, ``rows``, ``table`` (a compound, whose first column is the number), ``classes`` (small
            integers), ``weights`` (small positive numbers) or ``constant``.
        holes: some values are NaN or infinity.
    """

    path: str
    dtype: Any
    shape: tuple[int, ...]
    storage: Storage
    role: str = "rows"
    holes: bool = False

    def data(self, file: int, rows: int, salt: int) -> npt.NDArray[Any]:
        """The values of one file."""
        if self.role == "table":
            return self._table(file, rows, salt)
        if self.role == "number":
            return numbers(file, rows).astype(self.dtype)
        shape = self.shape if self.role == "constant" else (rows, *self.shape)
        found = values(self.dtype, shape, salt, first=file << 20, holes=self.holes)
        if self.role == "classes":
            return (values("<i8", shape, salt, first=file << 20) % 3).astype(self.dtype)
        if self.role == "weights":
            return (values("<i8", shape, salt, first=file << 20) % 4 + 1).astype(self.dtype)
        return found

    def _table(self, file: int, rows: int, salt: int) -> npt.NDArray[Any]:
        found = np.zeros(rows, np.dtype([tuple(one) for one in self.dtype]))
        for place, (name, dtype, *_) in enumerate(self.dtype):
            shape = found[name].shape
            found[name] = (
                numbers(file, rows) if not place else values(dtype, shape, salt + place, first=file << 20)
            )
        return found


def numbers(file: int, rows: int) -> npt.NDArray[np.int64]:
    """What the number field holds: file and row in one."""
    return file * _ROWS_APART + np.arange(rows)


def place_of(number: int) -> tuple[int, int]:
    """File and row of a number."""
    return divmod(number, _ROWS_APART)


@dataclass(frozen=True)
class FileSet:
    """Files of the same columns.

    Args:
        names: path of each file below the folder.
        rows: rows of each file.
        columns: what they hold.
        attributes: name, object that carries it ("" for the file), type and shape.
        libver: the library versions that the format is for.
        userblock: bytes before the HDF5 part.
        salt: what makes its values differ from those of others.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    columns: tuple[Column, ...]
    attributes: tuple[tuple[str, str, str, tuple[int, ...]], ...] = ()
    libver: str = "earliest"
    userblock: int = 0
    salt: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether some values were never written."""
        return any(column.storage.is_partial for column in self.columns)

    @property
    def has_sources(self) -> bool:
        """Whether values lie in other files."""
        return any(column.storage.is_elsewhere for column in self.columns)

    def column(self, role: str) -> Column | None:
        """The first column of a role."""
        return next((column for column in self.columns if column.role == role), None)

    def paths(self, folder: str) -> list[str]:
        """Where the files lie."""
        return [os.path.join(folder, name) for name in self.names]

    def write(self, folder: str) -> None:
        """Write all files."""
        for file, path in enumerate(self.paths(folder)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.write_one(path, file)

    def write_one(self, path: str, file: int, *, salt: int = 0, backwards: bool = False) -> None:
        """Write one file.

        Args:
            path: where to.
            file: its number.
            salt: added to that of the set, for other values.
            backwards: its datasets lie in the other order.
        """
        count, columns = self.rows[file], list(enumerate(self.columns))
        with h5py.File(path, "w", libver=self.libver, userblock_size=self.userblock) as opened:
            for place, column in reversed(columns) if backwards else columns:
                data = column.data(file, count, self.salt + salt + 31 * place)
                write_dataset(opened, column.path, data, column.storage)
            for place, (name, on, dtype, shape) in enumerate(self.attributes):
                value = values(dtype, shape, self.salt + salt + 7 * place, first=file << 20)
                opened[on or "/"].attrs[name] = value if shape else value[()]


def draw_files(rng: random.Random, *, equal: bool = False, elsewhere: bool = False) -> FileSet:
    """Random files.

    Args:
        rng: decides.
        equal: all files have equally many rows.
        elsewhere: some values lie in other files.
    """
    count = rng.choice((1, 2, 3, 5, 8, 12))
    most = rng.choice((6, 20, 60, 120))
    one = rng.randint(1, min(most, 12))
    rows = tuple(one if equal else rng.randint(1, most) for _ in range(count))
    columns = _draw_columns(rng, elsewhere=elsewhere)
    if not elsewhere and rng.random() < 0.12:
        columns = [replace(column, storage=Storage()) for column in columns]
    return FileSet(
        names=_draw_names(rng, count),
        rows=rows,
        columns=tuple(columns),
        attributes=_draw_attributes(rng),
        libver=rng.choice(("earliest", "latest")),
        userblock=rng.choice((0, 0, 0, 512)),
        salt=rng.randrange(1000),
    )


def _draw_names(rng: random.Random, count: int) -> tuple[str, ...]:
    pattern = rng.choice(
        ("run-{:03}.h5", "run-{:03}.h5", "deep/er/{:02}.h5", "g{}/a.h5", "größe {}.h5", "a{}.hdf5")
    )
    return tuple(pattern.format(number) for number in range(count))


def _draw_columns(rng: random.Random, *, elsewhere: bool) -> list[Column]:
    columns = [_draw_number(rng)]
    for place in range(rng.randint(1, 4)):
        shape = rng.choice(((), (), (3,), (2, 3), (1,), (4, 2, 2), (17,)))
        if rng.random() < 0.02:
            shape = (0,)
        path = rng.choice(("x{}", "x{}", "group/x{}", "a/b/c/x{}")).format(place)
        is_elsewhere = elsewhere and place == 0 and 0 not in shape
        storage = draw_storage(rng, shape, elsewhere=is_elsewhere)
        dtype = _draw_dtype(rng)
        if 0 in shape:
            storage = Storage()
        if storage.chunks is not None and rng.random() < 0.04:
            storage = replace(storage, is_partial=True)
        columns.append(Column(path, dtype, shape, storage, holes=dtype[1] == "f" and rng.random() < 0.2))
    columns.append(Column("classes", rng.choice(("<i8", ">i2", "|u1")), (), draw_storage(rng, ()), "classes"))
    columns.append(Column("weights", rng.choice(("<f4", ">f8", "<i4")), (), draw_storage(rng, ()), "weights"))
    if rng.random() < 0.5:
        shape = rng.choice(((3, 2), (5,), (1,)))
        columns.append(Column("grid", _draw_dtype(rng), shape, draw_storage(rng, shape[1:]), "constant"))
    return columns


def _draw_number(rng: random.Random) -> Column:
    storage = draw_storage(rng, ())
    if rng.random() < 0.2:
        members = [
            ("number", rng.choice(("<i4", ">i8", "<f8"))),
            ("flag", rng.choice(("<u1", ">i2"))),
            ("vector", rng.choice(("<f4", ">f8")), (3,)),
        ]
        return Column("table", members, (), storage, "table")
    return Column(rng.choice(("number", "who/number")), rng.choice(_NUMBER_DTYPES), (), storage, "number")


def _draw_dtype(rng: random.Random) -> str:
    return np.dtype(rng.choice("<<>") + rng.choice(_DTYPES)).str


def _draw_attributes(rng: random.Random) -> tuple[tuple[str, str, str, tuple[int, ...]], ...]:
    shapes = ((), (), (2,), (2, 2))
    return tuple(
        (f"attribute {place}", "", _plain_dtype(rng), rng.choice(shapes))
        for place in range(rng.randint(0, 2))
    )


def _plain_dtype(rng: random.Random) -> str:
    return np.dtype(rng.choice("<>") + rng.choice(("i4", "i8", "f4", "f8", "u2"))).str
