"""The files that this process holds open through HDF5, so that no cached contents outlive a change of a file.

HDF5 opens a file once for each inode. A second handle, or a virtual dataset that takes values from the file, shows the
cached contents of the first handle, even if the file was written to since: old values, and no error. So before a file
is opened, all handles from before its change, or a change of its sources, are closed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Protocol, TypeAlias
from weakref import WeakSet

from h5lightning.core.monitor import Guard
from h5lightning.errors import FileChangedError
from h5lightning.planning.catalog.schema import Stamp
from h5lightning.storage.hdf5.file_checks import stamp

__all__ = ["BriefHold", "Holder", "Identity", "drop", "give_back_outdated", "hold", "identity_of"]

Identity: TypeAlias = tuple[int, int]  # device and inode

_PATIENCE_S = 5.0
_PAUSE_S = 0.01
_FEWEST_TO_SWEEP = 1024


class Holder(Protocol):
    """An object that holds files open through HDF5."""

    def is_outdated(self, identity: Identity, found: Stamp) -> bool:
        """Whether it holds a file with another stamp than ``found``, or with changed sources."""

    def give_back(self) -> bool:
        """Close its files, or mark them to be closed after use; returns whether they are closed."""


_holders: dict[Identity, WeakSet[Holder]] = {}
_brief: dict[object, tuple[Identity, Stamp]] = {}  # at most one for each scanning thread
_sweep_at = _FEWEST_TO_SWEEP
_guard = Guard()


def identity_of(status: os.stat_result) -> Identity:
    """The identity of a file for HDF5."""
    return status.st_dev, status.st_ino


def hold(holder: Holder, identities: Iterable[Identity]) -> None:
    """Register files that a holder has opened."""
    _guard.run(_hold, holder, identities)


def _hold(holder: Holder, identities: Iterable[Identity]) -> None:
    for identity in identities:
        _holders.setdefault(identity, WeakSet()).add(holder)
    _sweep()


def _sweep() -> None:
    """Forget files whose holders were collected without `drop`, once these may be half of all files."""
    global _sweep_at  # noqa: PLW0603 - there is one for each process
    if len(_holders) > _sweep_at:
        for identity in [identity for identity, held in _holders.items() if not held]:
            del _holders[identity]
        _sweep_at = max(2 * len(_holders), _FEWEST_TO_SWEEP)


def drop(holder: Holder, identities: Iterable[Identity]) -> None:
    """Unregister files that a holder has closed."""
    _guard.run(_drop, holder, identities)


def _drop(holder: Holder, identities: Iterable[Identity]) -> None:
    for identity in identities:
        held = _holders.get(identity)
        if held is not None:
            held.discard(holder)
            if not held:
                del _holders[identity]


def _holders_of(identity: Identity) -> list[Holder]:
    return [*_holders.get(identity, ())]


class BriefHold:
    """Registers a file, by its status before it was opened, as held open inside of the ``with`` block."""

    __slots__ = ("_held",)

    def __init__(self, status: os.stat_result) -> None:
        self._held = identity_of(status), stamp(status)

    def __enter__(self) -> None:
        _brief[self] = self._held

    def __exit__(self, *_: object) -> None:
        _brief.pop(self, None)


def _is_brief_outdated(identity: Identity, found: Stamp) -> bool:
    return any(held == identity and before != found for held, before in list(_brief.values()))


def give_back_outdated(path: str, status: os.stat_result) -> None:
    """Close all handles from before a change of a file, so that HDF5 reads the file anew.

    Raises:
        FileChangedError: the file as it was is still in use.
    """
    identity = identity_of(status)
    if identity not in _holders and not _brief:
        return
    found, holders = stamp(status), _guard.run(_holders_of, identity)
    outdated = [holder for holder in holders if holder.is_outdated(identity, found)]
    end_s = time.monotonic() + _PATIENCE_S
    while (outdated := [holder for holder in outdated if not holder.give_back()]) or _is_brief_outdated(
        identity, found
    ):
        if time.monotonic() > end_s:
            raise FileChangedError(
                f"{path}, or a file that it takes values from, was changed while this process reads it, and HDF5 would "
                "still show its old contents. Close the datasets and loaders that read it, and start again"
            )
        time.sleep(_PAUSE_S)


def _renew() -> None:
    # Another thread may have held the lock when this process was forked.
    global _guard  # noqa: PLW0603 - there is one for each process
    _guard = Guard()


os.register_at_fork(after_in_child=_renew)
