"""Trees of HDF5 files as plain values: they can be drawn, written, and printed as a program that writes them."""

from __future__ import annotations

import csv
import inspect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

__all__ = ["NUMBERS", "WRITE_LINES", "FileTree", "Storage", "Stored", "Tree", "numbers"]


def numbers(dtype: Any, shape: tuple[int, ...], first: int) -> npt.NDArray[Any]:
    """Numbers from ``first`` on, as the type can hold them; columns of a table begin 17 apart."""
    dtype, count = np.dtype(dtype), int(np.prod(shape))
    if dtype.names:
        made = np.zeros(shape, dtype)
        for place, name in enumerate(dtype.names):
            made[name] = numbers(dtype[name].base, made[name].shape, first + 17 * place)
        return made
    found = first + np.arange(count).reshape(shape)
    limits = {"b": 2, "i": 120, "u": 250}
    return (found % limits.get(dtype.kind, 2000) if dtype.itemsize == 1 else found % 30_000).astype(dtype)


# For printed programs.
NUMBERS = inspect.getsource(numbers)


@dataclass(frozen=True)
class Storage:
    """How a dataset is stored.

    Args:
        rows: rows of a chunk; None for contiguous.
        is_narrow: chunks do not hold whole rows.
        gzip: chunks are compressed.
        cut: entries of a chunk along all axes but the first; None for all.
    """

    rows: int | None = None
    is_narrow: bool = False
    gzip: bool = False
    cut: int | None = None

    def options(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Arguments of ``create_dataset`` for a dataset of a shape."""
        if self.rows is None or not shape:
            return {}
        chunks = [min(self.rows, max(1, shape[0])), *(max(1, size) for size in shape[1:])]
        if self.cut is not None:
            chunks[1:] = [min(self.cut, size) for size in chunks[1:]]
        if self.is_narrow and len(shape) > 1:
            chunks[-1] = max(1, shape[-1] // 2)
        maxshape = (None,) * len(shape) if 0 in shape else None
        found: dict[str, Any] = {"chunks": tuple(chunks)}
        if maxshape is not None:
            found["maxshape"] = maxshape
        return {**found, **({"compression": "gzip"} if self.gzip else {})}


@dataclass(frozen=True)
class Stored:
    """A dataset.

    Args:
        path: where it lies.
        shape: its shape.
        dtype: NumPy type string; of a table, pairs of name and type.
        first: its first number, see `numbers`.
        values: its values, where they are not numbers in turn; text for a dataset of text.
        storage: how it is stored.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    first: int = 0
    values: tuple[Any, ...] | None = None
    storage: Storage = Storage()

    @property
    def is_text(self) -> bool:
        """Whether its values are text."""
        return isinstance(self.dtype, str) and self.dtype == "text"

    def write(self, file: h5py.File) -> None:
        """Write it."""
        options = self.storage.options(self.shape)
        if self.is_text:
            file.create_dataset(self.path, data=list(self.values or ()), dtype=h5py.string_dtype(), **options)
        elif self.values is not None:
            file.create_dataset(
                self.path, data=np.array(self.values, self.dtype).reshape(self.shape), **options
            )
        else:
            dtype = np.dtype(list(self.dtype)) if isinstance(self.dtype, tuple) else np.dtype(self.dtype)
            file.create_dataset(self.path, data=numbers(dtype, self.shape, self.first), **options)

    def code(self) -> str:
        """The statement that writes it."""
        options = "".join(f", {name}={value!r}" for name, value in self.storage.options(self.shape).items())
        if self.is_text:
            data = f"data={list(self.values or ())!r}, dtype=h5py.string_dtype()"
        elif self.values is not None:
            data = f"data=np.array({list(self.values)!r}, {self.dtype!r}).reshape({self.shape!r})"
        else:
            dtype = list(self.dtype) if isinstance(self.dtype, tuple) else self.dtype
            data = f"data=numbers({dtype!r}, {self.shape!r}, {self.first})"
        return f"file.create_dataset({self.path!r}, {data}{options})"


@dataclass(frozen=True)
class FileTree:
    """One file.

    Args:
        datasets: what it holds.
        attributes: object that carries it, name and value.
        groups: groups without a dataset.
    """

    datasets: tuple[Stored, ...]
    attributes: tuple[tuple[str, str, Any], ...] = ()
    groups: tuple[str, ...] = ()

    def write(self, path: str) -> None:
        """Write it."""
        with h5py.File(path, "w") as file:
            for group in self.groups:
                file.require_group(group)
            for dataset in self.datasets:
                dataset.write(file)
            for where, name, value in self.attributes:
                if where in file or where == "/":
                    file[where].attrs[name] = value

    def code(self, path: str) -> Iterator[str]:
        """The statements that write it."""
        yield f"with h5py.File({path!r}, 'w') as file:"
        yield from (f"    file.require_group({group!r})" for group in self.groups)
        yield from (f"    {dataset.code()}" for dataset in self.datasets)
        for where, name, value in self.attributes:
            if where == "/" or any(f"{one.path}/".startswith(f"{where}/") for one in self.datasets):
                yield f"    file[{where!r}].attrs[{name!r}] = {value!r}"
        yield "    pass"


def write_lines(path: str, columns: Any, lines: Any) -> None:
    """Write a table, as CSV, with tabs, or as Parquet."""
    if path.endswith(".parquet"):
        import pyarrow as pa
        from pyarrow import parquet

        values = [[line[place] for line in lines] for place in range(len(columns))]
        parquet.write_table(pa.table(dict(zip(columns, values, strict=True))), path)
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t" if path.endswith(".tsv") else ",").writerows([columns, *lines])


# For printed programs.
WRITE_LINES = "import csv\n" + inspect.getsource(write_lines)


@dataclass(frozen=True)
class Tree:
    """Files of one data set; their names are in the order of paths.

    Args:
        files: name and content of each.
        tables: name, columns and lines of each table beside them.
    """

    files: tuple[tuple[str, FileTree], ...] = field(default=())
    tables: tuple[tuple[str, tuple[str, ...], tuple[tuple[Any, ...], ...]], ...] = ()

    def write(self, folder: str) -> list[str]:
        """Write all files; their paths."""
        paths = [os.path.join(folder, name) for name, _ in self.files]
        for path, (_, tree) in zip(paths, self.files, strict=True):
            tree.write(path)
        for name, columns, rows in self.tables:
            write_lines(os.path.join(folder, name), columns, rows)
        return paths

    def code(self) -> str:
        """A program that writes them below ``folder``."""
        lines = [line for name, tree in self.files for line in tree.code(name)]
        lines += [f"write_lines({name!r}, {columns!r}, {rows!r})" for name, columns, rows in self.tables]
        return "\n".join(lines)
