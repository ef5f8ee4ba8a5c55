"""What a reader makes of one file: the right values, an error that explains itself, or something worse."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning import Field
from h5lightning.errors import ChecksumError, H5LightningError
from h5lightning.options import Access, Rows
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable, FileChecksums
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.encoded_field import EncodedField
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import FieldPlan
from h5lightning.storage.checksums.make_checksums import _checksums_of
from h5lightning.storage.checksums.verify_files import verify_before_a_run
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.hdf5.file_checks import stamp
from h5lightning.storage.readers.heap.encoded_bytes import encoded_bytes
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn, Reader
from h5lightning.storage.scanning import ScanRequest, scan_file

__all__ = ["ARMS", "CACHE_BYTES", "OURS", "VERIFIED", "Expected", "expect", "judge"]

CACHE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Expected:
    """What the whole file holds.

    Args:
        fields: what is read.
        schema: what a scan said of it.
        values: the values of each field.
        checksums: those of its bytes.
    """

    fields: Mapping[str, Field]
    schema: FileSchema
    values: Mapping[str, npt.NDArray[Any]]
    checksums: FileChecksums


def expect(path: str, fields: Mapping[str, Field]) -> Expected:
    """What a file holds that is known to be whole."""
    schema = scan_file(path, _request(fields))
    with h5py.File(path) as file:
        values = {key: _plainly(file, field) for key, field in fields.items()}
    return Expected(fields, schema, values, _checksums_of(path, scan_file(path, ScanRequest(None))))


def judge(arm: str, path: str, expected: Expected) -> tuple[str, str]:
    """Read all that is expected, and say how it went.

    Args:
        arm: one of `ARMS`.
        path: where the damaged file lies.
        expected: what the whole file held.

    Returns:
        ``right``, ``error``, ``unclear`` (an error that is not ours or does not name the file) or ``wrong``; and
        words for it.
    """
    try:
        wrong = ARMS[arm](path, expected)
    except H5LightningError as error:
        text = f"{type(error).__name__}: {error}"
        return ("error" if os.path.basename(path) in str(error) else "unclear"), text
    except Exception as error:  # noqa: BLE001 - any other is a finding, unless h5py alone reads
        return ("error" if arm == "h5py alone" else "unclear"), f"{type(error).__name__}: {error}"
    return ("wrong", wrong) if wrong else ("right", "")


def _through_us(name: str, *, verify: bool = False) -> Callable[[str, Expected], str]:
    def read(path: str, expected: Expected) -> str:
        schema, file = scan_file(path, _request(expected.fields)), os.path.basename(path)
        stamps = np.asarray([stamp(os.stat(path))] * 2)
        # Beside a whole file of its kind, as most files of a data set are.
        names = ["_whole", file]
        catalog = Catalog.of(os.path.dirname(path), names, stamps, [expected.schema, schema])
        checksums = ChecksumTable.of({file: expected.checksums})
        if verify:
            for skipped in verify_before_a_run(catalog.take(np.ones(1, np.int64)), checksums, progress=False):
                raise ChecksumError(skipped.reason)
        fields = plan_fields(
            catalog, expected.fields, Rows(), first_bytes=lambda _, __, ___, units: [b"any"] * len(units)
        )
        rows = int(fields.rows[1])
        known = ScannedFiles(catalog, checksums)
        with HandlePool(Access(cache_bytes=CACHE_BYTES, verify=verify), scanned_files=known) as pool:
            reader = make_reader(name, pool)
            try:
                found = {plan.key: _read(reader, path, plan, rows) for plan in fields.plans}
            finally:
                reader.close()
        return _difference(found, expected)

    return read


def _read(reader: Reader, path: str, plan: FieldPlan, rows: int) -> npt.NDArray[Any]:
    # Not in vast amounts: a file that promises too many rows is wrong for that alone.
    wanted = np.arange(min(rows, 1000))[::-1].copy()
    if isinstance(plan, EncodedField):
        return _read_bytes(reader, path, plan, wanted)
    source = DatasetColumn(plan.path, plan.member, plan.stored, plan.row_shape)
    out = np.zeros((len(wanted), *plan.row_shape), np.dtype(plan.stored).newbyteorder("="))
    reader.read_rows(path, source, wanted, out)
    return out[::-1] if rows <= 1000 else np.zeros(rows)


def _read_bytes(reader: Reader, path: str, plan: EncodedField, wanted: npt.NDArray[Any]) -> npt.NDArray[Any]:
    form = plan.encoded.forms[int(plan.encoded.forms_in(np.ones(1, np.int64))[0])]
    out = np.zeros((len(wanted), *form.row_shape), form.dtype)
    reader.read_rows(path, DatasetColumn(plan.path, None, form.dtype, form.row_shape), wanted, out)
    found = encoded_bytes(
        reader.pool, [path], wanted * 0, form, out, lambda row: f"row {row} of {path}", most_bytes=CACHE_BYTES
    )
    return np.asarray(found, object)[::-1]


def _alone(path: str, expected: Expected) -> str:
    with h5py.File(path) as file:
        return _difference({key: _plainly(file, field) for key, field in expected.fields.items()}, expected)


def _plainly(file: h5py.File, field: Field) -> npt.NDArray[Any]:
    dataset = file[field.path]
    found: npt.NDArray[Any] = dataset[:] if field.member is None else dataset[field.member]
    if field.decode == "bytes":
        return np.asarray([value.tobytes() for value in found], object)
    return found


def _difference(found: Mapping[str, npt.NDArray[Any]], expected: Expected) -> str:
    """Where the values differ; empty if they do not."""
    for key, values in expected.values.items():
        if found[key].shape != values.shape:
            return f"{key}: shape {found[key].shape}, expected {values.shape}"
        if not np.array_equal(found[key], values):
            place = tuple(np.argwhere(found[key] != values)[0].tolist())
            return f"{key}: {found[key][place]!s:.40} at {place}, expected {values[place]!s:.40}"
    return ""


def _request(fields: Mapping[str, Field]) -> ScanRequest:
    return ScanRequest(tuple(dict.fromkeys(field.path for field in fields.values())))


ARMS: dict[str, Callable[[str, Expected], str]] = {
    "direct": _through_us("auto"),
    "h5py": _through_us("h5py"),
    "direct, verified": _through_us("auto", verify=True),
    "h5py, verified": _through_us("h5py", verify=True),
    "h5py alone": _alone,
}

OURS = tuple(arm for arm in ARMS if arm != "h5py alone")
VERIFIED = tuple(arm for arm in ARMS if arm.endswith("verified"))
