"""One pass over rows: several threads read pieces, and what they make of them comes in the order of the rows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from h5lightning.core.arrays import Int64Array
from h5lightning.loading.passes.block_reader import BlockReader, BlockValues
from h5lightning.planning.passes.row_blocks import Piece, RowBlock, RowBlocks

__all__ = ["PieceWork", "run_pass"]


class PieceWork(Protocol):
    """What is made of the rows of one piece."""

    def add(self, values: Mapping[str, BlockValues], ids: Int64Array) -> None:
        """Take the values of some rows; in tiles, the same rows come again with other entries.

        Args:
            values: the values of each field.
            ids: ids of the index of rows, ascending, ``(N,)``.
        """


W = TypeVar("W", bound=PieceWork)


def run_pass(
    blocks: RowBlocks,
    reader: BlockReader,
    pieces: Sequence[Piece],
    begin: Callable[[Piece], W],
    *,
    threads: int,
) -> Iterator[tuple[Piece, W]]:
    """Read all selected rows of some pieces once.

    Args:
        blocks: how they are divided.
        reader: reads them.
        pieces: the pieces, in order.
        begin: makes what takes the rows of a piece; one thread uses it.
        threads: threads that read at the same time.

    Yields:
        Each piece with what took its rows, in order; also a piece without selected rows.

    Raises:
        H5LightningError: a file cannot be read.
    """
    one = _Pass(blocks, reader, pieces, begin)
    tasks = blocks.tasks(pieces)
    if threads < 2 or len(tasks) < 2:
        for task in tasks:
            yield from one.work(task)
        return
    waiting: deque[Future[list[tuple[Piece, W]]]] = deque()
    with ThreadPoolExecutor(threads, "h5lightning-pass") as executor:
        try:
            for task in tasks:
                waiting.append(executor.submit(one.work, task))
                if len(waiting) >= 2 * threads:  # results that wait for an earlier one take memory
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            one.is_over.set()
            for future in waiting:
                future.cancel()


class _Pass(Generic[W]):
    """Does the tasks of a pass."""

    def __init__(
        self,
        blocks: RowBlocks,
        reader: BlockReader,
        pieces: Sequence[Piece],
        begin: Callable[[Piece], W],
    ) -> None:
        self._blocks, self._reader, self._pieces, self._begin = blocks, reader, pieces, begin
        self.is_over = threading.Event()

    def work(self, task: range) -> list[tuple[Piece, W]]:
        """Read the pieces of a task, one after the other."""
        made = [self._begin(self._pieces[number]) for number in task]
        for block in self._blocks.of(self._pieces, task):
            if self.is_over.is_set():
                break
            self._take(block, made, task.start)
        return [(self._pieces[number], one) for number, one in zip(task, made, strict=True)]

    def _take(self, block: RowBlock, made: Sequence[W], first: int) -> None:
        ids, chosen = block.row_ids(), block.chosen
        for read in self._reader.read(block):
            values = read if chosen is None else {key: one.of(chosen) for key, one in read.items()}
            if len(block.parts) == 1:
                made[block.parts[0].piece - first].add(values, ids)
                continue
            for number, start, stop in block.parts:
                rows = slice(start, stop)
                made[number - first].add({key: one.of(rows) for key, one in values.items()}, ids[rows])
