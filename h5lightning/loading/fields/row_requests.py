"""Rows that the fields of a batch ask for, read in as few calls as possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from h5lightning.storage.readers.box_request import BoxRequest
from h5lightning.storage.readers.protocol import Reader, ReadRequest
from h5lightning.storage.readers.series_parts import chosen_parts

__all__ = ["RowRequest", "by_files", "divided_by_kind", "read_rows"]

AnyRequest = ReadRequest | BoxRequest


class RowRequest(NamedTuple):
    """Rows or boxes of one column that a field asks for.

    Args:
        request: what to read.
        files: the files that it reads, by their index in the batch, ascending; None for all files of the batch.
        paths: the files of the batch, if they are others than those of the other requests.
    """

    request: AnyRequest
    files: tuple[int, ...] | None = None
    paths: Sequence[str] | None = None


def by_files(
    paths: Sequence[str], requests: Iterable[RowRequest]
) -> Iterator[tuple[Sequence[str], list[AnyRequest]]]:
    """The requests of each set of files, with the paths of the files; ``paths`` are those of the batch."""
    groups: dict[tuple[object, ...], tuple[Sequence[str], list[AnyRequest]]] = {}
    for request, files, others in requests:
        key = (None if others is None else tuple(others), files)
        if key not in groups:
            own = paths if others is None else others
            groups[key] = (own if files is None else chosen_parts(own, files), [])
        groups[key][1].append(request)
    yield from groups.values()


def divided_by_kind(requests: Iterable[AnyRequest]) -> tuple[list[ReadRequest], list[BoxRequest]]:
    """The requests for rows, and those for boxes."""
    rows: list[ReadRequest] = []
    boxes: list[BoxRequest] = []
    for request in requests:
        if isinstance(request, ReadRequest):
            rows.append(request)
        else:
            boxes.append(request)
    return rows, boxes


def read_rows(reader: Reader, paths: Sequence[str], requests: Sequence[RowRequest]) -> None:
    """Fill the buffers of requests, in one call for all requests of the same files.

    Raises:
        BadFileError: a file cannot be read.
        FloatingPointError: a finite value would become infinite in the type of its buffer.
    """
    if not paths:
        return
    for files, group in by_files(paths, requests):
        rows, boxes = divided_by_kind(group)
        if rows:
            reader.read(files, rows)
        if boxes:
            reader.read_boxes(files, boxes)
