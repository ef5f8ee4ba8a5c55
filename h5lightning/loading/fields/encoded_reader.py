"""Reads fields of encoded bytes: images, which are decoded straight into the batch, or lists of bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.formatting import bytes_text
from h5lightning.core.image_headers import ImageHeader, NoImageError, check_whole, read_header
from h5lightning.errors import BadFileError, FieldError, ResourceError
from h5lightning.loading.fields.encoded_entries import EncodedEntries, FormReaders, MakeReader
from h5lightning.loading.fields.field_reader import FieldReader, ReadContext
from h5lightning.loading.fields.image_decoder import ImageDecoder
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.row_requests import RowRequest, read_rows
from h5lightning.planning.encoded_field import EncodedField, EncodedRunField, size_remedy, size_text

__all__ = ["make_encoded_reader"]

Array = npt.NDArray[Any]
EncodedPlan = EncodedField | EncodedRunField

_TASKS_PER_THREAD = 4  # so that threads end at about the same time


def make_encoded_reader(plan: EncodedPlan, context: ReadContext, make: MakeReader) -> FieldReader:
    """The reader of a field of encoded bytes; ``make`` makes those of its stored rows."""
    if not plan.encoded.is_decoded:
        return BytesReader(plan, context, make)
    return ImageReader(plan, context, make) if plan.encoded.size else RaggedImageReader(plan, context, make)


class BytesReader(FieldReader):
    """Delivers the bytes of each sample, in a list; or a list of them, where a sample has several rows."""

    def __init__(self, plan: EncodedPlan, context: ReadContext, make: MakeReader) -> None:
        super().__init__(plan, context)
        self.shape = ()
        self._plan = plan
        self._rows = FormReaders(plan, make, context)

    def _buffer_dtype(self) -> np.dtype[Any]:
        return np.dtype(object)

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        entries = self._rows.entries(batch, is_read=bool(out.size))
        yield entries.requests()
        values, at = self._without_padding(entries.values(), batch), 0
        shape, per_row = self._plan.encoded.shape, math.prod(self._plan.encoded.shape)
        for slot, count in enumerate(entries.counts.tolist()):
            own = values[at : at + count * per_row]
            rows = [_nested(own[row * per_row : (row + 1) * per_row], shape) for row in range(count)]
            out[slot] = rows if self._plan.steps is not None else rows[0]
            at += count * per_row

    def _without_padding(self, values: list[bytes], batch: LocatedBatch) -> list[bytes]:
        """Values with no bytes where ``pad="zero"`` puts zeros."""
        if batch.room is None or batch.index.reach.pad != "zero":
            return values
        is_padding = np.empty((len(batch.slots), len(self._plan.offsets)), np.bool_)
        is_padding[batch.slots] = batch.room.padding_of(self._plan)
        flat = is_padding.reshape(-1).repeat(math.prod(self._plan.encoded.shape)).tolist()
        return [b"" if padded else value for value, padded in zip(values, flat, strict=True)]


class _Images(FieldReader):
    """Decodes images."""

    def __init__(self, plan: EncodedPlan, context: ReadContext, make: MakeReader) -> None:
        super().__init__(plan, context)
        encoded = plan.encoded
        self._plan = plan
        self._rows = FormReaders(plan, make, context)
        self._decoder = ImageDecoder(encoded.channels, channels_first=encoded.channels_first)
        self._most_bytes = context.reader.pool.access.most_padded_bytes

    def _buffer_dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def _headers(self, entries: EncodedEntries, values: Sequence[bytes]) -> list[ImageHeader]:
        """The headers of all images, which were checked."""
        known: dict[int, ImageHeader] = {}
        headers = []
        for number, data in enumerate(values):
            header = known.get(id(data))
            if header is None:
                header = known[id(data)] = self._header(entries, number, data)
            headers.append(header)
        return headers

    def _header(self, entries: EncodedEntries, number: int, data: bytes) -> ImageHeader:
        try:
            header = read_header(data)
            check_whole(data, header)
            self._decoder.check(header)
        except NoImageError as error:
            raise self._unreadable(entries, number, error) from None
        encoded, size = self._plan.encoded, header.size
        if encoded.size is not None and size != encoded.size:
            raise FieldError(
                f"{self._described(entries, number)} has {size_text(size)}, expected {size_text(encoded.size)} as in "
                f"{encoded.known_from}. {size_remedy(self._plan.as_asked)}"
            )
        nbytes = math.prod(size) * encoded.channels
        if nbytes > self._most_bytes:
            raise ResourceError(
                f"{self._described(entries, number)} has {size_text(size)}, which take {bytes_text(nbytes)}; "
                f"access.max_padded_bytes is {bytes_text(self._most_bytes)}"
            )
        return header

    def _decode(
        self,
        entries: EncodedEntries,
        values: Sequence[bytes],
        headers: Sequence[ImageHeader],
        outs: Sequence[Array],
    ) -> None:
        """Decode images into their places, each once, in several threads."""
        first: dict[int, int] = {}
        for number, data in enumerate(values):
            first.setdefault(id(data), number)
        numbers, threads = list(first.values()), self.context.images
        size = max(1, len(numbers) // (threads.count * _TASKS_PER_THREAD))
        parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        threads.run([partial(self._decode_some, part, entries, values, headers, outs) for part in parts])
        if len(numbers) < len(values):
            for number, data in enumerate(values):
                if first[id(data)] != number:
                    outs[number][...] = outs[first[id(data)]]

    def _decode_some(
        self,
        numbers: Sequence[int],
        entries: EncodedEntries,
        values: Sequence[bytes],
        headers: Sequence[ImageHeader],
        outs: Sequence[Array],
    ) -> None:
        number = -1
        try:
            for number in numbers:
                self._decoder.decode(values[number], headers[number], outs[number])
        except NoImageError as error:
            raise self._unreadable(entries, number, error) from error

    def _unreadable(self, entries: EncodedEntries, number: int, error: NoImageError) -> BadFileError:
        return BadFileError(f"{self._described(entries, number)} {error}")

    def _described(self, entries: EncodedEntries, number: int) -> str:
        return entries.describe(number // math.prod(self._plan.encoded.shape))


class ImageReader(_Images):
    """Images of one size."""

    def __init__(self, plan: EncodedPlan, context: ReadContext, make: MakeReader) -> None:
        super().__init__(plan, context, make)
        encoded = plan.encoded
        size = encoded.size or (0, 0)
        self._image = tuple(length or 0 for length in encoded.image_shape(size))
        if math.prod(self._image) > self._most_bytes:
            raise ResourceError(
                f"{plan.title}: images of {size_text(size)}, as {encoded.known_from}, take "
                f"{bytes_text(math.prod(self._image))}; access.max_padded_bytes is {bytes_text(self._most_bytes)}"
            )

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        if self._plan.ragged is None:
            return None
        return RaggedLayout.of_rows(self._rows.counts(batch), (*self._plan.encoded.shape, *self._image))

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        entries = self._rows.entries(batch, is_read=bool(out.size))
        yield entries.requests()
        values = entries.values()
        outs = list(out.reshape(len(values), *self._image))
        self._decode(entries, values, self._headers(entries, values), outs)


class RaggedImageReader(_Images):
    """Images of different sizes, one in each sample: their headers are read before there is a buffer.

    A sample may be a window of one row.
    """

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:
        """See `FieldReader.layout`."""
        before = () if self._plan.steps is None else (1,)
        encoded = self._plan.encoded
        shapes = [(*before, *encoded.image_shape(header.size)) for header in self._read(batch)[2]]
        return RaggedLayout.of(np.asarray(shapes, np.int64).reshape(len(shapes), len(self._plan.spec.shape)))

    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """See `FieldReader.fill`."""
        if self not in batch.kept:  # what comes is asked for ahead
            yield self._rows.entries(batch, is_read=False).requests()
            return
        yield ()
        entries, values, headers = self._read(batch)
        layout = self.layout(batch)
        if layout is None:
            return
        places = zip(layout.starts.tolist(), layout.sizes.tolist(), layout.shapes.tolist(), strict=True)
        axes = len(self._plan.encoded.image_shape((None, None)))
        outs = [out[start : start + size].reshape(shape[-axes:]) for start, size, shape in places]
        self._decode(entries, values, headers, outs)

    def _read(self, batch: LocatedBatch) -> tuple[EncodedEntries, list[bytes], list[ImageHeader]]:
        """The bytes and the headers of the images of a batch, which are read once."""
        known: Any = batch.kept.get(self)
        if known is None:
            entries = self._rows.entries(batch)
            read_rows(self.context.reader, batch.paths, entries.requests())
            values = entries.values()
            known = batch.kept[self] = entries, values, self._headers(entries, values)
        found: tuple[EncodedEntries, list[bytes], list[ImageHeader]] = known
        return found


def _nested(values: list[bytes], shape: tuple[int, ...]) -> Any:
    """Values as nested lists of a shape; the only one of them where there is none."""
    if not shape:
        return values[0]
    size = math.prod(shape[1:])
    return [_nested(values[number * size : (number + 1) * size], shape[1:]) for number in range(shape[0])]
