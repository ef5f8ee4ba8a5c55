"""Paths of the files of a batch: right for any number of files, and not too many are kept."""

import numpy as np

from h5lightning.core.string_table import StringTable
from h5lightning.loading.fields import located_batch
from h5lightning.loading.fields.located_batch import FilePaths, LocatedBatch
from h5lightning.options import Rows, Windows
from h5lightning.planning.grid import Grid
from h5lightning.planning.index import SampleIndex

FILES = 50


def test_paths_are_kept_within_a_limit(monkeypatch):
    monkeypatch.setattr(located_batch, "_MOST_PATHS", 20)
    names = StringTable.of(f"{number}.h5" for number in range(FILES))
    index = SampleIndex("/data", names, np.arange(FILES), np.full(FILES, 3), Rows())
    paths, rng = FilePaths(index), np.random.default_rng(0)
    for _ in range(40):
        files = np.unique(rng.integers(0, FILES, 9))
        assert paths.of(files) == [f"/data/{file}.h5" for file in files]
        assert paths.of(files)[0] is paths.of(files)[0]
        assert len(paths._kept) <= 20 + 9


def test_samples_of_some_units_keep_where_they_begin_along_other_axes():
    samples = Windows((2, 2), axis=(0, 1))
    grid = Grid.of(samples, np.asarray([[4], [5]]))
    names, rows = StringTable.of(["a.h5", "b.h5"]), np.asarray([3, 3])
    index = SampleIndex("/", names, np.arange(2), rows, samples, grid=grid)
    batch = LocatedBatch.of(np.asarray([13, 2, 7, 5]), FilePaths(index))
    some = batch.of_units(np.asarray([1]))
    assert some.ids.tolist() == [7, 13]
    assert some.others.tolist() == [[1], [3]]
    assert index.starts(index.locate(some.ids))[:, 1:].tolist() == some.others.tolist()
