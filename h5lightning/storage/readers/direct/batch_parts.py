"""The parts of files that a batch reads: what stands in the place of its files if paths hold a ``*``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.files.mapped_file import MappedFile
from h5lightning.storage.files.raw_file import RawFile
from h5lightning.storage.files.raw_files import FileBatch
from h5lightning.storage.readers.series_parts import SeriesParts

__all__ = ["FilePart", "MappedParts", "PartBatch"]


class FilePart(NamedTuple):
    """One part of a file.

    Args:
        text: what the ``*`` matched.
        number: its number in the catalog, or -1.
    """

    text: str
    number: int


class MappedParts(NamedTuple):
    """The maps of the files of some parts.

    Args:
        maps: of each file.
        file_of: the file of each part, ``(parts,)``.
        addresses: where the first byte of the file of each part lies, as `MappedFiles.addresses`, ``(parts,)``.
    """

    maps: list[MappedFile | None]
    file_of: Int64Array
    addresses: Int64Array

    def of(self, place: int) -> MappedFile | None:
        """The map of the file of one part."""
        return self.maps[int(self.file_of[place])]


class PartBatch:
    """The parts of files that a batch reads.

    Args:
        batch: the files, each of which was checked.
        parts: the parts.
        catalog: what was scanned; None if nothing was.

    Attributes:
        numbers: the number of each part in the catalog; -1 where the catalog does not describe it, ``(parts,)``.
    """

    def __init__(self, batch: FileBatch, parts: SeriesParts, catalog: Catalog | None) -> None:
        self.batch, self.parts = batch, parts
        self.numbers = _described(parts.numbers, batch.scan_numbers[parts.file_of], catalog)

    def __len__(self) -> int:
        return len(self.numbers)

    def has(self, parts: SeriesParts) -> bool:
        """Whether these are the same parts, if they are of the same files."""
        own = self.parts
        if own is parts:
            return True
        is_known = len(self) == len(parts) and not (parts.numbers < 0).any()
        return is_known and np.array_equal(own.numbers, parts.numbers)

    def raw(self, place: int) -> RawFile:
        """The file of a part."""
        return self.batch.files[int(self.parts.file_of[place])]

    def part(self, place: int) -> FilePart:
        """One of the parts."""
        return FilePart(self.parts.texts[place], int(self.numbers[place]))

    def mapped(self, memory_map: bool | None) -> MappedParts:
        """The files in memory; see `FileBatch.mapped`."""
        mapped, file_of = self.batch.mapped(memory_map), self.parts.file_of
        return MappedParts(mapped.maps, file_of, mapped.addresses[file_of])


def _described(numbers: Int64Array, scan_numbers: Int64Array, catalog: Catalog | None) -> Int64Array:
    """The numbers of parts that belong to the files which the catalog has under some numbers; -1 for all others."""
    if catalog is None or catalog.matches is None:
        return np.full(len(numbers), -1)
    inside = (numbers >= 0) & (numbers < catalog.unit_count) & (scan_numbers >= 0)
    known = np.where(inside, numbers, 0)
    inside &= catalog.unit_files[known] == scan_numbers if catalog.unit_count else inside
    return np.where(inside, numbers, -1)
