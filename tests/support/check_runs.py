"""Runs over real files to check, some of them with a wrong part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from h5lightning.datamodule.setup import assemble
from h5lightning.loading.order_values import read_order_values
from h5lightning.options import Access, Rows, Shuffle, Split
from h5lightning.options.coerce import coerce_fields
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.survey import survey
from h5lightning.tools.check import CheckSettings
from h5lightning.tools.check.run import CheckRun

ACCESS = Access(on_bad_file="skip", max_bad_fraction=1)


def ignore(_: int) -> None:
    """Progress that is not shown."""


@contextmanager
def check_run(
    files: Any,
    *,
    shuffle: Shuffle | None = None,
    split: Split | None = None,
    reader: Any = None,
    kind: type[CheckRun] = CheckRun,
    fields: Any = ("x", "y"),
    samples: Any = None,
    access: Access = ACCESS,
    series: Any = None,
    **settings: Any,
) -> Iterator[CheckRun]:
    """A run over files with `x` and `y`, or with other fields.

    Args:
        files: patterns.
        shuffle: the order of training.
        split: how the rows are divided.
        reader: makes the reader of a reader, to put a wrong one in its place.
        kind: the class of the run.
        fields: as in a DataModule.
        samples: how samples lie in a file; None for rows.
        access: how the files are opened.
        series: what a series is.
        **settings: those of `CheckSettings`.
    """
    shuffle = shuffle or Shuffle()
    wanted = coerce_fields(fields) or {}
    found = survey(files, wanted, samples or Rows(), access=access, series=series)
    with HandlePool(access, scanned_files=found.scanned_files) as pool:
        chosen = make_reader("auto", pool)
        chosen = reader(chosen) if reader else chosen
        data = assemble(found, split or Split(), reader=chosen, access=access, seed=3, provenance=True)
        values = read_order_values(data.datasets["train"], shuffle)
        order = data.training_order(data.fitted(shuffle), values)
        extent = CheckSettings(**{"batch_size": 7, **settings})
        stored = frozenset(key for key, field in wanted.items() if field.decode == "stored")
        yield kind(data, order, values.weights, extent, chosen, access, stored)


class LyingReader:
    """Reads the row before the last one instead of the last, in each read of a dataset.

    Args:
        reader: the reader that reads.
        path: the dataset.
        file: name of the only file that is read wrongly; None for all.
    """

    def __init__(self, reader: Any, path: str, file: str | None = None) -> None:
        self._reader, self._path, self._file = reader, path, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __reduce__(self) -> Any:
        return type(self), (self._reader, self._path, self._file)

    def read(self, files: Any, takes: Any) -> None:
        self._reader.read(files, [self._changed(take, files) for take in takes])

    def _changed(self, take: Any, files: Any) -> Any:
        if take.source.path != self._path:
            return take
        rows = take.rows.copy()
        for number, file in enumerate(files):
            if self._file is None or file.endswith(self._file):
                last = int(take.borders[number + 1]) - 1
                rows[last] = rows[last] - 1 if rows[last] else 1
        return replace(take, rows=rows)


def with_order(run: CheckRun, order: Any) -> CheckRun:
    """The same run in another order."""
    return replace(run, order=order)
