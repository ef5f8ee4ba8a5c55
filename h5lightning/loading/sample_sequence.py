"""Samples that a dataset gives to a DataLoader: a lazy sequence, read together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

__all__ = ["SampleSequence"]


class SampleSequence(Sequence[dict[str, Any]]):
    """Samples that are read together, when the first of them is asked for.

    The loader of this package asks for no sample: it makes one batch of the sequence (`batch`).

    Args:
        size: number of samples.
        batch: reads them as one batch.
        samples: reads them one by one.
    """

    __slots__ = ("_read_samples", "_samples", "_size", "batch")

    def __init__(
        self, size: int, batch: Callable[[], dict[str, Any]], samples: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self.batch = batch
        self._size = size
        self._read_samples = samples
        self._samples: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, number: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._read()[number]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._read())

    def _read(self) -> list[dict[str, Any]]:
        if self._samples is None:
            self._samples = self._read_samples()
        return self._samples
