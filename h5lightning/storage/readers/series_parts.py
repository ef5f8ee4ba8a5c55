"""What readers read from where paths hold a ``*``: parts of files, each one match of the ``*``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable

__all__ = ["Picked", "SeriesParts", "chosen_parts", "distinct_files", "one_part", "path_of"]


class Picked(Sequence[str]):
    """Some of many texts, each of which is looked up when it is asked for.

    Args:
        texts: all of them.
        numbers: which of them, ``(N,)``.
    """

    __slots__ = ("_numbers", "_texts")

    def __init__(self, texts: Sequence[str] | StringTable, numbers: Int64Array) -> None:
        self._texts, self._numbers = texts, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, which: int) -> str: ...
    @overload
    def __getitem__(self, which: slice) -> Picked: ...
    def __getitem__(self, which: int | slice) -> str | Picked:
        if isinstance(which, slice):
            return Picked(self._texts, self._numbers[which])
        return self._texts[int(self._numbers[which])]


@dataclass(frozen=True, slots=True, eq=False)
class SeriesParts(Sequence[str]):
    """Parts of files; a part stands where else a file stands.

    As a sequence, it has the path of the file of each part. The parts of one file follow each other. Nothing is looked
    up for each part as long as nobody asks: a batch may have thousands of them.

    Args:
        files: the paths of the files, each once.
        file_of: the file of each part, ascending, ``(parts,)``.
        texts: what the ``*`` matched in each part.
        numbers: the number of each part in the catalog; -1 if it is not known, ``(parts,)``.
    """

    files: Sequence[str]
    file_of: Int64Array
    texts: Sequence[str]
    numbers: Int64Array

    @classmethod
    def of_paths(
        cls, paths: Sequence[str], texts: Sequence[str], numbers: Int64Array | None = None
    ) -> SeriesParts:
        """Parts by the paths of their files, those of one file after each other."""
        different = list(dict.fromkeys(paths))
        places = {path: place for place, path in enumerate(different)}
        file_of = np.asarray([places[path] for path in paths], np.int64)
        return cls(different, file_of, texts, np.full(len(paths), -1) if numbers is None else numbers)

    def __len__(self) -> int:
        return len(self.file_of)

    @overload
    def __getitem__(self, which: int) -> str: ...
    @overload
    def __getitem__(self, which: slice) -> SeriesParts: ...
    def __getitem__(self, which: int | slice) -> str | SeriesParts:
        if isinstance(which, slice):
            return self._chosen(np.arange(len(self))[which])
        return self.files[int(self.file_of[which])]

    @property
    def paths(self) -> list[str]:
        """The path of the file of each part."""
        return [self.files[file] for file in self.file_of.tolist()]

    def of(self, parts: Sequence[int]) -> SeriesParts:
        """Some of the parts, given by their ascending numbers in here."""
        return self._chosen(np.asarray(parts, np.int64))

    def _chosen(self, parts: Int64Array) -> SeriesParts:
        used, file_of = np.unique(self.file_of[parts], return_inverse=True)
        files = [self.files[file] for file in used.tolist()]
        return SeriesParts(files, file_of, Picked(self.texts, parts), self.numbers[parts])


def chosen_parts(files: Sequence[str], numbers: Sequence[int]) -> Sequence[str]:
    """Some of the files, or of the `SeriesParts`, of a batch, given by their ascending numbers in it."""
    return files.of(numbers) if isinstance(files, SeriesParts) else [files[number] for number in numbers]


def one_part(files: Sequence[str], number: int) -> str | SeriesParts:
    """The path of one of the files of a batch; if it has `SeriesParts`, one part."""
    return files.of([number]) if isinstance(files, SeriesParts) else files[number]


def distinct_files(files: Sequence[str]) -> Sequence[str]:
    """The different files among the files, or of the `SeriesParts`, of a batch."""
    return files.files if isinstance(files, SeriesParts) else files


def path_of(file: str | SeriesParts) -> str:
    """The path of a file, or that of the file of one part."""
    return file if isinstance(file, str) else file[0]
