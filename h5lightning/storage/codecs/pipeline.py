"""Decodes chunks by undoing the filters of a dataset one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from h5lightning.storage.codecs.blocks import Bitshuffle, Lz4
from h5lightning.storage.codecs.blosc import Blosc, Blosc2
from h5lightning.storage.codecs.builtin import Fletcher32, Inflate, unshuffle
from h5lightning.storage.codecs.decoder import Bytes, Copy, Decoder, NoCodecError
from h5lightning.storage.codecs.libraries import ImagecodecsDecoder
from h5lightning.storage.hdf5.filters import filter_name

__all__ = ["FilterPipeline"]


@dataclass(frozen=True, slots=True)
class _Step:
    """A filter to undo, and the size of its input; None if that follows from the stored bytes only."""

    decoder: Decoder
    size: int | None

    def size_from(self, stored: Bytes) -> int:
        """Bytes that ``stored`` decodes to."""
        return max(0, len(stored) - (self.decoder.growth or 0)) if self.size is None else self.size


class FilterPipeline:
    """Decodes the chunks of one dataset.

    Args:
        filters: HDF5's number of each filter and its client values, in the order of writing.
        chunk_bytes: bytes of a decoded chunk.

    Raises:
        NoCodecError: a filter has no decoder.
    """

    def __init__(self, filters: Sequence[tuple[int, tuple[int, ...]]], chunk_bytes: int) -> None:
        self._decoders = [_decoder(number, values) for number, values in filters]
        self.names = [filter_name(number) for number, _ in filters]
        self._chunk_bytes = chunk_bytes
        compressors = [
            number
            for (number, _), decoder in zip(filters, self._decoders, strict=True)
            if decoder.growth is None
        ]
        if len(compressors) > 1:
            raise NoCodecError(f"is compressed more than once: filters {compressors}")
        self._usual = self._steps(0)

    def decode(self, stored: Bytes, out: Bytes, mask: int = 0) -> None:
        """Decode one chunk.

        Args:
            stored: the stored bytes, ``(stored bytes,)``.
            out: memory for the decoded chunk, ``(chunk_bytes,)``.
            mask: HDF5's filter mask: bit i is set where filter i was skipped.

        Raises:
            CodecError: the stored bytes are damaged.
        """
        stored, last = self._undone_but_one(stored, mask)
        last.decoder.fill(stored, out)

    def make(self, stored: Bytes, mask: int = 0) -> Bytes:
        """Decode one chunk into new memory, or to a view of ``stored``; see `decode`."""
        stored, last = self._undone_but_one(stored, mask)
        return last.decoder.make(stored, last.size_from(stored))

    def _undone_but_one(self, stored: Bytes, mask: int) -> tuple[Bytes, _Step]:
        """The stored bytes with all filters undone except the one that was applied first, and that one."""
        *before, last = self._steps(mask) if mask else self._usual
        for step in before:
            stored = step.decoder.make(stored, step.size_from(stored))
        return stored, last

    def _steps(self, mask: int) -> list[_Step]:
        """The filters that were applied, in the order in which they are undone."""
        steps: list[_Step] = []
        size: int | None = self._chunk_bytes
        for position, decoder in enumerate(self._decoders):
            if not mask >> position & 1:
                steps.append(_Step(decoder, size))
                size = None if size is None or decoder.growth is None else size + decoder.growth
        return steps[::-1] or [_Step(Copy(), size)]


# The numbers of https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md.
_CODECS: dict[int, Callable[[tuple[int, ...]], Decoder]] = {
    1: lambda _: Inflate(),
    2: lambda values: unshuffle(values[0] if values else 1),
    3: lambda _: Fletcher32(),
    32000: lambda _: ImagecodecsDecoder("lzf"),
    32001: Blosc,
    32004: lambda _: Lz4(),
    32008: Bitshuffle,
    32015: lambda _: ImagecodecsDecoder("zstd"),
    32026: Blosc2,
}


def _decoder(number: int, values: tuple[int, ...]) -> Decoder:
    if number not in _CODECS:
        raise NoCodecError(f"has filter {number}, which only HDF5 decodes")
    return _CODECS[number](values)
