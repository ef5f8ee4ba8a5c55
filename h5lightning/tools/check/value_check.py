"""Check that delivered values agree with the files: decoded, converted, and complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from h5lightning.core.progress import Advance
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.options import Windows
from h5lightning.planning.fields import FieldPlan, Fields, JoinedField, RowField, SeriesField, StoredField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.run import CheckResult, CheckRun, DrawnUnit, describe_id, layout_in
from h5lightning.tools.check.slice_check import SliceCheck, as_numpy
from h5lightning.tools.check.sliced_samples import is_sliced
from h5lightning.tools.check.wrong_values import CUT, ValueCheck, encoding_of_missing, wrong_values

__all__ = ["check_values"]

Array = npt.NDArray[np.generic]

_ALONE: tuple[slice, ...] = ()  # where the values of a field are that is no list


class _Readers(NamedTuple):
    """What reads one file: as training does, by h5py, and its open datasets."""

    delivered: BatchReader
    plain: Reader
    pool: HandlePool


def check_values(run: CheckRun, advance: Advance) -> tuple[CheckResult, ...]:
    """Samples of each file agree with its numbers: decoded by its attributes, converted without loss, complete.

    Boxes, padded windows and samples of different shapes are compared one by one with slices of h5py.
    """
    decoded = ValueCheck("decoded values are what each file means", "decoded")
    converted = ValueCheck("conversions keep each value", "converted")
    complete = ValueCheck("no missing value is taken for a number", "with numbers for missing values")
    cut = ValueCheck("samples are what h5py slices", CUT)
    checks = (decoded, converted, complete)
    with run.open_files() as pool:
        plain = make_reader("h5py", pool)
        for file in run.files(advance):
            fields = run.fields_of(file)
            readers = _Readers(BatchReader(run.index, fields, run.reader, run.access), plain, pool)
            for every in run.drawn_units(file):
                drawn = _of_one_file(run, fields, every)
                cut.left_out += len(every.ids) - len(drawn.ids)
                if len(drawn.ids):
                    _check_unit(run, file, drawn, readers, checks, cut)
        plain.close()
    shown = (*checks, cut) if cut.keys or cut.left_out else checks
    return tuple(check.result() for check in shown)


def _check_unit(
    run: CheckRun,
    file: int,
    drawn: DrawnUnit,
    readers: _Readers,
    checks: tuple[ValueCheck, ValueCheck, ValueCheck],
    cut: ValueCheck,
) -> None:
    """Check the fields of some samples of one unit."""
    slices = SliceCheck(run, file, readers.delivered, readers.pool)
    has_sliced = False
    for whole in run.fields_of(file).plans:
        for part, (plan, where) in enumerate(_parts_of(whole)):
            due = _checks_of(run, plan, drawn.unit, checks)
            if is_sliced(run, whole, plan):
                is_delivered_as_stored = not {*map(id, due)} & {*map(id, checks[:2])}
                slices.check([cut] * is_delivered_as_stored + due, whole, part, plan, drawn)
                due, has_sliced = [cut, *due], True
            else:
                # Nothing else compares joined values with the file.
                due = due or [checks[1]] * (where is not _ALONE)
                if due:
                    _check_field(run, due, file, plan, where, drawn, readers)
            for check in due:
                check.add(plan.key, drawn.unit, len(drawn.ids))
    if has_sliced:
        slices.check_starts(cut, drawn)
        slices.check_told(cut, drawn)


def _of_one_file(run: CheckRun, fields: Fields, drawn: DrawnUnit) -> DrawnUnit:
    """The samples whose rows all lie in one file; the others of files that go on where others end."""
    if run.index.runs is None or not fields.row_fields:
        return drawn
    where = run.index.locate(drawn.ids)
    spans = [plan.span for plan in fields.row_fields]
    first, stop = min(span[0] for span in spans), max(span[1] for span in spans)
    if isinstance(run.index.samples, Windows) and run.index.samples.jitter:
        stop += run.index.samples.stride_rows - 1
    is_inside = (where.row + first >= 0) & (where.row + stop <= run.index.series_rows[where.series])
    return DrawnUnit(drawn.unit, drawn.ids[is_inside], drawn.rows[is_inside])


def _parts_of(plan: FieldPlan) -> Iterator[tuple[StoredField, tuple[slice, ...]]]:
    """Each dataset of a field, and where its values are in those that are delivered, as `Field` says of lists."""
    if plan.categories is not None:
        return  # `check_categories` looks at it
    if isinstance(plan, StoredField):
        if plan.kept is None:
            yield plan, _ALONE
    elif isinstance(plan, JoinedField):
        whole, first = plan.parts[0].as_asked.whole, plan.parts[0]
        has_steps = isinstance(first, RowField) and first.steps is not None
        axis = 1 + has_steps if whole is not None and whole.join == "first" else len(plan.spec.shape)
        stop = 0
        for part in plan.parts:
            is_new = len(part.spec.shape) < len(plan.spec.shape)
            # `SliceCheck` finds samples of different shapes by itself.
            start, stop = stop, stop + (1 if is_new else part.spec.shape[axis - 1] or 0)
            yield part, (slice(None),) * axis + (slice(start, stop),)


def _checks_of(
    run: CheckRun, plan: StoredField, unit: int, checks: tuple[ValueCheck, ValueCheck, ValueCheck]
) -> list[ValueCheck]:
    """The checks of a field; none where it is delivered as stored, which other checks cover."""
    decoded, converted, complete = checks
    if plan.is_decoded:
        return [decoded]
    is_same = plan.spec.dtype == np.dtype(layout_in(plan, unit).dtype).name
    has_missing = plan.key not in run.stored and encoding_of_missing(plan, unit) is not None
    return [converted] * (not is_same) + [complete] * has_missing


def _check_field(
    run: CheckRun,
    checks: list[ValueCheck],
    file: int,
    plan: StoredField,
    where: tuple[slice, ...],
    drawn: DrawnUnit,
    readers: _Readers,
) -> None:
    try:
        delivered = as_numpy(readers.delivered.read(drawn.ids, [plan.key])[plan.key])[where]
        delivered = delivered.reshape(len(drawn.ids), *plan.spec.shape)
        stored = _stored(run, readers.plain, file, plan, drawn)
    except (MissingDataError, FieldError) as error:
        # The last check is that of missing values, if there are two.
        last = -1 if isinstance(error, MissingDataError) else 0
        checks[last].failures.append(f"{run.name_of(drawn.unit)}: {error}")
        return
    except (H5LightningError, OSError):
        return  # the check of both readers reports it
    with readers.pool.dataset(run.index.path(file), run.path_in(plan, drawn.unit)) as dataset:
        for check in checks:
            for problem, i in wrong_values(check.kind, dataset, delivered, stored, plan, drawn.unit):
                sample = describe_id(run.index, int(drawn.ids[i]))
                check.failures.append(f"{plan.title} {problem}, first in {sample}")


def _stored(run: CheckRun, reader: Reader, file: int, plan: StoredField, drawn: DrawnUnit) -> Array:
    """The stored numbers of samples, ``(N, *sample shape)``, as h5py reads them."""
    path, column = run.index.path(file), run.column_in(plan, drawn.unit)
    dtype = np.dtype(column.dtype).newbyteorder("=")
    if not isinstance(plan, (RowField, SeriesField)):
        whole = np.empty(column.row_shape, dtype)
        reader.read_whole(path, column, whole)
        return np.broadcast_to(whole, (len(drawn.ids), *column.row_shape))
    offsets = plan.offsets if isinstance(plan, RowField) else np.zeros(1, np.int64)
    rows = run.first_rows(plan, drawn)[:, None] + offsets
    distinct, i = np.unique(rows, return_inverse=True)
    out = np.empty((len(distinct), *column.row_shape), dtype)
    reader.read_rows(path, column, distinct, out)
    stored: Array = out[i.reshape(rows.shape)].reshape(len(drawn.ids), *plan.spec.shape)
    return stored
