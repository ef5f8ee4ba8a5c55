"""The files that this process holds open through HDF5: what HDF5 knows of them must not outlive a change of them.

HDF5 opens a file once for each inode. Whoever opens it again, or a virtual dataset that takes values from it, is shown
what the first handle has read and keeps, also if the file was written to since: old values, and no error. So a file is
opened only after all that hold it, or its sources, as they were before have given it back.
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
    """What holds files open through HDF5."""

    def is_outdated(self, identity: Identity, found: Stamp) -> bool:
        """Whether a file that it holds had another stamp, or has other sources by now."""

    def give_back(self) -> bool:
        """Close what it holds, after its use if it is in use; whether that is done."""


_holders: dict[Identity, WeakSet[Holder]] = {}
_brief: dict[object, tuple[Identity, Stamp]] = {}  # a few, of the threads that scan
_sweep_at = _FEWEST_TO_SWEEP
_guard = Guard()


def identity_of(status: os.stat_result) -> Identity:
    """What HDF5 tells files apart by."""
    return status.st_dev, status.st_ino


def hold(holder: Holder, identities: Iterable[Identity]) -> None:
    """From now on, it holds these files."""
    _guard.run(_hold, holder, identities)


def _hold(holder: Holder, identities: Iterable[Identity]) -> None:
    for identity in identities:
        _holders.setdefault(identity, WeakSet()).add(holder)
    _sweep()


def _sweep() -> None:
    """Forget the files whose holders were collected without `drop`, once they may be half of those known."""
    global _sweep_at  # noqa: PLW0603 - there is one for each process
    if len(_holders) > _sweep_at:
        for identity in [identity for identity, held in _holders.items() if not held]:
            del _holders[identity]
        _sweep_at = max(2 * len(_holders), _FEWEST_TO_SWEEP)


def drop(holder: Holder, identities: Iterable[Identity]) -> None:
    """It holds them no more."""
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
    """Inside the ``with`` block, a file is held that had this status before it was opened.

    Args:
        status: that status.
    """

    __slots__ = ("_known",)

    def __init__(self, status: os.stat_result) -> None:
        self._known = identity_of(status), stamp(status)

    def __enter__(self) -> None:
        _brief[self] = self._known

    def __exit__(self, *_: object) -> None:
        _brief.pop(self, None)


def _is_brief_outdated(identity: Identity, found: Stamp) -> bool:
    return any(held == identity and known != found for held, known in list(_brief.values()))


def give_back_outdated(path: str, status: os.stat_result) -> None:
    """Close what holds a file as it was before, so that HDF5 reads it anew.

    Args:
        path: where it lies, for messages.
        status: that of the file now.

    Raises:
        FileChangedError: it is still being read as it was.
    """
    identity = identity_of(status)
    if identity not in _holders and not _brief:
        return
    found, holders = stamp(status), _guard.run(_holders_of, identity)
    outdated = [holder for holder in holders if holder.is_outdated(identity, found)]
    end_s = time.monotonic() + _PATIENCE_S
    while (outdated := [one for one in outdated if not one.give_back()]) or _is_brief_outdated(
        identity, found
    ):
        if time.monotonic() > end_s:
            raise FileChangedError(
                f"{path}, or a file that it takes values from, was changed, and this process is still reading it as it "
                "was, which HDF5 would go on showing. Close the datasets and loaders that read it, and start again"
            )
        time.sleep(_PAUSE_S)


def _renew() -> None:
    # Another thread may have held it when this process was forked.
    global _guard  # noqa: PLW0603 - there is one for each process
    _guard = Guard()


os.register_at_fork(after_in_child=_renew)
