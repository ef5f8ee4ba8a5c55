"""Whether files are written to their end: a job that was ended leaves rows that HDF5 fills."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d

from h5lightning.core.arrays import BoolArray
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import H5LightningError
from h5lightning.planning.fields import RowField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun
from h5lightning.tools.check.stored_form import source_of

__all__ = ["prove_written_ends"]

_BLOCK_BYTES = 16 * 1024 * 1024
_MOST_INTEGER_BYTES = 64 * 1024 * 1024  # of integers only a remark can come
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _End:
    """The end of one dataset.

    Args:
        file: name of the file.
        what: the dataset, or a column of it.
        fill: the fill value.
        is_floating: whether it holds floats.
        rows: its rows.
        trailing: rows at its end that hold nothing but the fill value, one at least.
        is_alone: whether no row before those does; False too where that was not looked at.
    """

    file: str
    what: str
    fill: str
    is_floating: bool
    rows: int
    trailing: int
    is_alone: bool

    @property
    def has_failed(self) -> bool:
        """Whether this looks like a file that was half written."""
        return self.is_floating and self.is_alone and self.trailing < self.rows

    @property
    def is_worth_a_remark(self) -> bool:
        """Whether a user should know; integers often end with zeros that mean something."""
        return self.is_floating or (self.is_alone and self.trailing < self.rows)

    def __str__(self) -> str:
        start = self.rows - self.trailing
        if not start:
            return f"{self.file}: {self.what} holds nothing but the fill value {self.fill}"
        others = "no row before does" if self.is_alone else "so do other rows"
        return (
            f"{self.file}: {self.what} holds nothing but the fill value {self.fill} from row {start} on "
            f"({self.trailing:,} of {counted(self.rows, 'row')}), and {others}"
        )


def prove_written_ends(case: CheckRun, advance: Advance) -> CheckResult:
    """No floating field ends with rows that hold nothing but the fill value, while no row before does."""
    failures, remarks = [], []
    with HandlePool(case.access, scanned_files=case.assembly.survey.scanned_files) as pool:
        for file in range(len(case.index.names)):
            for plan in _different(case, file):
                try:
                    end = _end_of(case, pool, file, plan)
                except (H5LightningError, OSError) as error:
                    failures.append(f"{case.index.names[file]}: {_what(plan)} cannot be read: {error}")
                    continue
                if end is not None and end.has_failed:
                    failures.append(
                        f"{end}. Perhaps the program that wrote it was ended: write it again, leave the file out, or "
                        "accept it with access.on_missing='fill'"
                    )
                elif end is not None and end.is_worth_a_remark:
                    remarks.append(str(end))
            advance(1)
    scope = counted(len(case.index.names), "file")
    return CheckResult("files are written to their end", scope, tuple(failures), _some(remarks))


def _some(remarks: list[str]) -> str:
    more = f"; and {len(remarks) - _MOST_NAMED:,} more" if len(remarks) > _MOST_NAMED else ""
    return "; ".join(remarks[:_MOST_NAMED]) + more


def _different(case: CheckRun, file: int) -> Iterator[RowField]:
    """The fields of a file that have rows; one of those that share a dataset."""
    plans = {(plan.path, plan.member): plan for plan in case.fields_of(file).row_fields}
    yield from plans.values()


def _what(plan: RowField) -> str:
    return f"'/{plan.path}'" + (f" (column {plan.member!r})" if plan.member is not None else "")


def _end_of(case: CheckRun, pool: HandlePool, file: int, plan: RowField) -> _End | None:
    """The end of a dataset; None where its last row holds other values than the fill value."""
    path, source = case.index.path(file), source_of(plan, file)
    rows = int(case.index.file_rows[file])
    row_bytes = math.prod(source.row_shape) * np.dtype(source.dtype).itemsize
    if not rows or not row_bytes:
        return None
    is_floating = np.dtype(source.dtype).kind in "fc"
    if not _may_end_with_fill(case, path, source, rows, is_floating=is_floating):
        return None
    fill = _fill_value(pool, path, source)
    if fill is None or not _are_fill(case, path, source, fill, rows - 1, rows)[0]:
        return None
    if not is_floating and rows * row_bytes > _MOST_INTEGER_BYTES:
        return None
    trailing, is_alone = _trailing(case, path, source, fill, rows, max(1, _BLOCK_BYTES // row_bytes))
    return _End(case.index.names[file], _what(plan), str(fill), is_floating, rows, trailing, is_alone)


def _may_end_with_fill(
    case: CheckRun, path: str, source: DatasetColumn, rows: int, *, is_floating: bool
) -> bool:
    """Whether the last row holds one number only, and of integers the row before the same: most end here."""
    some = np.arange(max(0, rows - 2), rows)
    out = np.empty((len(some), *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
    case.reader.read_rows(path, source, some, out)
    stored = out.reshape(len(some), -1, 1).view(np.uint8)
    is_one = (stored[-1] == stored[-1, 0]).all()
    return bool(is_one and (is_floating or len(some) == 1 or (stored[0] == stored[-1]).all()))


def _trailing(
    case: CheckRun, path: str, source: DatasetColumn, fill: npt.NDArray[Any], rows: int, step: int
) -> tuple[int, bool]:
    """Rows of the fill value at the end, and whether no row before is one; read from the end, as far as needed."""
    trailing, is_counting = 0, True
    for stop in range(rows, 0, -step):
        start = max(0, stop - step)
        is_fill = _are_fill(case, path, source, fill, start, stop)
        if is_counting:
            values = np.flatnonzero(~is_fill)
            last = int(values[-1]) if values.size else -1
            trailing += stop - start - last - 1
            is_counting, is_fill = not values.size, is_fill[: max(0, last)]
        if is_fill.any():
            return trailing, False
    return trailing, True


def _are_fill(
    case: CheckRun, path: str, source: DatasetColumn, fill: npt.NDArray[Any], start: int, stop: int
) -> BoolArray:
    """Which of some rows hold nothing but the fill value, bit for bit, ``(stop - start,)``."""
    out = np.empty((stop - start, *source.row_shape), fill.dtype)
    case.reader.read_rows(path, source, np.arange(start, stop), out)
    stored = out.reshape(stop - start, -1)
    expected = np.full(stored.shape[1], fill)
    found: BoolArray = (stored.view(np.uint8) == expected.view(np.uint8)).all(axis=1)
    return found


def _fill_value(pool: HandlePool, path: str, source: DatasetColumn) -> npt.NDArray[Any] | None:
    """The fill value of a dataset, or of a column, in native byte order; zero where none was said, None if unknown."""
    dtype = np.dtype(source.dtype).newbyteorder("=")
    kept = np.zeros((), dtype if source.member is None else np.dtype([(source.member, dtype)]))
    with pool.dataset(path, source.path) as dataset:
        plist = dataset.id.get_create_plist()
        if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            try:
                plist.get_fill_value(kept)
            except (OSError, TypeError, ValueError):
                return None  # of a type that HDF5 does not convert, such as bit fields
    return kept if source.member is None else kept[source.member]
