"""The two selections of a read, in the file and in memory, which are used for one dataset after the other.

To make them, or to use those that were long not used, takes HDF5 as long as reading a small row.
"""

from __future__ import annotations

from h5py import h5s

from h5lightning.core.process_local import ProcessLocal

__all__ = ["Selections", "give_back", "take"]


class Selections:
    """A selection in a file and one in memory, which belong to one thread between `take` and `give_back`."""

    __slots__ = ("_file_shape", "_memory_shape", "in_file", "in_memory")

    def __init__(self) -> None:
        self.in_file = h5s.create(h5s.SIMPLE)
        self.in_memory = h5s.create(h5s.SIMPLE)
        self._file_shape: tuple[int, ...] | None = None
        self._memory_shape: tuple[int, ...] | None = None

    def fit_file(self, shape: tuple[int, ...]) -> h5s.SpaceID:
        """The selection in a dataset of a shape."""
        if shape != self._file_shape:
            self.in_file.set_extent_simple(shape)
            self._file_shape = shape
        return self.in_file

    def fit_memory(self, shape: tuple[int, ...]) -> h5s.SpaceID:
        """All of a buffer of a shape."""
        if shape != self._memory_shape:
            self.in_memory.set_extent_simple(shape)
            self._memory_shape = shape
        return self.in_memory


_spare: ProcessLocal[list[Selections]] = ProcessLocal()


def take() -> Selections:
    """Selections that no other thread uses; after an error they are not given back."""
    try:
        return _spare.get(list).pop()
    except IndexError:
        return Selections()


def give_back(selections: Selections) -> None:
    """Let others use selections."""
    _spare.get(list).append(selections)
