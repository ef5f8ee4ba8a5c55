"""One pass over a loader: it starts at the first batch, and ends with the last one or with an error.

Lightning calls ``iter(loader)`` before ``set_epoch`` (lightning#21938): workers that start at once would deliver the
order of the previous epoch. And if an iterator ends early, for example by a `StopIteration` in a worker, the training
loop would take that for the end of the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from torch.utils.data._utils import signal_handling

from h5lightning.errors import WorkerError

__all__ = ["Delivered", "EpochIterator"]

_POLL_S = 5.0  # how often torch looks whether its workers are alive
_LAST_WORDS_S = 1.0  # a terminated worker may take that long to exit


@dataclass(slots=True, eq=False)
class Delivered:
    """What an iterator has delivered; it outlives the iterator."""

    batches: int = 0
    is_at_end: bool = False


class EpochIterator(Iterator[Any]):
    """Makes the real iterator at the first batch, and counts the batches.

    Args:
        start: called with this object, makes the iterator, and says how many batches it will give; None if unknown.
        timeout_s: seconds to wait for a batch of a worker; 0 waits indefinitely.
        check: called before each batch, raises if this object may no longer be used.
    """

    def __init__(
        self,
        start: Callable[[EpochIterator], tuple[Iterator[Any], int | None]],
        timeout_s: float = 0,
        *,
        check: Callable[[EpochIterator], None] | None = None,
    ) -> None:
        self._start = start
        self._check = check
        self._timeout_s = timeout_s
        self._batches: Iterator[Any] | None = None
        self._expected: int | None = None
        self.delivered = Delivered()
        self._pending: list[Any] = []  # the batch that is being made

    def __next__(self) -> Any:
        if self._pending:
            raise WorkerError(
                f"the epoch was interrupted after {self.delivered.batches} batches, and the next one may be lost: "
                "begin a new iterator"
            )
        self._pending.append(None)
        try:
            self._pending[0] = self._counted()
        except Exception:
            self._pending.clear()
            raise
        return self._pending.pop()

    def _counted(self) -> Any:
        if self._batches is None:
            self._batches, self._expected = self._start(self)
            _watch_in_next(self._batches, min(_POLL_S, self._timeout_s or _POLL_S))
        if self._check is not None:
            self._check(self)
        try:
            batch = self._next(self._batches)
        except StopIteration:
            if self._expected is not None and self.delivered.batches < self._expected:
                self._ended_early(self._expected)
            self.delivered.is_at_end = True
            raise
        self.delivered.batches += 1
        return batch

    def _next(self, batches: Iterator[Any]) -> Any:
        began = time.monotonic()
        while True:
            try:
                return next(batches)
            except AssertionError as error:  # noqa: PERF203 - as below
                if not str(error).startswith("Invalid iterator state"):
                    raise
                # Another thread ended the persistent workers.
                self._ended_early(self._expected or 0)
            except (ConnectionError, EOFError, FileNotFoundError) as error:
                # It was killed while it handed over the shared memory of a batch.
                if any(not worker.is_alive() for worker in self._workers):
                    self._lost_worker("has ended", error)
                raise
            except RuntimeError as error:
                said = str(error)
                if said.startswith("DataLoader worker"):
                    self._lost_worker("has ended", error)
                if not said.startswith("DataLoader timed out"):
                    raise
                waited_s = time.monotonic() - began
                if self._timeout_s and waited_s >= self._timeout_s:
                    self._lost_worker(
                        f"has given nothing for {waited_s:.0f} s (timeout_s={self._timeout_s:g})", error
                    )

    def _ended_early(self, expected: int) -> NoReturn:
        _end(self._workers)
        raise WorkerError(
            f"the epoch ended after {self.delivered.batches} of {expected} batches. Either the data were closed "
            "meanwhile (dm.teardown), or a function of yours raised StopIteration, which means the end: look for a "
            "next() without a default"
        ) from None

    @property
    def _workers(self) -> Sequence[Any]:
        return list(getattr(self._batches, "_workers", ()))

    def _lost_worker(self, what: str, error: Exception) -> NoReturn:
        ended = [worker for worker in self._workers if not worker.is_alive()]
        codes = [f"{worker.name}: exit code {worker.exitcode}" for worker in ended]
        _end([worker for worker in self._workers if worker not in ended])
        listed = f" ({', '.join(codes)})" if codes else ""
        raise WorkerError(
            f"a worker process of the loader {what}{listed}, after {self.delivered.batches} batches. If it was killed "
            "for memory, use fewer workers (num_workers=0 reads in threads); if it is stuck, look at the file system "
            "and at what the transforms wait for, or raise timeout_s"
        ) from error


def _watch_in_next(batches: Iterator[Any], poll_s: float) -> None:
    """Let torch look after its workers only while it waits for them.

    By itself it raises an error wherever the program is when a worker dies, outside of the loop over the batches too.
    """
    iterator: Any = batches
    if getattr(iterator, "_worker_pids_set", False):
        cast("Any", signal_handling)._remove_worker_pids(id(iterator))  # noqa: SLF001 - as torch in the end
        iterator._worker_pids_set = False  # noqa: SLF001
    if hasattr(iterator, "_workers"):
        iterator._timeout = poll_s  # noqa: SLF001


def _end(workers: Sequence[Any]) -> None:
    """End processes now: torch waits five seconds for each that is stuck, or that garbage collection cut off."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + _LAST_WORDS_S
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()
