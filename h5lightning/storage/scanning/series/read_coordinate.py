"""Read the coordinate that says which files go on where another one ends: its ends and its step, in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5f

from h5lightning.errors import MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.planning.catalog.schema import untyped
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.describe_dataset import find_dataset
from h5lightning.storage.scanning.metadata_values import ValueReader, read_attributes
from h5lightning.storage.scanning.stored_values import blocks_of, can_be_read_whole

__all__ = ["read_coordinate"]

_TOLERANCE = 1e-6  # of a step


def read_coordinate(fid: h5f.FileID, path: str, file: str, reader: ValueReader) -> dict[str, Any] | None:
    """What `Coordinate` says, in plain values; None for a coordinate without rows.

    Args:
        fid: the open file.
        path: path of the dataset with the coordinate, ``(rows,)``.
        file: path of the file, for messages.
        reader: reads attributes.

    Raises:
        MissingFieldError: the file has no such dataset.
        UnsupportedFieldError: it is no list of numbers.
        SchemaError: it does not rise or fall, or its step changes.
    """
    info = find_dataset(fid, path, reader, file=file)
    what = f"series.join_files: '/{path}' in {file}"
    if info is None:
        raise MissingFieldError(f"{what} does not exist: name the coordinate of the rows, such as 'time'")
    if not isinstance(info, DatasetInfo):
        raise UnsupportedFieldError(f"{what} {info.refusal}")
    is_numbers = not info.element.refusal and not info.element.members and info.element.dtype[1:2] in "iuf"
    if not is_numbers or info.shape is None or len(info.shape) != 1:
        raise UnsupportedFieldError(
            f"{what} is no list of numbers: it has shape {info.shape}, {info.element.dtype}"
        )
    if info.shape == (0,):
        return None
    if not can_be_read_whole(info):
        raise UnsupportedFieldError(
            f"{what} cannot be read by the scan: store it without filters of plug-ins"
        )
    names = [f"{path}@units", f"{path}@calendar"]
    attrs = {name: untyped(value) for name, value in read_attributes(fid, names, file, reader).items()}
    units, calendar = (attrs.get(name, "") for name in names)
    found = _steps(info, what)
    return {**found, "units": str(units), "calendar": str(calendar), "rows": info.shape[0]}


def _steps(info: DatasetInfo, what: str) -> dict[str, Any]:
    """The first and the last value, and the step between rows."""
    first: Any = None
    last: Any = None
    step: Any = None
    for start, block in blocks_of(info):
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block))[0])
            raise SchemaError(f"{what} is {block[row - start]} at row {row}: it must say where each row is")
        if first is None:
            first, values, begin = block[0].item(), block, start
        else:
            values, begin = np.concatenate([[np.asarray(last, block.dtype)], block]), start - 1
        last = block[-1].item()
        step = _checked_step(values, begin, step, what)
    return {"first": first, "last": last, "step": step}


def _checked_step(values: npt.NDArray[Any], begin: int, step: Any, what: str) -> Any:
    """The step of some rows, which begin at row ``begin``; that of the rows before them, if they go on by it."""
    if len(values) < 2:
        return step
    # Unsigned numbers that fall would wrap around.
    steps = np.diff(values.astype(np.int64) if values.dtype.kind in "iu" else values.astype(np.float64))
    expected = steps[0].item() if step is None else step
    if expected == 0:
        raise SchemaError(f"{what} has {values[0]} at row {begin} and at the next row: it must rise or fall")
    scale = max(abs(expected), np.finfo(np.float64).tiny)
    exactness = (
        4 * np.finfo(values.dtype).eps * float(np.abs(values).max()) if values.dtype.kind == "f" else 0
    )
    changed = np.flatnonzero(np.abs(steps - expected) > max(_TOLERANCE * scale, exactness))
    if changed.size:
        row = int(changed[0])
        found = steps[row]
        turns = (found < 0) != (expected < 0)
        why = (
            "does not rise or fall throughout"
            if turns or found == 0
            else "changes its step inside of the file"
        )
        raise SchemaError(
            f"{what} {why}: {expected:g} at its beginning, {found:g} from row {begin + row} to row {begin + row + 1}. "
            "For months, which differ in length, join_files=True joins the files in the order of their paths"
        )
    return expected
