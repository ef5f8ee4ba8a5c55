"""The cache of constants: each file is read once while it fits, within the bound, for any number of threads."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from h5lightning.loading.fields.constant_cache import ConstantCache

FILES, SHAPE, DTYPE = 8, (100,), np.dtype("uint8")


def cache_of(limit_bytes, **values):
    """A cache with one kind of values, unless others are given."""
    cache = ConstantCache(limit_bytes, FILES)
    for key, nbytes in (values or {"grid": 100}).items():
        cache.plan(key, nbytes)
    return cache


def table_of(cache, key="grid"):
    return cache.kept().table(key, SHAPE, DTYPE)


def value(file):
    return np.full(SHAPE, file, DTYPE)


def test_each_file_has_a_row_if_all_fit() -> None:
    table = table_of(cache_of(FILES * 100))
    files = np.asarray([5, 0, 7, 3, 1, 2, 6, 4])
    assert (table.rows(files) == -1).all()
    assert [table.add(file, value(file)) for file in files.tolist()] == list(range(FILES))
    assert table.is_full
    np.testing.assert_array_equal(table.values[table.rows(np.arange(FILES))][:, 0], np.arange(FILES))


def test_a_row_is_written_once() -> None:
    table = table_of(cache_of(FILES * 100))
    assert table.add(3, value(3)) == table.add(3, value(9)) == 0
    assert (table.values[0] == 3).all()
    assert table.add(4, value(4)) == 1


@pytest.mark.parametrize(("limit", "rows"), [(799, 5), (400, 3), (133, 0), (0, 0)])
def test_tables_hold_as_many_files_as_fit_into_three_quarters(limit, rows) -> None:
    table = table_of(cache_of(limit))
    assert [table.add(file, value(file)) for file in range(FILES)] == [*range(rows), *[-1] * (FILES - rows)]
    assert len(table.values) == rows


def test_all_fields_keep_the_same_files() -> None:
    cache = cache_of(1000, grid=100, axis=100, other=0)
    assert [len(table_of(cache, key).values) for key in ("grid", "axis", "other")] == [3, 3, 3]
    cache.plan("grid", 100)  # another field of the same values
    assert table_of(cache) is table_of(cache)


def test_the_least_recently_used_of_the_others_goes_first() -> None:
    kept, made = cache_of(799).kept(), []

    def get(file):
        return kept.get(file, lambda: made.append(file) or value(file))

    with pytest.warns(UserWarning, match="read again") as caught:
        found = [get(file)[0] for file in (1, 1, 2, 1)]
    assert found == [1, 1, 2, 1]
    assert made == [1, 2, 1]
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "constant fields take 800 B for 8 files, and access.cache_bytes is too small for more than 5 files: in random "
        "order, those of the others are read again for nearly each sample. Set access.cache_bytes to at least 800"
    )


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_is_empty_and_has_the_same_bound(copied) -> None:
    cache = cache_of(400)
    table_of(cache).add(1, value(1))
    other = table_of(copied(cache))
    assert other.rows(np.asarray([1])).tolist() == [-1]
    assert len(other.values) == 3
    other.add(2, value(2))
    assert table_of(cache).rows(np.asarray([1, 2])).tolist() == [0, -1]


@pytest.mark.timeout(60)
def test_threads_get_the_values_of_their_files() -> None:
    kept, wrong, start = cache_of(FILES * 100).kept(), [], threading.Barrier(4)

    def work(seed):
        start.wait(30)
        table = kept.table("grid", SHAPE, DTYPE)
        for files in np.random.default_rng(seed).integers(0, FILES, (400, 3)):
            rows = table.rows(files)
            for place in np.flatnonzero(rows < 0).tolist():
                rows[place] = table.add(int(files[place]), value(files[place]))
            wrong.extend(files[table.values[rows, 50] != files])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert kept.table("grid", SHAPE, DTYPE).is_full
