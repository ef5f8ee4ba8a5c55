"""Checks that a dataset is the one that was scanned and that a buffer fits: the same errors from every reader."""

from __future__ import annotations

from collections.abc import Sequence

from h5lightning.errors import BadFileError, FileChangedError
from h5lightning.storage.codecs import CodecError
from h5lightning.storage.hdf5.dtypes import ElementType
from h5lightning.storage.readers.protocol import DatasetColumn

__all__ = [
    "check_axes",
    "check_buffer",
    "check_found_type",
    "check_rows",
    "check_type",
    "check_whole",
    "damaged_chunk",
    "name_of",
]


def name_of(file: str, source: DatasetColumn) -> str:
    """The dataset, its column and its file, for errors."""
    member = f" (column {source.member!r})" if source.member is not None else ""
    return f"'/{source.path}'{member} in {file}"


def check_buffer(
    file: str, source: DatasetColumn, shape: tuple[int, ...], expected: tuple[int, ...] | None = None
) -> None:
    """Raise unless a buffer, or its entries, have the shape of the source, or another expected one."""
    # NumPy would broadcast the values to fit.
    needed = source.row_shape if expected is None else expected
    if shape != needed:
        raise ValueError(f"'/{source.path}' in {file} needs a buffer for {needed}, found {shape}")


def check_axes(file: str, source: DatasetColumn, shape: tuple[int, ...] | None) -> None:
    """Raise unless a dataset has all axes that make the rows of the source."""
    if source.leading > 1 and len(shape or ()) < source.leading:
        raise _changed(file, source, _shape_text(shape, ()), f"rows along {source.leading} axes")


def check_type(file: str, source: DatasetColumn, element: ElementType) -> tuple[int, ...]:
    """Raise unless the elements have the type that was scanned.

    Returns:
        The shape of one value: that of an array in a column, else ``()``.
    """
    found: tuple[str, tuple[int, ...]] | None = element.raw or element.dtype, ()
    if source.member is not None:
        columns = {member.name: (member.dtype, member.shape) for member in element.members}
        found = columns.get(source.member)
    return check_found_type(file, source, found)


def check_found_type(
    file: str, source: DatasetColumn, found: tuple[str, tuple[int, ...]] | None
) -> tuple[int, ...]:
    """As `check_type`, of a type and the shape of one value; None if the table has no such column."""
    dtype, shape = found or ("no such column", ())
    if dtype != source.dtype:
        raise _changed(file, source, f"holds {dtype}", source.dtype)
    return shape


def check_rows(
    file: str,
    source: DatasetColumn,
    shape: tuple[int, ...] | None,
    first: int,
    last: int,
    value_shape: tuple[int, ...] = (),
) -> None:
    """Raise unless a dataset has rows of the scanned shape, from ``first`` to ``last``.

    Args:
        file: path of the file.
        source: what is read.
        shape: shape of the dataset; None if it holds no values.
        first: the first row to read.
        last: the last row to read.
        value_shape: shape of one value; see `check_type`.
    """
    if not shape or shape[1:] + value_shape != source.row_shape:
        raise _changed(file, source, _shape_text(shape, value_shape), f"rows of shape {source.row_shape}")
    if first < 0:
        raise IndexError(f"{name_of(file, source)} has {shape[0]} rows, but row {first} is requested")
    if last >= shape[0]:
        raise FileChangedError(
            f"{name_of(file, source)} has {shape[0]} rows, but row {last} is requested: "
            "the file is not the one that was scanned. Start again, which scans the files that changed"
        )


def check_whole(
    file: str, source: DatasetColumn, shape: tuple[int, ...] | None, value_shape: tuple[int, ...] = ()
) -> None:
    """Raise unless a dataset has the scanned shape; see `check_rows`."""
    if shape is None or shape + value_shape != source.row_shape:
        raise _changed(file, source, _shape_text(shape, value_shape), f"{source.row_shape}")


def damaged_chunk(
    where: str, origin: tuple[int, ...], size: int, offset: int, filters: Sequence[str], error: CodecError
) -> BadFileError:
    """The error of a chunk that cannot be decoded.

    Args:
        where: the dataset and its file.
        origin: coordinates of its first element in the dataset.
        size: stored bytes.
        offset: first byte in the file.
        filters: names of the filters of the dataset.
        error: the decoder's error.
    """
    return BadFileError(
        f"{where}: the chunk at {origin}, {size} bytes at byte {offset} of the file, is not what the filters "
        f"{', '.join(filters)} make ({error}). The file is damaged: copy it again"
    )


def _shape_text(shape: tuple[int, ...] | None, value_shape: tuple[int, ...]) -> str:
    return f"has shape {shape}{f' of arrays {value_shape}' if value_shape else ''}"


def _changed(file: str, source: DatasetColumn, found: str, expected: str) -> FileChangedError:
    return FileChangedError(
        f"{name_of(file, source)} {found}, expected {expected} as it was scanned: the file was replaced. "
        "Start again, which scans the files that changed"
    )
