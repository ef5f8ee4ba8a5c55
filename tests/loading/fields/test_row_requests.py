"""What the fields of a batch ask for: in one call for all requests of the same files."""

from __future__ import annotations

import numpy as np

from h5lightning.loading.fields.row_requests import RowRequest, by_files, read_rows
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

X, Y = (DatasetColumn(name, None, "<i4", (2,)) for name in "xy")


class Recorder:
    """A reader that keeps what it was asked for."""

    def __init__(self):
        self.calls = []

    def read(self, files, requests):
        self.calls.append(
            (list(files), [(request.source.path, request.rows.tolist()) for request in requests])
        )


def asked(column, rows_of_files):
    """A request for the rows of each file."""
    rows = np.concatenate([np.asarray(rows, np.int64) for rows in rows_of_files])
    borders = np.cumsum([0, *map(len, rows_of_files)])
    return ReadRequest(column, borders, rows, np.arange(len(rows)), np.zeros((len(rows), 2), "i4"))


def test_all_requests_of_the_same_files_are_read_in_one_call():
    reader, requests = Recorder(), [asked(X, [[3], [1, 2]]), asked(Y, [[3], [1, 2]]), asked(X, [[3], [4]])]
    read_rows(reader, ["0", "1"], [RowRequest(request) for request in requests])
    assert reader.calls == [(["0", "1"], [("x", [3, 1, 2]), ("y", [3, 1, 2]), ("x", [3, 4])])]


def test_files_of_another_type_are_read_for_themselves():
    reader, requests = (
        Recorder(),
        [RowRequest(asked(X, [[1], [2], [3]])), RowRequest(asked(Y, [[5], [6]]), (0, 2))],
    )
    read_rows(reader, ["0", "1", "2"], requests)
    assert reader.calls == [(["0", "1", "2"], [("x", [1, 2, 3])]), (["0", "2"], [("y", [5, 6])])]
    assert [(list(paths), len(group)) for paths, group in by_files("012", requests)] == [
        (["0", "1", "2"], 1), (["0", "2"], 1)
    ]  # fmt: skip


def test_an_empty_batch_reads_nothing():
    reader, empty = Recorder(), asked(X, [[]])
    read_rows(reader, [], [RowRequest(empty), RowRequest(empty)])
    assert reader.calls == []
