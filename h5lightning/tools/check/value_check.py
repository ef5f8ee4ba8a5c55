"""Check that delivered values agree with the files: decoded, converted, and complete."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.planning.borders import Borders
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.fields import Fields, JoinedField, RowField, SeriesField, StoredField, row_field_of
from h5lightning.planning.ragged_fields import BoxRunField, RunField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.expected_values import decoded_values, first_wrong, missing_values
from h5lightning.tools.check.run import CheckResult, CheckRun, DrawnUnit, describe_id, layout_in

__all__ = ["check_values"]

Array = npt.NDArray[np.generic]

_ALONE: tuple[slice, ...] = ()  # where the values of a field are that is no list


@dataclasses.dataclass(slots=True)
class _ValueCheck:
    """One check of the fields of a kind while it is made: the keys that were checked, and how many samples."""

    name: str
    kind: str
    keys: set[str] = dataclasses.field(default_factory=set)
    samples: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    last: tuple[str, int] | None = None

    def add(self, key: str, unit: int, samples: int) -> None:
        """Count the samples of a field in a unit, once for all parts of the field."""
        if self.last != (key, unit):
            self.last = key, unit
            self.keys.add(key)
            self.samples += samples

    def result(self) -> CheckResult:
        scope = f"no field {self.kind}"
        if self.keys:
            scope = f"{counted(len(self.keys), 'field')} {self.kind}, {counted(self.samples, 'sample')}"
        return CheckResult(self.name, scope, tuple(self.failures))


class _Readers(NamedTuple):
    """What reads one file: as training does, by h5py, and its open datasets."""

    delivered: BatchReader
    plain: Reader
    pool: HandlePool


def check_values(run: CheckRun, advance: Advance) -> tuple[CheckResult, ...]:
    """Samples of each file agree with its numbers: decoded by its attributes, converted without loss, complete."""
    decoded = _ValueCheck("decoded values are what each file means", "decoded")
    converted = _ValueCheck("conversions keep each value", "converted")
    complete = _ValueCheck("no missing value is taken for a number", "with numbers for missing values")
    checks = (decoded, converted, complete)
    with run.open_files() as pool:
        plain = make_reader("h5py", pool)
        for file in run.files(advance):
            fields = run.fields_of(file)
            readers = _Readers(BatchReader(run.index, fields, run.reader, run.access), plain, pool)
            for every, (plan, where) in itertools.product(run.drawn_units(file), _parts_of(fields)):
                drawn = _without_padding(run, plan, every)
                due = _checks_of(run, plan, drawn.unit, checks)
                # Nothing else compares joined values with the file.
                due = due or [converted] * (where is not _ALONE)
                due = due if len(drawn.ids) else []
                for check in due:
                    check.add(plan.key, drawn.unit, len(drawn.ids))
                if due:
                    _check_field(run, due, file, plan, where, drawn, readers)
        plain.close()
    return tuple(check.result() for check in checks)


def _without_padding(run: CheckRun, plan: StoredField, drawn: DrawnUnit) -> DrawnUnit:
    """The samples of which all steps of a field are rows of its unit."""
    if run.index.reach.pad is None or not isinstance(plan, RowField):
        return drawn
    is_full = ~Borders.of(run.index).room(drawn.ids).has_padding(plan)
    return DrawnUnit(drawn.unit, drawn.ids[is_full], drawn.rows[is_full])


def _parts_of(fields: Fields) -> Iterator[tuple[StoredField, tuple[slice, ...]]]:
    """Each field that is read, and where its values are in those that are delivered, as `Field` says of lists."""
    for plan in fields.plans:
        if plan.ragged is not None or isinstance(row_field_of(plan), (BoxRunField, RunField)):
            continue  # samples of different shapes, and drawn rows: the check of both readers compares them
        if isinstance(plan, StoredField):
            yield plan, _ALONE
        elif isinstance(plan, JoinedField):
            whole, first = plan.parts[0].as_asked.whole, plan.parts[0]
            has_steps = isinstance(first, RowField) and first.steps is not None
            axis = 1 + has_steps if whole is not None and whole.join == "first" else len(plan.spec.shape)
            stop = 0
            for part in plan.parts:
                is_new = len(part.spec.shape) < len(plan.spec.shape)
                start, stop = stop, stop + (1 if is_new else part.spec.fixed_shape[axis - 1])
                yield part, (slice(None),) * axis + (slice(start, stop),)


def _checks_of(
    run: CheckRun, plan: StoredField, unit: int, checks: tuple[_ValueCheck, _ValueCheck, _ValueCheck]
) -> list[_ValueCheck]:
    """The checks of a field; none where it is delivered as stored, which other checks cover."""
    decoded, converted, complete = checks
    if plan.is_decoded:
        return [decoded]
    is_same = plan.spec.dtype == np.dtype(layout_in(plan, unit).dtype).name
    has_missing = plan.key not in run.stored and _encoding_of_missing(plan, unit) is not None
    return [converted] * (not is_same) + [complete] * has_missing


def _encoding_of_missing(plan: StoredField, unit: int) -> Encoding | None:
    """The encoding whose numbers stand for missing values; None where no number does."""
    encoding, classes = layout_in(plan, unit).encoding, plan.spec.classes
    # An enumeration with gaps has its numbers in the names of its classes; the gaps are not known here.
    if encoding is None and classes and not all(re.search(r"=-?\d+$", name) for name in classes):
        return Encoding("codes", low=0, high=len(classes) - 1)
    return encoding


def _check_field(
    run: CheckRun,
    checks: list[_ValueCheck],
    file: int,
    plan: StoredField,
    where: tuple[slice, ...],
    drawn: DrawnUnit,
    readers: _Readers,
) -> None:
    try:
        delivered = _as_numpy(readers.delivered.read(drawn.ids, [plan.key])[plan.key])[where]
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
            for problem, i in _wrong(check.kind, dataset, delivered, stored, plan, drawn.unit):
                sample = describe_id(run.index, int(drawn.ids[i]))
                check.failures.append(f"{plan.title} {problem}, first in {sample}")


def _wrong(
    kind: str, dataset: h5py.Dataset, delivered: Array, stored: Array, plan: StoredField, unit: int
) -> Iterator[tuple[str, int]]:
    """The problem with the delivered samples of one unit, and the index of the first wrong sample."""
    if kind == "decoded":
        expected = decoded_values(dataset, stored, layout_in(plan, unit).encoding)
        i = first_wrong(delivered, expected, plan.spec.dtype, is_exact=False)
        if i is not None:
            yield "differs from the stored numbers decoded by its attributes", i
    elif kind == "converted":
        i = first_wrong(delivered, stored, plan.spec.dtype, is_exact=stored.dtype.kind in "iub")
        if i is not None:
            yield f"differs from the stored values by more than the rounding of {plan.spec.dtype}", i
    elif (encoding := _encoding_of_missing(plan, unit)) is not None:
        missing = missing_values(dataset, stored, encoding).reshape(len(stored), -1).any(axis=1)
        if missing.any():
            yield "contains a number that stands for a missing value", int(missing.argmax())


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


def _as_numpy(tensor: torch.Tensor) -> Array:
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array
