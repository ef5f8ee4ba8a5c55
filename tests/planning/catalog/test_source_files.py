"""The sources of many files, in a few flat arrays."""

import pickle

import numpy as np
import pytest

from h5lightning.planning.catalog.source_files import NOT_THERE, SourceTable

A, B, C = ("/a", (1, 2, 3, 4)), ("b.raw", (5, 6, 7, 8)), ("/ä\udcff", NOT_THERE)
FILES = [(), (A, B), (), (B,), (C, A)]


def listed(table, files=5):
    return [table.of_file(file) for file in range(files)]


def test_each_source_is_kept_once():
    table = SourceTable.of(FILES)
    assert listed(table) == FILES
    assert sorted(table.paths) == sorted(path for path, _ in (A, B, C))
    assert listed(pickle.loads(pickle.dumps(table))) == FILES


def test_a_source_that_changed_between_two_scans_is_two():
    changed = ("/a", (1, 2, 3, 5))
    assert listed(SourceTable.of([(A,), (changed,)]), 2) == [(A,), (changed,)]


@pytest.mark.parametrize("files", [[], [4], [3, 1, 0], [1, 1], [0, 2]], ids=str)
def test_some_files(files):
    taken = SourceTable.of(FILES).take(np.asarray(files, dtype=np.int64))
    assert listed(taken, len(files)) == [FILES[file] for file in files]
    assert len(taken) == len({source for file in files for source in FILES[file]})


def test_two_tables():
    joined = SourceTable.joined(SourceTable.of(FILES), SourceTable.of(FILES[::-1]), files=len(FILES))
    assert listed(joined, 2 * len(FILES)) == [*FILES, *FILES[::-1]]
    nothing = SourceTable.joined(SourceTable.of(()), SourceTable.of(()), files=3)
    assert listed(nothing, 5) == [()] * 5
    assert listed(nothing.take(np.arange(2)), 2) == [(), ()]


def test_files_of_which_a_source_changed():
    table = SourceTable.of(FILES)
    now = dict((A, B, C))
    assert table.files_with_other(table.seen(now.__getitem__).stamps).tolist() == []
    for path, files in (("/a", [1, 4]), ("b.raw", [1, 3]), (C[0], [4])):
        seen = table.seen(lambda one, path=path: (0, 0, 0, 0) if one == path else now[one])
        assert table.files_with_other(seen.stamps).tolist() == files
    assert SourceTable.of(()).files_with_other(np.zeros((0, 4), np.int64)).tolist() == []


def test_parts_that_do_not_fit():
    table = SourceTable.of(FILES)
    with pytest.raises(ValueError, match="found parts of"):
        SourceTable(table.paths, table.stamps[:1], table.file_of, table.source_of)
