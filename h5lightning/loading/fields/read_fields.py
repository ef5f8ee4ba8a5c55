"""Fills the buffers of several fields, with the rows that they ask for read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from h5lightning.loading.fields.field_reader import FieldReader
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest, read_rows
from h5lightning.storage.readers.protocol import Reader

__all__ = ["read_fields"]


def read_fields(
    reader: Reader,
    fields: Sequence[FieldReader],
    buffers: Mapping[str, npt.NDArray[Any]],
    batch: LocatedBatch,
) -> None:
    """Fill the buffers of some fields with the samples of a batch.

    Args:
        reader: reads rows into buffers.
        fields: the readers of the fields.
        buffers: key → the buffer of the field; see `FieldReader.fill`.
        batch: the samples.

    Raises:
        BadFileError: a file cannot be read.
        FloatingPointError: a finite value would become infinite in the type of its buffer.
    """
    fills = [one.fill(batch, buffers[one.key]) for one in fields]
    while fills:
        requests: list[RowRequest] = []
        unfinished = []
        for fill in fills:
            asked = next(fill, None)
            if asked is not None:
                unfinished.append(fill)
                requests += asked
        if requests:
            read_rows(reader, batch.paths, requests)
        fills = unfinished
