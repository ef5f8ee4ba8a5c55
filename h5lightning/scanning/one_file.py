"""One file → its `FileSchema`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from h5py import h5f

from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.guarding import check_file
from h5lightning.handles import open_id
from h5lightning.scanning.attributes import read_attributes
from h5lightning.scanning.describing import dataset_paths, describe
from h5lightning.schema import FileSchema

__all__ = ["Outcome", "ScanRequest", "outcome_of", "scan_file"]

# An error is a value here: one bad file does not end the scan of the others.
Outcome: TypeAlias = FileSchema | H5LightningError

# What h5py makes of the errors of HDF5.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, NotImplementedError)


@dataclasses.dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to look for in a file.

    Args:
        paths: paths of datasets; None for all datasets.
        attrs: attributes, written ``object@name``, or ``@name`` for those of the file.
    """

    paths: tuple[str, ...] | None
    attrs: tuple[str, ...] = ()


def scan_file(path: str, request: ScanRequest, *, locking: bool = False) -> FileSchema:
    """Describe what one file holds, without reading its values.

    What cannot be a field is described too, with the reason as its ``refusal``; what the file lacks is left
    out. Links to elsewhere are not followed.

    Args:
        path: where the file lies.
        request: what to look for.
        locking: take HDF5's file lock.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
    """
    check_file(path)
    with _explained(path, "the file"):
        fid = open_id(path, locking=locking)
        try:
            return _scan(fid, path, request)
        finally:
            fid.close()


def outcome_of(path: str, request: ScanRequest, *, locking: bool = False) -> Outcome:
    """What `scan_file` returns or raises."""
    try:
        return scan_file(path, request, locking=locking)
    except H5LightningError as error:
        return error


def _scan(fid: h5f.FileID, path: str, request: ScanRequest) -> FileSchema:
    names = dataset_paths(fid) if request.paths is None else dict.fromkeys(request.paths)
    datasets = []
    for name in names:
        with _explained(path, f"'/{name}'"):
            datasets.append(describe(fid, name))
    attrs = read_attributes(fid, request.attrs, path) if request.attrs else {}
    return FileSchema(tuple(dataset for dataset in datasets if dataset is not None), attrs)


@contextmanager
def _explained(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except H5LightningError:
        raise
    except _HDF5_ERRORS as error:
        raise BadFileError(
            f"{path!r} is damaged, or uses a feature that HDF5 lacks here: {what} cannot be described: "
            f"{error}. Copy it again or write it anew; to do without it, add '!{path}' to files or set "
            "access.on_bad_file=skip"
        ) from error
