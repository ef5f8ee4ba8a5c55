"""Read from the files which series are train, val and test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import BadFileError
from h5lightning.options import Access
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.given_split import GivenSeries, check_lists, match_lists
from h5lightning.storage.scanning import ScanRequest, scan_files
from h5lightning.storage.scanning.looking_again import names_in

__all__ = ["read_given"]


def read_given(
    given: Mapping[str, str], index: SampleIndex, files: Int64Array, access: Access, processes: int | None
) -> GivenSeries:
    """The split of each series, as lists in its file say.

    Args:
        given: split → path of the dataset that lists its series.
        index: the files and series.
        files: the files that are divided.
        access: how files are opened.
        processes: scanning processes; None for one on each core.

    Raises:
        BadFileError: a file cannot be read.
        FieldError: a list holds neither text nor integers.
        SplitError: a list is missing, names an unknown series, or one that another list names too.
    """
    paths = [index.path(file) for file in files.tolist()]
    request = ScanRequest((), lists=tuple(dict.fromkeys(given.values())))
    lists: list[Mapping[str, Any]] = []
    for schema in scan_files(paths, request, processes=processes, locking=access.locking):
        if isinstance(schema, BadFileError):
            raise schema
        lists.append(schema.attrs)
    known = names_in(paths[0]) if paths and any(None in one.values() for one in lists) else []
    check_lists(index, files, lists, given, known)
    return match_lists(index, files, lists, given)
