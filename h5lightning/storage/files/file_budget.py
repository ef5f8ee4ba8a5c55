"""How many descriptors and maps the files of a process keep that are read without HDF5; the oldest make room.

To open or map such a file again takes a few microseconds, to open it with HDF5 a hundred times as long. So both share
one budget of descriptors, and files that are read without HDF5 give theirs up first. A mapped file needs none.
"""

from __future__ import annotations

import errno
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sized
from typing import Any

from h5lightning.core.monitor import Guard
from h5lightning.errors import ResourceError
from h5lightning.storage.files.descriptor import Descriptor
from h5lightning.storage.files.mapped_file import MappedFile, map_limit, maps_held

__all__ = ["FileBudget", "OldestFirst"]


class OldestFirst:
    """Files that keep something in one of their attributes, in the order in which they got it.

    Any number of threads may use it. A thread that uses what a file keeps holds it, so nothing is taken from it.

    Args:
        name: the attribute; it is None where a file keeps nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._files: OrderedDict[Any, None] = OrderedDict()
        self._guard = Guard()  # nothing else is waited for while it is held

    def __len__(self) -> int:
        return len(self._files)

    def keep(self, file: object, thing: object, most: int) -> None:
        """Let a file keep something; the oldest files, and at last this one, lose theirs until ``most`` are left."""
        self._guard.run(self._keep, file, thing, most)

    def _keep(self, file: object, thing: object, most: int) -> None:
        self._files[file] = None  # first: what is listed can be taken away, also after an interrupt
        setattr(file, self._name, thing)
        self._shrink(most)

    def shrink(self, most: int) -> None:
        """Take away what the oldest files keep, until ``most`` are left."""
        self._guard.run(self._shrink, most)

    def _shrink(self, most: int) -> None:
        files, most = self._files, max(0, most)
        while len(files) > most:
            setattr(next(iter(files)), self._name, None)
            files.popitem(last=False)

    def drop(self, file: object) -> None:
        """Take away what a file keeps, if it keeps something."""
        self._guard.run(self._drop, file)

    def _drop(self, file: object) -> None:
        setattr(file, self._name, None)
        self._files.pop(file, None)


class FileBudget:
    """The descriptors and maps of one process; any number of threads may use it.

    Args:
        most: descriptors of files, those of HDF5 included.
        handles: the files that are open through HDF5.
        close_handles: refers to what closes some of them, and says whether it did.

    Attributes:
        most: descriptors of files; fewer than at first if the process ran out of them.
        most_maps: maps of files; fewer than at first if the process ran out of memory or maps.
    """

    def __init__(
        self, most: int, handles: Sized, close_handles: weakref.WeakMethod[Callable[[], bool]]
    ) -> None:
        self.most = most
        self.most_maps = map_limit()
        self._descriptors = OldestFirst("kept_descriptor")
        self._maps = OldestFirst("kept_map")
        self._handles = handles
        self._close_handles = close_handles

    @property
    def held(self) -> int:
        """Files that are open, through HDF5 or without it."""
        return len(self._descriptors) + len(self._handles)

    def keep_descriptor(self, file: object, descriptor: Descriptor) -> None:
        """Let a file keep its descriptor, if there is room besides the files that are open through HDF5."""
        self._descriptors.keep(file, descriptor, self.most - len(self._handles))

    def make_room(self) -> None:
        """Close a descriptor if there is no room for one more file that is open through HDF5."""
        self._descriptors.shrink(self.most - len(self._handles) - 1)

    def keep_map(self, file: object, mapped: MappedFile) -> None:
        """Let a file keep its map; those of the oldest files go where this process holds more than it may."""
        excess = max(0, maps_held() - self.most_maps)
        self._maps.keep(file, mapped, len(self._maps) + 1 - excess)

    def forget(self, file: object) -> None:
        """Let a file keep nothing, and do not refer to it any more."""
        self._descriptors.drop(file)
        self._maps.drop(file)

    def renewed(self) -> FileBudget:
        """The same budget, without files that are not open through HDF5."""
        renewed = FileBudget(self.most, self._handles, self._close_handles)
        renewed.most_maps = self.most_maps
        return renewed

    def opened(self, path: str) -> Descriptor:
        """Open a file; others are closed if this process has no descriptor left. See `Descriptor`."""
        while True:
            try:
                return Descriptor(path)
            except ResourceError:  # noqa: PERF203 - once in a run
                if not self.give_back():
                    raise

    def give_back(self) -> bool:
        """Close half of the files that need not stay open, and keep fewer from now on; whether there were any."""
        held = self.held
        self._descriptors.shrink(len(self._descriptors) // 2)
        if self.held == held:
            close_handles = self._close_handles()
            if close_handles is None or not close_handles():
                return False
        # Something else took descriptors.
        self.most = max(1, self.held)
        return True

    def mapped(self, descriptor: Descriptor, size: int) -> MappedFile:
        """Map a file; half of the others are unmapped if this process has no memory or maps left.

        Raises:
            OSError: the file cannot be mapped.
        """
        try:
            return MappedFile(descriptor.number, size)
        except OSError as error:
            if error.errno != errno.ENOMEM or not len(self._maps):
                raise
        self.most_maps = max(1, len(self._maps) // 2)
        self._maps.shrink(self.most_maps)
        return MappedFile(descriptor.number, size)
