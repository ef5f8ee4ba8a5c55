"""The public dataset: all samples of many files, without a DataModule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from h5lightning.errors import SplitError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.loading.passes.read_conditions import with_conditions
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.loading.transforms import TransformOption, Transforms
from h5lightning.options import Access, Field, Samples, Table
from h5lightning.options.checks import check_bool, check_int, check_text, to_plain
from h5lightning.options.coerce import (
    SeriesOption,
    coerce,
    coerce_fields,
    coerce_one_samples,
    coerce_series,
    coerce_table,
)
from h5lightning.options.where import coerce_where
from h5lightning.planning.fields import check_dtype
from h5lightning.planning.index import SampleIndex, SampleRanges
from h5lightning.planning.selection import Selection
from h5lightning.planning.splitting.split_plan import Segments
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.survey import Files, survey

__all__ = ["H5Dataset"]


class H5Dataset(SampleDataset):
    """All samples of many HDF5 files as one sequence, for use without a DataModule.

    It is not divided into train and other samples, so that it has no statistics to normalise by: `H5DataModule` does.

    Args:
        files: pattern or list of patterns; ``@list.txt`` for those in a text file.
        fields: sample key → path, ``attr:NAME`` or `Field`; a list of paths; None for all eligible datasets.
        samples: `Rows`, `Windows`, `Whole` or a mapping with ``kind``; None for rows.
        dtype: the type that floating fields are delivered in; None as stored.
        transform: called with each sample, and with a `SampleInfo` if it takes two arguments.
        batch_transform: called with each batch, and with a `BatchInfo` if it takes two arguments.
        access: how files are opened and checked.
        reader: ``auto``, ``direct`` or ``h5py``.
        provenance: add ``sample_id``, int64 ``(N,)``, to each batch.
        seed: seeds the generators of transforms.
        index_dir: directory of the index; None for the user's cache directory.
        series: what a series is, whose border no window crosses: `Series`, or a mapping with its keys. ``file``: each
            file, even if a table in it divides its rows into episodes. None: each file too, but then `Windows` are an
            error if there is such a table. A ``*`` in the paths of the fields makes each match a series.
        table: a `Table` beside the files, or a mapping with its keys.
        where: key of a field, or path → which rows count: ``"finite"``, ``(low, below)``, a list of values, or True for
            a mask. A sample counts only if all rows that it reads do.

    Raises:
        H5LightningError: a problem of the files, or of the options.

    Example:
        >>> dataset = H5Dataset("runs/*.h5", {"x": "images", "y": "labels"})  # doctest: +SKIP
        >>> dataset[0]["x"].shape  # doctest: +SKIP
        torch.Size([3, 64, 64])
    """

    def __init__(
        self,
        files: Files,
        fields: Mapping[str, str | Field | Mapping[str, Any]] | Sequence[str] | None = None,
        samples: Samples | Mapping[str, Any] | None = None,
        *,
        dtype: str | None = None,
        transform: TransformOption = None,
        batch_transform: TransformOption = None,
        access: Access | Mapping[str, Any] | None = None,
        reader: str = "auto",
        provenance: bool = False,
        seed: int = 0,
        index_dir: str | None = None,
        series: SeriesOption | Mapping[str, Any] = None,
        table: Table | Mapping[str, Any] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> None:
        check_dtype(dtype)
        seed, provenance, index_dir = (to_plain(value) for value in (seed, provenance, index_dir))
        check_int("seed", seed, at_least=0)
        check_bool("provenance", provenance)
        check_text("index_dir", index_dir)
        options = coerce(Access, access, "access")
        surveyed = survey(
            files,
            coerce_fields(fields),
            coerce_one_samples(samples),
            access=options,
            dtype=dtype,
            series=coerce_series(series),
            table=coerce_table(table),
            where=coerce_where(where),
            index_dir=index_dir,
        )
        surveyed = with_conditions(surveyed, access=options, reader=reader, index_dir=index_dir)
        pool = HandlePool(options, scanned_files=surveyed.scanned_files)
        super().__init__(
            BatchReader(
                surveyed.index,
                surveyed.fields,
                make_reader(reader, pool),
                options,
                chunks=surveyed.chunk_layouts(surveyed.sections["train"]),
            ),
            _everything(surveyed.index),
            stage="train",
            transform=Transforms.of(transform, "train"),
            batch_transform=Transforms.of(batch_transform, "train", "batch_transform"),
            provenance=provenance,
            seed=seed,
        )


def _everything(index: SampleIndex) -> Selection:
    """All samples that conditions do not leave out."""
    if index.filter is None:
        return Selection(SampleRanges(np.zeros(1, np.int64), np.asarray([len(index)], np.int64)))
    found = Segments.of_series(index, np.arange(len(index.series_rows))).selection(index)
    if len(index) and not len(found):
        raise SplitError(
            f"each of the {len(index):,} samples reads a row that 'where' leaves out: loosen the conditions"
        )
    return found
