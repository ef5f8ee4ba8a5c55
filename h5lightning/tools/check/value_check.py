"""What is delivered, held against what the files store: decoded, converted, and complete."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import h5py
import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.options import Windows
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.fields import RowField, StoredField
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import choose_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.decode_again import decoded_values, first_wrong, missing_values
from h5lightning.tools.check.reader_check import drawn_ids
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun, describe_id
from h5lightning.tools.check.stored_form import form_in, source_of

__all__ = ["prove_values"]

Array = npt.NDArray[np.generic]


@dataclasses.dataclass(slots=True)
class _Line:
    """One check while it is made.

    Args:
        name: what is true if it passes.
        what: what is said of the fields that it is about.
        keys: those that were looked at.
        samples: how many samples of them were.
        failures: what was found wrong.
    """

    name: str
    what: str
    keys: set[str] = dataclasses.field(default_factory=set)
    samples: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def outcome(self) -> CheckResult:
        """The result."""
        scope = f"no field {self.what}"
        if self.keys:
            scope = f"{counted(len(self.keys), 'field')} {self.what}, {counted(self.samples, 'sample')}"
        return CheckResult(self.name, scope, tuple(self.failures))


def prove_values(case: CheckRun, advance: Advance) -> tuple[CheckResult, ...]:
    """Samples of each file are what its numbers mean: decoded as it says, converted without loss, nothing missing."""
    decoded = _Line("decoded values are what each file means", "decoded")
    converted = _Line("conversions keep each value", "converted")
    complete = _Line("no missing value is taken for a number", "with numbers for missing values")
    lines = (decoded, converted, complete)
    with HandlePool(case.access, scanned_files=case.assembly.survey.scanned_files) as pool:
        plain = choose_reader("h5py", pool)
        for file in range(len(case.index.names)):
            fields, ids = case.fields_of(file), drawn_ids(case, file)
            reader = BatchReader(case.index, fields, case.reader, case.access)
            for plan in fields.stored_fields:
                own = _lines_of(case, plan, file, lines)
                if own and len(ids):
                    for line in own:
                        line.keys.add(plan.key)
                        line.samples += len(ids)
                    _look(case, own, file, plan, ids, (reader, plain, pool))
            advance(1)
        plain.close()
    return tuple(line.outcome() for line in lines)


def _lines_of(case: CheckRun, plan: StoredField, file: int, lines: tuple[_Line, _Line, _Line]) -> list[_Line]:
    """What a field is looked at for: nothing where it is delivered as it is stored, which other checks hold."""
    decoded, converted, complete = lines
    if plan.is_decoded:
        return [decoded]
    is_same = plan.spec.dtype == np.dtype(form_in(plan, file).dtype).name
    has_missing = plan.key not in case.stored and _missing_in(plan, file) is not None
    return [converted] * (not is_same) + [complete] * has_missing


def _missing_in(plan: StoredField, file: int) -> Encoding | None:
    """Which numbers of a field stand for nothing; None where no number does."""
    encoding, classes = form_in(plan, file).encoding, plan.spec.classes
    # Names of an enumeration that leaves numbers out carry them: which are left out is not known here.
    if encoding is None and classes and not all(re.search(r"=-?\d+$", name) for name in classes):
        return Encoding("codes", low=0, high=len(classes) - 1)
    return encoding


def _look(
    case: CheckRun,
    lines: list[_Line],
    file: int,
    plan: StoredField,
    ids: Int64Array,
    how: tuple[BatchReader, Reader, HandlePool],
) -> None:
    reader, plain, pool = how
    name = case.index.names[file]
    try:
        found = _as_numpy(reader.read(ids, [plan.key])[plan.key])
        stored = _stored(case, plain, file, plan, ids)
    except (MissingDataError, FieldError) as error:
        # The last line is that of missing values, if there are two.
        lines[-1 if isinstance(error, MissingDataError) else 0].failures.append(f"{name}: {error}")
        return
    except (H5LightningError, OSError):
        return  # the check of both readers says so
    with pool.dataset(case.index.path(file), plan.path) as dataset:
        for line in lines:
            for what, place in _wrong(line.what, dataset, found, stored, plan, file):
                where = describe_id(case.index, int(ids[place]))
                line.failures.append(f"field {plan.key!r} ('/{plan.path}') {what}, first in {where}")


def _wrong(
    what: str, dataset: h5py.Dataset, found: Array, stored: Array, plan: StoredField, file: int
) -> Iterator[tuple[str, int]]:
    """What is wrong with the delivered samples of one file, and the first of them."""
    if what == "decoded":
        expected = decoded_values(dataset, stored, form_in(plan, file).encoding)
        place = first_wrong(found, expected, plan.spec.dtype, is_exact=False)
        if place is not None:
            yield "is not what its attributes make of the stored numbers", place
    elif what == "converted":
        place = first_wrong(found, stored, plan.spec.dtype, is_exact=stored.dtype.kind in "iub")
        if place is not None:
            yield f"is not what is stored, but for the rounding of {plan.spec.dtype}", place
    elif (nothing := _missing_in(plan, file)) is not None:
        missing = missing_values(dataset, stored, nothing).reshape(len(stored), -1).any(axis=1)
        if missing.any():
            yield "holds a number that stands for nothing", int(missing.argmax())


def _stored(case: CheckRun, reader: Reader, file: int, plan: StoredField, ids: Int64Array) -> Array:
    """The stored numbers of samples, ``(N, *sample shape)``, as h5py reads them."""
    path, source = case.index.path(file), source_of(plan, file)
    dtype = np.dtype(source.dtype).newbyteorder("=")
    if not isinstance(plan, RowField):
        whole = np.empty(source.row_shape, dtype)
        reader.read_whole(path, source, whole)
        return np.broadcast_to(whole, (len(ids), *source.row_shape))
    start, stop = plan.steps or (0, 1)
    samples = case.index.samples
    dilation = samples.dilation if isinstance(samples, Windows) else 1
    rows = case.index.locate(ids).row[:, None] + np.arange(start, stop) * dilation
    different, places = np.unique(rows, return_inverse=True)
    out = np.empty((len(different), *source.row_shape), dtype)
    reader.read_rows(path, source, different, out)
    taken: Array = out[places.reshape(rows.shape)].reshape(len(ids), *plan.spec.shape)
    return taken


def _as_numpy(tensor: torch.Tensor) -> Array:
    found: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return found
