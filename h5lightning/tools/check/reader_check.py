"""Samples of every file, read with both readers and compared bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.core.permutation import derive_key, derive_keys
from h5lightning.core.progress import Advance
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.loading.batch_reader import Batch, BatchReader
from h5lightning.options import Windows
from h5lightning.planning.fields import Fields
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import choose_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.run import CheckRun, describe_id

__all__ = ["differences", "drawn_ids", "plain_reader", "prove_finite", "prove_readers"]


_STRETCH_BYTES = 32 * 1024 * 1024


def prove_readers(case: CheckRun, advance: Advance) -> CheckResult:
    """What training reads is what h5py reads, on samples of each file; every file that fails is named."""
    failures: list[str] = []
    samples = 0
    with plain_reader(case) as plain:
        for file in range(len(case.index.names)):
            ids, fields = drawn_ids(case, file), case.fields_of(file)
            samples += len(ids)
            fast, slow = (BatchReader(case.index, fields, one, case.access) for one in (case.reader, plain))
            failures += (f"{case.index.names[file]}: {text}" for text in _compared(case, fast, slow, ids))
            advance(1)
    scope = f"{counted(len(case.index.names), 'file')}, {counted(samples, 'sample')}"
    return CheckResult("both readers agree, bit for bit", scope, tuple(failures))


def prove_finite(case: CheckRun, advance: Advance) -> CheckResult:
    """No value of any file is NaN or infinite; every file that has one is named."""
    failures: list[str] = []
    strict = dataclasses.replace(case.access, on_nonfinite="raise")
    for file in range(len(case.index.names)):
        failures += _not_finite(
            case, BatchReader(case.index, case.fields_of(file), case.reader, strict), file
        )
        advance(1)
    return CheckResult("all values are finite", counted(len(case.index.names), "file"), tuple(failures))


@contextmanager
def plain_reader(case: CheckRun) -> Iterator[Reader]:
    """A reader through h5py, with open files of its own."""
    with HandlePool(case.access, scanned_files=case.assembly.survey.scanned_files) as pool:
        reader = choose_reader("h5py", pool)
        yield reader
        reader.close()


def drawn_ids(case: CheckRun, file: int) -> Int64Array:
    """Samples of a file: the first, the last, and one of each of equal parts between them, ascending."""
    first, stop = _id_range(case, file)
    size, wanted = stop - first, case.settings.samples_per_file
    if size <= wanted:
        return np.arange(first, stop)
    borders = np.linspace(0, size, max(wanted - 1, 1)).astype(np.int64)
    lengths = np.diff(borders)
    keys = derive_keys(
        derive_key("check of readers", case.assembly.seed), np.arange(len(lengths)) + file * len(lengths)
    )
    inside = borders[:-1] + (keys % np.maximum(lengths, 1).astype(np.uint64)).astype(np.int64)
    return first + np.unique(np.concatenate([[0], inside, [size - 1]]))


def differences(first: Batch, second: Batch) -> Iterator[tuple[str, int]]:
    """The fields that are not the same, bit for bit, each with the first place that differs."""
    for key, tensor in first.items():
        size = max(1, len(tensor))
        rows = [_bytes_of(one).reshape(size, -1) for one in (tensor, second[key])]
        if rows[0].shape != rows[1].shape or tensor.dtype != second[key].dtype:
            yield key, 0
        elif (wrong := np.flatnonzero((rows[0] != rows[1]).any(axis=1))).size:
            yield key, int(wrong[0])


# ── one file ─────────────────────────────────────────────────────────────────────────────────────────


def _compared(case: CheckRun, fast: BatchReader, plain: BatchReader, ids: Int64Array) -> Iterator[str]:
    try:
        expected, found = plain.read(ids), fast.read(ids)
    except (MissingDataError, FieldError):
        return  # of values that are missing, or that a type cannot hold, other checks speak
    except (H5LightningError, OSError) as error:
        yield f"cannot be read: {error}"
        return
    for key, place in differences(found, expected):
        yield f"field {key!r} differs between the readers, first in {describe_id(case.index, int(ids[place]))}"


def _not_finite(case: CheckRun, reader: BatchReader, file: int) -> Iterator[str]:
    first, stop = _id_range(case, file)
    if first == stop:
        return
    step = _samples_at_once(reader.fields)
    try:
        covering = np.unique(np.append(np.arange(first, stop, _stride(case, reader.fields)), stop - 1))
        for start in range(0, len(covering), step):
            reader.read(covering[start : start + step])
    except (H5LightningError, OSError) as error:
        yield f"{case.index.names[file]}: {error}"


def _id_range(case: CheckRun, file: int) -> tuple[int, int]:
    first, last = np.searchsorted(case.index.series_file, [file, file + 1])
    return int(case.index.first_id[first]), int(case.index.first_id[last])


def _stride(case: CheckRun, fields: Fields) -> int:
    """Every how many samples to read, so that the rows of overlapping windows are read about once."""
    samples = case.index.samples
    if not isinstance(samples, Windows) or samples.dilation > 1:
        return 1
    shortest = min(plan.steps[1] - plan.steps[0] if plan.steps else 1 for plan in fields.row_fields)
    return max(1, shortest // samples.stride)


def _samples_at_once(fields: Fields) -> int:
    spans = [
        np.dtype(plan.stored).itemsize * int(np.prod(plan.spec.shape, dtype=np.int64))
        for plan in fields.plans
    ]
    return max(1, _STRETCH_BYTES // max(1, sum(spans)))


def _bytes_of(tensor: torch.Tensor) -> npt.NDArray[np.uint8]:
    # NumPy has no bfloat16.
    array = (tensor.view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
