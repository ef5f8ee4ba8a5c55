"""One file → its `FileSchema`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from h5py import h5a, h5d, h5f, h5g, h5i, h5o

from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.planning.catalog.annotations import NOTHING, Annotations
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.schema import DatasetSchema, FileSchema
from h5lightning.storage.hdf5.chunk_index import DamageError, locate
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import Sources, encoded, link_problem
from h5lightning.storage.hdf5.file_checks import check_file, leave_out_hint
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.annotator import Annotator
from h5lightning.storage.scanning.attributes import read_attributes
from h5lightning.storage.scanning.describe_dataset import dataset_paths, describe, find
from h5lightning.storage.scanning.differences import first_difference
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["DIFFERENCE", "Outcome", "ScanRequest", "attribute_names", "describe_file", "outcome_of"]

DIFFERENCE = (
    "difference"  # where a comparison puts its words: among the attributes, whose names have an ``@``
)

# An error is a value here: one bad file does not end the scan of the others.
Outcome: TypeAlias = FileSchema | H5LightningError

# What h5py makes of the errors of HDF5, and of sizes and numbers that make no sense.
_HDF5_ERRORS = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    SystemError,
)


@dataclasses.dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to look for in a file.

    Args:
        paths: paths of datasets; None for all datasets.
        attrs: attributes, written ``object@name``, or ``@name`` for those of the file.
        most_chunks: find out where the values of a dataset lie if it has no more chunks than this; 0 for never.
        allow_external: the directory that files with values of other files may lie in; None for nowhere.
        same: paths of datasets whose values must be the same in all files: they are read, for their digest.
        constants: paths of datasets without a sample axis, so that labels of their first axis count, too.
        labels: whether to look for the labels of columns: of one file alone, there is nothing to hold them against.
        compared: another file, and what of it is held against the same of this file: then nothing else is looked at.
    """

    paths: tuple[str, ...] | None
    attrs: tuple[str, ...] = ()
    most_chunks: int = 4_000_000
    allow_external: str | None = None
    same: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    labels: bool = True
    compared: tuple[str, str] | None = None

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ScanRequest:
        """What JSON made of a request, and of other things beside it."""
        names = [item.name for item in dataclasses.fields(cls) if item.name in plain]
        return cls(**{name: _as_tuple(plain[name]) for name in names})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def describe_file(
    path: str, request: ScanRequest, values: ValueReader, *, locking: bool = False
) -> FileSchema:
    """Describe what one file holds.

    What cannot be a field is described too, with the reason as its ``refusal``; what the file lacks is left
    out. Links to elsewhere are not followed.

    Args:
        path: where the file lies.
        request: what to look for.
        values: what reads attributes and names of categories.
        locking: take HDF5's file lock.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
        FieldError: an attribute that is neither number nor text, or is over 64 KiB.
        NeedsProcessError: ``values`` may not read what the file holds.
    """
    status = check_file(path)
    with _Explained(path, "the file"), opened_id(path, locking=locking, status=status) as fid:
        return _describe(fid, path, request, values)


def attribute_names(path: str, owner: str = "", *, locking: bool = False) -> list[str]:
    """Names of the attributes of one object, sorted; none where there is no such object.

    Args:
        path: where the file lies.
        owner: path of a group or dataset; empty for the file itself.
        locking: take HDF5's file lock.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
    """
    check_file(path)
    with _Explained(path, f"'/{owner}'"), opened_id(path, locking=locking) as fid:
        if owner and link_problem(fid, path, owner, None) != "":
            return []
        found = h5o.open(fid, encoded(owner))
        names: list[bytes] = []
        if isinstance(found, (h5g.GroupID, h5d.DatasetID)):
            h5a.iterate(found, names.append)
        return sorted(name.decode("utf-8", "surrogateescape") for name in names)


def outcome_of(path: str, request: ScanRequest, values: ValueReader, *, locking: bool = False) -> Outcome:
    """What `describe_file` returns or raises."""
    try:
        return describe_file(path, request, values, locking=locking)
    except H5LightningError as error:
        return error


def _describe(fid: h5f.FileID, path: str, request: ScanRequest, values: ValueReader) -> FileSchema:
    if request.compared is not None:
        other, source = request.compared
        return FileSchema((), {DIFFERENCE: first_difference(fid, other, source, values)})
    wanted = dataset_paths(fid) if request.paths is None else request.paths
    names = dict.fromkeys((*wanted, *request.same))
    most_chunks, file_bytes = request.most_chunks, fid.get_filesize()
    datasets: list[DatasetSchema] = []
    extents: list[Extents | None] = []
    allowed, sources = request.allow_external, Sources()
    constants = request.constants if request.labels else None
    annotator = Annotator(fid, values, request.same, constants, request.paths or ())
    for name in names:
        with _Explained(path, f"'/{name}'"):
            found = find(fid, name, values, file=path, allow_external=allowed, sources=sources)
            if found is None:
                continue
            if isinstance(found, DatasetSchema):
                said = annotator.with_digest(NOTHING, found, name)
                datasets.append(found if said is NOTHING else dataclasses.replace(found, annotations=said))
                extents.append(None)
                continue
            schema = describe(fid, found, name, values, allow_external=allowed, sources=sources)
            is_here = allowed is None or h5i.get_file_id(found.did) == fid
            said = NOTHING if schema.refusal else _annotations(annotator, found, name, is_here=is_here)
            said = annotator.with_digest(said, found, name)
            datasets.append(schema if said is NOTHING else dataclasses.replace(schema, annotations=said))
            is_wanted = not schema.refusal and found.chunk_count <= most_chunks
            extents.append(_locate(found, name, path, file_bytes) if is_wanted and is_here else None)
    attrs = read_attributes(fid, request.attrs, path, values) if request.attrs else {}
    return FileSchema(tuple(datasets), attrs, tuple(extents), tuple(sources.stamps.items()))


def _annotations(annotator: Annotator, opened: DatasetInfo, name: str, *, is_here: bool) -> Annotations:
    return annotator.annotate(opened, name) if is_here else annotator.annotate_elsewhere(opened)


def _locate(opened: DatasetInfo, name: str, path: str, file_bytes: int) -> Extents:
    """Where the values of a dataset lie, checked."""
    try:
        return locate(opened, path, file_bytes)
    except DamageError as error:
        raise BadFileError(
            f"'/{name}' in {path!r} is damaged: {error}. Copy the file again; {leave_out_hint(path)}"
        ) from error


class _Explained:
    """Inside the ``with`` block, what HDF5 says of damage is an error of the file.

    Args:
        path: where the file lies.
        what: what is described.
    """

    __slots__ = ("_path", "_what")

    def __init__(self, path: str, what: str) -> None:
        self._path = path
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, _HDF5_ERRORS) and not isinstance(error, H5LightningError):
            raise BadFileError(
                f"{self._path!r} is damaged, or uses a feature that HDF5 lacks here: {self._what} cannot be described: "
                f"{error}. Copy it again or write it anew; {leave_out_hint(self._path)}"
            ) from error
