"""Check samples of every file, read with both readers and compared bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from h5lightning.core.arrays import Bytes, Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.batch_reader import Batch, BatchReader
from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.options import Whole, Windows
from h5lightning.planning.fields import Fields
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.run import CheckResult, CheckRun, describe_id

__all__ = ["check_finite", "check_readers", "differences", "plain_reader"]

_BYTES_AT_ONCE = 32 * 1024 * 1024


def check_readers(run: CheckRun, advance: Advance) -> CheckResult:
    """Training reads what h5py reads, on samples of each file; every file that fails is named."""
    failures: list[str] = []
    samples = 0
    with plain_reader(run) as plain:
        for file in run.files(advance):
            ids, fields = run.drawn_ids(file), run.fields_of(file)
            samples += len(ids)
            fast, slow = (
                BatchReader(run.index, fields, reader, run.access) for reader in (run.reader, plain)
            )
            failures += (f"{run.index.names[file]}: {text}" for text in _compared(run, fast, slow, ids))
    scope = f"{counted(len(run.index.names), 'file')}, {counted(samples, 'sample')}"
    return CheckResult("both readers agree, bit for bit", scope, tuple(failures))


def check_finite(run: CheckRun, advance: Advance) -> CheckResult:
    """No value of any file is NaN or infinite; every file that has one is named."""
    failures: list[str] = []
    strict = dataclasses.replace(run.access, on_nonfinite="raise")
    for file in run.files(advance):
        failures += _not_finite(run, BatchReader(run.index, run.fields_of(file), run.reader, strict), file)
    scope = counted(len(run.index.names), "file")
    return CheckResult("all values are finite", scope, tuple(failures), _not_read(run))


@contextmanager
def plain_reader(run: CheckRun) -> Iterator[Reader]:
    """A reader through h5py, with its own open files."""
    with run.open_files() as pool:
        reader = make_reader("h5py", pool)
        yield reader
        reader.close()


def differences(first: Batch, second: Batch) -> Iterator[tuple[str, int]]:
    """The fields that differ in any bit, each with the index of the first sample that differs, 0 if it is not known."""
    for key, value in first.items():
        one, other = (_tensors_of(values) for values in (value, second[key]))
        if len(one) != len(other):
            yield key, 0
            continue
        for number, (tensor, expected) in enumerate(zip(one, other, strict=True)):
            if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
                yield key, number
                break
            size = max(1, len(tensor)) if len(one) == 1 and tensor.ndim else 1
            rows = [_bytes_of(each).reshape(size, -1) for each in (tensor, expected)]
            if (wrong := np.flatnonzero((rows[0] != rows[1]).any(axis=1))).size:
                yield key, number + int(wrong[0])
                break


def _tensors_of(values: RaggedValues | list[torch.Tensor] | torch.Tensor) -> list[torch.Tensor]:
    """One tensor of all samples; or one for each of them, where they have different shapes."""
    if isinstance(values, RaggedValues):
        return values.views()
    if isinstance(values, list):
        return [tensor for one in values for tensor in _tensors_of(one)]
    return [values]


def _compared(run: CheckRun, fast: BatchReader, plain: BatchReader, ids: Int64Array) -> Iterator[str]:
    try:
        expected, found = plain.read(ids), fast.read(ids)
    except (MissingDataError, FieldError):
        return  # other checks report missing values, and values that a type cannot represent
    except (H5LightningError, OSError) as error:
        yield f"cannot be read: {error}"
        return
    for key, i in differences(found, expected):
        yield f"field {key!r} differs between the readers, first in {describe_id(run.index, int(ids[i]))}"


def _not_finite(run: CheckRun, reader: BatchReader, file: int) -> Iterator[str]:
    first, stop = run.id_range(file)
    if first == stop:
        return
    step = _samples_at_once(reader.fields)
    try:
        covering = np.unique(np.append(np.arange(first, stop, _stride(run, reader.fields)), stop - 1))
        for start in range(0, len(covering), step):
            reader.read(covering[start : start + step])
    except (H5LightningError, OSError) as error:
        yield f"{run.index.names[file]}: {error}"


def _not_read(run: CheckRun) -> str:
    """Which values of the fields no sample held that was read; empty if there may be none."""
    samples = run.index.samples
    if isinstance(samples, Whole) and samples.take is not None:
        return f"{samples.take} rows of each series were read: samples='whole' without take reads all of them"
    if not isinstance(samples, Windows):
        return ""
    if max(samples.strides) == 1:
        return ""
    sizes = zip(samples.strides, samples.lengths, strict=True)
    if samples.dilation > 1 or any(stride > length for stride, length in sizes):
        return "values between windows were not read"
    return "values beyond the last window along an axis were not read" if samples.pad is None else ""


def _stride(run: CheckRun, fields: Fields) -> int:
    """The step between samples to read, so that the rows of overlapping windows are read about once."""
    samples = run.index.samples
    if not isinstance(samples, Windows) or samples.dilation > 1 or len(samples.axes) > 1:
        return 1
    shortest = min(plan.steps[1] - plan.steps[0] if plan.steps else 1 for plan in fields.row_fields)
    return max(1, shortest // samples.stride_rows)


def _samples_at_once(fields: Fields) -> int:
    sample_bytes = sum(np.dtype(plan.stored).itemsize * plan.mean_numbers for plan in fields.plans)
    return max(1, int(_BYTES_AT_ONCE // max(1, sample_bytes)))


def _bytes_of(tensor: torch.Tensor) -> Bytes:
    # NumPy has no bfloat16.
    array = (tensor.view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
