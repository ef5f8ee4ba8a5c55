"""The caches of decoded chunk rows and the decoding threads of each process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np

from h5lightning.core.anonymous_file import is_starting_process, system_has_anonymous_files
from h5lightning.core.arrays import Bytes
from h5lightning.core.monitor import Guard, Monitor, ProcessGuard
from h5lightning.core.process_local import ProcessLocal
from h5lightning.core.visible import visible_logger
from h5lightning.storage.files.coalescing import MAX_RUN_BYTES
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache
from h5lightning.storage.readers.decoded.chunk_store import shares
from h5lightning.storage.readers.decoded.shared_chunks import SharedChunks

__all__ = ["DecodePool", "DecodedChunkRows", "Task", "workers_share_chunks"]

Task = Callable[[], None]
T = TypeVar("T")

_logger = visible_logger(__name__)


class DecodePool:
    """Caches and threads of one process; any number of threads may use it.

    Args:
        cache_bytes: decoded bytes to keep; see `shares`.
        threads: threads that decode.
        shared: what this process shares with others; None for caches of its own.
    """

    def __init__(self, cache_bytes: int, threads: int, shared: SharedChunks | None = None) -> None:
        self.threads = threads
        self._shared = shared
        self._cache_bytes = cache_bytes
        self._caches: dict[tuple[int, int], ChunkRowCache] = {}
        self._guard = Guard()
        self._local = threading.local()
        self._executor: ThreadPoolExecutor | None = None

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks, in several threads if there are any; none of them is still at work when this returns."""
        if self.threads == 1 or len(tasks) == 1:
            for task in tasks:
                task()
            return
        crew = _Crew()
        try:
            try:
                futures = [self._begin(partial(crew.do, task)) for task in tasks]
                for future in futures:
                    future.result()
            finally:
                crew.dismiss()
        finally:
            crew.dismiss()

    def _begin(self, task: Task) -> Future[None]:
        try:
            return (self._executor or self._guard.run(self._make_executor)).submit(task)
        except RuntimeError:
            # It was closed meanwhile, or cannot start a thread: this thread does the task.
            future: Future[None] = Future()
            task()
            future.set_result(None)
            return future

    def _make_executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads, "h5lightning-decode")
        return self._executor

    def scratch(self) -> Bytes:
        """Memory of the calling thread for bytes that it reads: new memory would cost page faults."""
        scratch: Bytes | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = np.empty(MAX_RUN_BYTES, np.uint8)
        return scratch

    def close(self) -> None:
        """Stop the threads and forget the chunk rows; reads in progress go on, and the pool stays usable."""
        executor = self._guard.run(self._forget)
        if executor is not None:
            executor.shutdown()

    def _forget(self) -> ThreadPoolExecutor | None:
        for cache in self._caches.values():
            cache.clear()
        self._caches = {}
        executor, self._executor = self._executor, None
        return executor

    @property
    def filled(self) -> int:
        """Chunk rows that this process decoded into its caches since they were last forgotten."""
        return sum(cache.filled for cache in list(self._caches.values()))

    def cache(self, height: int, row_bytes: int) -> ChunkRowCache:
        """The cache of all chunk rows of this size; see `ChunkRowCache`."""
        return self._caches.get((height, row_bytes)) or self._guard.run(self._add, height, row_bytes)

    def _add(self, height: int, row_bytes: int) -> ChunkRowCache:
        cache = self._caches.get((height, row_bytes))
        if cache is None:
            others = list(self._caches.values())
            rows = [row_bytes, *(other.row_bytes for other in others)]
            limit_bytes, *limits = shares(self._cache_bytes, rows)
            for other, limit in zip(others, limits, strict=True):
                other.limit(limit)
            store = None if self._shared is None else self._shared.store(height, row_bytes)
            cache = self._caches[height, row_bytes] = ChunkRowCache(height, row_bytes, limit_bytes, store)
        return cache


class _Crew:
    """The threads at work for one call: none of them may write to a buffer when the call is over.

    Futures alone do not ensure this: a caller may be interrupted before it has the future of a task that has begun.
    """

    __slots__ = ("_at_work", "_is_over", "_monitor")

    def __init__(self) -> None:
        self._at_work: set[object] = set()
        self._is_over = False
        self._monitor = Monitor()

    def do(self, task: Task) -> None:
        """Do a task, unless the call is over."""
        member = object()
        try:
            try:
                if self._monitor.run(self._join, member):
                    task()
            finally:
                self._monitor.run(self._leave, member)
        finally:
            self._monitor.run(self._leave, member)

    def dismiss(self) -> None:
        """Let no further task begin, and wait for those that have begun."""
        self._is_over = True
        self._monitor.until(lambda: None if self._at_work else True)

    def _join(self, member: object) -> bool:
        if not self._is_over:
            self._at_work.add(member)
        return not self._is_over

    def _leave(self, member: object) -> None:
        self._monitor.tell()
        self._at_work.discard(member)


class DecodedChunkRows:
    """The `DecodePool` of each process; pickled, copied or forked, it starts empty.

    Worker processes that `start_workers` starts share their decoded chunk rows.
    """

    def __init__(self, cache_bytes: int, threads: int, shared: SharedChunks | None = None) -> None:
        self._options = cache_bytes, threads
        self._shared = shared
        self._local: ProcessLocal[DecodePool] = ProcessLocal()

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in the same process shares nothing.
        return type(self), (*self._options, self._shared if is_starting_process() else None)

    def pool(self) -> DecodePool:
        """The pool of this process."""
        return self._local.get(lambda: DecodePool(*self._options, self._shared))

    def start_workers(self, count: int, start: Callable[[], T]) -> T:
        """Call ``start``, which starts ``count`` processes that share what they decode.

        This process keeps nothing of what they share: the system frees it with the last of them.
        """
        return _starting.run(self._start, count, start)

    def _start(self, count: int, start: Callable[[], T]) -> T:
        try:
            self._shared = _made(count, self._options[0])
            return start()
        finally:
            self._shared = None


def workers_share_chunks() -> bool:
    """Whether the worker processes of a loader share decoded chunks on this system."""
    return system_has_anonymous_files()


def _made(count: int, cache_bytes: int) -> SharedChunks | None:
    """What ``count`` workers share; None where they cannot share."""
    if count < 2 or not workers_share_chunks():
        return None
    try:
        return SharedChunks.make(count, cache_bytes)
    except OSError as error:
        _logger.info("each worker process decodes for itself, since there is no shared memory: %s", error)
        return None


_starting = ProcessGuard()
