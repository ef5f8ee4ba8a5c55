"""A progress bar for work that takes over a second, if standard error is a terminal or a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Advance", "progress_bar"]

Advance: TypeAlias = Callable[[int], None]

_PATIENCE_S = 1.0


@contextmanager
def progress_bar(description: str, total: int, *, is_wanted: bool = True) -> Iterator[Advance]:
    """Count steps; after a second, a bar appears on standard error if it is a terminal or a notebook.

    Args:
        description: text before the bar.
        total: number of steps.
        is_wanted: False for no bar at all.

    Example:
        >>> with progress_bar("scanning", 2) as advance:
        ...     advance(2)
    """
    bar = _LateBar(description, total)
    try:
        yield bar.advance if is_wanted else _ignore
    finally:
        bar.close()


class _LateBar:
    def __init__(self, description: str, total: int) -> None:
        self._description = description
        self._total = total
        self._done = 0
        self._due_s = time.monotonic() + _PATIENCE_S
        self._bar: Progress | None = None

    def advance(self, steps: int) -> None:
        self._done += steps
        if self._bar is None and time.monotonic() >= self._due_s:
            self._bar = _start(self._description, self._total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _start(description: str, total: int) -> Progress:
    # This import takes 0.1 s, so it waits until a bar is shown.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from h5lightning.core.terminal import Terminal
    from h5lightning.core.visible import visible

    console = Terminal(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter))
    bar.add_task(visible(description), total=total)
    bar.start()
    return bar


def _ignore(_: int) -> None:
    pass
