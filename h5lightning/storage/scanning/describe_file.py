"""Describe one file: its datasets, the attributes asked for, and where values are stored."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from h5py import h5a, h5f, h5i

from h5lightning.errors import BadFileError, H5LightningError
from h5lightning.planning.catalog.annotations import NOTHING
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.row_index import IndexTable
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.series_bounds import SeriesBounds
from h5lightning.planning.series.join_files import COORDINATE
from h5lightning.storage.hdf5.chunk_index import DamageError, locate
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import Sources, object_at
from h5lightning.storage.hdf5.file_checks import check_file, leave_out_hint
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.annotator import Annotator
from h5lightning.storage.scanning.describe_dataset import dataset_paths, describe_dataset, find_dataset
from h5lightning.storage.scanning.differences import first_difference
from h5lightning.storage.scanning.matches.match_scan import MatchScan, Tell
from h5lightning.storage.scanning.metadata_values import ValueReader, read_attributes
from h5lightning.storage.scanning.rows.read_row_values import RowValueReader
from h5lightning.storage.scanning.rows.value_source import ValueFile
from h5lightning.storage.scanning.scan_request import DIFFERENCE, Outcome, ScanRequest
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset
from h5lightning.storage.scanning.series.read_bounds import read_bounds
from h5lightning.storage.scanning.series.read_coordinate import read_coordinate
from h5lightning.storage.scanning.series.read_row_index import read_row_index
from h5lightning.storage.scanning.series.series_lists import read_series_lists

__all__ = ["attribute_names", "dataset_names", "describe_file", "outcome_of"]

# What h5py raises for errors of HDF5, and for sizes and numbers that are impossible.
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

_Described: TypeAlias = tuple[DatasetSchema, Extents | None]


def describe_file(
    path: str,
    request: ScanRequest,
    reader: ValueReader,
    *,
    locking: bool = False,
    tell: Tell = lambda _: None,
) -> FileSchema:
    """Describe the datasets of one file.

    A dataset that cannot be a field is described too, with the reason as its ``refusal``. Objects that the file lacks
    are left out. Links to other files are followed only as ``request.allow_external`` says. During a long scan,
    ``tell`` is called with the share of the file that was scanned since the last call.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
        FieldError: an attribute that is neither number nor text, or is over 64 KiB, or a list of series that is none.
        NeedsProcessError: ``reader`` may not read a value of the file.
    """
    status = check_file(path)
    with _DamageExplained(path, "the file"), opened_id(path, locking=locking, status=status) as fid:
        if request.compared is not None:
            return FileSchema((), {DIFFERENCE: first_difference(fid, *request.compared, reader)})
        if request.lists:
            return FileSchema((), read_series_lists(fid, path, request.lists, reader))
        return _FileScan(fid, path, request, reader).schema(tell)


def attribute_names(path: str, owner: str = "", *, locking: bool = False) -> list[str]:
    """Names of the attributes of one object (the file, for an empty path), sorted; none if there is no such object.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
    """
    check_file(path)
    with _DamageExplained(path, f"'/{owner}'"), opened_id(path, locking=locking) as fid:
        names: list[bytes] = []
        if (owner_id := object_at(fid, owner)) is not None:
            h5a.iterate(owner_id, names.append)
        return sorted(name.decode("utf-8", "surrogateescape") for name in names)


def dataset_names(path: str, *, locking: bool = False, most: int = 5_000) -> list[str]:
    """Paths of the datasets of a file to which hard links lead, sorted; at most ``most``.

    Raises:
        BadFileError: the file cannot be opened, or is damaged.
    """
    check_file(path)
    with _DamageExplained(path, "the list of its datasets"), opened_id(path, locking=locking) as fid:
        return dataset_paths(fid, most)


def outcome_of(
    path: str,
    request: ScanRequest,
    reader: ValueReader,
    *,
    locking: bool = False,
    tell: Tell = lambda _: None,
) -> Outcome:
    """What `describe_file` returns, or the `H5LightningError` that it raises."""
    try:
        return describe_file(path, request, reader, locking=locking, tell=tell)
    except H5LightningError as error:
        return error


class _FileScan:
    """The scan of one open file."""

    __slots__ = ("_annotator", "_fid", "_file_bytes", "_path", "_reader", "_request", "_sources")

    def __init__(self, fid: h5f.FileID, path: str, request: ScanRequest, reader: ValueReader) -> None:
        self._fid = fid
        self._path = path
        self._request = request
        self._reader = reader
        self._file_bytes = fid.get_filesize()
        self._sources = Sources()
        constants = request.constants if request.labels else None
        self._annotator = Annotator(
            fid,
            reader,
            request.same,
            constants,
            named=frozenset(request.kept_values),
            likely_paths=request.paths or (),
            has_series=not request.matched,
        )

    def schema(self, tell: Tell) -> FileSchema:
        """The description of the file; ``tell`` is called with the share that was scanned since the last call."""
        request = self._request
        if request.matched:
            matches = MatchScan(self._fid, self._path, request, self._reader, self._explained).found(tell)
            bounds = self._bounds(tuple(matches.texts))
            indexes = self._row_indexes(tuple(matches.texts))
            values = self._row_values(tell, tuple(matches.texts))
            sources = tuple(self._sources.stamps.items())
            return FileSchema((), {}, (), sources, matches, bounds, indexes, values)
        paths = dataset_paths(self._fid) if request.paths is None else request.paths
        every = [self._explained(path) for path in dict.fromkeys((*paths, *request.same))]
        described = [one for one in every if one is not None]
        attrs = read_attributes(self._fid, request.attrs, self._path, self._reader) if request.attrs else {}
        if request.coordinate is not None:
            with _DamageExplained(self._path, f"'/{request.coordinate}'"):
                found = read_coordinate(self._fid, request.coordinate, self._path, self._reader)
            attrs = {**attrs, COORDINATE: {"value": found}}
        schemas = tuple(schema for schema, _ in described)
        extents = tuple(extents for _, extents in described)
        indexes, values = self._row_indexes(), self._row_values(tell)
        sources = tuple(self._sources.stamps.items())
        return FileSchema(schemas, attrs, extents, sources, None, self._bounds(), indexes, values)

    def _bounds(self, texts: tuple[str, ...] | None = None) -> SeriesBounds | None:
        """The series that tables divide the rows of each unit into; None without such tables."""
        if not self._request.series:
            return None
        with _DamageExplained(self._path, "what divides its rows into series"):
            return read_bounds(self._fid, self._path, self._request.series, self._reader, texts=texts)

    def _row_indexes(self, texts: tuple[str, ...] | None = None) -> dict[str, IndexTable]:
        """The numbers that divide datasets of each unit into rows of unequal length, by the path in the request."""
        found = {}
        for path in self._request.indexes:
            with _DamageExplained(self._path, f"'/{path}'"):
                found[path] = read_row_index(self._fid, self._path, path, self._reader, texts=texts)
        return found

    def _row_values(self, tell: Tell, texts: tuple[str, ...] | None = None) -> dict[str, RowValues]:
        """The values of rows of each unit, by the name in the request."""
        request, found = self._request, {}
        file = ValueFile(self._fid, self._path, self._reader, request.allow_external, self._sources)
        # What a ``*`` matches has told the whole share of this file.
        share = 0.0 if texts is not None else 1 / max(1, len(request.kept_values))
        reader = RowValueReader(file, tell, share)
        for name, kept in request.kept_values.items():
            with _DamageExplained(self._path, f"'/{name}'"):
                found[name] = reader.of(name, texts, kept)
        return found

    def _explained(self, path: str, asked: str | None = None) -> _Described | None:
        """As `_described`; errors of damage name the path."""
        with _DamageExplained(self._path, f"'/{path}'"):
            return self._described(path, asked)

    def _described(self, path: str, asked: str | None) -> _Described | None:
        """The schema at a path, and where its values are stored; None if the file has no such object.

        ``asked`` is the path in the request, if it holds a ``*`` there.
        """
        allowed = self._request.allow_external
        info = find_dataset(
            self._fid, path, self._reader, file=self._path, allow_external=allowed, sources=self._sources
        )
        if info is None:
            return None
        if isinstance(info, DatasetSchema):  # of an object that is no dataset
            return self._annotator.with_digest(info, None, asked), None
        dataset = ScannedDataset(self._fid, path, info, self._reader)
        schema = describe_dataset(dataset, allow_external=allowed, sources=self._sources)
        in_file = allowed is None or h5i.get_file_id(info.did) == self._fid
        if not schema.refusal:
            annotator = self._annotator
            annotations = (
                annotator.annotate(dataset, asked) if in_file else annotator.annotate_elsewhere(info)
            )
            if annotations is not NOTHING:
                schema = dataclasses.replace(schema, annotations=annotations)
        schema = self._annotator.with_digest(schema, info, asked)
        is_readable = not schema.refusal or (bool(schema.raw) and self._request.paths is not None)
        is_located = in_file and is_readable and info.chunk_count <= self._request.most_chunks
        return schema, self._extents(info, path) if is_located else None

    def _extents(self, info: DatasetInfo, path: str) -> Extents:
        """Where the values of a dataset are stored, checked."""
        try:
            return locate(info, self._path, self._file_bytes)
        except DamageError as error:
            raise BadFileError(
                f"'/{path}' in {self._path!r} is damaged: {error}. Copy the file again; {leave_out_hint(self._path)}"
            ) from error


class _DamageExplained:
    """Inside the ``with`` block, errors that HDF5 raises for damage become a `BadFileError`."""

    __slots__ = ("_path", "_what")

    def __init__(self, path: str, what: str) -> None:
        self._path = path
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, _HDF5_ERRORS) and not isinstance(error, H5LightningError):
            raise BadFileError(
                f"{self._path!r} is damaged, or uses a feature that this HDF5 library lacks: {self._what} cannot be "
                f"described: {error}. Copy the file again or rewrite it; {leave_out_hint(self._path)}"
            ) from error
