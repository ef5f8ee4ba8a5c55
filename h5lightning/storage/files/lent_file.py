"""Files that the pool lends to the user's transforms: real objects of h5py, which read only during one call."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import h5py
from h5py import h5f

from h5lightning.errors import ClosedFileError
from h5lightning.storage.files.handle_pool import HandlePool

__all__ = ["FileLender", "LentDataset", "LentFile", "LentGroup"]

_SHARE = 2  # of the budget of open files, for those that one call holds at the same time


class _Loan:
    """The time for which a file is lent; its objects ask whether it is over."""

    __slots__ = ("ended", "file", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.ended = ""
        self.file: LentFile | None = None

    def check(self) -> None:
        if self.ended:
            raise ClosedFileError(f"{self.path} was opened by info.file() and is closed: {self.ended}")


class _Lent:
    """What `h5py.Group` and `h5py.Dataset` do, as long as the loan lasts."""

    _loan: _Loan

    def __getitem__(self, name: Any, *more: Any, **options: Any) -> Any:
        self._loan.check()
        found = super().__getitem__(name, *more, **options)  # type: ignore[misc]
        kind = _KINDS.get(type(found))
        if kind is not None:
            # The types of h5py have no slots, so that their objects can change to types that check the loan.
            found.__class__ = kind
            found._loan = self._loan  # noqa: SLF001
        return found

    @property
    def file(self) -> Any:
        """The lent file itself: another handle could be closed, and with it that of the pool."""
        self._loan.check()
        return self._loan.file


class LentGroup(_Lent, h5py.Group):  # type: ignore[misc]
    """A group of a lent file."""


class LentDataset(_Lent, h5py.Dataset):  # type: ignore[misc]
    """A dataset of a lent file."""

    def read_direct(self, *arguments: Any, **options: Any) -> None:
        """See `h5py.Dataset.read_direct`."""
        self._loan.check()
        super().read_direct(*arguments, **options)


class LentFile(_Lent, h5py.File):  # type: ignore[misc]
    """A file, open for reading until the call of the transform ends; closing it before does nothing."""

    def __init__(self, handle: h5f.FileID, loan: _Loan) -> None:
        h5py.Group.__init__(self, handle)
        self._loan = loan
        loan.file = self

    @property
    def mode(self) -> str:
        """Always ``r``."""
        return "r"

    def close(self) -> None:
        """Do nothing: the pool closes the file."""


_KINDS: dict[type, type] = {h5py.Group: LentGroup, h5py.Dataset: LentDataset}


class FileLender:
    """Lends files for one call after another; in no other process, and not after the last call.

    Args:
        pool: the open files of this process.
    """

    def __init__(self, pool: HandlePool | None) -> None:
        self._pool = pool
        self._lent: OrderedDict[str, tuple[_Loan, AbstractContextManager[h5f.FileID]]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (None,)

    def __deepcopy__(self, memo: dict[int, Any]) -> FileLender:
        return self

    def file(self, path: str) -> h5py.File:
        """A file, open until the call ends; the same object for each time that a call asks.

        Raises:
            ClosedFileError: no call of a transform goes on.
            BadFileError: HDF5 cannot open it.
            FileChangedError: it is not the one that was scanned.
        """
        if self._pool is None:
            raise ClosedFileError(
                f"info.file() opens {path} only while the transform is called that got this info"
            )
        if path not in self._lent:
            while len(self._lent) >= max(1, self._pool.budget // _SHARE):
                self._end(next(iter(self._lent)), "other files took its place in this call, ask for it again")
            lending = self._pool.lent(path)
            loan = _Loan(path)
            LentFile(lending.__enter__(), loan)
            self._lent[path] = loan, lending
        self._lent.move_to_end(path)
        file = self._lent[path][0].file
        assert file is not None
        return file

    def end_call(self) -> None:
        """End the loans of a call.

        Raises:
            FileChangedError: a file was written to while it was lent.
        """
        if not self._lent:
            return
        with ExitStack() as stack:
            for path in list(self._lent):
                stack.callback(self._end, path, "read what is needed during the call of the transform")

    def close(self) -> None:
        """Lend nothing from now on."""
        self._pool = None

    def _end(self, path: str, why: str) -> None:
        loan, lending = self._lent.pop(path)
        loan.ended, loan.file = why, None
        lending.__exit__(None, None, None)
