"""Reads tables in Parquet, with pyarrow, an optional package."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import MissingExtraError, TableError
from h5lightning.planning.tables.table_lines import Column, TableLines

__all__ = ["read_parquet"]


def read_parquet(path: str, asked: Collection[str]) -> tuple[list[str], TableLines]:
    """The names of all columns, and the columns that are asked for, as far as there are such.

    Raises:
        OSError: the file cannot be read.
        TableError: it is damaged, or such a column holds lists or the like.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    try:
        # Without threads of its own: loading processes are forked later.
        with open(path, "rb") as source, parquet.ParquetFile(source, pre_buffer=False) as file:
            names = list(file.schema_arrow.names)
            chosen = [name for name in asked if name in names]
            for name in chosen:
                if names.count(name) > 1:
                    raise TableError(
                        f"the table {path} has {names.count(name)} columns {name!r}: rename them"
                    )
            read = file.read(columns=chosen, use_threads=False)
    except arrow.ArrowException as error:
        raise TableError(f"the table {path} cannot be read as Parquet: {error}") from error
    columns = {name: _column(arrow, path, name, read.column(name)) for name in chosen}
    return names, TableLines(path, columns, np.arange(read.num_rows, dtype=np.int64), "row")


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "tables in Parquet need pyarrow: pip install 'h5lightning[parquet]'"
        ) from error
    return pa, parquet


def _column(arrow: ModuleType, path: str, name: str, read: Any) -> Column:
    types, kind = arrow.types, read.type
    if types.is_dictionary(kind):
        read, kind = read.cast(kind.value_type), kind.value_type
    if types.is_boolean(kind) or types.is_integer(kind):
        return _numbers(name, read, None)
    if types.is_floating(kind) or types.is_decimal(kind):
        return _numbers(name, read.cast(arrow.float64()), np.float64)
    try:
        texts = read.cast(arrow.string()).to_pylist()
    except arrow.ArrowException as error:
        raise TableError(
            f"the column {name!r} of {path} holds {kind}, expected numbers or text: write it as one of them"
        ) from error
    return Column.of_texts(name, texts)


def _numbers(name: str, read: Any, dtype: type[np.float64] | None) -> Column:
    is_empty: npt.NDArray[np.bool_] = read.is_null().to_numpy()
    values = read.fill_null(0).to_numpy() if is_empty.any() else read.to_numpy()
    return Column(name, np.asarray(values, dtype), np.asarray(is_empty, np.bool_))
