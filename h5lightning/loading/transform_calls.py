"""Calls of the user's transforms: each gets its ``info`` and its files, and an error says which sample it was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, overload

from h5lightning.core.arrays import Int64Array
from h5lightning.core.visible import visible, visible_logger
from h5lightning.loading.transforms import BatchInfo, SampleInfo, Transforms
from h5lightning.planning.index import SampleIndex
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.lent_file import FileLender

__all__ = ["BatchPlaces", "TransformCalls"]

_logger = visible_logger(__name__)


class TransformCalls:
    """Calls the transforms of one batch.

    Args:
        index: locates the samples.
        ids: their ids, ``(N,)``.
        pool: the open files of this process.
        stage: the stage whose transforms are called.
        epoch: the epoch that seeds them.
        seed: the seed of the run.
        starts: the first entry of samples along each axis of their windows, as they were read, ``(N, axes)``.
    """

    def __init__(
        self,
        index: SampleIndex,
        ids: Int64Array,
        pool: HandlePool,
        *,
        stage: str,
        epoch: int,
        seed: int,
        starts: Callable[[Int64Array], Int64Array],
    ) -> None:
        self._index = index
        self._ids = ids
        self._pool = pool
        self._stage, self._epoch, self._seed = stage, epoch, seed
        self._starts = starts

    def of_samples(self, transform: Transforms, samples: Iterable[Any]) -> list[Any]:
        """The samples, transformed one by one.

        Raises:
            Exception: what a transform raises, with a note that names the sample.
        """
        lender = FileLender(self._pool) if transform.takes_info else None
        infos: Iterable[SampleInfo | None] = repeat(None) if lender is None else self.infos(lender)
        done: list[Any] = []
        try:
            for sample, info in zip(samples, infos):  # noqa: B905 - without info, there is no end
                done.append(transform(sample, info))
                if lender is not None:
                    lender.end_call()
        except Exception as error:
            _note(error, f"in the transform of {self._place(len(done))}")
            raise
        finally:
            if lender is not None:
                lender.close()
        return done

    def of_batch(self, transform: Transforms, batch: Any) -> Any:
        """The batch, transformed.

        Raises:
            Exception: what a transform raises, with a note that names the first and the last sample.
        """
        ids = tuple(self._ids.tolist())
        with self._lending() as lender:
            places = BatchPlaces(self, lender)
            try:
                return transform(batch, BatchInfo(ids, self._stage, self._epoch, self._seed, places))
            except Exception as error:
                if ids:
                    first, last = self._place(0), self._place(len(ids) - 1)
                    _note(error, f"in the batch_transform of {len(ids)} samples, from {first}, to {last}")
                raise

    @contextmanager
    def _lending(self) -> Iterator[FileLender]:
        lender = FileLender(self._pool)
        try:
            yield lender
        finally:
            try:
                lender.end_call()
            finally:
                lender.close()

    def infos(self, lender: FileLender) -> Iterator[SampleInfo]:
        """What transforms get to know of each sample."""
        where, index = self._index.locate(self._ids), self._index
        starts = self._starts(self._ids)
        # To make their texts takes longer than to read a sample.
        paths = {file: index.path(file) for file in set(where.file.tolist())}
        names = {series: index.series_name(series) for series in set(where.series.tolist())}
        return SampleInfo.of_samples(
            self._ids.tolist(),
            map(paths.__getitem__, where.file.tolist()),
            map(names.__getitem__, where.series.tolist()),
            starts[:, 0].tolist(),
            map(tuple, starts[:, 1:].tolist()) if starts.shape[1] > 1 else None,
            stage=self._stage,
            epoch=self._epoch,
            seed=self._seed,
            lender=lender,
        )

    def _place(self, number: int) -> str:
        """The place of a sample of the batch, for an error."""
        where, index = self._index.locate(self._ids[number : number + 1]), self._index
        name = index.series_name(int(where.series[0]))
        series = f" of series {name!r}" if name else ""
        row, *others = self._starts(self._ids[number : number + 1])[0].tolist()
        start = f"start {(row, *others)}" if others else f"row {row}"
        place = f"{start}{series} of {index.path(int(where.file[0]))}"
        return visible(f"sample {self._ids[number]} ({place}, stage {self._stage!r})")


class BatchPlaces(Sequence[SampleInfo]):
    """The `SampleInfo` of each sample of a batch, made when the first one is asked for."""

    def __init__(self, calls: TransformCalls, lender: FileLender) -> None:
        self._calls = calls
        self._lender = lender
        self._made: list[SampleInfo] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all(),)

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, number: int) -> SampleInfo: ...
    @overload
    def __getitem__(self, number: slice) -> list[SampleInfo]: ...
    def __getitem__(self, number: int | slice) -> SampleInfo | list[SampleInfo]:
        return self._all()[number]

    def _all(self) -> list[SampleInfo]:
        if self._made is None:
            self._made = list(self._calls.infos(self._lender))
        return self._made


def _note(error: Exception, text: str) -> None:
    """Add a note to an error, whose type and message stay what they are; in the log too if Python shows no notes."""
    if sys.version_info >= (3, 11):
        error.add_note(text)
        return
    vars(error).setdefault("__notes__", []).append(text)
    _logger.error("%s: %s", type(error).__name__, text)
